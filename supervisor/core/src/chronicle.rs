//! What happened to one module, kept for people who ask why it is in its state: each end of a process with its cause,
//! the settings that applied and what followed, and each order. The oldest go when there is no room. Nothing is decided
//! by it.

use crate::{
    core::Core,
    exit_class::{Cause, ExitClass, Silence},
    ids::{Caller, ModuleId, Recipient, RunId, SlotId},
    limits::{CHRONICLE_BYTES_MAX, CHRONICLE_ENTRIES_MAX, CHRONICLE_REASON_BYTES_MAX},
    module::InitialState,
    restart::WaitReason,
    rule::{AppliedRule, Rule},
    run::{Role, StopReason},
    slots::Vacancy,
    time::Time,
};
use bulkhead_protocol::{Exit, HeldBytes, ModuleName, allocation};
use std::{collections::VecDeque, time::Duration};

/// Something that happened to a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The host learnt of it.
    Known(InitialState),
    /// It was ordered to do something.
    Ordered {
        /// What.
        order: Order,
        /// By whom.
        by: Orderer,
    },
    /// A spare serves in the place of a process that ended.
    TookOver {
        /// The spare.
        instance: Box<str>,
    },
    /// A restart was put off, since all modules of the host together restart too often.
    PutOff {
        /// For how long.
        by: Duration,
        /// The settings that applied.
        rules: Vec<AppliedRule>,
    },
    /// A process ended.
    Ended(Box<Ended>),
}

/// What a module is ordered to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To start.
    Start,
    /// To stop.
    Stop,
    /// To stop and start.
    Restart,
    /// To replace its processes by ones of another specification.
    Reload,
    /// To stop for good.
    Remove,
}

/// Who gave an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Orderer {
    /// A client: the command, a program.
    Client,
    /// Another module.
    Module(ModuleName),
    /// The host: by its files, or as it ends.
    Host,
}

/// What ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// It exited.
    Exit,
    /// A signal that the host did not send.
    Signal,
    /// It could not be started.
    NotStarted,
    /// It did not answer `init`, or not well.
    Init,
    /// It did not compile in time.
    Compile,
    /// It left pings unanswered.
    Ping,
    /// It was not done with a request long after its deadline.
    Deadline,
    /// It broke the protocol.
    Protocol,
    /// One message cost too much processor time.
    CpuTime,
    /// An order of a client or a module.
    Operator,
    /// Its specification changed, or it was removed.
    Config,
    /// There was no need for it, or the host ended.
    Host,
    /// A part of the host ended, and it with that.
    HostPart,
}

/// Whether an end counts for the delays and the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It does.
    Yes,
    /// It does not: it is no failure.
    NoFailure,
    /// It does not: a message that is set aside explains it.
    Explained,
}

/// What follows the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequel {
    /// The next start, after this time.
    Start {
        /// How long after the end.
        after: Duration,
        /// Why so.
        why: WaitReason,
    },
    /// The next start, as soon as nothing is left of the process.
    StartWhenGone,
    /// The next start, as soon as the host has what it lacks.
    StartWhenAble,
    /// None: it was to stop.
    Stopped,
    /// None: the policy asks for no other.
    Finished,
    /// None: another attempt would fail as well.
    Failed,
    /// None: the last allowed try failed.
    GaveUp,
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub instance: Box<str>,
    /// What it was for.
    pub role: Role,
    /// What the end counts as.
    pub class: ExitClass,
    /// What ended it.
    pub by: EndedBy,
    /// Why, in one clause.
    pub reason: Box<str>,
    /// From its start to its end.
    pub lived: Duration,
    /// How long it had been ready.
    pub ready_for: Option<Duration>,
    /// Whether the end counts for what follows.
    pub counted: Counted,
    /// The settings by which the host ended it.
    pub ended_rules: Vec<AppliedRule>,
    /// What was decided.
    pub sequel: Sequel,
    /// The settings by which that was decided.
    pub sequel_rules: Vec<AppliedRule>,
    /// The host's number for the specification that it ran by.
    pub generation: u64,
}

