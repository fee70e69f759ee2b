//! Callers that wait for a module: to be ready, to be stopped, to be reloaded. Each is answered once: when
//! it holds, when it is certain that it will not, or when its timeout ends.

use crate::{
    action::Action,
    core::{Core, Outstanding},
    ids::{ModuleId, Recipient, RunId, WaiterId},
    lifecycle::{done, done_with},
    limits::WAITER_BYTES,
    module::Desired,
    run::Role,
    slots::{Slot, SlotState, Vacancy},
    steps,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{ErrorCode, Failure, Status};
use std::{collections::BTreeSet, time::Duration};

/// A state that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every slot of the module that serves has a ready process.
    Ready,
    /// No process of the module is left.
    Stopped,
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Goal {
    /// Ready, whatever happens before, unless nothing would start it any more.
    Ready,
    /// Ready with processes younger than this one; a start that fails ends the wait.
    ReadyAfter(RunId),
    /// Stopped, whatever happens before.
    Stopped,
    /// Stopped as it was ordered; a start that is ordered after that ends the wait.
    StopDone,
    /// The reload was carried through or given up.
    Reloaded,
}

impl Goal {
    /// Whether a module that does not start never fulfils it.
    pub(crate) fn needs_a_start(self) -> bool {
        match self {
            Goal::Ready | Goal::ReadyAfter(_) | Goal::Reloaded => true,
            Goal::Stopped | Goal::StopDone => false,
        }
    }
}

/// A caller that waits for a module.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) recipient: Recipient,
    pub(crate) module: ModuleId,
    pub(crate) goal: Goal,
    pub(crate) deadline: Time,
}

impl Core {
    pub(crate) fn wait(&mut self, now: Time, who: Option<Recipient>, module: ModuleId, goal: Goal, timeout: Duration) {
        let Some(recipient) = who else { return };
        let id = self.ids.waiter();
        self.callers.open(recipient, Outstanding::Waiter(id), WAITER_BYTES);
        let deadline = now + timeout;
        self.timers.set(deadline, Timer::Waiter(id));
        self.waiters.insert(id, Waiter { recipient, module, goal, deadline });
        let module = self.modules.get_mut(module).expect("the caller has it");
        module.waiters.entry(goal).or_default().insert(id);
    }

    /// The callers that wait for a module with a goal that fits, in the order in which they came. `goal` is called
    /// once for each goal, however many have it.
    pub(crate) fn waiters_with(&self, module: ModuleId, goal: impl Fn(Goal) -> bool) -> Vec<WaiterId> {
        let Some(module) = self.modules.get(module) else { return Vec::new() };
        let fitting = module.waiters.iter().filter(|(one, _)| {
            steps::count(1);
            goal(**one)
        });
        let mut found: Vec<WaiterId> = fitting.flat_map(|(_, ids)| ids).copied().collect();
        steps::count(found.len());
        found.sort_unstable();
        found
    }

    /// Removes a waiter from both tables.
    fn take_waiter(&mut self, id: WaiterId) -> Option<Waiter> {
        let waiter = self.waiters.remove(&id)?;
        self.timers.clear(waiter.deadline, Timer::Waiter(id));
        let module = self.modules.get_mut(waiter.module).expect("a module outlives those who wait for it");
        if let Some(ids) = module.waiters.get_mut(&waiter.goal) {
            ids.remove(&id);
            if ids.is_empty() {
                module.waiters.remove(&waiter.goal);
            }
        }
        Some(waiter)
    }

    pub(crate) fn check_waiters(&mut self, id: ModuleId) {
        let Some(module) = self.modules.get(id).filter(|module| !module.waiters.is_empty()) else { return };
        let youngest_needed = |after: RunId| {
            module.desired == Desired::Running
                && module.slots.with_role(Role::Active).all(|slot| match *slot.state() {
                    SlotState::Occupied(run) => run > after && self.runs[&run].is_ready(),
                    SlotState::Vacant(_) | SlotState::Clearing { .. } => false,
                })
        };
        let holds = |goal: Goal| match goal {
            Goal::Ready => youngest_needed(RunId(0)),
            Goal::ReadyAfter(after) => youngest_needed(after),
            Goal::Stopped | Goal::StopDone => module.slots.are_vacant() && !module.slots.iter().any(Slot::is_live),
            Goal::Reloaded => false,
        };
        let (name, notices) = (module.spec.name.clone(), module.stop_notices.clone());
        for waiter in self.waiters_with(id, holds) {
            let status = match self.waiters[&waiter].goal {
                Goal::StopDone => done_with(&name, "stopped", &notices),
                Goal::Stopped => done(&name, "stopped"),
                Goal::ReadyAfter(_) => done_with(&name, "ready", &notices),
                Goal::Ready | Goal::Reloaded => done(&name, "ready"),
            };
            self.answer_waiter(waiter, status);
        }
        self.fail_hopeless_waiters(id);
    }

    /// Answers the callers that wait for the readiness of a module that nothing will start by itself. A caller that
    /// orders a start is not affected: what the module lacks may be started by the next order.
    pub(crate) fn fail_hopeless_waiters(&mut self, id: ModuleId) {
        if !self.modules.get(id).is_some_and(|module| module.waiters.contains_key(&Goal::Ready)) {
            return;
        }
        let Some(reason) = self.why_failed(id).or_else(|| self.why_hindered(id)) else { return };
        let name = &self.modules[id].spec.name;
        let reason = format!("{name} did not become ready: {reason}");
        let status: Status = Failure::new(ErrorCode::ModuleError, reason).into();
        for waiter in self.waiters_with(id, |goal| goal == Goal::Ready) {
            self.answer_waiter(waiter, status.clone());
        }
    }

