//! A module's queue: what may wait in it, and when it is sent to which of the module's processes.

use crate::{
    action::{Action, Recipient, RunId},
    core::{Core, Outstanding},
    module::{Module, ModuleId, SlotState},
    pending::{Pending, Place, RequestId},
    routing::refused,
    run::{Phase, Role},
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Request, RequestType, limits};
use std::time::Duration;

/// Deadline of an event while it waits; once it is handed to a module, the module's default counts.
const EVENT_PATIENCE: Duration = Duration::from_millis(limits::DEADLINE_MS_MAX);

impl Core {
    /// Hands a request to its module: to a process that has room, else into the queue.
    pub(crate) fn enqueue(
        &mut self,
        now: Time,
        module_id: ModuleId,
        recipient: Option<Recipient>,
        message: Request,
    ) -> Result<(), Failure> {
        let module = self.modules.get_mut(&module_id).expect("names and modules agree");
        let rules = module.spec.rules;
        let bytes = message.payload.as_str().len();
        if !module.is_available() {
            let reason = self.why_unavailable(now, module_id);
            return Err(refused(ErrorCode::ModuleUnavailable, reason));
        }
        if module.queue.len() >= rules.queue_max {
            let name = &module.spec.name;
            let reason = format!("{name} has {} requests waiting, which is its limit", rules.queue_max);
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        if module.queue_bytes.saturating_add(bytes) > rules.queue_bytes_max && !module.queue.is_empty() {
            let name = &module.spec.name;
            let reason = format!("{name} has {} bytes waiting, which is near its limit", module.queue_bytes);
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        module.queue_bytes += bytes;
        let patience = match message.kind {
            RequestType::Event => EVENT_PATIENCE,
            _ => message.deadline_ms.map_or(rules.deadline_default, Duration::from_millis),
        };
        let deadline = now + patience;
        let id = self.new_request_id();
        if let Some(Recipient { caller, id: number }) = recipient {
            self.callers.entry(caller).or_default().insert(number, Outstanding::Request(id));
        }
        self.timers.set(deadline, Timer::Deadline(id));
        let pending = Pending {
            recipient,
            wanted: true,
            module: module_id,
            message,
            deadline,
            place: Place::Queued,
            reached: Delivery::NotStarted,
            cancelled: false,
            crashes: 0,
        };
        self.requests.insert(id, pending);
        self.modules.get_mut(&module_id).expect("it was there above").queue.push_back(id);
        self.pump(now, module_id);
        Ok(())
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
        module.queue_bytes -= bytes;
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
            module.queue_bytes -= pending.bytes();
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
