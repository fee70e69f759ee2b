//! Bringing in a changed specification: new processes first, then the hand-over, then the end of the
//! old ones. What starting and stopping a process means is in [`crate::lifecycle`].

use crate::{
    action::{Action, ModuleEvent},
    chronicle::Order,
    core::Core,
    ids::{ModuleId, Recipient, RunId},
    lifecycle::done,
    module::Desired,
    routing::refused,
    run::{Role, StopReason},
    slots::{Queues, Slot},
    spec::ModuleSpec,
    time::Time,
    waiters::Goal,
};
use bulkhead_protocol::{ErrorCode, Failure, Status};
use std::{sync::Arc, time::Duration};

impl Core {
    /// Brings in a changed specification: the new processes are started, and only when all of them
    /// are ready do they replace the old ones. If one fails, the old ones stay.
    pub fn handle_reload(&mut self, now: Time, who: Option<Recipient>, spec: ModuleSpec, timeout: Duration) {
        let Some(id) = self.startable(who, spec.name.as_str()) else { return };
        let spec = Arc::new(spec);
        let module = self.modules.get_mut(id).expect("it was named");
        if module.incoming.is_some() {
            if who.is_none() {
                let detail = "it is being reloaded already, so what it is now to be is not in force";
                self.announce(ModuleEvent::ReloadFailed, &spec.name, None, Some(detail.into()));
            }
            self.refuse(who, refused(ErrorCode::Conflict, format!("{} is being reloaded already", spec.name)));
            return;
        }
        self.chronicle_order(now, id, Order::Reload, who);
        let module = self.modules.get_mut(id).expect("it was named");
        let serving = module.slots.with_role(Role::Active).filter_map(Slot::run).any(|run| self.runs[&run].is_ready());
        let module = self.modules.get_mut(id).expect("it was named");
        if module.desired != Desired::Running || !serving {
            self.replace_spec(now, id, spec);
            if self.modules[id].desired == Desired::Running {
                self.wait(now, who, id, Goal::ReadyAfter(RunId(0)), timeout);
                self.start_vacant(now, id);
            } else if let Some(to) = who {
                let status = done(&self.modules[id].spec.name, "stopped");
                self.act(Action::Reply { to, status });
            }
            self.reconcile(now, id);
            self.grant_permits(now);
            return;
        }
        module.incoming = Some(spec.clone());
        let successors = module.slots.add_successors(&spec);
        self.list(id);
        self.wait(now, who, id, Goal::Reloaded, timeout);
        self.announce(ModuleEvent::Reloading, &spec.name, None, None);
        for slot in successors {
            self.try_start(now, id, slot);
        }
    }

    /// Puts a specification in force where no process serves that could be replaced step by step.
    fn replace_spec(&mut self, now: Time, id: ModuleId, spec: Arc<ModuleSpec>) {
        let module = self.modules.get_mut(id).expect("the caller has it");
        module.spec = spec;
        let queues =
            &mut Queues { module: id, timers: &mut self.timers, starts: &mut self.starts, room: &mut self.room };
        let old = module.slots.retire_all(queues);
        for run in old {
            self.begin_stop(now, run, StopReason::Configuration);
        }
        self.list(id);
        self.modules.get_mut(id).expect("the caller has it").fill();
    }

    /// A successor is ready: if all are, they serve, and the old ones finish what they have.
    pub(crate) fn reload_progressed(&mut self, now: Time, id: ModuleId) {
        let module = &self.modules[id];
        let ready = |slot: &Slot| slot.run().is_some_and(|run| self.runs[&run].is_ready());
        if module.incoming.is_none() || !module.slots.with_role(Role::Successor).all(ready) {
            return;
        }
        let module = self.modules.get_mut(id).expect("it was there above");
        let spec = module.incoming.take().expect("it was checked above");
        module.spec = spec.clone();
        let queues =
            &mut Queues { module: id, timers: &mut self.timers, starts: &mut self.starts, room: &mut self.room };
        let old = module.slots.hand_over(queues);
        self.list(id);
        self.modules.get_mut(id).expect("it was there above").fill();
        self.announce(ModuleEvent::Reloaded, &spec.name, None, None);
        for run in old {
            self.begin_stop(now, run, StopReason::Configuration);
        }
        self.start_vacant(now, id);
        self.finish_reload_waiters(id, &done(&spec.name, "ready"));
    }

    /// A successor ended before it could take over: the old ones stay.
    pub(crate) fn reload_failed(&mut self, now: Time, id: ModuleId, reason: &str, stderr: &[String]) {
        let module = self.modules.get_mut(id).expect("the caller has it");
        if module.incoming.take().is_none() {
            return;
        }
        let name = module.spec.name.clone();
        let queues =
            &mut Queues { module: id, timers: &mut self.timers, starts: &mut self.starts, room: &mut self.room };
        let others = module.slots.retire_successors(queues);
        self.list(id);
        for run in others {
            self.begin_stop(now, run, StopReason::Configuration);
        }
        let detail = format!("the new version of {name} did not become ready ({reason}); the old one stays");
        self.announce(ModuleEvent::ReloadFailed, &name, None, Some(detail.clone()));
        let mut failure = Failure::new(ErrorCode::ModuleError, detail);
        failure.stderr = stderr.to_vec();
        self.finish_reload_waiters(id, &failure.into());
    }

    fn finish_reload_waiters(&mut self, id: ModuleId, status: &Status) {
        for waiter in self.waiters_with(id, |goal| goal == Goal::Reloaded) {
            self.answer_waiter(waiter, status.clone());
        }
    }
}
