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
    run::{Phase, Role},
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
        if !self.modules[module_id].is_available() {
            let reason = self.why_unavailable(now, module_id);
            return Err(refused(ErrorCode::ModuleUnavailable, reason));
        }
        self.check_room(module_id, REQUEST_BYTES + message.payload.held_bytes())?;
        self.register(now, module_id, recipient, message, RequestState::Queued);
        self.pump(now, module_id);
        Ok(())
    }

    /// Checks that one more request of this size may wait for a module.
    pub(crate) fn check_room(&self, module_id: ModuleId, bytes: usize) -> Result<(), Failure> {
        let module = &self.modules[module_id];
        let rules = module.spec.rules;
        let (waiting, waiting_bytes) = module.queue.load();
        if waiting >= rules.queue_max {
            let name = &module.spec.name;
            let reason = format!("{name} has {} requests waiting, which is its limit", rules.queue_max);
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        if waiting_bytes.saturating_add(bytes) > rules.queue_bytes_max && waiting > 0 {
            let name = &module.spec.name;
            let most = rules.queue_bytes_max;
            let reason = format!(
                "{name} has {waiting_bytes} bytes waiting, and {bytes} more would be above its limit of {most} \
                 (limits.queue_bytes_max)"
            );
            return Err(refused(ErrorCode::Overloaded, reason));
        }
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
        let module = self.modules.get_mut(module_id).expect("names and modules agree");
        let rules = module.spec.rules;
        let timeout = match message.kind {
            RequestType::Event => EVENT_TIMEOUT,
            _ => message.deadline_ms.map_or(rules.deadline_default, Duration::from_millis),
        };
        let deadline = now + timeout;
        let id = self.ids.request();
        let mut entry = RequestEntry::new(module_id, recipient, message, deadline, state);
        if entry.message.key.is_some() {
            entry.key_caller = recipient.and_then(|recipient| self.key_caller(recipient.caller));
        }
        if let Some(recipient) = recipient {
            if let Caller::Run(run) = recipient.caller {
                entry.seen = self.runs.get(&run).map_or(entry.seen, |run| run.seen);
            }
            self.callers.open(recipient, Outstanding::Request(id), entry.held);
        }
        self.timers.set(deadline, Timer::Deadline(id));
        let module = self.modules.get_mut(module_id).expect("it was there above");
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
        self.act(Action::Send { run: run_id, request: id });
        if self.runs[&run_id].in_flight.len() == 1 {
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
        if run.spec.rules.cpu_time_max.is_some() {
            self.message_began(run_id);
        }
        // A timer that fires too early is set again then; only one that is too late must be moved.
        let run = &self.runs[&run_id];
        if matches!(run.phase, Phase::Ready { .. }) && run.timer.is_none_or(|at| self.health_due(run) < at) {
            self.arm(run_id);
        }
    }
}
