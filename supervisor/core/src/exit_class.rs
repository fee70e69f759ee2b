//! Why a process ended and which class of exit that was: the table by which restarts are decided.

use crate::{action::MemoryKill, rule::Rule};
use bulkhead_protocol::{Exit, exit_code};
use std::{fmt, time::Duration};

/// Why the host ended a process. A process that ended by itself has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A person, a reload or the host's own end asked for it: never a crash.
    Stop,
    /// No answer to `init` in time.
    StartTimeout(Duration),
    /// Not compiled in time.
    CompileTimeout(Duration),
    /// `init` was answered with an error.
    InitFailed(String),
    /// The module speaks another version of the wire.
    WrongProtocol(u32),
    /// No answer and no sign of life, or no end of a request.
    Hung(Silence, String),
    /// What came over its channel is not the protocol.
    Violation(String),
    /// One message cost more CPU time than the manifest allows.
    CpuTime(Duration),
    /// The guardian is gone, and every process with it.
    GuardianLost,
}

/// What a process was doing when it counted as hung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It had nothing to do, and left pings unanswered.
    Idle,
    /// It was not done with a request.
    Busy,
}

/// How far a stop had to go before the process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Escalation {
    /// It was asked.
    #[default]
    None,
    /// It did not end in time, and was sent SIGTERM.
    Terminated,
    /// That did not end it in time either, and it was sent SIGKILL.
    Killed,
}

impl Escalation {
    /// The settings by which it went so far.
    pub(crate) fn rules(self) -> &'static [Rule] {
        match self {
            Escalation::None => &[],
            Escalation::Terminated => &[Rule::StopTimeout],
            Escalation::Killed => &[Rule::StopTimeout, Rule::TermTimeout],
        }
    }
}

/// What is reported of a stop that took more than asking; `None` where it did not. The times are those
/// that the process had for each step.
pub(crate) fn describe_escalation(
    escalation: Escalation,
    exit: &Exit,
    drain: Duration,
    term: Duration,
) -> Option<String> {
    let as_configured = match escalation {
        Escalation::None => true,
        // No time to finish, and none to end, is what the manifest asks for.
        Escalation::Terminated => drain.is_zero(),
        Escalation::Killed => drain.is_zero() && term.is_zero(),
    };
    if as_configured {
        return None;
    }
    let late = format!("as it did not end within {drain:?} of shutdown (limits.stop_timeout)");
    Some(match (escalation, exit) {
        (Escalation::Killed, Exit::Signal(signal)) if signal == "SIGKILL" => format!(
            "stopped, and had to be killed: it ended neither within {drain:?} of shutdown (limits.stop_timeout) nor \
             within {term:?} of SIGTERM (limits.term_timeout)"
        ),
        // It may end just as the last signal is on its way.
        (_, Exit::Signal(signal)) if signal == "SIGTERM" => format!("stopped by SIGTERM, {late}"),
        (_, exit) => format!("stopped after SIGTERM ({exit}), {late}"),
    })
}

/// How the core classes an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitClass {
    /// It was asked to end.
    Commanded,
    /// It ended by itself, with nothing left undone.
    Clean,
    /// It failed and may be tried again.
    Failure,
    /// Another attempt would fail as well.
    Permanent,
    /// A part of the host failed and ended it with it, or kept it from starting: that is not counted.
    Lost,
}

/// The exit code by which a module says that another attempt would fail as well, as an exit has it.
const EXIT_PERMANENT: i32 = exit_code::EXIT_PERMANENT as i32;

/// How far a process had come when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It had not answered `init`.
    NotReady,
    /// It was ready and had answered all that it had begun.
    Idle,
    /// It was ready and left requests unanswered.
    Busy,
}

/// Classifies an exit.
pub(crate) fn classify(cause: Option<&Cause>, exit: &Exit, stage: Stage) -> ExitClass {
    match (cause, exit) {
        (Some(Cause::Stop), _) => ExitClass::Commanded,
        (Some(Cause::WrongProtocol(_)), _) => ExitClass::Permanent,
        (Some(Cause::GuardianLost), _) => ExitClass::Lost,
        (Some(Cause::InitFailed(_)) | None, Exit::Code(EXIT_PERMANENT)) => ExitClass::Permanent,
        (None, Exit::Code(0)) if stage == Stage::Idle => ExitClass::Clean,
        (
            Some(
                Cause::StartTimeout(_)
                | Cause::CompileTimeout(_)
                | Cause::InitFailed(_)
                | Cause::Hung(..)
                | Cause::Violation(_)
                | Cause::CpuTime(_),
            )
            | None,
            Exit::Code(_) | Exit::Signal(_),
        ) => ExitClass::Failure,
    }
}

/// Says in one clause how and why a process ended, for people.
pub(crate) fn describe(cause: Option<&Cause>, exit: &Exit, stage: Stage) -> String {
    match (cause, exit) {
        (None, Exit::Code(0)) if stage == Stage::NotReady => "exit code 0 before it was ready".into(),
        (None, Exit::Code(0)) if stage == Stage::Busy => "exit code 0 with requests unanswered".into(),
        (None, Exit::Code(EXIT_PERMANENT)) => format!("exit code {EXIT_PERMANENT}: it asks not to be tried again"),
        (None, exit) => match (meaning(exit), stage != Stage::NotReady) {
            (Some(meaning), true) => format!("{exit}, {meaning}"),
            (Some(meaning), false) => format!("{exit}, {meaning}, before it was ready"),
            (None, true) => exit.to_string(),
            (None, false) => format!("{exit} before it was ready"),
        },
        (Some(cause), Exit::Code(code)) => format!("{cause} (exit code {code})"),
        (Some(cause), Exit::Signal(_)) => cause.to_string(),
    }
}

