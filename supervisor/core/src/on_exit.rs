//! What follows when a process ends: its slot, the promoted spare, the record of a crash. What happens to its
//! requests is in [`crate::delivery`], the class of the exit in [`crate::exit_class`].

use crate::{
    action::{Action, CrashRecord, Evidence, LostRequest, ModuleEvent},
    chronicle::{Counted, EndOf, What},
    core::Core,
    delivery::End,
    exit_class::{self, Cause, ExitClass, Stage},
    ids::{Caller, ModuleId, RequestId, RunId, SlotId},
    lacks::Attempt,
    leaving::led_by,
    limits::{NEXT_SPARE_DELAY, STOP_NOTICES_MAX},
    module::Desired,
    restart::{Decision, Policy, WaitReason},
    run::{Phase, Role},
    slots::{Slot, SlotState, Vacancy},
    time::Time,
    timers::Timer,
    uncaught::uncaught,
};
use bulkhead_protocol::{Exit, limits::QUOTE_BYTES_MAX};

impl Core {
    /// The guardian is gone, and this process with it. Everything that it had written must have been handled
    /// before; `unsent` are the requests that had not been written to it completely. [`Core::handle_gone`] follows
    /// when nothing is left of its tree either.
    pub fn handle_lost(&mut self, now: Time, run_id: RunId, unsent: Vec<RequestId>) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.cause.get_or_insert(Cause::GuardianLost);
            let evidence = Evidence { unsent, ..Evidence::default() };
            self.handle_exited(now, run_id, Exit::Signal("SIGKILL".into()), evidence);
        }
    }

    /// The leader of a process's tree ended. Everything that it had written must have been handled
    /// before, so that an answer given just in time counts.
    pub fn handle_exited(&mut self, now: Time, run_id: RunId, exit: Exit, evidence: Evidence) {
        let Some(run) = self.runs.get_mut(&run_id).filter(|run| run.phase != Phase::Exited) else { return };
        if exit == Exit::Code(0)
            && let Some(fault) = run.channel_fault.take()
        {
            run.cause.get_or_insert(Cause::Violation(fault));
        }
        let run = &self.runs[&run_id];
        let stage = match run.ready_at {
            None => Stage::NotReady,
            Some(_) if self.has_unfinished(run) => Stage::Busy,
            Some(_) => Stage::Idle,
        };
        let class = exit_class::classify(run.cause.as_ref(), &exit, stage);
        let mut reason = exit_class::describe(run.cause.as_ref(), &exit, stage);
        if run.cause.is_none()
            && let Some(kill) = evidence.memory_kill
        {
            reason.push_str(exit_class::by_memory_killer(kill));
        }
        if let Some(thrown) = uncaught(&exit, &evidence.stderr).filter(|_| run.cause.is_none()) {
            reason = format!("{reason}: {thrown}");
        }
        let rules = run.spec.rules;
        if let Some(outcome) =
            exit_class::describe_escalation(run.escalation, &exit, rules.drain_timeout, rules.term_timeout)
        {
            reason = outcome.clone();
            let (module, instance) = (run.module, run.instance.clone());
            self.act(Action::LogLine { run: run_id, text: format!("{instance} was {outcome}") });
            let module = self.modules.get_mut(module).expect("a module outlives its runs");
            if module.stop_notices.len() < STOP_NOTICES_MAX {
                module.stop_notices.push(format!("{instance} was {outcome}"));
            }
        }
        reason.truncate(reason.floor_char_boundary(16 * QUOTE_BYTES_MAX));
        self.ended(now, run_id, class, reason, Some(exit), evidence);
    }

    pub(crate) fn ended(
        &mut self,
        now: Time,
        run_id: RunId,
        class: ExitClass,
        reason: String,
        exit: Option<Exit>,
        evidence: Evidence,
    ) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        if run.phase == Phase::Exited {
            return;
        }
        let (module_id, slot_id, name) = (run.module, run.slot, run.spec.name.clone());
        let was_serving = self.is_serving(&name);
        let run = self.runs.get_mut(&run_id).expect("it was there above");
        run.channel_open = false;
        run.left_at.get_or_insert(now);
        self.enter(run_id, Phase::Exited);
        self.caller_gone(now, Caller::Run(run_id));
        let role = self.modules[module_id].slots.role(slot_id);
        let is_explained = self.is_explained(now, run_id, class, &evidence);
        let next = self.what_follows(now, run_id, class, &reason, is_explained);
        let counted = match class {
            ExitClass::Failure | ExitClass::Permanent if is_explained => Counted::Explained,
            ExitClass::Failure | ExitClass::Permanent => Counted::Yes,
            ExitClass::Commanded | ExitClass::Clean | ExitClass::Lost => Counted::NoFailure,
        };
        let exit_of = exit.as_ref();
        let end = EndOf { run: run_id, class, reason: &reason, exit: exit_of, counted, next: &next };
        self.chronicle_end(now, &end);
        let start_failed = role == Role::Active
            && self.runs[&run_id].ready_at.is_none()
            && !matches!((class, &next), (ExitClass::Commanded | ExitClass::Lost, _) | (_, Vacancy::Ordered));
        let is_left = matches!(next, Vacancy::Waiting { why: WaitReason::Left, .. });
        let module = self.modules.get_mut(module_id).expect("a module outlives its runs");
        // A process that was never started has not ended.
        if (class, &exit) != (ExitClass::Lost, &None) {
            module.last_exit = Some((now, reason.clone()));
        }
        module.slots.get_mut(slot_id).expect("a slot outlives its run").ended(next);
        let makes_room = class == ExitClass::Failure || is_left;
        let promoted = if role == Role::Active && makes_room { self.promote_spare(module_id, slot_id) } else { None };

        if promoted.is_some() {
            self.delay_next_spare(now, module_id, slot_id);
        }

        let is_reported = start_failed || role == Role::Successor;
        let last_lines = if is_reported { evidence.stderr.clone() } else { Vec::new() };
        let end = End { class, reason: &reason, exit: exit.as_ref(), evidence: &evidence };
        let in_flight = self.settle_in_flight(now, run_id, &end);
        self.drop_held(now, run_id);
        self.record(now, run_id, class, reason.clone(), exit, evidence, in_flight);

        if let Some(promoted) = promoted {
            self.announce_promotion(now, promoted);
            if !was_serving {
                self.wake_dependents(now, &name);
            }
        }
        if role == Role::Successor {
            self.reload_failed(now, module_id, &reason, &last_lines);
        }
        if start_failed {
            self.start_failed(now, module_id, run_id, &reason, &last_lines);
        }
        self.start_attempted(now, run_id, if class == ExitClass::Lost { Attempt::Lost } else { Attempt::Passed });
        self.reconcile(now, module_id);
        self.grant_permits(now);
    }

    /// Decides what follows in the slot of a process that ended.
    fn what_follows(
        &mut self,
        now: Time,
        run_id: RunId,
        class: ExitClass,
        reason: &str,
        is_explained: bool,
    ) -> Vacancy {
        let run = &self.runs[&run_id];
        let (ready_for, lack) = (run.ready_for(), run.lack);
        let has_left = run.last.is_some();
        let has_worked = run.has_culprit();
        let is_awaited = has_left && self.is_awaited(run.module, run);
        let module = self.modules.get_mut(run.module).expect("a module outlives its runs");
        let running = module.desired == Desired::Running && !self.shutting_down;
        let serving = module.slots.with_role(Role::Active).any(Slot::is_live);
        let slot = module.slots.get_mut(run.slot).expect("a slot outlives its run");
        if !running || matches!(slot.role(), Role::Retiring | Role::Successor) {
            return Vacancy::Stopped;
        }
        if slot.role() == Role::Spare && !serving {
            // There is no active process that it could replace.
            return Vacancy::Stopped;
        }
        if slot.is_ordered() {
            return Vacancy::Ordered;
        }
        if class == ExitClass::Lost
            && let Some(lack) = lack
        {
            return Vacancy::Lacking(lack);
        }
        let rules = slot.spec.restart;
        let is_replaced = match rules.policy {
            Policy::Always => true,
            // What it has left unanswered must not wait for ever.
            Policy::OnFailure => is_awaited,
            Policy::Never => false,
        };
        if class == ExitClass::Clean && has_worked && is_replaced {
            // It is no failure, and it is bounded: each of these processes has answered a request.
            return Vacancy::Waiting { until: now, why: WaitReason::Left };
        }
        match (class, rules.policy) {
            (ExitClass::Clean, Policy::OnFailure) if is_awaited => {
                decide(slot.restart.failed(now, ready_for, &rules, &mut slot.random), reason)
            }
            (ExitClass::Commanded, _) => Vacancy::Ordered,
            // It may have done the work that it was started for.
            (ExitClass::Lost, Policy::Never) => Vacancy::Finished(reason.to_owned()),
            (ExitClass::Lost, Policy::Always | Policy::OnFailure) => {
                Vacancy::Waiting { until: now, why: WaitReason::HostPart }
            }
            (ExitClass::Permanent, _) => Vacancy::Failed(reason.to_owned()),
            (ExitClass::Clean, Policy::OnFailure | Policy::Never) | (ExitClass::Failure, Policy::Never) => {
                Vacancy::Finished(reason.to_owned())
            }
            (ExitClass::Clean, Policy::Always) | (ExitClass::Failure, Policy::Always | Policy::OnFailure) => {
                let decision = match is_explained {
                    true => slot.restart.explained(now, ready_for, &rules, &mut slot.random),
                    false => slot.restart.failed(now, ready_for, &rules, &mut slot.random),
                };
                decide(decision, reason)
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one record")]
    fn record(
        &mut self,
        now: Time,
        run_id: RunId,
        class: ExitClass,
        reason: String,
        exit: Option<Exit>,
        evidence: Evidence,
        in_flight: Vec<LostRequest>,
    ) {
        let run = &self.runs[&run_id];
        let (name, instance) = (run.spec.name.clone(), run.instance.clone());
        let event = match class {
            ExitClass::Commanded => ModuleEvent::Exited,
            ExitClass::Clean => ModuleEvent::Finished,
            ExitClass::Failure => ModuleEvent::Crashed,
            ExitClass::Permanent => ModuleEvent::Failed,
            // A process that was never started was not lost either; its slot says what is lacking.
            ExitClass::Lost if exit.is_none() => return,
            ExitClass::Lost => ModuleEvent::Lost,
        };
        if matches!(class, ExitClass::Failure | ExitClass::Permanent) {
            let last = run.last.as_ref();
            let stderr = match last.and_then(|last| last.sentence.as_deref()) {
                Some(sentence) => led_by(sentence, evidence.stderr),
                None => evidence.stderr,
            };
            let answered = last.and_then(|last| last.request.clone());
            let record = CrashRecord {
                module: name.clone(),
                instance: instance.clone(),
                run: run_id,
                pid: run.pid,
                reason: reason.clone(),
                exit,
                uptime: now.since(run.started),
                stderr,
                in_flight: answered.into_iter().chain(in_flight).collect(),
            };
            self.act(Action::RecordCrash(Box::new(record)));
        }
        self.announce(event, &name, Some(instance), Some(reason));
    }

    /// The next spare starts late enough that the one that has just taken over can answer first.
    fn delay_next_spare(&mut self, now: Time, module_id: ModuleId, slot_id: SlotId) {
        let slots = &mut self.modules.get_mut(module_id).expect("a module outlives its runs").slots;
        slots.get_mut(slot_id).expect("a slot outlives its run").delay_next(now + NEXT_SPARE_DELAY);
    }

    /// A ready spare serves in the slot of a process that crashed; the crashed one is restarted
    /// as the spare. Returns the spare's process.
    fn promote_spare(&mut self, module_id: ModuleId, crashed: SlotId) -> Option<RunId> {
        let module = &self.modules[module_id];
        let spare = module.slots.with_role(Role::Spare).find_map(|slot| match *slot.state() {
            SlotState::Occupied(run) if self.runs[&run].is_ready() => Some((slot.id, run)),
            _ => None,
        });
        let (spare, run) = spare?;
        self.modules.get_mut(module_id).expect("it was there above").slots.promote(spare, crashed);
        Some(run)
    }

    fn announce_promotion(&mut self, now: Time, run: RunId) {
        let (name, instance) = (self.runs[&run].spec.name.clone(), self.runs[&run].instance.clone());
        let took_over = What::TookOver { instance: instance.as_str().into() };
        self.chronicle(now, self.runs[&run].module, took_over);
        self.announce(ModuleEvent::TookOver, &name, Some(instance), None);
    }

    /// A spare became ready: if an active slot has no process, it serves there at once.
    pub(crate) fn spare_ready(&mut self, now: Time, module_id: ModuleId) {
        let module = &self.modules[module_id];
        let waiting = |state: &SlotState| {
            matches!(
                state,
                SlotState::Vacant(
                    Vacancy::Waiting { .. } | Vacancy::AwaitsPermit(_) | Vacancy::Lacking(_) | Vacancy::NoRoom(_)
                ) | SlotState::Clearing { next: Vacancy::Waiting { .. }, .. }
            )
        };
        let vacant = module.slots.with_role(Role::Active).find(|slot| waiting(slot.state())).map(|slot| slot.id);
        if let Some(promoted) = vacant.and_then(|slot| self.promote_spare(module_id, slot)) {
            self.announce_promotion(now, promoted);
        }
    }

    /// Nothing of a process's tree is left.
    pub fn handle_gone(&mut self, now: Time, run_id: RunId) {
        if let Some(run) = self.runs.get(&run_id).filter(|run| run.phase != Phase::Exited) {
            let commanded = run.cause == Some(Cause::Stop);
            let class = if commanded { ExitClass::Commanded } else { ExitClass::Failure };
            self.ended(now, run_id, class, "it ended unseen".into(), None, Evidence::default());
        }
        let Some(run) = self.runs.remove(&run_id) else { return };
        if let Some(at) = run.timer {
            self.timers.clear(at, Timer::Run(run_id));
        }
        self.callers.remove(Caller::Run(run_id));
        self.act(Action::Release(run_id));
        let module = self.modules.get_mut(run.module).expect("a module outlives its runs");
        let running = module.desired == Desired::Running && !self.shutting_down;
        let slot = module.slots.get_mut(run.slot).expect("a slot outlives its run");
        let mut next = slot.cleared();
        if !running {
            next = Vacancy::Stopped;
            slot.wait(Vacancy::Stopped);
        }
        let came_to_nothing = matches!(next, Vacancy::Finished(_) | Vacancy::Failed(_) | Vacancy::GaveUp(_));
        if matches!(slot.role(), Role::Retiring | Role::Successor) {
            module.slots.forget(run.slot);
        } else if running {
            match next {
                Vacancy::Waiting { until, .. } if until <= now => self.start_due(now, run.module, run.slot),
                Vacancy::Waiting { until, .. } => self.timers.set(until, Timer::Start(run.module, run.slot)),
                Vacancy::Ordered => {
                    slot.restart.clear();
                    self.try_start(now, run.module, run.slot);
                }
                Vacancy::Lacking(lack) if self.lacks.contains(lack) => self.await_lack(lack, (run.module, run.slot)),
                Vacancy::Lacking(_) => self.try_start(now, run.module, run.slot),
                Vacancy::Stopped
                | Vacancy::Finished(_)
                | Vacancy::Failed(_)
                | Vacancy::GaveUp(_)
                | Vacancy::AwaitsPermit(_)
                | Vacancy::NoRoom(_)
                | Vacancy::Requires(_) => {}
            }
        }
        // The module may be forgotten when it is settled.
        let due = if self.shutting_down { self.no_longer_needed(run.module) } else { Vec::new() };
        self.reconcile(now, run.module);
        if came_to_nothing {
            self.came_to_nothing(run.module);
        }
        if self.shutting_down {
            self.stop_undeferred(now, due);
        }
    }
}

fn decide(decision: Decision, reason: &str) -> Vacancy {
    match decision {
        Decision::StartAt(until, why) => Vacancy::Waiting { until, why },
        Decision::GiveUp => Vacancy::GaveUp(reason.to_owned()),
    }
}
