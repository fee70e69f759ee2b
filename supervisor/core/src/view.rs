//! What can be seen of a module: its state, why it is in it, what comes next. Formatting for people
//! beyond single sentences is done by the command.

use crate::{
    action::Tracer,
    core::Core,
    declared::Declared,
    ids::{ModuleId, RunId},
    module::{Desired, Module},
    restart::WaitReason,
    run::{Phase, Role, Run},
    slots::{Slot, SlotState, Vacancy},
    spec::Slowness,
    steps,
    time::Time,
};
use bulkhead_protocol::ModuleName;
use std::{fmt, sync::Arc, time::Duration};

/// The state of a module or of one of its slots, as far as it can be seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedState {
    /// It answers.
    Ready,
    /// A process was started and has not answered `init`.
    Starting,
    /// A process was started and compiles what it is to run.
    Compiling,
    /// The next start has a moment, or waits for another module.
    Waiting,
    /// It was asked to end, or is being ended.
    Stopping,
    /// Its leader ended, and the rest of its tree is being cleared.
    Clearing,
    /// Nothing runs and nothing is to.
    Stopped,
    /// Nothing runs although it should: another attempt would fail as well, or the module was given up.
    Failed,
}

impl ObservedState {
    /// The name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            ObservedState::Ready => "ready",
            ObservedState::Starting => "starting",
            ObservedState::Compiling => "compiling",
            ObservedState::Waiting => "waiting",
            ObservedState::Stopping => "stopping",
            ObservedState::Clearing => "clearing",
            ObservedState::Stopped => "stopped",
            ObservedState::Failed => "failed",
        }
    }
}

/// What the supervisor will do next with a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// What.
    pub action: &'static str,
    /// In how long, if that is known.
    pub after: Option<Duration>,
    /// Why not sooner.
    pub why: String,
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(after) => write!(f, "{} in {:.1} s ({})", self.action, after.as_secs_f64(), self.why),
            None => write!(f, "{} ({})", self.action, self.why),
        }
    }
}

/// One module, as it is now.
#[derive(Clone, Debug)]
pub struct ModuleView {
    /// Its name.
    pub name: ModuleName,
    /// The host's number for its launch instructions.
    pub generation: u64,
    /// Whether it should run.
    pub desired_running: bool,
    /// Its state: that of its best active slot.
    pub state: ObservedState,
    /// Why it is in that state, where that is not obvious.
    pub reason: Option<String>,
    /// What comes next, if something does by itself.
    pub next: Option<NextStep>,
    /// Automatic restarts since it became known.
    pub restarts: u64,
    /// How its last process ended, and how long ago.
    pub last_exit: Option<(String, Duration)>,
    /// Requests waiting.
    pub queue: usize,
    /// Requests sent and not answered.
    pub in_flight: usize,
    /// Events that could not be queued.
    pub events_dropped: u64,
    /// Answers that belong to no open request.
    pub strange_answers: u64,
    /// Its slots.
    pub runs: Vec<RunView>,
}

/// One slot of a module.
#[derive(Clone, Debug)]
pub struct RunView {
    /// The process in it.
    pub run: Option<RunId>,
    /// Its name.
    pub instance: Option<String>,
    /// What the slot is for.
    pub role: Role,
    /// Its state.
    pub state: ObservedState,
    /// The process id.
    pub pid: Option<i32>,
    /// How long the process has been ready, by the host's clock, as all other times of a view.
    pub ready_for: Option<Duration>,
    /// Requests sent to it and not answered.
    pub in_flight: usize,
    /// Its tracer, if one was found: its timeouts do not end it then.
    pub tracer: Option<Tracer>,
}

impl Core {
    /// The names of all modules, in alphabetical order.
    pub fn module_names(&self) -> Vec<ModuleName> {
        let mut names: Vec<ModuleName> = self.modules.names().cloned().collect();
        steps::count(names.len());
        names.sort_unstable();
        names
    }

    /// Whether a module was removed and something of it is left: its name is not free yet.
    pub fn is_leaving(&self, name: &ModuleName) -> bool {
        let module = self.modules.by_name(name);
        module.is_some_and(|module| module.desired == Desired::Removed)
    }