/// Says that the kernel ended a process, to be appended to how it ended.
pub(crate) fn by_memory_killer(kill: MemoryKill) -> &'static str {
    match kill {
        MemoryKill::Certain => ": the kernel's memory killer took it, as the memory of its control group ran out",
        MemoryKill::Probable => ": probably the kernel's memory killer took it, as memory ran out at that time",
    }
}

/// What a runtime of modules means by its exit code.
fn meaning(exit: &Exit) -> Option<&'static str> {
    match exit {
        Exit::Code(code) => exit_code::meaning(*code),
        Exit::Signal(_) => None,
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Stop => f.write_str("stopped"),
            Cause::StartTimeout(limit) => write!(f, "not ready within {limit:?}"),
            Cause::CompileTimeout(limit) => {
                write!(f, "not compiled within {limit:?}, which is its limits.compile_timeout")
            }
            Cause::InitFailed(reason) => write!(f, "init failed: {reason}"),
            Cause::WrongProtocol(found) => {
                write!(f, "wrong protocol version: expected {}, found {found}", bulkhead_protocol::PROTOCOL_VERSION)
            }
            Cause::Hung(_, evidence) => write!(f, "hung: {evidence}"),
            Cause::Violation(what) => write!(f, "protocol violation: {what}"),
            Cause::CpuTime(limit) => write!(f, "one message cost more than {limit:?} of CPU time"),
            Cause::GuardianLost => f.write_str("the guardian process ended, and its modules with it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_of_zero_is_clean_only_when_nothing_was_left_undone() {
        let zero = Exit::Code(0);
        assert_eq!(classify(None, &zero, Stage::Idle), ExitClass::Clean);
        assert_eq!(classify(None, &zero, Stage::Busy), ExitClass::Failure);
        assert_eq!(classify(None, &zero, Stage::NotReady), ExitClass::Failure);
    }

    #[test]
    fn a_commanded_stop_is_never_a_crash_however_it_ends() {
        for exit in [Exit::Code(0), Exit::Code(1), Exit::Code(125), Exit::Signal("SIGKILL".into())] {
            for stage in [Stage::NotReady, Stage::Idle, Stage::Busy] {
                assert_eq!(classify(Some(&Cause::Stop), &exit, stage), ExitClass::Commanded);
            }
        }
    }

    #[test]
    fn the_codes_of_the_runtimes_are_explained_in_words() {
        let code = |code, stage| describe(None, &Exit::Code(code), stage);
        assert_eq!(code(101, Stage::Busy), "exit code 101, the code of a panic");
        assert_eq!(code(102, Stage::Busy), "exit code 102, the runtime's code of a trap");
        assert_eq!(
            code(103, Stage::NotReady),
            "exit code 103, the runtime's code of a limit that was passed, before it was ready"
        );
        assert_eq!(code(104, Stage::NotReady), "exit code 104 before it was ready");
        assert_eq!(code(1, Stage::Busy), "exit code 1");
        assert_eq!(code(125, Stage::Busy), "exit code 125: it asks not to be tried again");
        assert_eq!(describe(Some(&Cause::Stop), &Exit::Code(101), Stage::Busy), "stopped (exit code 101)");
    }

    #[test]
    fn a_stop_that_took_more_than_asking_says_how_far_it_went() {
        let (second, zero) = (Duration::from_secs(1), Duration::ZERO);
        let killed = Exit::Signal("SIGKILL".into());
        let said = |escalation, exit: &Exit, drain, term| describe_escalation(escalation, exit, drain, term);
        assert_eq!(said(Escalation::None, &Exit::Code(0), second, second), None);
        assert!(said(Escalation::Killed, &killed, second, second).unwrap().contains("had to be killed"));
        assert!(
            said(Escalation::Terminated, &Exit::Signal("SIGTERM".into()), second, second)
                .unwrap()
                .starts_with("stopped by SIGTERM, ")
        );
        assert!(
            said(Escalation::Killed, &Exit::Code(3), second, second)
                .unwrap()
                .starts_with("stopped after SIGTERM (exit code 3), ")
        );
        assert_eq!(said(Escalation::Terminated, &Exit::Code(0), zero, second), None);
        assert_eq!(said(Escalation::Killed, &killed, zero, zero), None);
        assert!(said(Escalation::Killed, &killed, zero, second).is_some());
    }

    #[test]
    fn only_125_and_a_wrong_version_are_permanent() {
        assert_eq!(classify(None, &Exit::Code(125), Stage::NotReady), ExitClass::Permanent);
        assert_eq!(classify(None, &Exit::Code(124), Stage::Idle), ExitClass::Failure);
        let killed = Exit::Signal("SIGKILL".into());
        assert_eq!(classify(Some(&Cause::WrongProtocol(2)), &killed, Stage::NotReady), ExitClass::Permanent);
        assert_eq!(
            classify(Some(&Cause::Hung(Silence::Busy, String::new())), &killed, Stage::Busy),
            ExitClass::Failure
        );
    }
}
