//! What a person asks of a module: start, stop, restart, reload, remove, wait. Each is answered when
//! it is done, or when it is certain that it will not be.

use crate::{
    action::{Action, Caller, Recipient, RunId},
    core::{Core, Outstanding},
    lifecycle::done,
    module::{Desired, Module, ModuleId, Slot, SlotState, Vacancy},
    routing::refused,
    run::{Phase, Role},
    spec::ModuleSpec,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, ModuleName, Status};
use std::{sync::Arc, time::Duration};

/// The core's number for somebody's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaiterId(pub(crate) u64);

/// A state that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every place of the module that serves has a ready process.
    Ready,
    /// No process of the module is left.
    Stopped,
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// Ready, whatever happens before.
    Ready,
    /// Ready with processes younger than this one; a start that fails ends the wait.
    ReadyAfter(RunId),
    Stopped,
    /// The reload was carried through or given up.
    Reloaded,
}

/// Somebody who waits for a module.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) recipient: Recipient,
    pub(crate) module: ModuleId,
    goal: Goal,
    pub(crate) deadline: Time,
}

impl Core {
    /// Waits until a module is in a state.
    pub fn handle_wait(&mut self, now: Time, who: Recipient, name: &str, condition: Condition, patience: Duration) {
        let goal = match condition {
            Condition::Ready => Goal::Ready,
            Condition::Stopped => Goal::Stopped,
        };
        if self.is_admitted(Some(who))
            && let Some(id) = self.named(Some(who), name)
        {
            self.wait(now, Some(who), id, goal, patience);
            self.check_waiters(id);
        }
    }

    /// Starts a module: clears its count of failures and skips any wait.
    pub fn handle_start(&mut self, now: Time, who: Option<Recipient>, name: &str, patience: Duration) {
        let Some(id) = self.startable(who, name) else { return };
        self.modules.get_mut(&id).expect("it was named").desired = Desired::Running;
        // Whatever runs already is as good as what this call starts.
        self.wait(now, who, id, Goal::ReadyAfter(RunId(0)), patience);
        self.order(id);
        self.start_vacant(now, id);
        self.settle(now, id);
    }

    /// Stops a module, step by step, until nothing of it is left.
    pub fn handle_stop(&mut self, now: Time, who: Option<Recipient>, name: &str, patience: Duration) {
        if !self.is_admitted(who) {
            return;
        }
        let Some(id) = self.named(who, name) else { return };
        self.wait(now, who, id, Goal::Stopped, patience);
        self.stop(now, id, Desired::Stopped);
    }

    /// Stops a module's processes and starts new ones; what waits in its queue waits on.
    pub fn handle_restart(&mut self, now: Time, who: Option<Recipient>, name: &str, patience: Duration) {
        let Some(id) = self.startable(who, name) else { return };
        let newest = RunId(self.next_run - 1);
        let module = self.modules.get_mut(&id).expect("it was named");
        module.desired = Desired::Running;
        let running: Vec<RunId> = module.slots.iter().filter_map(Slot::run).collect();
        self.wait(now, who, id, Goal::ReadyAfter(newest), patience);
        for run in running {
            self.begin_stop(now, run);
        }
        self.order(id);
        self.start_vacant(now, id);
        self.settle(now, id);
    }

    /// Wherever a process of the module is ending, another follows as soon as nothing is left of it.
    fn order(&mut self, id: ModuleId) {
        let Some(module) = self.modules.get_mut(&id) else { return };
        for slot in module.slots.iter_mut().filter(|slot| matches!(slot.role, Role::Active | Role::Spare)) {
            match &mut slot.state {
                SlotState::Clearing { next, .. } => *next = Vacancy::Ordered,
                SlotState::Occupied(run) => {
                    slot.ordered = !matches!(self.runs[run].phase, Phase::Starting { .. } | Phase::Ready { .. });
                }
                SlotState::Vacant(_) => {}
            }
        }
    }

