//! What a pipe does when the daemon goes away: it waits for the next one and sends again what is safe. Which lines
//! that are is decided in [`super::window`].

use super::Pipe;
use super::limit::Limit;
use super::sent::Taken;
use crate::amount::{count, span};
use crate::exit::Halt;
use crate::failure::as_json;
use crate::output::{Output, complain, push_json_line};
use crate::session::{RECONNECT_INTERVAL, Session, wait_for_reader};
use bulkhead_client::{ClientError, ConnectError};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, FrameError};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// How long the daemon may be away, and how long it has been since it gave its last answer. Only waits are counted, so
/// that a stopped process tries once more when it continues.
#[derive(Debug)]
pub(super) struct Away {
    /// Without it, an end of the connection is the end.
    pub(super) max: Option<Duration>,
    spent: Duration,
}

impl Away {
    pub(super) fn new(max: Option<Duration>) -> Away {
        Away { max, spent: Duration::ZERO }
    }

    /// Whether the daemon is waited for after this error.
    pub(super) fn outlives(&self, halt: &Halt) -> bool {
        self.max.is_some() && may_come_back(halt)
    }

    /// Connects to the daemon as soon as it is there.
    ///
    /// # Errors
    /// Why there is no connection once the time is up; [`Halt::ReaderGone`] and other errors that waiting does not
    /// solve.
    pub(super) fn reach(&mut self, socket: &Option<PathBuf>, why: Halt, output: &mut Output) -> Result<Session, Halt> {
        let mut why = why;
        loop {
            let left = self.max.unwrap_or_default().saturating_sub(self.spent);
            if left.is_zero() {
                return Err(why);
            }
            // Also before the first try: a daemon that is stopping still accepts connections.
            let wait = left.min(RECONNECT_INTERVAL);
            self.spent += wait;
            wait_for_reader(wait, output)?;
            match Session::open(socket.clone()) {
                Err(halt) if may_come_back(&halt) => why = halt,
                session => return session,
            }
        }
    }

    /// Prints why the daemon is waited for, once for each time that it is away.
    fn announce(&self, why: &Halt, what: &str) {
        if self.spent.is_zero() {
            let max = span(self.max.unwrap_or_default().as_millis() as u64);
            let why = match why {
                Halt::Client(ClientError::Refused(failure)) => failure.error.clone(),
                why => why.to_string(),
            };
            complain(&format_args!("{why}; waiting up to {max} for the daemon{what}"));
        }
    }

    /// The daemon has answered.
    pub(super) fn is_over(&mut self) {
        let spent = std::mem::take(&mut self.spent);
        if !spent.is_zero() {
            complain(&format_args!("the daemon answers again, after {}", span(spent.as_millis() as u64)));
        }
    }
}

/// Opens the first connection; a daemon that is not there yet is waited for as one that went away.
pub(super) fn open(socket: &Option<PathBuf>, away: &mut Away) -> Result<Session, Halt> {
    match Session::open(socket.clone()) {
        Err(halt) if away.outlives(&halt) => {
            away.announce(&halt, "");
            away.reach(socket, halt, &mut Output::default())
        }
        session => session,
    }
}

/// Whether a daemon may be there later where the connection ended like this, or could not be made.
fn may_come_back(halt: &Halt) -> bool {
    match halt {
        Halt::Client(ClientError::Closed | ClientError::Broken(_)) => true,
        Halt::Client(ClientError::Frame(FrameError::Truncated { .. })) => true,
        Halt::Client(ClientError::Refused(failure)) => {
            matches!(failure.code, ErrorCode::Overloaded | ErrorCode::ModuleUnavailable)
        }
        Halt::Client(ClientError::Unreachable(error)) | Halt::Connect(error) => match error {
            ConnectError::Missing(_) | ConnectError::NotListening(_) | ConnectError::Other { .. } => true,
            ConnectError::Permission(_)
            | ConnectError::TooLong(_)
            | ConnectError::Foreign { .. }
            | ConnectError::Refused(_) => false,
        },
        _ => false,
    }
}

/// Whether this answer means that the host is stopping: the next host may do what this one does not.
pub(super) fn is_host_stopping(failure: &Failure) -> bool {
    #[derive(Deserialize)]
    struct AwayReason {
        reason: String,
    }
    failure.code == ErrorCode::ModuleUnavailable
        && failure
            .data
            .as_ref()
            .is_some_and(|data| data.read::<AwayReason>().is_ok_and(|why| why.reason == "host_stopping"))
}

/// The error of a connection over which the host accepts nothing more.
pub(super) fn host_stopping() -> Halt {
    Halt::Client(ClientError::Refused(Box::new(Failure::new(ErrorCode::ModuleUnavailable, "the host is stopping"))))
}

impl Pipe<'_> {
    /// Waits for the daemon, and goes on where the last connection ended.
    pub(super) fn come_back(&mut self, halt: Halt) -> Result<(), Halt> {
        let (taken, failure) = (self.taken_by_host(&halt), unanswered(&halt, ErrorCode::Internal, true));
        let failures = &mut self.failures;
        let lost = self.window.lose(taken, self.output.buffer(), |line, out| {
            failures.note(line, &failure);
            push_json_line(out, as_json(&failure, line).as_str());
        });
        let unknown = match lost.unknown {
            0 => String::new(),
            lines => format!("; of {} it is not known whether they were done", lines_of(lines)),
        };
        let again = match lost.again {
            0 => String::new(),
            lines => format!("; {} will be sent again", lines_of(lines)),
        };
        self.progress.clear();
        self.away.announce(&halt, &format!("{unknown}{again}"));
        self.session = self.away.reach(&self.socket, halt, &mut self.output)?;
        self.limit = Limit::default();
        self.notice.is_reconnected();
        self.is_host_stopping = false;
        Ok(())
    }

    /// What the host had read of all that was sent, when the connection ended like this.
    pub(super) fn taken_by_host(&mut self, halt: &Halt) -> Taken {
        match halt {
            // The client tried to continue over another connection, which it does only where nothing was begun.
            Halt::Client(ClientError::Unreachable(_)) => Taken::Nothing,
            _ => Taken::Bytes(self.session.sent_bytes()),
        }
    }
}

/// The answer to a line that gets none from the host.
pub(super) fn unanswered(halt: &Halt, code: ErrorCode, may_have_begun: bool) -> Failure {
    match may_have_begun {
        true => Failure::new(code, format!("there is no answer: {halt}")).delivery(Delivery::Unknown),
        false => Failure::new(code, format!("it was not sent: {halt}")).delivery(Delivery::NotStarted),
    }
}

fn lines_of(number: u64) -> String {
    if number == 1 { "1 line".into() } else { format!("{} lines", count(number)) }
}
