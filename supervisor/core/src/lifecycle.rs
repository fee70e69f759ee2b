//! The life of a module's processes: start, readiness, stop with escalation. What follows when one
//! ends is in [`crate::on_exit`].

use crate::{
    action::{Action, Control, Evidence, ModuleEvent},
    chronicle::{Chronicle, What},
    core::Core,
    declared::Declared,
    directory::Listed,
    exit_class::{Cause, Escalation, ExitClass},
    ids::{ModuleId, RunId, SlotId},
    in_flight::{AnswerOrder, InFlight},
    lacks::Attempt,
    layer1::CommitNumber,
    limits::INIT_REFUSED_GRACE,
    module::{Desired, InitialState, Module, SpawnFailure},
    queue::Queue,
    requests::AtStore,
    restart::WaitReason,
    rule::Rule,
    run::{Phase, Role, Run, StopReason},
    slots::{Slot, SlotState, Slots, Vacancy},
    spec::ModuleSpec,
    steps,
    time::Time,
    timers::Timer,
    tracing::Tracing,
};
use bulkhead_protocol::{ErrorCode, Failure, Json, ModuleName, PROTOCOL_VERSION, Ready, Status, init};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

impl Core {
    /// Makes a module known, and starts it if its initial state is running.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn add_module(&mut self, now: Time, spec: ModuleSpec, initial: InitialState) -> Result<ModuleId, Failure> {
        if self.modules.id(&spec.name).is_some() {
            let reason = format!("there is a module named {} already", spec.name);
            return Err(Failure::new(ErrorCode::Conflict, reason));
        }
        let id = self.ids.module();
        let random = self.random.split_by_name(spec.name.as_str());
        let module = Module {
            spec: Arc::new(spec),
            desired: match initial {
                InitialState::Running => Desired::Running,
                InitialState::Stopped => Desired::Stopped,
            },
            slots: Slots::new(random),
            starts: 0,
            restarts: 0,
            queue: Queue::default(),
            at_store: AtStore::default(),
            precedence: None,
            blamed: Vec::new(),
            last_exit: None,
            chronicle: Chronicle::default(),
            stop_notices: Vec::new(),
            incoming: None,
            waiters: BTreeMap::new(),
            listed: Listed::default(),
            events_dropped: 0,
            declared: None,
        };
        self.modules.insert(id, module);
        self.chronicle(now, id, What::Known(initial));
        self.list(id);
        self.modules.get_mut(id).expect("it was inserted above").fill();
        if initial == InitialState::Running {
            self.start_vacant(now, id);
        }
        self.stream_on(now, id);
        Ok(id)
    }

    /// Starts what is vacant, with a clean slate: a person asked for it.
    pub(crate) fn start_vacant(&mut self, now: Time, id: ModuleId) {
        let Some(module) = self.modules.get_mut(id) else { return };
        let mut vacant = Vec::new();
        for slot in module.slots.iter_mut() {
            if let SlotState::Vacant(vacancy) = slot.state() {
                if let Vacancy::Waiting { until, .. } = vacancy {
                    self.timers.clear(*until, Timer::Start(id, slot.id));
                }
                // What waits for a start permit, or for room, keeps its position in the queue.
                if !matches!(vacancy, Vacancy::AwaitsPermit(_) | Vacancy::NoRoom(_)) {
                    vacant.push(slot.id);
                }
                slot.restart.clear();
            }
        }
        for slot in vacant {
            self.try_start(now, id, slot);
        }
    }

    /// A slot's start is due.
    pub(crate) fn start_due(&mut self, now: Time, id: ModuleId, slot_id: SlotId) {
        let Some(slot) = self.modules.get_mut(id).and_then(|module| module.slots.get_mut(slot_id)) else { return };
        let SlotState::Vacant(Vacancy::Waiting { why, .. }) = *slot.state() else { return };
        if why == WaitReason::HostPart {
            return self.try_start(now, id, slot_id);
        }
        if why != WaitReason::HostLimit {
            let from = self.bucket.reserve(now);
            if from > now {
                slot.wait(Vacancy::Waiting { until: from, why: WaitReason::HostLimit });
                let rules = [Rule::RestartsPerSecond, Rule::RestartsBurst];
                let rules = rules.map(|rule| rule.applied(&slot.spec, &self.settings)).to_vec();
                self.timers.set(from, Timer::Start(id, slot_id));
                self.chronicle(now, id, What::PutOff { by: from.since(now), rules });
                return;
            }
        }
        self.modules.get_mut(id).expect("it was there above").restarts += 1;
        self.try_start(now, id, slot_id);
    }

    /// Starts a process in a vacant slot once it has a start permit, unless the module requires one that is not ready.
    pub(crate) fn try_start(&mut self, now: Time, id: ModuleId, slot_id: SlotId) {
        if self.may_start(id, slot_id) {
            self.request_permit(id, slot_id);
        } else {
            self.reload_without_room(now, id);
        }
        // Also when it may not start: what it requires may be what another start waits for.
        self.grant_permits(now);
    }

    /// Whether a vacant slot lacks nothing but a start permit; if not, it is noted what it lacks.
    fn may_start(&mut self, id: ModuleId, slot_id: SlotId) -> bool {
        let module = self.modules.get_mut(id).expect("the caller has it");
        let running = module.desired == Desired::Running && !self.shutting_down;
        let Some(slot) = module.slots.get_mut(slot_id) else { return false };
        let (spec, seen) = (slot.spec.clone(), slot.required_seen);
        let missing = if running { self.missing(&spec, seen) } else { None };
        let vacancy = match (running, missing, self.lacks.of_all()) {
            (false, ..) => Vacancy::Stopped,
            (true, Some(missing), _) => Vacancy::Requires(spec.requires[missing].clone()),
            (true, None, Some(lack)) => Vacancy::Lacking(lack),
            (true, None, None) => return self.take_room(id, slot_id),
        };
        let slot =
            self.modules.get_mut(id).and_then(|module| module.slots.get_mut(slot_id)).expect("it was there above");
        slot.required_seen = missing.unwrap_or(0);
        let lacking = if let Vacancy::Lacking(lack) = vacancy { Some(lack) } else { None };
        slot.wait(vacancy);
        if let Some(lack) = lacking {
            self.await_lack(lack, (id, slot_id));
        }
        self.fail_hopeless_waiters(id);
        false
    }

    /// The first required module of a specification that does not serve. Those that were seen to serve are looked at
    /// again only when all others do, so that a module that requires many is not scanned for each of them.
    fn missing(&self, spec: &ModuleSpec, seen: usize) -> Option<usize> {
        let count = spec.requires.len();
        let is_missing = |at: &usize| {
            steps::count(1);
            !self.is_serving(&spec.requires[*at])
        };
        (seen..count).chain(0..seen.min(count)).find(is_missing)
    }

    /// A vacant slot has its start permit: its process is ordered, unless what it requires has gone meanwhile.
    pub(crate) fn start_now(&mut self, now: Time, id: ModuleId, slot_id: SlotId) {
        if !self.may_start(id, slot_id) {
            return self.reload_without_room(now, id);
        }
        let module = self.modules.get_mut(id).expect("the caller has it");
        let slot = module.slots.get_mut(slot_id).expect("it may start");
        let spec = slot.spec.clone();
        let run_id = self.ids.run();
        slot.occupy(run_id);
        module.starts += 1;
        let instance = format!("{}#{}", spec.name, module.starts);
        let starting = Phase::Starting { until: now + spec.rules.start_timeout };
        self.act(Action::Spawn {
            run: run_id,
            module: spec.name.clone(),
            generation: spec.generation,
            instance: instance.clone(),
        });
        self.runs.insert(run_id, new_run(now, id, slot_id, spec, instance, starting));
        self.send_control(run_id, Control::Init);
        self.starts.begin(run_id);
        self.tries_lacks(run_id);
        self.arm(run_id);
    }

    /// Whether a process of this module serves.
    pub(crate) fn is_serving(&self, name: &ModuleName) -> bool {
        let Some(module) = self.modules.by_name(name) else { return false };
        module.slots.with_role(Role::Active).filter_map(Slot::run).any(|run| self.runs[&run].is_ready())
    }

    /// The process runs.
    pub fn handle_spawned(&mut self, now: Time, run_id: RunId, pid: i32) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.pid = Some(pid);
            self.start_attempted(now, run_id, Attempt::Passed);
        }
    }

    /// The process could not be started, and nothing of it is left.
    pub fn handle_spawn_failed(&mut self, now: Time, run_id: RunId, failure: SpawnFailure, message: &str) {
        let Some(run) = self.runs.get(&run_id) else { return };
        let class = match (&run.cause, failure) {
            (Some(Cause::Stop), _) => ExitClass::Commanded,
            (_, SpawnFailure::Permanent) => ExitClass::Permanent,
            (_, SpawnFailure::Transient) => ExitClass::Failure,
        };
        self.ended(now, run_id, class, message.to_owned(), None, Evidence::default());
        self.handle_gone(now, run_id);
    }

    /// A request of the host's own was answered.
    pub(crate) fn control_answered(&mut self, now: Time, run_id: RunId, control: Control, status: Status) {
        match (control, status) {
            (Control::Init, Status::Success(data)) => match Ready::read_bounded(&data) {
                Ok(ready) => self.init_answered(now, run_id, ready),
                Err(error) => {
                    let what = format!("the answer to init is not as expected: {error}");
                    self.handle_violation(now, run_id, what);
                }
            },
            (Control::Init, Status::Error(failure)) => {
                let run = self.runs.get_mut(&run_id).expect("the caller has it");
                if run.is_starting() {
                    run.cause = Some(Cause::InitFailed(failure.error));
                    run.left_at = Some(now);
                    self.enter(run_id, Phase::Draining { until: now + INIT_REFUSED_GRACE });
                    self.grant_permits(now);
                }
            }
            // Progress is handled elsewhere. A ping's answer proved life by coming; after `shutdown` only the
            // exit counts; a cancelled request has an answer of its own.
            (Control::Init, Status::Progress(_)) | (Control::Ping | Control::Shutdown | Control::Cancel(_), _) => {}
        }
    }

    fn init_answered(&mut self, now: Time, run_id: RunId, ready: Ready) {
        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        if !run.is_starting() {
            return;
        }
        if ready.protocol != PROTOCOL_VERSION {
            self.kill(now, run_id, Some(Cause::WrongProtocol(ready.protocol)));
            return;
        }
        if ready.features.iter().any(|feature| feature == init::FEATURE_CONCURRENT) {
            run.in_flight.set_answer_order(AnswerOrder::Concurrent);
        }
        let (module_id, slot_id, name, instance) = (run.module, run.slot, run.spec.name.clone(), run.instance.clone());
        let was_serving = self.is_serving(&name);
        let declared = Declared::of(ready);
        for text in declared.notices(&name) {
            self.act(Action::LogLine { run: run_id, text });
        }
        // Processes of one module declare the same, and hold it once.
        let kept = &mut self.modules.get_mut(module_id).expect("a run has its module").declared;
        let declared = match kept.take() {
            Some(known) if *known == declared => known,
            Some(_) | None => Arc::new(declared),
        };
        *kept = Some(Arc::clone(&declared));
        let run = self.runs.get_mut(&run_id).expect("it was there above");
        run.declared = declared;
        run.ready_at = Some(now);
        self.enter(run_id, Phase::Ready { since: now });
        let role = self.modules[module_id].slots.role(slot_id);
        let detail = (role != Role::Active).then(|| format!("{role:?}").to_lowercase());
        self.announce(ModuleEvent::Ready, &name, Some(instance), detail);
        match role {
            Role::Successor => self.reload_progressed(now, module_id),
            Role::Spare => self.spare_ready(now, module_id),
            Role::Active | Role::Retiring => {}
        }
        self.reconcile(now, module_id);
        if !was_serving && self.is_serving(&name) {
            self.wake_dependents(now, &name);
        }
        self.grant_permits(now);
    }

    /// A module that others require serves again: they need not wait any longer.
    pub(crate) fn wake_dependents(&mut self, now: Time, name: &ModuleName) {
        let mut due = Vec::new();
        for id in self.directory.dependents(name) {
            for slot in self.modules[id].slots.iter() {
                match slot.state() {
                    // What waits for another is looked at when that other serves.
                    SlotState::Vacant(Vacancy::Requires(missing)) if missing == name => due.push((id, slot.id, None)),
                    SlotState::Vacant(Vacancy::Waiting { until, why: WaitReason::Backoff { .. } })
                        if slot.spec.requires.contains(name) =>
                    {
                        steps::count(slot.spec.requires.len());
                        due.push((id, slot.id, Some(*until)));
                    }
                    SlotState::Vacant(_) | SlotState::Occupied(_) | SlotState::Clearing { .. } => {}
                }
            }
        }
        for (module, slot, timer) in due {
            if let Some(until) = timer {
                self.timers.clear(until, Timer::Start(module, slot));
            }
            self.try_start(now, module, slot);
        }
    }

    pub(crate) fn start_timed_out(&mut self, now: Time, run_id: RunId) {
        if !self.may_judge(now, run_id) {
            return;
        }
        let limit = self.runs[&run_id].spec.rules.start_timeout;
        self.kill(now, run_id, Some(Cause::StartTimeout(limit)));
    }

    pub(crate) fn drain_timed_out(&mut self, now: Time, run_id: RunId) {
        if self.runs[&run_id].is_left_to_end() && !self.may_judge(now, run_id) {
            return;
        }
        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        if run.cause.is_none() {
            let lingers = match run.last {
                Some(_) => "it answered with \"last\" and lived on",
                None => "it closed its channel and lived on",
            };
            let fault = run.channel_fault.take();
            let cause = Cause::Violation(fault.unwrap_or_else(|| lingers.into()));
            self.kill(now, run_id, Some(cause));
            return;
        }
        if run.cause == Some(Cause::Stop) {
            run.escalation = Escalation::Terminated;
        }
        self.terminate(now, run_id);
    }

    fn terminate(&mut self, now: Time, run_id: RunId) {
        let rules = self.runs[&run_id].spec.rules;
        self.act(Action::Terminate(run_id));
        self.enter(run_id, Phase::Terminating { until: now + rules.term_timeout });
    }

    /// SIGTERM did not end it.
    pub(crate) fn term_timed_out(&mut self, now: Time, run_id: RunId) {
        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        if run.escalation == Escalation::Terminated {
            run.escalation = Escalation::Killed;
        }
        self.kill(now, run_id, None);
    }

    /// Asks a process to finish and exit; one that does not is sent signals, step by step.
    pub(crate) fn begin_stop(&mut self, now: Time, run_id: RunId, why: StopReason) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        if run.cause.is_none() {
            run.stopped_for.get_or_insert(why);
        }
        match run.phase {
            Phase::Starting { .. } | Phase::Ready { .. } => {
                run.cause.get_or_insert(Cause::Stop);
                run.left_at = Some(now);
                let draining = Phase::Draining { until: now + run.spec.rules.drain_timeout };
                self.send_control(run_id, Control::Shutdown);
                self.enter(run_id, draining);
            }
            Phase::Compiling { .. } => {
                // It reads nothing before it has compiled, and has nothing to finish.
                run.cause.get_or_insert(Cause::Stop);
                run.left_at = Some(now);
                self.terminate(now, run_id);
            }
            Phase::Draining { .. } => {
                run.cause.get_or_insert(Cause::Stop);
            }
            Phase::Terminating { .. } | Phase::Killing | Phase::Exited => {}
        }
    }

    /// Kills a process and its tree; `cause` is remembered unless there is one already.
    pub(crate) fn kill(&mut self, now: Time, run_id: RunId, cause: Option<Cause>) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        if run.cause.is_none() {
            run.cause = cause;
        }
        run.left_at.get_or_insert(now);
        if matches!(run.phase, Phase::Killing | Phase::Exited) {
            return;
        }
        self.act(Action::Kill(run_id));
        self.enter(run_id, Phase::Killing);
        self.grant_permits(now);
    }

    /// What came over a module's channel is not the protocol; nothing more can be read from it.
    pub fn handle_violation(&mut self, now: Time, run_id: RunId, what: String) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.channel_open = false;
        self.kill(now, run_id, Some(Cause::Violation(what)));
    }

    /// The leader of a process's tree has ended; [`Core::handle_exited`] says how, once everything that it had
    /// written is read. The time that this takes does not count against the process.
    pub fn handle_leader_ended(&mut self, now: Time, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.leader_ended = true;
        self.handle_channel_closed(now, run_id);
        self.arm(run_id);
    }

    /// A module's channel ended on a frame boundary.
    pub fn handle_channel_closed(&mut self, now: Time, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.channel_open = false;
        // Most often the process is ending, and its exit gives the reason.
        let timeout = run.spec.rules.close_grace;
        self.await_its_end(now, run_id, timeout);
    }

    /// Gives a process a moment to exit by itself, unless it is on its way out already.
    pub(crate) fn await_its_end(&mut self, now: Time, run_id: RunId, timeout: Duration) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        if run.is_starting() || run.is_ready() {
            run.left_at = Some(now);
            self.enter(run_id, Phase::Draining { until: now + timeout });
            self.grant_permits(now);
        }
    }

    /// A module's channel ended inside a frame. A process that is crashing explains that by its
    /// exit; one that lives on, or reports a clean end, has broken the protocol.
    pub fn handle_channel_truncated(&mut self, now: Time, run_id: RunId, what: String) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.channel_fault = Some(what);
        }
        self.handle_channel_closed(now, run_id);
    }
}