/// What happened to one module.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    entries: VecDeque<Happening>,
    /// What the entries hold beside themselves.
    bytes: usize,
    dropped: u64,
}

impl Chronicle {
    pub(crate) fn push(&mut self, at: Time, what: What) {
        let happening = Happening { at, what };
        let bytes = happening.held_bytes();
        while self.entries.len() == CHRONICLE_ENTRIES_MAX
            || !self.entries.is_empty() && self.held_bytes() + bytes > CHRONICLE_BYTES_MAX
        {
            let oldest = self.entries.pop_front().expect("it is not empty");
            self.bytes -= oldest.held_bytes();
            self.dropped += 1;
        }
        self.bytes += bytes;
        self.entries.push_back(happening);
    }

    /// What is kept, the oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Happening> {
        self.entries.iter()
    }

    /// How many are not kept any more.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl HeldBytes for Chronicle {
    fn held_bytes(&self) -> usize {
        allocation(CHRONICLE_ENTRIES_MAX * size_of::<Happening>()) + self.bytes
    }
}

impl HeldBytes for Happening {
    fn held_bytes(&self) -> usize {
        let rules = |rules: &Vec<AppliedRule>| allocation(rules.capacity() * size_of::<AppliedRule>());
        match &self.what {
            What::Known(_) | What::Ordered { by: Orderer::Client | Orderer::Host, .. } => 0,
            What::Ordered { by: Orderer::Module(name), .. } => allocation(name.as_str().len() + 2 * size_of::<usize>()),
            What::TookOver { instance } => instance.held_bytes(),
            What::PutOff { rules: applied, .. } => rules(applied),
            What::Ended(ended) => {
                let texts = ended.instance.held_bytes() + ended.reason.held_bytes();
                allocation(size_of::<Ended>()) + texts + rules(&ended.ended_rules) + rules(&ended.sequel_rules)
            }
        }
    }
}

/// An end, as it is known when what follows it was decided.
pub(crate) struct EndOf<'a> {
    pub(crate) run: RunId,
    pub(crate) class: ExitClass,
    pub(crate) reason: &'a str,
    pub(crate) exit: Option<&'a Exit>,
    pub(crate) counted: Counted,
    pub(crate) next: &'a Vacancy,
}

impl Core {
    /// Notes what happened to a module.
    pub(crate) fn chronicle(&mut self, at: Time, id: ModuleId, what: What) {
        if let Some(module) = self.modules.get_mut(id) {
            module.chronicle.push(at, what);
        }
    }

    /// Notes an order.
    pub(crate) fn chronicle_order(&mut self, at: Time, id: ModuleId, order: Order, who: Option<Recipient>) {
        let by = match who.map(|who| who.caller) {
            None => Orderer::Host,
            Some(Caller::Client(_)) => Orderer::Client,
            Some(Caller::Run(run)) => self.module_of(run).map_or(Orderer::Host, |name| Orderer::Module(name.clone())),
        };
        self.chronicle(at, id, What::Ordered { order, by });
    }

    /// Notes the end of a process. One that was never started, as the host lacks something, has not ended: the state
    /// shows it.
    pub(crate) fn chronicle_end(&mut self, now: Time, end: &EndOf<'_>) {
        if (end.class, end.exit) == (ExitClass::Lost, None) {
            return;
        }
        let run = &self.runs[&end.run];
        let (module_id, slot_id, spec) = (run.module, run.slot, run.spec.clone());
        let applied = |rules: Vec<Rule>| -> Vec<AppliedRule> {
            rules.into_iter().map(|rule| rule.applied(&spec, &self.settings)).collect()
        };
        let cut = end.reason.floor_char_boundary(CHRONICLE_REASON_BYTES_MAX);
        let ended = Ended {
            instance: run.instance.as_str().into(),
            role: self.modules[module_id].slots.role(slot_id),
            class: end.class,
            by: ended_by(run.cause.as_ref(), run.stopped_for, end.exit),
            reason: end.reason[..cut].into(),
            lived: now.since(run.started),
            ready_for: run.ready_for(),
            counted: end.counted,
            ended_rules: applied(rules_of_cause(run.cause.as_ref(), run.escalation.rules())),
            sequel: sequel(now, end.next),
            sequel_rules: applied(self.rules_of_sequel(module_id, slot_id, end.next)),
            generation: spec.generation,
        };
        self.chronicle(now, module_id, What::Ended(Box::new(ended)));
    }