    /// Whether there is a module of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.modules.id(name).is_some()
    }

    /// The name of a module, if there is one of this name.
    pub fn known_name(&self, name: &str) -> Option<&ModuleName> {
        self.modules.name(name)
    }

    /// The launch instructions that something of a module refers to, or will, by their numbers; a number may
    /// come several times.
    pub fn generations_of(&self, name: &str) -> impl Iterator<Item = u64> {
        let module = self.modules.by_name(name);
        module.into_iter().flat_map(generations)
    }

    /// As [`Core::generations_of`], of all modules.
    pub fn generations(&self) -> impl Iterator<Item = u64> {
        self.modules.values().flat_map(generations)
    }

    /// One module, as it is now.
    pub fn view(&self, now: Time, name: &ModuleName) -> Option<ModuleView> {
        let module = self.modules.by_name(name)?;
        let runs: Vec<RunView> = module.slots.iter().map(|slot| self.view_slot(now, slot)).collect();
        let best = module.slots.with_role(Role::Active).map(|slot| self.slot_state(slot)).min_by_key(rank);
        let worst = module.slots.with_role(Role::Active).max_by_key(|slot| rank(&self.slot_state(slot)));
        let strange = module.slots.runs().map(|run| self.runs[&run].strange_answers).sum();
        Some(ModuleView {
            name: name.clone(),
            generation: module.spec.generation,
            desired_running: module.desired == Desired::Running && !self.shutting_down,
            state: best.unwrap_or(ObservedState::Stopped),
            reason: worst.and_then(|slot| self.reason(slot)),
            next: worst.and_then(|slot| self.next_step(now, slot)),
            restarts: module.restarts,
            last_exit: module.last_exit.as_ref().map(|(at, reason)| (reason.clone(), now.since(*at))),
            queue: module.queue.len(),
            in_flight: runs.iter().map(|run| run.in_flight).sum(),
            events_dropped: module.events_dropped,
            strange_answers: strange,
            runs,
        })
    }

    /// What a module has declared: what a process that serves has, else what the last one which was ready had. None of
    /// a module that was never ready.
    pub fn declared(&self, name: &ModuleName) -> Option<Arc<Declared>> {
        let module = self.modules.by_name(name)?;
        let runs = module.slots.with_role(Role::Active).filter_map(|slot| self.runs.get(&slot.run()?));
        let serving = runs.filter(|run| run.is_ready()).map(|run| &run.declared).next();
        serving.or(module.declared.as_ref()).cloned()
    }

    fn view_slot(&self, now: Time, slot: &Slot) -> RunView {
        let run = slot.run().and_then(|id| self.runs.get(&id));
        RunView {
            run: slot.run(),
            instance: run.map(|run| run.instance.clone()),
            role: slot.role(),
            state: self.slot_state(slot),
            pid: run.and_then(|run| run.pid).filter(|_| !matches!(slot.state(), SlotState::Clearing { .. })),
            ready_for: run.and_then(|run| run.shown_ready_for(now)),
            in_flight: run.map_or(0, |run| run.in_flight.len()),
            tracer: run.and_then(|run| run.tracing.by()).cloned(),
        }
    }

    fn slot_state(&self, slot: &Slot) -> ObservedState {
        match slot.state() {
            SlotState::Vacant(Vacancy::Stopped | Vacancy::Finished(_)) => ObservedState::Stopped,
            SlotState::Vacant(Vacancy::Failed(_) | Vacancy::GaveUp(_)) => ObservedState::Failed,
            SlotState::Vacant(
                Vacancy::Waiting { .. }
                | Vacancy::AwaitsPermit(_)
                | Vacancy::Requires(_)
                | Vacancy::Lacking(_)
                | Vacancy::NoRoom(_)
                | Vacancy::Ordered,
            ) => ObservedState::Waiting,
            SlotState::Clearing { .. } => ObservedState::Clearing,
            SlotState::Occupied(run) => match self.runs[run].phase {
                Phase::Ready { .. } => ObservedState::Ready,
                Phase::Starting { .. } => ObservedState::Starting,
                Phase::Compiling { .. } => ObservedState::Compiling,
                Phase::Draining { .. } | Phase::Terminating { .. } | Phase::Killing => ObservedState::Stopping,
                Phase::Exited => ObservedState::Clearing,
            },
        }
    }

    /// How far a slot is from ready: the higher, the further.
    pub(crate) fn distance(&self, slot: &Slot) -> u8 {
        rank(&self.slot_state(slot))
    }

    pub(crate) fn reason(&self, slot: &Slot) -> Option<String> {
        match slot.state() {
            SlotState::Vacant(vacancy) | SlotState::Clearing { next: vacancy, .. } => match vacancy {
                Vacancy::Stopped | Vacancy::Ordered => None,
                Vacancy::Finished(reason) => {
                    let policy = slot.spec.restart.policy.name();
                    Some(format!("ended by itself ({reason}); the restart policy is {policy}"))
                }
                Vacancy::Failed(reason) => Some(reason.clone()),
                Vacancy::GaveUp(reason) => Some(format!("given up, as give_up asks; last: {reason}")),
                Vacancy::Lacking(lack) => Some(self.lacks.describe(*lack).0),
                Vacancy::NoRoom(_) => Some(self.room.describe()),
                Vacancy::Requires(name) => Some(format!("requires {name}, which is not ready")),
                Vacancy::AwaitsPermit(_) => Some(match self.starts.in_progress() {
                    1 => "waits for a start permit: another module is starting".into(),
                    others => format!("waits for a start permit: {others} others are starting"),
                }),
                Vacancy::Waiting { why, .. } => Some(describe(*why)),
            },
            SlotState::Occupied(run) => {
                let run = &self.runs[run];
                let silent = !run.channel_open && matches!(run.phase, Phase::Draining { .. });
                let silence = if run.last.is_some() { "it said that it ends" } else { "it closed its channel" };
                let traced = || match run.spec.slowness {
                    Slowness::Ignored => Some("a debugger runs it; it is not judged".into()),
                    Slowness::Ended => run.tracing.by().map(|tracer| format!("{tracer}; it is not judged")),
                };
                run.cause.as_ref().map(ToString::to_string).or(silent.then(|| silence.into())).or_else(traced)
            }
        }
    }

    fn next_step(&self, now: Time, slot: &Slot) -> Option<NextStep> {
        let step = |action, until: Option<Time>, why: String| {
            Some(NextStep { action, after: until.map(|until| until.since(now)), why })
        };
        match slot.state() {
            SlotState::Vacant(Vacancy::Waiting { until, why })
            | SlotState::Clearing { next: Vacancy::Waiting { until, why }, .. } => {
                step("next start", Some(*until), describe(*why))
            }
            SlotState::Vacant(Vacancy::Requires(name)) | SlotState::Clearing { next: Vacancy::Requires(name), .. } => {
                step("next start", None, format!("as soon as {name} is ready"))
            }
            SlotState::Vacant(Vacancy::Lacking(lack)) | SlotState::Clearing { next: Vacancy::Lacking(lack), .. } => {
                step("next start", None, self.lacks.describe(*lack).1)
            }
            SlotState::Vacant(Vacancy::NoRoom(_)) => {
                let (limit, needed) = self.room.limits();
                step(
                    "next start",
                    None,
                    format!("as soon as there is room: {needed} files are needed, and the host may have {limit} open"),
                )
            }
            SlotState::Vacant(Vacancy::AwaitsPermit(_)) => {
                step("next start", None, "as soon as enough of the others that are starting are ready".into())
            }
            SlotState::Clearing { next: Vacancy::Ordered, .. } => {
                step("next start", None, "as soon as nothing is left of the last process".into())
            }
            SlotState::Vacant(_) | SlotState::Clearing { .. } => None,
            SlotState::Occupied(run) => {
                let run = &self.runs[run];
                if run.is_judged() && run.tracing.by().is_some() {
                    return step("look", run.timer, "whether it is still traced".into());
                }
                if run.is_judged() && run.spec.slowness == Slowness::Ignored {
                    return None;
                }
                match run.phase {
                    Phase::Starting { until } => step("kill", Some(until), "if it has not answered init".into()),
                    Phase::Compiling { until, .. } => {
                        step("kill", Some(until), "if it has not compiled, by limits.compile_timeout".into())
                    }
                    Phase::Ready { .. } => self.next_check(now, run),
                    Phase::Draining { until } if run.cause.is_none() => {
                        step("SIGKILL", Some(until), "if it lives on without its channel".into())
                    }
                    Phase::Draining { until } => step("SIGTERM", Some(until), "if it has not ended by itself".into()),
                    Phase::Terminating { until } => step("SIGKILL", Some(until), "if it has not ended".into()),
                    Phase::Killing => step("clear", None, "SIGKILL was sent".into()),
                    Phase::Exited => None,
                }
            }
        }
    }

    fn next_check(&self, now: Time, run: &Run) -> Option<NextStep> {
        let why =
            if run.in_flight.is_empty() { "if it stays silent" } else { "if the request in progress takes that long" };
        let action = if run.in_flight.is_empty() { "ping" } else { "kill" };
        Some(NextStep { action, after: Some(run.health_due(&self.requests).since(now)), why: why.into() })
    }

    /// Why a module takes no requests, and what to do.
    pub(crate) fn why_unavailable(&self, now: Time, id: ModuleId) -> String {
        let name = self.modules[id].spec.name.clone();
        if self.shutting_down {
            return format!("{name} is not running: the host is stopping");
        }
        let remedy = format!("start it with: bulkhead start {name}");
        match self.view(now, &name) {
            Some(ModuleView { reason: Some(reason), desired_running: true, .. }) => {
                format!("{name} is not running: {reason}; {remedy}")
            }
            Some(_) | None => format!("{name} is stopped; {remedy}"),
        }
    }

    /// What a module that should serve is waiting for.
    pub(crate) fn why_waiting(&self, now: Time, id: ModuleId) -> String {
        let name = self.modules[id].spec.name.clone();
        let Some(view) = self.view(now, &name) else { return format!("{name} is gone") };
        let last = view.last_exit.map(|(reason, _)| format!("; last end: {reason}")).unwrap_or_default();
        match (view.state, view.reason, view.next) {
            (ObservedState::Ready, _, _) => format!("{name} is busy with {} others", view.in_flight),
            (ObservedState::Starting, _, _) => format!("{name} is starting{last}"),
            (ObservedState::Compiling, _, _) => format!("{name} is compiling{last}"),
            (ObservedState::Waiting, _, Some(next)) => format!("{name} is waiting: {next}{last}"),
            (ObservedState::Failed, Some(reason), _) => format!("{name} has failed: {reason}"),
            (state, Some(reason), _) => format!("{name} is {}: {reason}", state.name()),
            (state, None, _) => format!("{name} is {}{last}", state.name()),
        }
    }

    /// Whether no reason is known for which a process would have ended: no stop of it was ordered, and it did not
    /// break the rules.
    pub fn has_ended_unasked(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| run.cause.is_none())
    }

    /// The processes that are there, in the order in which they were started.
    pub fn run_ids(&self) -> Vec<RunId> {
        let mut runs: Vec<RunId> = self.runs.keys().copied().collect();
        steps::count(runs.len());
        runs.sort_unstable();
        runs
    }
}