    /// Brings in a changed specification: the new processes are started, and only when all of them
    /// are ready do they replace the old ones. If one fails, the old ones stay.
    pub fn handle_reload(&mut self, now: Time, who: Option<Recipient>, spec: ModuleSpec, patience: Duration) {
        let Some(id) = self.startable(who, spec.name.as_str()) else { return };
        let spec = Arc::new(spec);
        let module = self.modules.get_mut(&id).expect("it was named");
        if module.incoming.is_some() {
            self.refuse(who, refused(ErrorCode::Conflict, format!("{} is being reloaded already", spec.name)));
            return;
        }
        let serving = module.with_role(Role::Active).filter_map(Slot::run).any(|run| self.runs[&run].is_ready());
        let module = self.modules.get_mut(&id).expect("it was named");
        if module.desired != Desired::Running || !serving {
            self.replace_spec(now, id, spec);
            if self.modules[&id].desired == Desired::Running {
                self.wait(now, who, id, Goal::ReadyAfter(RunId(0)), patience);
                self.start_vacant(now, id);
            } else if let Some(to) = who {
                let status = done(&self.modules[&id].spec.name, "stopped");
                self.act(Action::Reply { to, status });
            }
            self.settle(now, id);
            return;
        }
        module.incoming = Some(spec.clone());
        for _ in 0..spec.instances.max(1) {
            module.add_slot(Role::Successor, spec.clone());
        }
        self.wait(now, who, id, Goal::Reloaded, patience);
        self.announce("module.reloading", &spec.name, None, None);
        let successors: Vec<_> = self.modules[&id].with_role(Role::Successor).map(|slot| slot.id).collect();
        for slot in successors {
            self.try_start(now, id, slot);
        }
    }

    /// Puts a specification in force where nothing serves that could be handed over from.
    fn replace_spec(&mut self, now: Time, id: ModuleId, spec: Arc<ModuleSpec>) {
        let module = self.modules.get_mut(&id).expect("the caller has it");
        module.spec = spec.clone();
        let mut old = Vec::new();
        for slot in &mut module.slots {
            match &slot.state {
                SlotState::Vacant(Vacancy::Waiting { until, .. }) => {
                    self.timers.clear(*until, Timer::Start(id, slot.id));
                }
                SlotState::Vacant(_) => {}
                SlotState::Occupied(run) | SlotState::Clearing { run, .. } => old.push(*run),
            }
        }
        module.slots.retain_mut(|slot| {
            slot.role = Role::Retiring;
            slot.run().is_some()
        });
        for run in old {
            self.begin_stop(now, run);
        }
        self.fill_slots(id);
    }

    /// A successor is ready: if all are, they serve, and the old ones finish what they have.
    pub(crate) fn reload_progressed(&mut self, now: Time, id: ModuleId) {
        let module = &self.modules[&id];
        let ready = |slot: &Slot| slot.run().is_some_and(|run| self.runs[&run].is_ready());
        if module.incoming.is_none() || !module.with_role(Role::Successor).all(ready) {
            return;
        }
        let module = self.modules.get_mut(&id).expect("it was there above");
        let spec = module.incoming.take().expect("it was checked above");
        module.spec = spec.clone();
        let mut old = Vec::new();
        for slot in &mut module.slots {
            if slot.role == Role::Successor {
                slot.role = Role::Active;
                continue;
            }
            if let SlotState::Vacant(Vacancy::Waiting { until, .. }) = slot.state {
                self.timers.clear(until, Timer::Start(id, slot.id));
            }
            slot.role = Role::Retiring;
            old.extend(slot.run());
        }
        module.slots.retain(|slot| slot.role == Role::Active || slot.run().is_some());
        self.fill_slots(id);
        self.announce("module.reloaded", &spec.name, None, None);
        for run in old {
            self.begin_stop(now, run);
        }
        self.start_vacant(now, id);
        self.finish_reload_waiters(id, &done(&spec.name, "ready"));
    }

    /// A successor ended before it could take over: the old ones stay.
    pub(crate) fn reload_failed(&mut self, now: Time, id: ModuleId, reason: &str) {
        let module = self.modules.get_mut(&id).expect("the caller has it");
        if module.incoming.take().is_none() {
            return;
        }
        let name = module.spec.name.clone();
        let others: Vec<RunId> = module.with_role(Role::Successor).filter_map(Slot::run).collect();
        for slot in &mut module.slots {
            if slot.role == Role::Successor {
                slot.role = Role::Retiring;
            }
        }
        module.drop_retired();
        for run in others {
            self.begin_stop(now, run);
        }
        let detail = format!("the new version of {name} did not become ready ({reason}); the old one stays");
        self.announce("module.reload_failed", &name, None, Some(detail.clone()));
        self.finish_reload_waiters(id, &Failure::new(ErrorCode::ModuleError, detail).into());
    }

