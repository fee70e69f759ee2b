//! What earlier hosts and this one have left in the files of logs, of crashes and of quarantined messages, read for a question. It is read
//! on a thread of the file layer; when, and what is answered without it, is decided in [`crate::state`].

mod crashes;
mod log;
mod log_file;
mod quarantine;
#[cfg(test)]
mod tests;
mod waiting;

pub(crate) use crashes::{CrashFiles, OldCrashes, substitute};
pub(crate) use log::{LogEnd, LogHistory, json_of, notice};
pub(crate) use quarantine::{QuarantineAsk, QuarantineFiles, QuarantinePage, Quarantined, no_such};
pub(crate) use waiting::{HISTORY_TIME_MAX, Histories};

use bulkhead_protocol::{Failure, Json};
use std::time::Duration;

/// What was read.
#[derive(Debug)]
pub(crate) enum Old {
    /// Oldest first.
    Log(Vec<Json>),
    Crashes(OldCrashes),
    Quarantined(Result<Quarantined, Failure>),
}

/// How long one reading goes on; what it has not reached by then is left out, and the answer says so. It is less
/// than an answer waits ([`HISTORY_TIME_MAX`]), so that what was read is sent.
const READING_TIME_MAX: Duration = Duration::from_secs(3);

const _: () = assert!(READING_TIME_MAX.as_millis() < HISTORY_TIME_MAX.as_millis());