fn generations(module: &Module) -> impl Iterator<Item = u64> {
    let specs = module.slots.iter().map(|slot| &slot.spec).chain(&module.incoming).chain([&module.spec]);
    specs.map(|spec| spec.generation)
}

fn rank(state: &ObservedState) -> u8 {
    match state {
        ObservedState::Ready => 0,
        ObservedState::Starting => 1,
        ObservedState::Compiling => 2,
        ObservedState::Stopping => 3,
        ObservedState::Clearing => 4,
        ObservedState::Waiting => 5,
        ObservedState::Stopped => 6,
        ObservedState::Failed => 7,
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(*self))
    }
}

fn describe(why: WaitReason) -> String {
    match why {
        WaitReason::Backoff { failures: 1 } => "backoff after a failure".into(),
        WaitReason::Backoff { failures } => format!("backoff after {failures} failures in a row"),
        WaitReason::CrashLoop { tries: 0 } => "crash_loop: it failed too often in a short time".into(),
        WaitReason::CrashLoop { tries: 1 } => "crash_loop: 1 further try failed".into(),
        WaitReason::CrashLoop { tries } => format!("crash_loop: {tries} further tries failed"),
        WaitReason::Left => "the last process ended on purpose".into(),
        WaitReason::HostPart => "a part of the host's own ended, and it with that".into(),
        WaitReason::HostLimit => "all modules of the host together restart too often".into(),
    }
}
