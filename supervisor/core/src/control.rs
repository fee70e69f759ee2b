//! What a person asks of a module: start, stop, restart, remove, wait. Reloads are in [`crate::reload`], the answers
//! in [`crate::waiters`], the end of the host in [`crate::shutdown`].

use crate::{
    action::Action,
    chronicle::Order,
    core::Core,
    ids::{Caller, ModuleId, Recipient, RunId},
    limits::WAITER_BYTES,
    module::Desired,
    open::Open,
    routing::refused,
    run::{Role, StopReason},
    slots::Queues,
    time::Time,
    waiters::{Condition, Goal},
};
use bulkhead_protocol::{ErrorCode, Failure, ModuleName, Status};
use std::time::Duration;

impl Core {
    /// Waits until a module is in a state.
    pub fn handle_wait(&mut self, now: Time, who: Recipient, name: &str, condition: Condition, timeout: Duration) {
        let goal = match condition {
            Condition::Ready => Goal::Ready,
            Condition::Stopped => Goal::Stopped,
        };
        if self.is_admitted(Some(who))
            && let Some(id) = self.named(Some(who), name)
        {
            if condition == Condition::Ready && self.modules[id].desired == Desired::Removed {
                let failure = refused(ErrorCode::UnknownModule, format!("{name} is being removed"));
                return self.refuse(Some(who), failure);
            }
            self.wait(now, Some(who), id, goal, timeout);
            self.check_waiters(id);
            if condition == Condition::Ready {
                self.raise_priority(now, id);
            }
        }
    }

    /// Starts a module: clears its count of failures and skips any wait.
    pub fn handle_start(&mut self, now: Time, who: Option<Recipient>, name: &str, timeout: Duration) {
        let Some(id) = self.startable(who, name) else { return };
        self.chronicle_order(now, id, Order::Start, who);
        let module = self.modules.get_mut(id).expect("it was named");
        module.desired = Desired::Running;
        module.stop_notices.clear();
        // A process that runs already counts like one that this call starts.
        self.wait(now, who, id, Goal::ReadyAfter(RunId(0)), timeout);
        self.order(id);
        self.start_vacant(now, id);
        self.refuse_without_room(id);
        self.raise_priority(now, id);
        self.reconcile(now, id);
    }

    /// Stops a module, step by step, until nothing of it is left.
    pub fn handle_stop(&mut self, now: Time, who: Option<Recipient>, name: &str, timeout: Duration) {
        if !self.is_admitted(who) {
            return;
        }
        let Some(id) = self.named(who, name) else { return };
        self.chronicle_order(now, id, Order::Stop, who);
        self.modules.get_mut(id).expect("it was named").stop_notices.clear();
        self.wait(now, who, id, Goal::StopDone, timeout);
        self.stop(now, id, Desired::Stopped, StopReason::Order);
    }

    /// Stops a module's processes and starts new ones; what waits in its queue keeps waiting.
    pub fn handle_restart(&mut self, now: Time, who: Option<Recipient>, name: &str, timeout: Duration) {
        let Some(id) = self.startable(who, name) else { return };
        self.chronicle_order(now, id, Order::Restart, who);
        let newest = self.ids.newest_run();
        let module = self.modules.get_mut(id).expect("it was named");
        module.desired = Desired::Running;
        module.stop_notices.clear();
        let running: Vec<RunId> = module.slots.runs().collect();
        self.wait(now, who, id, Goal::ReadyAfter(newest), timeout);
        for run in running {
            self.begin_stop(now, run, StopReason::Order);
        }
        self.order(id);
        self.start_vacant(now, id);
        self.refuse_without_room(id);
        self.raise_priority(now, id);
        self.reconcile(now, id);
    }

    /// Wherever a process of the module is ending, another follows as soon as nothing is left of it.
    fn order(&mut self, id: ModuleId) {
        self.stop_overtaken(id);
        let Some(module) = self.modules.get_mut(id) else { return };
        for slot in module.slots.iter_mut().filter(|slot| matches!(slot.role(), Role::Active | Role::Spare)) {
            slot.order(|run| self.runs[&run].is_starting() || self.runs[&run].is_ready());
        }
    }

