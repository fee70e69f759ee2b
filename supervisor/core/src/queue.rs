//! A module's queue: what may wait in it, and when it is sent to which of the module's processes.

use crate::{
    action::{Action, Recipient, RunId},
    core::{Core, Outstanding},
    module::{Module, ModuleId, SlotState},
    open::REQUEST_BYTES,
    pending::{Pending, Place, RequestId},
    routing::refused,
    run::{Phase, Role},
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{ErrorCode, Failure, HeldBytes, Request, RequestType, limits};
use std::time::Duration;

/// Deadline of an event while it waits; once it is handed to a module, the module's default counts.
pub(crate) const EVENT_PATIENCE: Duration = Duration::from_millis(limits::DEADLINE_MS_MAX);

impl Core {
    /// Hands a request to its module: to a process that has room, else into the queue.
    pub(crate) fn enqueue(
        &mut self,
        now: Time,
        module_id: ModuleId,
        recipient: Option<Recipient>,
        message: Request,
    ) -> Result<(), Failure> {
        if !self.modules[&module_id].is_available() {
            let reason = self.why_unavailable(now, module_id);
            return Err(refused(ErrorCode::ModuleUnavailable, reason));
        }
        self.check_room(module_id, REQUEST_BYTES + message.payload.held_bytes())?;
        self.register(now, module_id, recipient, message, Place::Queued);
        self.pump(now, module_id);
        Ok(())
    }

    /// Whether one more request of this size may wait for a module.
    pub(crate) fn check_room(&self, module_id: ModuleId, bytes: usize) -> Result<(), Failure> {
        let module = &self.modules[&module_id];
        let rules = module.spec.rules;
        let (waiting, waiting_bytes) = (module.queue.len() + module.aside, module.queue_bytes + module.aside_bytes);
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

    /// Takes a request into the table: into its module's queue, or beside it.
    pub(crate) fn register(
        &mut self,
        now: Time,
        module_id: ModuleId,
        recipient: Option<Recipient>,
        message: Request,
        place: Place,
    ) -> RequestId {
        let module = self.modules.get_mut(&module_id).expect("names and modules agree");
        let rules = module.spec.rules;
        let patience = match message.kind {
            RequestType::Event => EVENT_PATIENCE,
            _ => message.deadline_ms.map_or(rules.deadline_default, Duration::from_millis),
        };
        let deadline = now + patience;
        let id = self.new_request_id();
        let mut pending = Pending::new(module_id, recipient, message, deadline, place);
        if pending.message.key.is_some() {
            pending.key_caller = recipient.and_then(|recipient| self.key_caller(recipient.caller));
        }
        if let Some(recipient) = recipient {
            self.opened(recipient, Outstanding::Request(id), pending.held);
        }
        self.timers.set(deadline, Timer::Deadline(id));
        let module = self.modules.get_mut(&module_id).expect("it was there above");
        if pending.place == Place::Queued {
            module.queue.push_back(id);
            module.queue_bytes += pending.held;
        } else {
            module.aside += 1;
            module.aside_bytes += pending.held;
        }
        self.requests.insert(id, pending);
        id
    }

    /// A request that waited beside the queue goes into it; if no process will come, it is answered.
    pub(crate) fn queue_up(&mut self, now: Time, id: RequestId) {
        let pending = self.requests.get_mut(&id).expect("the caller has it");
        let (module_id, bytes) = (pending.module, pending.held);
        pending.place = Place::Queued;
        let module = self.modules.get_mut(&module_id).expect("a module outlives its requests");
        module.queue.push_back(id);
        module.queue_bytes += bytes;
        self.settle(now, module_id);
    }

    /// Sends from a module's queue what its processes have room for.
    pub(crate) fn pump(&mut self, now: Time, module_id: ModuleId) {
        loop {
            let Some(module) = self.modules.get(&module_id) else { return };
            let Some(&id) = module.queue.front() else { return };
            let bytes = self.requests[&id].bytes();
            let Some(run) = self.choose(module, bytes) else { return };
            self.dispatch(now, module_id, id, run);
        }
    }

    /// The serving process with the fewest requests in flight, if it has room.
    fn choose(&self, module: &Module, bytes: usize) -> Option<RunId> {
        let serving = module.with_role(Role::Active).filter_map(|slot| match slot.state {
            SlotState::Occupied(id) => self.runs.get(&id).map(|run| (id, run)),
            SlotState::Vacant(_) | SlotState::Clearing { .. } => None,
        });
        serving
            .filter(|(_, run)| run.is_ready() && run.listens() && run.has_room(bytes))
            .min_by_key(|(_, run)| run.in_flight.len())
            .map(|(id, _)| id)
    }

    fn dispatch(&mut self, now: Time, module_id: ModuleId, id: RequestId, run_id: RunId) {
        let module = self.modules.get_mut(&module_id).expect("the caller has it");
        module.queue.pop_front();
        let pending = self.requests.get_mut(&id).expect("what is queued is in the table");
        let bytes = pending.bytes();
        module.queue_bytes -= pending.held;
        pending.place = Place::InFlight { run: run_id, progressed: false };
        if !pending.is_event() {
            let left = pending.deadline.since(now).as_millis().max(1);
            pending.message.deadline_ms = Some(u64::try_from(left).unwrap_or(u64::MAX));
        }
        let run = self.runs.get_mut(&run_id).expect("the caller chose it");
        run.in_flight.push_back(id);
        run.in_flight_bytes += bytes;
        self.act(Action::Send { run: run_id, request: id });
        if self.runs[&run_id].in_flight.len() == 1 {
            self.head_changed(now, run_id);
        }
    }

    /// Takes a request out of its module's queue and forgets it.
    pub(crate) fn unqueue(&mut self, id: RequestId) {
        let Some(pending) = self.requests.remove(&id) else { return };
        let Some(module) = self.modules.get_mut(&pending.module) else { return };
        if let Some(at) = module.queue.iter().position(|queued| *queued == id) {
            module.queue.remove(at);
            module.queue_bytes -= pending.held;
        }
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
        // A timer that rings too early finds that out by itself; only one that is too late must be moved.
        let run = &self.runs[&run_id];
        if matches!(run.phase, Phase::Ready { .. }) && run.timer.is_none_or(|at| self.health_due(run) < at) {
            self.arm(run_id);
        }
    }
}