    fn finish_reload_waiters(&mut self, id: ModuleId, status: &Status) {
        for waiter in self.waiters_with(id, |goal| goal == Goal::Reloaded) {
            self.answer_waiter(waiter, status.clone());
        }
    }

    /// Stops a module for good and forgets it.
    pub fn handle_remove(&mut self, now: Time, name: &ModuleName) {
        if let Some(id) = self.names.get(name).copied() {
            self.stop(now, id, Desired::Removed);
        }
    }

    /// Stops every module, those that others require after those others. The host has ended its work
    /// when [`Core::is_idle`].
    pub fn handle_shutdown(&mut self, now: Time) {
        self.shutting_down = true;
        let ids: Vec<ModuleId> = self.modules.keys().copied().collect();
        for id in &ids {
            self.modules.get_mut(id).expect("it was listed").stop_deferred = true;
            // Nothing is started any more, so nothing needs to wait for it.
            self.cancel_starts(*id);
        }
        for id in ids {
            self.settle(now, id);
        }
        self.stop_undeferred(now);
    }

    pub(crate) fn stop_undeferred(&mut self, now: Time) {
        let needed = |core: &Core, id: &ModuleId| {
            let name = &core.modules[id].spec.name;
            core.modules.values().any(|other| !other.is_empty() && other.spec.requires.contains(name))
        };
        let deferred = |module: &Module| module.stop_deferred;
        let mut due: Vec<ModuleId> = self
            .modules
            .iter()
            .filter(|(id, module)| deferred(module) && !needed(self, id))
            .map(|(id, _)| *id)
            .collect();
        if due.is_empty() && self.modules.values().all(|module| module.is_empty() || deferred(module)) {
            // Modules that require each other in a circle: no order is right, so any will do.
            due = self.modules.iter().filter(|(_, module)| deferred(module)).map(|(id, _)| *id).collect();
        }
        for id in due {
            let Some(module) = self.modules.get_mut(&id) else { continue };
            module.stop_deferred = false;
            self.stop(now, id, Desired::Stopped);
        }
    }

    /// Whatever is not there yet does not come, the processes of a reload included.
    fn cancel_starts(&mut self, id: ModuleId) {
        let module = self.modules.get_mut(&id).expect("the caller has it");
        module.incoming = None;
        for slot in &mut module.slots {
            slot.ordered = false;
            if slot.role == Role::Successor {
                slot.role = Role::Retiring;
            }
            match &mut slot.state {
                SlotState::Vacant(vacancy) => {
                    if let Vacancy::Waiting { until, .. } = vacancy {
                        self.timers.clear(*until, Timer::Start(id, slot.id));
                    }
                    *vacancy = Vacancy::Stopped;
                }
                SlotState::Clearing { next, .. } => *next = Vacancy::Stopped,
                SlotState::Occupied(_) => {}
            }
        }
        module.drop_retired();
    }

    fn stop(&mut self, now: Time, id: ModuleId, desired: Desired) {
        let module = self.modules.get_mut(&id).expect("the caller has it");
        if module.desired != Desired::Removed {
            module.desired = desired;
        }
        self.cancel_starts(id);
        let running: Vec<RunId> = self.modules[&id].slots.iter().filter_map(Slot::run).collect();
        for run in running {
            self.begin_stop(now, run);
        }
        let name = self.modules[&id].spec.name.clone();
        let status: Status = Failure::new(ErrorCode::ModuleUnavailable, format!("{name} was stopped")).into();
        let for_good = self.shutting_down;
        let in_vain = |goal| match goal {
            Goal::ReadyAfter(_) | Goal::Reloaded => true,
            Goal::Ready => for_good,
            Goal::Stopped => false,
        };
        for waiter in self.waiters_with(id, in_vain) {
            self.answer_waiter(waiter, status.clone());
        }
        self.settle(now, id);
    }

