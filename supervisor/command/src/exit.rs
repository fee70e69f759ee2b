//! How the command ends: the only file that decides exit codes. What is printed is decided elsewhere.

use bulkhead_client::{ClientError, ConnectError};
use bulkhead_command_line::BadArgument;
use bulkhead_protocol::{ErrorCode, Failure, Response, Status};
use std::{io, process::ExitCode};

/// How a command ended. The table is part of the documentation (`bulkhead --help`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done; the condition holds.
    Done,
    /// The module answered with an error, or the operation failed.
    Failed,
    /// The command line, or a file, does not check.
    Usage,
    /// The module is not running.
    NotRunning,
    /// No such module.
    UnknownModule,
    /// The deadline passed.
    Deadline,
    /// The daemon cannot be reached, or went away.
    Unreachable,
    /// A signal asked the command to stop.
    Interrupted(i32),
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotRunning => 3,
            Exit::UnknownModule => 4,
            Exit::Deadline => 124,
            Exit::Unreachable => 125,
            Exit::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Exit {
        match code {
            ErrorCode::UnknownModule => Exit::UnknownModule,
            ErrorCode::ModuleUnavailable => Exit::NotRunning,
            ErrorCode::DeadlineExceeded => Exit::Deadline,
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
            | ErrorCode::Internal => Exit::Failed,
        }
    }
}

/// Why a command ends early. Its text is for a person; the program's name is added by `main`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    /// The reader of standard output went away, as `head` does: no fault, and nothing is printed.
    #[error("the reader of standard output went away")]
    ReaderGone,
    /// Standard output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
    /// A system call that normally works failed.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The kernel's error.
        error: io::Error,
    },
    /// What was asked for on the command line, or in a file, does not check.
    #[error("{0}")]
    Usage(String),
    /// The operation failed; the text is complete.
    #[error("{0}")]
    Failed(String),
    /// The request was answered with an error.
    #[error("{}", crate::failure::explain(.subject, .failure, .log))]
    Answered {
        /// The module, or what else the request was for.
        subject: String,
        /// The answer.
        failure: Box<Failure>,
        /// What the module printed last, where that says more.
        log: Vec<String>,
    },
    /// The commands of a module are not known yet.
    #[error("the commands of {0} are not known, since it has not been ready yet; `bulkhead status {0}` says why")]
    NeverReady(String),
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is no connection, and the operation can be done without one.
    #[error("{0}; or name the data's state directory with --state DIR")]
    NoHost(ConnectError),
    /// There is no connection, and what an earlier daemon has left is in files.
    #[error("{error}; log files and records of crashes of an earlier daemon are in {location}")]
    NoHostForRecords {
        /// Why there is none.
        error: ConnectError,
        /// Where the files are.
        location: String,
    },
    /// A signal came before anything was finished.
    #[error("interrupted: {left}")]
    Stopped {
        /// The number of the signal.
        signal: i32,
        /// What became of it.
        left: &'static str,
    },
    /// The connection gave no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A signal came, and perhaps the answer.
    #[error("interrupted: {}", interrupted(.answer))]
    Interrupted {
        /// The number of the signal.
        signal: i32,
        /// The answer to the cancelled request.
        answer: Option<Box<Response>>,
    },
}

impl From<BadArgument> for Halt {
    fn from(fault: BadArgument) -> Halt {
        Halt::Usage(fault.to_string())
    }
}

impl Halt {
    /// An error of writing standard output.
    pub(crate) fn output(error: io::Error) -> Halt {
        if error.kind() == io::ErrorKind::BrokenPipe { Halt::ReaderGone } else { Halt::Output(error) }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Halt::ReaderGone => Exit::Done,
            Halt::Output(_) | Halt::System { .. } | Halt::Failed(_) => Exit::Failed,
            Halt::Usage(_) => Exit::Usage,
            Halt::NeverReady(_) => Exit::NotRunning,
            Halt::Answered { failure, .. } => failure.code.into(),
            Halt::Connect(_) | Halt::NoHost(_) | Halt::NoHostForRecords { .. } => Exit::Unreachable,
            Halt::Client(ClientError::TimedOut) => Exit::Deadline,
            Halt::Client(ClientError::TooLarge(_)) => Exit::Failed,
            Halt::Client(
                ClientError::Closed
                | ClientError::Broken(_)
                | ClientError::Frame(_)
                | ClientError::Message(_)
                | ClientError::Refused(_)
                | ClientError::Unreachable(_),
            ) => Exit::Unreachable,
            Halt::Interrupted { signal, .. } | Halt::Stopped { signal, .. } => Exit::Interrupted(*signal),
        }
    }
}

/// What became of a request whose caller was interrupted.
fn interrupted(answer: &Option<Box<Response>>) -> String {
    match answer.as_ref().map(|answer| &answer.status) {
        Some(Status::Success(_)) => "the request was done all the same".into(),
        Some(Status::Error(failure)) if failure.code == ErrorCode::Cancelled => "the request was cancelled".into(),
        Some(Status::Error(failure)) => failure.error.clone(),
        Some(Status::Progress(_)) | None => "the request was asked to stop and has not answered yet".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_code_has_its_exit_code() {
        for &code in ErrorCode::ALL {
            let expected = match code.name() {
                "unknown_module" => 4,
                "module_unavailable" => 3,
                "deadline_exceeded" => 124,
                _ => 1,
            };
            assert_eq!(Exit::from(code).code(), expected, "{code}");
        }
    }

    #[test]
    fn the_worst_of_many_is_the_highest() {
        let all = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NotRunning,
            Exit::UnknownModule,
            Exit::Deadline,
            Exit::Unreachable,
        ];
        assert!(all.is_sorted());
        assert!(all.map(Exit::code).is_sorted());
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 124, 125]);
    }

    #[test]
    fn signals_end_as_shells_expect() {
        assert_eq!(Exit::Interrupted(2).code(), 130);
        assert_eq!(Exit::Interrupted(15).code(), 143);
    }
}