    fn rules_of_sequel(&self, id: ModuleId, slot_id: SlotId, next: &Vacancy) -> Vec<Rule> {
        match next {
            Vacancy::Waiting { why: WaitReason::Backoff { .. } | WaitReason::CrashLoop { .. }, .. }
            | Vacancy::GaveUp(_) => {
                let slot = self.modules[id].slots.get(slot_id);
                slot.map(|slot| slot.restart.decided_by().to_vec()).unwrap_or_default()
            }
            Vacancy::Waiting { why: WaitReason::Left, .. } | Vacancy::Finished(_) => vec![Rule::Policy],
            Vacancy::Waiting { why: WaitReason::HostLimit, .. } => vec![Rule::RestartsPerSecond, Rule::RestartsBurst],
            Vacancy::Waiting { why: WaitReason::HostPart, .. }
            | Vacancy::Stopped
            | Vacancy::Failed(_)
            | Vacancy::Requires(_)
            | Vacancy::Ordered
            | Vacancy::Lacking(_)
            | Vacancy::NoRoom(_)
            | Vacancy::AwaitsPermit(_) => Vec::new(),
        }
    }
}

fn ended_by(cause: Option<&Cause>, stopped_for: Option<StopReason>, exit: Option<&Exit>) -> EndedBy {
    match (cause, exit) {
        (None, Some(Exit::Code(_))) => EndedBy::Exit,
        (None, Some(Exit::Signal(_))) => EndedBy::Signal,
        (None, None) => EndedBy::NotStarted,
        (Some(Cause::Stop), _) => match stopped_for {
            Some(StopReason::Order) => EndedBy::Operator,
            Some(StopReason::Configuration) => EndedBy::Config,
            Some(StopReason::NotNeeded | StopReason::HostEnds) | None => EndedBy::Host,
        },
        (Some(Cause::StartTimeout(_) | Cause::InitFailed(_) | Cause::WrongProtocol(_)), _) => EndedBy::Init,
        (Some(Cause::CompileTimeout(_)), _) => EndedBy::Compile,
        (Some(Cause::Hung(Silence::Idle, _)), _) => EndedBy::Ping,
        (Some(Cause::Hung(Silence::Busy, _)), _) => EndedBy::Deadline,
        (Some(Cause::Violation(_)), _) => EndedBy::Protocol,
        (Some(Cause::CpuTime(_)), _) => EndedBy::CpuTime,
        (Some(Cause::GuardianLost), _) => EndedBy::HostPart,
    }
}

/// The settings by which the host ends a process for a cause.
fn rules_of_cause(cause: Option<&Cause>, escalation: &'static [Rule]) -> Vec<Rule> {
    match cause {
        Some(Cause::StartTimeout(_)) => vec![Rule::StartTimeout],
        Some(Cause::CompileTimeout(_)) => vec![Rule::CompileTimeout],
        Some(Cause::Hung(Silence::Idle, _)) => vec![Rule::PingMisses, Rule::PingTimeout],
        Some(Cause::Hung(Silence::Busy, _)) => vec![Rule::CancelGrace],
        Some(Cause::CpuTime(_)) => vec![Rule::CpuTimeLimit],
        Some(Cause::Stop) => escalation.to_vec(),
        Some(Cause::InitFailed(_) | Cause::WrongProtocol(_) | Cause::Violation(_) | Cause::GuardianLost) | None => {
            Vec::new()
        }
    }
}