    /// Brings everything that depends on a module's state in line with it. May be called at any time.
    pub(crate) fn settle(&mut self, now: Time, id: ModuleId) {
        let Some(module) = self.modules.get(&id) else { return };
        if !module.is_available() {
            self.fail_queue(now, id);
            self.stop_idle_spares(now, id);
        }
        self.pump(now, id);
        self.check_waiters(id);
        let module = &self.modules[&id];
        if module.is_empty() && module.desired == Desired::Removed {
            let name = module.spec.name.clone();
            for waiter in self.waiters_with(id, |_| true) {
                let failure = Failure::new(ErrorCode::UnknownModule, format!("{name} was removed"));
                self.answer_waiter(waiter, failure.into());
            }
            self.names.remove(&name);
            self.modules.remove(&id);
            self.act(Action::Removed(name));
        }
    }

    fn fail_queue(&mut self, now: Time, id: ModuleId) {
        let module = self.modules.get_mut(&id).expect("the caller has it");
        if module.queue.is_empty() {
            return;
        }
        let queue = std::mem::take(&mut module.queue);
        module.queue_bytes = 0;
        let reason = self.why_unavailable(now, id);
        for request in queue {
            let reached = self.requests.get(&request).map_or(Delivery::NotStarted, |pending| pending.reached);
            let failure = Failure::new(ErrorCode::ModuleUnavailable, reason.clone());
            self.answer(request, failure.delivery(reached).into());
            self.requests.remove(&request);
        }
    }

    /// No process serves and none will: spares have nothing to wait for.
    fn stop_idle_spares(&mut self, now: Time, id: ModuleId) {
        let module = self.modules.get_mut(&id).expect("the caller has it");
        let mut spares = Vec::new();
        for slot in module.slots.iter_mut().filter(|slot| slot.role == Role::Spare) {
            slot.ordered = false;
            match &mut slot.state {
                SlotState::Occupied(run) => spares.push(*run),
                SlotState::Vacant(Vacancy::Waiting { until, .. }) => {
                    self.timers.clear(*until, Timer::Start(id, slot.id));
                    slot.state = SlotState::Vacant(Vacancy::Stopped);
                }
                SlotState::Vacant(Vacancy::Requires(_)) => slot.state = SlotState::Vacant(Vacancy::Stopped),
                SlotState::Vacant(_) => {}
                SlotState::Clearing { next, .. } => *next = Vacancy::Stopped,
            }
        }
        for run in spares {
            self.begin_stop(now, run);
        }
    }

    fn named(&mut self, who: Option<Recipient>, name: &str) -> Option<ModuleId> {
        let id = self.names.get(name).copied();
        if id.is_none() {
            self.refuse(who, refused(ErrorCode::UnknownModule, format!("there is no module {name:?}")));
        }
        id
    }

    /// The module, if it may be started; whoever asks is told if not.
    fn startable(&mut self, who: Option<Recipient>, name: &str) -> Option<ModuleId> {
        if !self.is_admitted(who) {
            return None;
        }
        let id = self.named(who, name)?;
        if self.shutting_down {
            let reason = format!("{name} cannot be started: the host is stopping");
            self.refuse(who, refused(ErrorCode::ModuleUnavailable, reason));
            return None;
        }
        if self.modules[&id].desired == Desired::Removed {
            self.refuse(who, refused(ErrorCode::UnknownModule, format!("{name} is being removed")));
            return None;
        }
        Some(id)
    }

    /// Whether this caller may have one more request under this number; it is told if not.
    fn is_admitted(&mut self, who: Option<Recipient>) -> bool {
        let refusal = who.and_then(|who| self.check_caller(who).err());
        let admitted = refusal.is_none();
        if let Some(failure) = refusal {
            self.refuse(who, failure);
        }
        admitted
    }

    fn refuse(&mut self, who: Option<Recipient>, failure: Failure) {
        if let Some(to) = who {
            self.act(Action::Reply { to, status: failure.into() });
        }
    }