    /// Stops a module for good and forgets it.
    pub fn handle_remove(&mut self, now: Time, name: &ModuleName) {
        if let Some(id) = self.modules.id(name) {
            self.chronicle_order(now, id, Order::Remove, None);
            self.stop(now, id, Desired::Removed, StopReason::Configuration);
        }
    }

    /// Cancels every start that has not been ordered yet, those of a reload included.
    pub(crate) fn cancel_starts(&mut self, id: ModuleId) {
        let module = self.modules.get_mut(id).expect("the caller has it");
        module.incoming = None;
        let queues =
            &mut Queues { module: id, timers: &mut self.timers, starts: &mut self.starts, room: &mut self.room };
        for slot in module.slots.iter_mut() {
            slot.cancel(queues);
        }
        module.slots.retire_successors(queues);
        self.list(id);
    }

    pub(crate) fn stop(&mut self, now: Time, id: ModuleId, desired: Desired, why: StopReason) {
        let module = self.modules.get_mut(id).expect("the caller has it");
        if module.desired != Desired::Removed {
            module.desired = desired;
        }
        self.cancel_starts(id);
        let running: Vec<RunId> = self.modules[id].slots.runs().collect();
        for run in running {
            self.begin_stop(now, run, why);
        }
        let module = &self.modules[id];
        let (name, removed) = (module.spec.name.clone(), module.desired == Desired::Removed);
        let status: Status = if removed {
            Failure::new(ErrorCode::UnknownModule, format!("{name} was removed")).into()
        } else {
            Failure::new(ErrorCode::ModuleUnavailable, format!("{name} was stopped")).into()
        };
        let for_good = self.shutting_down || removed;
        let in_vain = |goal| match goal {
            Goal::ReadyAfter(_) | Goal::Reloaded => true,
            Goal::Ready => for_good,
            Goal::Stopped | Goal::StopDone => false,
        };
        for waiter in self.waiters_with(id, in_vain) {
            self.answer_waiter(waiter, status.clone());
        }
        self.reconcile(now, id);
        self.grant_permits(now);
    }

    fn named(&mut self, who: Option<Recipient>, name: &str) -> Option<ModuleId> {
        let id = self.modules.id(name);
        if id.is_none() {
            self.refuse(who, refused(ErrorCode::UnknownModule, format!("there is no module {name:?}")));
        }
        id
    }

    /// The module, if it may be started; its caller is refused if not.
    pub(crate) fn startable(&mut self, who: Option<Recipient>, name: &str) -> Option<ModuleId> {
        if !self.is_admitted(who) {
            return None;
        }
        let id = self.named(who, name)?;
        if self.shutting_down {
            let reason = format!("{name} cannot be started: the host is stopping");
            self.refuse(who, refused(ErrorCode::ModuleUnavailable, reason));
            return None;
        }
        if self.modules[id].desired == Desired::Removed {
            self.refuse(who, refused(ErrorCode::UnknownModule, format!("{name} is being removed")));
            return None;
        }
        Some(id)
    }

    /// Whether this caller may have one more request under this number; it gets an error if not.
    fn is_admitted(&mut self, who: Option<Recipient>) -> bool {
        let refusal = who.and_then(|who| self.check_caller(who, WAITER_BYTES).err());
        let admitted = refusal.is_none();
        if let Some(failure) = refusal {
            self.refuse(who, failure);
        }
        admitted
    }

    pub(crate) fn refuse(&mut self, who: Option<Recipient>, failure: Failure) {
        if let Some(to) = who {
            self.act(Action::Reply { to, status: failure.into() });
        }
    }

    /// Whether a caller's number is that of an unanswered request or wait.
    pub fn is_open(&self, who: Recipient) -> bool {
        self.callers.get(who.caller).is_some_and(|open| open.contains(who.id))
    }

    /// How many requests and waits a caller has open.
    pub fn open_count(&self, caller: Caller) -> usize {
        self.callers.get(caller).map_or(0, Open::len)
    }
}