fn sequel(now: Time, next: &Vacancy) -> Sequel {
    match next {
        Vacancy::Waiting { until, why } => Sequel::Start { after: until.since(now), why: *why },
        Vacancy::Ordered | Vacancy::Requires(_) | Vacancy::NoRoom(_) | Vacancy::AwaitsPermit(_) => {
            Sequel::StartWhenGone
        }
        Vacancy::Lacking(_) => Sequel::StartWhenAble,
        Vacancy::Stopped => Sequel::Stopped,
        Vacancy::Finished(_) => Sequel::Finished,
        Vacancy::Failed(_) => Sequel::Failed,
        Vacancy::GaveUp(_) => Sequel::GaveUp,
    }
}

impl Order {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Order::Start => "start",
            Order::Stop => "stop",
            Order::Restart => "restart",
            Order::Reload => "reload",
            Order::Remove => "remove",
        }
    }
}

impl EndedBy {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            EndedBy::Exit => "exit",
            EndedBy::Signal => "signal",
            EndedBy::NotStarted => "not_started",
            EndedBy::Init => "init",
            EndedBy::Compile => "compile",
            EndedBy::Ping => "ping",
            EndedBy::Deadline => "deadline",
            EndedBy::Protocol => "protocol",
            EndedBy::CpuTime => "cpu_time",
            EndedBy::Operator => "operator",
            EndedBy::Config => "config",
            EndedBy::Host => "host",
            EndedBy::HostPart => "host_part",
        }
    }
}

impl Counted {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Counted::Yes => "yes",
            Counted::NoFailure => "no_failure",
            Counted::Explained => "explained",
        }
    }
}

impl Sequel {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Sequel::Start { .. } => "start",
            Sequel::StartWhenGone => "start_when_gone",
            Sequel::StartWhenAble => "start_when_able",
            Sequel::Stopped => "stopped",
            Sequel::Finished => "finished",
            Sequel::Failed => "failed",
            Sequel::GaveUp => "gave_up",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(reason: usize) -> What {
        What::Ended(Box::new(Ended {
            instance: "m#1".into(),
            role: Role::Active,
            class: ExitClass::Failure,
            by: EndedBy::Signal,
            reason: "x".repeat(reason).into(),
            lived: Duration::ZERO,
            ready_for: None,
            counted: Counted::Yes,
            ended_rules: Vec::new(),
            sequel: Sequel::Failed,
            sequel_rules: Vec::new(),
            generation: 1,
        }))
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room_and_are_counted() {
        let mut chronicle = Chronicle::default();
        for number in 0..1000 {
            chronicle.push(Time::from_millis(number), ended(CHRONICLE_REASON_BYTES_MAX));
            assert!(chronicle.held_bytes() <= CHRONICLE_BYTES_MAX, "{}", chronicle.held_bytes());
        }
        let kept: Vec<u64> = chronicle.entries().map(|entry| entry.at.as_micros() / 1000).collect();
        assert_eq!(*kept.last().unwrap(), 999);
        assert_eq!(chronicle.dropped(), 1000 - kept.len() as u64);
        assert!(kept.len() >= 5, "{kept:?}");
    }

    #[test]
    fn short_entries_are_bounded_in_number() {
        let mut chronicle = Chronicle::default();
        for number in 0..1000 {
            let what = What::Ordered { order: Order::Start, by: Orderer::Client };
            chronicle.push(Time::from_millis(number), what);
        }
        assert_eq!(chronicle.entries().count(), CHRONICLE_ENTRIES_MAX);
        assert!(chronicle.entries.capacity() <= CHRONICLE_ENTRIES_MAX.next_power_of_two());
    }
}
