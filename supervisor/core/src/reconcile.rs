//! What follows when the state of a module has changed: its queue, its spares, its waiters, and its end when
//! it was removed.

use crate::{
    action::Action,
    core::Core,
    ids::ModuleId,
    module::Desired,
    run::{Role, StopReason},
    slots::{Queues, SlotState},
    time::Time,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure};

impl Core {
    /// Brings everything that depends on a module's state in line with it. May be called at any time.
    pub(crate) fn reconcile(&mut self, now: Time, id: ModuleId) {
        let Some(module) = self.modules.get(id) else { return };
        if !module.is_available() {
            self.fail_queue(now, id);
            self.stop_idle_spares(now, id);
        }
        self.settle_room(now, id);
        self.pump_stream(now, id);
        self.pump(now, id);
        self.check_waiters(id);
        let module = &self.modules[id];
        if module.slots.are_vacant() && module.desired == Desired::Removed && !module.is_at_store() {
            let name = module.spec.name.clone();
            for waiter in self.waiters_with(id, |_| true) {
                let failure = Failure::new(ErrorCode::UnknownModule, format!("{name} was removed"));
                self.answer_waiter(waiter, failure.into());
            }
            self.unlist(id);
            self.forget_stream(id);
            self.modules.remove(id);
            self.act(Action::Removed(name));
        }
    }

    fn fail_queue(&mut self, now: Time, id: ModuleId) {
        let module = self.modules.get_mut(id).expect("the caller has it");
        if module.queue.is_empty() {
            return;
        }
        let queue = module.queue.drain();
        let reason = self.why_unavailable(now, id);
        for request in queue {
            let reached = self.requests.get(request).map_or(Delivery::NotStarted, |entry| entry.reached);
            let failure = Failure::new(ErrorCode::ModuleUnavailable, reason.clone());
            self.answer(request, failure.delivery(reached).into());
            self.requests.remove(request);
        }
    }

    /// No process serves and none will: spares have nothing to wait for.
    fn stop_idle_spares(&mut self, now: Time, id: ModuleId) {
        let module = self.modules.get_mut(id).expect("the caller has it");
        let queues =
            &mut Queues { module: id, timers: &mut self.timers, starts: &mut self.starts, room: &mut self.room };
        let mut spares = Vec::new();
        for slot in module.slots.iter_mut().filter(|slot| slot.role() == Role::Spare) {
            slot.cancel_wait(queues);
            if let SlotState::Occupied(run) = *slot.state() {
                spares.push(run);
            }
        }
        for run in spares {
            self.begin_stop(now, run, StopReason::NotNeeded);
        }
        self.grant_permits(now);
    }
}
