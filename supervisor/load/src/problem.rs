//! Why a program ends before its time, and the exit codes, which are those of `bulkhead`.

use bulkhead_client::{ClientError, ConnectError};
use bulkhead_command_line::BadArgument;
use bulkhead_config::Problems;
use bulkhead_protocol::{ErrorCode, Failure, escape};
use std::fmt;

/// All went well.
pub(crate) const DONE: u8 = 0;
/// A call failed, or a promise was broken.
pub(crate) const FAILED: u8 = 1;
/// The command line does not check.
pub(crate) const USAGE: u8 = 2;
/// The module is not running.
const NOT_RUNNING: u8 = 3;
/// There is no such module.
const UNKNOWN_MODULE: u8 = 4;
/// A deadline passed.
const DEADLINE: u8 = 124;
/// The daemon cannot be reached, or went away.
pub(crate) const UNREACHABLE: u8 = 125;
/// What the number of a signal is added to.
const SIGNALLED: u8 = 128;

/// A sentence for a person, with an exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl Problem {
    /// The command line does not check.
    pub(crate) fn usage(text: impl Into<String>) -> Problem {
        Problem { text: text.into(), code: USAGE }
    }

    /// Something that normally works failed.
    pub(crate) fn failed(text: impl Into<String>) -> Problem {
        Problem { text: text.into(), code: FAILED }
    }

    /// The module did not become ready in time, for this reason.
    pub(crate) fn not_ready(module: &str, reason: &Problem) -> Problem {
        match reason.code {
            DEADLINE => Problem {
                text: format!("{reason}: it was not ready within --timeout; `bulkhead start {module}` starts it"),
                code: NOT_RUNNING,
            },
            _ => reason.clone(),
        }
    }

    /// The answer to a request about `subject` is an error.
    pub(crate) fn of_failure(subject: &str, failure: &Failure) -> Problem {
        let sentence = escape(&failure.error);
        let names_it = sentence.strip_prefix(subject).is_some_and(|rest| rest.starts_with([' ', ',', ':', '\'']));
        let text = if names_it { sentence.into_owned() } else { format!("{subject}: {sentence}") };
        Problem { text: format!("{text} ({})", failure.code), code: code_of(failure.code) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<BadArgument> for Problem {
    fn from(fault: BadArgument) -> Problem {
        Problem::usage(fault.to_string())
    }
}

impl From<Problems> for Problem {
    fn from(problems: Problems) -> Problem {
        Problem::usage(problems.to_string())
    }
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Problem {
        Problem { text: error.to_string(), code: UNREACHABLE }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Problem {
        let code = match error {
            ClientError::TooLarge(_) => FAILED,
            ClientError::TimedOut => DEADLINE,
            ClientError::Closed
            | ClientError::Broken(_)
            | ClientError::Frame(_)
            | ClientError::Message(_)
            | ClientError::Refused(_)
            | ClientError::Unreachable(_) => UNREACHABLE,
        };
        Problem { text: escape(&error.to_string()).into_owned(), code }
    }
}

/// The exit code of a program that a signal ended.
pub(crate) fn signalled(signal: nix::sys::signal::Signal) -> u8 {
    SIGNALLED.saturating_add(u8::try_from(signal as i32).unwrap_or_default())
}

fn code_of(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::UnknownModule => UNKNOWN_MODULE,
        ErrorCode::ModuleUnavailable => NOT_RUNNING,
        ErrorCode::DeadlineExceeded => DEADLINE,
        ErrorCode::BadRequest
        | ErrorCode::UnknownType
        | ErrorCode::UnknownCommand
        | ErrorCode::ModuleError
        | ErrorCode::ModuleCrashed
        | ErrorCode::Cancelled
        | ErrorCode::Overloaded
        | ErrorCode::FrameTooLarge
        | ErrorCode::ProtocolError
        | ErrorCode::PermissionDenied
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::Quarantined
        | ErrorCode::Internal => FAILED,
    }
}
