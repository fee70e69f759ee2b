//! A module's queue: what may wait in it, and when it is sent to which of the module's processes.

use crate::{
    action::Action,
    core::{Core, Outstanding},
    ids::{Caller, ModuleId, Recipient, RequestId, RunId},
    limits::{EVENT_TIMEOUT, REQUEST_BYTES},
    module::Module,
    request::{RequestEntry, RequestState},
    requests::{Queued, Sent},
    routing::refused,
    run::Role,
    slots::SlotState,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{ErrorCode, Failure, HeldBytes, Request, RequestType};
use std::time::Duration;

impl Core {
    /// Passes a request to its module: to a process whose window has room, else into the queue.
    pub(crate) fn enqueue(
        &mut self,
        now: Time,
        module_id: ModuleId,
        recipient: Option<Recipient>,
        message: Request,
    ) -> Result<(), Failure> {
        let module = &self.modules[module_id];
        if !module.is_available() {
            let reason = self.why_unavailable(now, module_id);
            return Err(refused(ErrorCode::ModuleUnavailable, reason));
        }
        module.check_room(REQUEST_BYTES + message.payload.held_bytes())?;
        self.register(now, module_id, recipient, message, RequestState::Queued);
        self.pump(now, module_id);
        Ok(())
    }

    /// Takes a request into the table: into its module's queue, or to those that wait beside it.
    pub(crate) fn register(
        &mut self,
        now: Time,
        module_id: ModuleId,
        recipient: Option<Recipient>,
        message: Request,
        state: RequestState,
    ) -> RequestId {
        let key_caller = match (&message.key, recipient) {
            (Some(_), Some(recipient)) => self.key_caller(recipient.caller),
            _ => None,
        };
        let module = self.modules.get_mut(module_id).expect("names and modules agree");
        let timeout = match message.kind {
            RequestType::Event => EVENT_TIMEOUT,
            _ => message.deadline_ms.map_or(module.spec.rules.deadline_default, Duration::from_millis),
        };
        let deadline = now + timeout;
        let id = self.ids.request();
        let mut entry = RequestEntry::new(module_id, recipient, message, deadline, state);
        entry.key_caller = key_caller;
        if let Some(recipient) = recipient {
            if let Caller::Run(run) = recipient.caller {
                entry.seen = self.runs.get(&run).map_or(entry.seen, |run| run.seen);
            }
            self.callers.open(recipient, Outstanding::Request(id), entry.held);
        }
        self.timers.set(deadline, Timer::Deadline(id));
        if entry.state == RequestState::Queued {
            module.queue.push_back(id, entry.held);
        } else {
            module.queue.add_keyed(entry.held);
        }
        self.requests.insert(id, entry);
        id
    }

    /// A request that waited beside the queue goes into it; if no process will come, it is answered.
    pub(crate) fn queue_up(&mut self, now: Time, id: RequestId) {
        let Queued { module: module_id, held } = self.requests.queue(id);
        let module = self.modules.get_mut(module_id).expect("a module outlives its requests");
        module.queue.push_back(id, held);
        self.reconcile(now, module_id);
    }

    /// Sends from a module's queue what its processes have room for.
    pub(crate) fn pump(&mut self, now: Time, module_id: ModuleId) {
        loop {
            let Some(module) = self.modules.get(module_id) else { return };
            let Some(id) = module.queue.front() else { return };
            let bytes = self.requests[id].bytes();
            let Some(run) = self.choose(module, bytes) else { return };
            self.dispatch(now, module_id, id, run);
        }
    }

    /// The serving process with the fewest requests in flight, if it has room.
    fn choose(&self, module: &Module, bytes: usize) -> Option<RunId> {
        let serving = module.slots.with_role(Role::Active).filter_map(|slot| match *slot.state() {
            SlotState::Occupied(id) => self.runs.get(&id).map(|run| (id, run)),
            SlotState::Vacant(_) | SlotState::Clearing { .. } => None,
        });
        serving
            .filter(|(_, run)| run.is_ready() && run.listens() && run.has_room(bytes))
            .min_by_key(|(_, run)| run.in_flight.len())
            .map(|(id, _)| id)
    }

    fn dispatch(&mut self, now: Time, module_id: ModuleId, id: RequestId, run_id: RunId) {
        let module = self.modules.get_mut(module_id).expect("the caller has it");
        module.queue.pop_front();
        let Sent { bytes, seen } = self.requests.send(now, id, run_id);
        let run = self.runs.get_mut(&run_id).expect("the caller chose it");
        run.seen = run.seen.max(seen);
        run.in_flight.push(id, bytes);
        let is_head = run.in_flight.len() == 1;
        self.act(Action::Send { run: run_id, request: id });
        if is_head {
            self.head_changed(now, run_id);
        }
    }

    /// Removes a request from its module's queue and forgets it.
    pub(crate) fn unqueue(&mut self, id: RequestId) {
        let Some(entry) = self.requests.remove(id) else { return };
        let Some(module) = self.modules.get_mut(entry.module) else { return };
        module.queue.remove(id);
    }

    /// The first unanswered request of a run is another one now.
    pub(crate) fn head_changed(&mut self, now: Time, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.head_since = now;
        run.deadline_mark = None;
        run.overdue_sampled = false;
        let sampling = run.spec.rules.cpu_time_max.and_then(|_| run.message_began());
        // A timer that fires too early is set again then; only one that is too late must be moved.
        let is_late = run.is_ready() && run.timer.is_none_or(|at| run.health_due(&self.requests) < at);
        if let Some(sampling) = sampling {
            self.sample(run_id, sampling);
        }
        if is_late {
            self.arm(run_id);
        }
    }
}
