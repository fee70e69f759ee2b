//! How a message ended now, beside how it ended in the record.

use super::record::End;
use crate::columns::shortened;
use crate::output::printable;
use bulkhead_protocol::{Delivery, ErrorCode, Exit, Failure, Status};
use serde::Serialize;

/// Columns of a sentence that is quoted.
const SENTENCE_WIDTH: usize = 200;

/// How the two ends compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Comparison {
    /// It ended as in the record.
    Same,
    /// It ended in another way.
    Another,
    /// The answer is that of the record; whether the process ended after it, no answer says.
    SameAnswer,
}

/// How a message ended.
enum Now<'a> {
    Success,
    /// The process ended while it had the message.
    Crash(&'a Failure),
    /// The process did not answer it in time.
    Silent(&'a Failure),
    /// It was answered with an error, by the module or by the host.
    Error(&'a Failure),
}

fn now(status: &Status) -> Now<'_> {
    match status {
        Status::Success(_) | Status::Progress(_) => Now::Success,
        Status::Error(failure) if failure.delivery == Some(Delivery::NotStarted) => Now::Error(failure),
        Status::Error(failure) => match failure.code {
            ErrorCode::ModuleCrashed | ErrorCode::Quarantined => Now::Crash(failure),
            ErrorCode::DeadlineExceeded => Now::Silent(failure),
            _ => Now::Error(failure),
        },
    }
}

/// Whether the message ended a process.
pub(super) fn is_crash(status: &Status) -> bool {
    matches!(now(status), Now::Crash(_))
}

/// Compares an answer with the end that a record has.
pub(super) fn compare(recorded: &End, status: &Status) -> Comparison {
    let is_same = match (now(status), &recorded.answered) {
        (Now::Success, Some(answered)) if answered == "success" => return Comparison::SameAnswer,
        (Now::Error(failure), Some(answered)) => failure.error == *answered,
        (Now::Crash(failure), None) => {
            recorded.exit.is_some() && failure.exit == recorded.exit && failure.error.contains(kind(&recorded.reason))
        }
        // A process that hangs is killed some time after the deadline of its caller.
        (Now::Silent(_), None) => kind(&recorded.reason) == "hung",
        (Now::Success, _) | (Now::Crash(_) | Now::Silent(_), Some(_)) | (Now::Error(_), None) => false,
    };
    if is_same { Comparison::Same } else { Comparison::Another }
}

/// What a reason begins with; what follows differs from one time to the next.
fn kind(reason: &str) -> &str {
    reason.split([':', ',', ';', '(']).next().unwrap_or_default().trim_end()
}

/// Where the record is of a crash that comes after the answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Records<'a> {
    /// Among those of this module.
    Of(&'a str),
    /// It went with its host.
    Gone,
}

/// The comparison as a line for a person.
pub(super) fn sentence(recorded: &End, status: &Status, records: Records<'_>) -> String {
    let found = match now(status) {
        Now::Success => "it was answered with success".to_owned(),
        Now::Crash(failure) | Now::Silent(failure) => quoted(&failure.error),
        Now::Error(failure) => {
            let code = failure.module_code.as_deref().unwrap_or(failure.code.name());
            format!("it was answered with {}: {}", printable(code), quoted(&failure.error))
        }
    };
    match compare(recorded, status) {
        Comparison::Same => format!("same end: {}", same(recorded)),
        Comparison::Another => format!("another end: the record has {}; now {found}", in_words(recorded)),
        Comparison::SameAnswer => match records {
            Records::Of(module) => format!(
                "same answer: success; `bulkhead crashes {}` shows whether its process ended after it as well",
                printable(module)
            ),
            Records::Gone => "same answer: success; whether its process ended after it as well is not looked at".into(),
        },
    }
}

fn same(recorded: &End) -> String {
    match (&recorded.answered, &recorded.exit) {
        (Some(_), _) | (None, None) => in_words(recorded),
        (None, Some(_)) if kind(&recorded.reason) == "hung" => "no answer before the deadline".into(),
        (None, Some(exit)) => end_of_process(exit),
    }
}

/// An end that a record has.
fn in_words(End { reason, exit, answered }: &End) -> String {
    match (answered, exit) {
        (Some(answered), _) => format!("the last answer {:?}", shortened(answered, SENTENCE_WIDTH)),
        (None, Some(exit)) if reason.is_empty() => end_of_process(exit),
        (None, None) if reason.is_empty() => "no end".into(),
        (None, _) => quoted(reason),
    }
}

/// A signal with its number, as shells and manuals have it.
fn end_of_process(exit: &Exit) -> String {
    match exit {
        Exit::Signal(name) => match name.parse::<nix::sys::signal::Signal>() {
            Ok(signal) => format!("signal {} ({name})", signal as i32),
            Err(_) => printable(name),
        },
        Exit::Code(_) => exit.to_string(),
    }
}

fn quoted(text: &str) -> String {
    shortened(&printable(text), SENTENCE_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Json;

    fn recorded(reason: &str, exit: Exit, answered: Option<&str>) -> End {
        End { reason: reason.into(), exit: Some(exit), answered: answered.map(str::to_owned) }
    }

    fn segv() -> Exit {
        Exit::Signal("SIGSEGV".into())
    }

    fn crash(code: ErrorCode, exit: Exit, sentence: &str) -> Status {
        let mut failure = Failure::new(code, sentence).delivery(Delivery::Started);
        failure.exit = Some(exit);
        failure.into()
    }

    fn error(code: ErrorCode, sentence: &str) -> Status {
        Failure::new(code, sentence).into()
    }

    #[test]
    fn an_end_is_the_same_if_exit_and_kind_of_reason_are() {
        let while_in_progress = "m crashed (SIGSEGV) while this request was in progress";
        let kill = || Exit::Signal("SIGKILL".into());
        let violation = "protocol violation: a frame of 0 bytes";
        let silent = || Status::from(Failure::new(ErrorCode::DeadlineExceeded, "late").delivery(Delivery::Started));
        for (end, status, expected) in [
            (
                recorded("SIGSEGV", segv(), None),
                crash(ErrorCode::ModuleCrashed, segv(), while_in_progress),
                Comparison::Same,
            ),
            (
                recorded("SIGSEGV", segv(), None),
                crash(ErrorCode::Quarantined, segv(), "m crashed twice (the last time: SIGSEGV)"),
                Comparison::Same,
            ),
            (
                recorded("SIGSEGV", segv(), None),
                crash(ErrorCode::ModuleCrashed, Exit::Code(3), "m crashed (exit code 3)"),
                Comparison::Another,
            ),
            (recorded("SIGSEGV", segv(), None), Status::Success(Json::null()), Comparison::Another),
            (recorded("SIGSEGV", segv(), None), error(ErrorCode::ModuleError, "SIGSEGV"), Comparison::Another),
            (
                recorded(violation, kill(), None),
                crash(ErrorCode::ModuleCrashed, kill(), "m crashed (SIGKILL)"),
                Comparison::Another,
            ),
            (
                recorded(violation, kill(), None),
                crash(ErrorCode::ModuleCrashed, kill(), "m crashed (protocol violation: text)"),
                Comparison::Same,
            ),
            (recorded("hung: no answer", kill(), None), silent(), Comparison::Same),
            (recorded("SIGKILL", kill(), None), silent(), Comparison::Another),
            (
                recorded("exit code 101", Exit::Code(101), Some("no ink")),
                error(ErrorCode::ModuleError, "no ink"),
                Comparison::Same,
            ),
            (
                recorded("exit code 101", Exit::Code(101), Some("no ink")),
                error(ErrorCode::ModuleError, "no pen"),
                Comparison::Another,
            ),
            (
                recorded("exit code 3", Exit::Code(3), Some("success")),
                Status::Success(Json::null()),
                Comparison::SameAnswer,
            ),
        ] {
            assert_eq!(compare(&end, &status), expected, "{end:?} {status:?}");
        }
        let unknown = End { reason: "SIGSEGV".into(), ..End::default() };
        let no_exit = Failure::new(ErrorCode::ModuleCrashed, "SIGSEGV").delivery(Delivery::Started);
        assert_eq!(
            compare(&unknown, &no_exit.into()),
            Comparison::Another,
            "two ends that are not known are not the same"
        );
    }

    #[test]
    fn only_an_end_with_the_message_in_hand_is_its_crash() {
        let failure = |delivery| Status::from(Failure::new(ErrorCode::ModuleCrashed, "m crashed").delivery(delivery));
        assert!(is_crash(&failure(Delivery::Started)) && is_crash(&failure(Delivery::Unknown)));
        assert!(!is_crash(&failure(Delivery::NotStarted)) && !is_crash(&error(ErrorCode::ModuleError, "no ink")));
    }

    #[test]
    fn a_line_has_both_ends() {
        let end = recorded("SIGSEGV", segv(), None);
        let line = |status: &Status| sentence(&end, status, Records::Of("m"));
        let again = crash(ErrorCode::ModuleCrashed, segv(), "m crashed (SIGSEGV)");
        assert_eq!(line(&again), "same end: signal 11 (SIGSEGV)");
        let success = Status::Success(Json::null());
        assert_eq!(line(&success), "another end: the record has SIGSEGV; now it was answered with success");
        let other = crash(ErrorCode::ModuleCrashed, Exit::Code(3), "m crashed (exit code 3)");
        assert_eq!(line(&other), "another end: the record has SIGSEGV; now m crashed (exit code 3)");
        let expected = "another end: the record has SIGSEGV; now it was answered with module_error: no ink";
        assert_eq!(line(&error(ErrorCode::ModuleError, "no ink")), expected);
        let panic = recorded("exit code 101", Exit::Code(101), Some("no ink"));
        let found = sentence(&panic, &error(ErrorCode::ModuleError, "no ink"), Records::Of("m"));
        assert_eq!(found, "same end: the last answer \"no ink\"");
        let left = recorded("exit code 3", Exit::Code(3), Some("success"));
        assert!(sentence(&left, &success, Records::Of("m")).contains("`bulkhead crashes m` shows whether"));
        assert!(!sentence(&left, &success, Records::Gone).contains("bulkhead crashes"));
    }
}