    fn wait(&mut self, now: Time, who: Option<Recipient>, module: ModuleId, goal: Goal, patience: Duration) {
        let Some(recipient) = who else { return };
        let id = WaiterId(self.next_waiter);
        self.next_waiter += 1;
        self.callers.entry(recipient.caller).or_default().insert(recipient.id, Outstanding::Waiter(id));
        let deadline = now + patience;
        self.timers.set(deadline, Timer::Waiter(id));
        self.waiters.insert(id, Waiter { recipient, module, goal, deadline });
    }

    fn waiters_with(&self, module: ModuleId, goal: impl Fn(Goal) -> bool) -> Vec<WaiterId> {
        let fits = |waiter: &Waiter| waiter.module == module && goal(waiter.goal);
        self.waiters.iter().filter(|(_, waiter)| fits(waiter)).map(|(id, _)| *id).collect()
    }

    fn check_waiters(&mut self, id: ModuleId) {
        if self.waiters.is_empty() {
            return;
        }
        let Some(module) = self.modules.get(&id) else { return };
        let youngest_needed = |after: RunId| {
            module.desired == Desired::Running
                && module.with_role(Role::Active).all(|slot| match slot.state {
                    SlotState::Occupied(run) => run > after && self.runs[&run].is_ready(),
                    SlotState::Vacant(_) | SlotState::Clearing { .. } => false,
                })
        };
        let holds = |goal: Goal| match goal {
            Goal::Ready => youngest_needed(RunId(0)),
            Goal::ReadyAfter(after) => youngest_needed(after),
            Goal::Stopped => module.is_empty() && !module.slots.iter().any(Slot::is_live),
            Goal::Reloaded => false,
        };
        let name = module.spec.name.clone();
        for waiter in self.waiters_with(id, holds) {
            let state = if self.waiters[&waiter].goal == Goal::Stopped { "stopped" } else { "ready" };
            self.answer_waiter(waiter, done(&name, state));
        }
    }

    /// A start failed: whoever ordered it is told now rather than after all the tries that follow.
    pub(crate) fn start_failed(&mut self, now: Time, id: ModuleId, run: RunId, reason: &str) {
        let ordered = |goal: Goal| matches!(goal, Goal::ReadyAfter(after) if run > after);
        let waiters = self.waiters_with(id, ordered);
        if waiters.is_empty() {
            return;
        }
        let name = self.modules[&id].spec.name.clone();
        let next = self
            .view(now, &name)
            .and_then(|view| view.next)
            .map_or_else(|| "it is not tried again".to_owned(), |next| next.to_string());
        for waiter in waiters {
            let reason = format!("{name} did not become ready: {reason}; {next}");
            self.answer_waiter(waiter, Failure::new(ErrorCode::ModuleError, reason).into());
        }
    }

    pub(crate) fn waiter_due(&mut self, now: Time, id: WaiterId) {
        let Some(waiter) = self.waiters.get(&id) else { return };
        let reason = match waiter.goal {
            Goal::Stopped => format!("{} has not stopped yet", self.modules[&waiter.module].spec.name),
            Goal::Ready | Goal::ReadyAfter(_) | Goal::Reloaded => self.why_waiting(now, waiter.module),
        };
        self.answer_waiter(id, Failure::new(ErrorCode::DeadlineExceeded, reason).into());
    }

    pub(crate) fn answer_waiter(&mut self, id: WaiterId, status: Status) {
        let Some(waiter) = self.waiters.remove(&id) else { return };
        self.timers.clear(waiter.deadline, Timer::Waiter(id));
        self.settle_caller(waiter.recipient);
        self.act(Action::Reply { to: waiter.recipient, status });
    }

    pub(crate) fn forget_waiter(&mut self, id: WaiterId) {
        if let Some(waiter) = self.waiters.remove(&id) {
            self.timers.clear(waiter.deadline, Timer::Waiter(id));
        }
    }

    /// Whether a caller's number is that of a request or a wait that is not answered yet.
    pub fn is_open(&self, who: Recipient) -> bool {
        self.callers.get(&who.caller).is_some_and(|open| open.contains_key(&who.id))
    }

    /// How many requests and waits a caller has open.
    pub fn open_count(&self, caller: Caller) -> usize {
        self.callers.get(&caller).map_or(0, std::collections::HashMap::len)
    }
}