fn new_run(now: Time, module: ModuleId, slot: SlotId, spec: Arc<ModuleSpec>, instance: String, phase: Phase) -> Run {
    Run {
        module,
        slot,
        spec,
        instance,
        pid: None,
        started: now,
        ready_at: None,
        left_at: None,
        phase,
        has_compiled: false,
        leader_ended: false,
        cause: None,
        stopped_for: None,
        lack: None,
        escalation: Escalation::None,
        in_flight: InFlight::default(),
        seen: CommitNumber(0),
        held: VecDeque::new(),
        head_since: now,
        declared: Arc::default(),
        controls: VecDeque::new(),
        last_heard: now,
        ping: None,
        channel_open: true,
        channel_fault: None,
        timer: None,
        tracing: Tracing::No,
        samplings: VecDeque::new(),
        overdue_sampled: false,
        deadline_mark: None,
        message_mark: None,
        message_check: None,
        strange_answers: 0,
        last: None,
    }
}

/// As [`done`], with notices of how it was done.
pub(crate) fn done_with(name: &ModuleName, state: &str, notices: &[String]) -> Status {
    if notices.is_empty() {
        return done(name, state);
    }
    let (name, state, notices) = (Json::of(name.as_str()), Json::of(state), Json::of(notices));
    Status::Success(Json::object(&[("name", &name), ("state", &state), ("remarks", &notices)]))
}

/// The data of an answer that only says that it is done.
pub(crate) fn done(name: &ModuleName, state: &str) -> Status {
    Status::Success(Json::parse(&format!(r#"{{"name":"{name}","state":"{state}"}}"#)).expect("it is JSON"))
}
