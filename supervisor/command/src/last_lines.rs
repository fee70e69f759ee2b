//! The last lines of a module, for a person whose command found that it does not become ready.

use crate::exit::Halt;
use crate::lenient::{list, or_empty};
use crate::lifecycle::to_supervisor;
use crate::session::Session;
use crate::waiting::Goal;
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Status};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The host knows them at once; the person has waited long already.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What the command requested of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To be ready.
    Start,
    /// To handle a request.
    Work,
}

/// A halt with the module's last lines, where that was not ready and nothing else shows it. They are requested over a
/// connection of their own: requests may be in flight on the command's.
pub(crate) fn add_to(halt: Halt, socket: Option<PathBuf>, asked: Asked) -> Halt {
    match halt {
        Halt::Answered { subject, failure, .. } if may_be_unready(&failure, asked) => {
            let log = Session::open(socket).map(|mut session| last_lines(&mut session, &subject));
            // The failure is reported without them.
            Halt::Answered { subject, failure, log: log.unwrap_or_default() }
        }
        other => other,
    }
}

/// As [`add_to`], where the module was to be ready.
pub(crate) fn add_if_unready(halt: Halt, socket: &Option<PathBuf>, goal: Goal) -> Halt {
    match goal {
        Goal::Ready => add_to(halt, socket.clone(), Asked::Start),
        Goal::Stopped => halt,
    }
}

/// Whether a module that is not ready may be the reason.
fn may_be_unready(failure: &Failure, asked: Asked) -> bool {
    if !failure.stderr.is_empty() {
        return false;
    }
    match (failure.code, asked) {
        (ErrorCode::ModuleUnavailable, _) | (ErrorCode::ModuleError | ErrorCode::DeadlineExceeded, Asked::Start) => {
            true
        }
        (ErrorCode::DeadlineExceeded, Asked::Work) => failure.delivery == Some(Delivery::NotStarted),
        _ => false,
    }
}

/// The last lines of a module that should be ready and is not; none where the host does not say.
fn last_lines(session: &mut Session, name: &str) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Module {
        #[serde(deserialize_with = "or_empty")]
        desired: String,
        #[serde(deserialize_with = "or_empty")]
        state: String,
        #[serde(deserialize_with = "list")]
        log_tail: Vec<String>,
    }
    let mut request = to_supervisor("status", &serde_json::json!({ "name": name }).into());
    request.deadline_ms = Some(TIMEOUT.as_millis() as u64);
    let Ok(response) = session.ask(&request, |_| {}) else { return Vec::new() };
    let Status::Success(data) = response.status else { return Vec::new() };
    let Module { desired, state, log_tail } = data.read().unwrap_or_default();
    // A stopped module printed nothing that says why.
    let is_as_wanted = state == "ready" || desired == "stopped";
    if is_as_wanted { Vec::new() } else { log_tail }
}