    /// A slot of a module will have no process unless its start is requested: the callers that wait for it, or
    /// for a module that requires it, are answered.
    pub(crate) fn came_to_nothing(&mut self, id: ModuleId) {
        let mut seen = BTreeSet::from([id]);
        let mut due = vec![id];
        while let Some(at) = due.pop() {
            let dependents: Vec<ModuleId> = self.directory.dependents(&self.modules[at].spec.name).collect();
            for other in dependents.into_iter().filter(|other| seen.insert(*other)) {
                self.fail_hopeless_waiters(other);
                due.push(other);
            }
        }
    }

    /// Why a module that should run will not be ready unless its start is requested. One that was stopped is
    /// not included: it may be started again at any time.
    fn why_failed(&self, id: ModuleId) -> Option<String> {
        let module = self.modules.get(id)?;
        // What a reload brings in may succeed.
        if module.desired != Desired::Running || module.incoming.is_some() {
            return None;
        }
        let failed = module.slots.with_role(Role::Active).find(|slot| {
            matches!(slot.state(), SlotState::Vacant(Vacancy::Failed(_) | Vacancy::GaveUp(_) | Vacancy::Finished(_)))
        })?;
        let reason = self.reason(failed)?;
        Some(format!("{reason}; it is not tried again"))
    }

    /// Why a module will not be ready unless another, which it requires directly or through others, is
    /// started by request.
    fn why_hindered(&self, id: ModuleId) -> Option<String> {
        let waits = |slot: &&Slot| matches!(slot.state(), SlotState::Vacant(Vacancy::Requires(_)));
        if !self.modules[id].slots.with_role(Role::Active).any(|slot| waits(&slot)) {
            return None;
        }
        let mut seen = BTreeSet::from([id]);
        // Each with the requirement of this module that leads to it.
        let mut visited = vec![(id, None)];
        while let Some((at, through)) = visited.pop() {
            let module = &self.modules[at];
            let slot = module.slots.with_role(Role::Active).find(waits).filter(|_| module.desired == Desired::Running);
            for name in slot.into_iter().flat_map(|slot| &slot.spec.requires) {
                let Some(required) = self.modules.id(name).filter(|_| !self.is_serving(name)) else { continue };
                if let Some(reason) = self.why_failed(required) {
                    let through = through.map(|first| format!(" through {first}")).unwrap_or_default();
                    return Some(format!("it requires {name}{through}, which did not become ready: {reason}"));
                }
                if seen.insert(required) {
                    visited.push((required, Some(through.unwrap_or(name))));
                }
            }
        }
        None
    }

    /// A start was ordered: the caller of a stop that is not done is answered now, since it may
    /// never be.
    pub(crate) fn stop_overtaken(&mut self, id: ModuleId) {
        for waiter in self.waiters_with(id, |goal| goal == Goal::StopDone) {
            let name = &self.modules[id].spec.name;
            let reason = format!("{name} had not stopped yet when it was started again");
            self.answer_waiter(waiter, Failure::new(ErrorCode::Conflict, reason).into());
        }
    }

    /// A start failed: its caller is answered now and not after all the tries that follow.
    pub(crate) fn start_failed(&mut self, now: Time, id: ModuleId, run: RunId, reason: &str, stderr: &[String]) {
        let ordered = |goal: Goal| matches!(goal, Goal::ReadyAfter(after) if run > after);
        let waiters = self.waiters_with(id, ordered);
        if waiters.is_empty() {
            return;
        }
        let name = self.modules[id].spec.name.clone();
        let next = self
            .view(now, &name)
            .and_then(|view| view.next)
            .map_or_else(|| "it is not tried again".to_owned(), |next| next.to_string());
        for waiter in waiters {
            let reason = format!("{name} did not become ready: {reason}; {next}");
            let mut failure = Failure::new(ErrorCode::ModuleError, reason);
            failure.stderr = stderr.to_vec();
            self.answer_waiter(waiter, failure.into());
        }
    }

    pub(crate) fn waiter_due(&mut self, now: Time, id: WaiterId) {
        let Some(waiter) = self.waiters.get(&id) else { return };
        let reason = match waiter.goal {
            Goal::Stopped | Goal::StopDone => format!("{} has not stopped yet", self.modules[waiter.module].spec.name),
            // The old one serves meanwhile, and does not affect the wait.
            Goal::Reloaded if self.modules[waiter.module].incoming.is_some() => {
                format!("the new version of {} is not ready yet", self.modules[waiter.module].spec.name)
            }
            Goal::Ready | Goal::ReadyAfter(_) | Goal::Reloaded => self.why_waiting(now, waiter.module),
        };
        self.answer_waiter(id, Failure::new(ErrorCode::DeadlineExceeded, reason).into());
    }

    pub(crate) fn answer_waiter(&mut self, id: WaiterId, status: Status) {
        let Some(waiter) = self.take_waiter(id) else { return };
        self.callers.close(waiter.recipient);
        self.act(Action::Reply { to: waiter.recipient, status });
    }

    pub(crate) fn forget_waiter(&mut self, id: WaiterId) {
        self.take_waiter(id);
    }
}
