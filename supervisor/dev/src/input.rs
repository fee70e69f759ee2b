//! What the loop waits for, and how it ends.

use crate::plan::Id;
use bulkhead_protocol::Response;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How many inputs wait. The threads that have more wait, too.
const WAITING_MAX: usize = 1024;

/// What has happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// Files have changed; the watch knows which.
    Files,
    /// A line that a build printed.
    BuildLine(Id, String),
    /// The process of the build with this number has ended, and is not reaped.
    BuildEnded(u64),
    Answer(Box<Response>),
    /// The connection to the host has ended.
    HostGone(String),
    /// A signal, or a key, asks for the end.
    Signal,
    /// The terminal has another size.
    Resized,
}

pub(crate) type Inputs = SyncSender<Input>;

pub(crate) fn channel() -> (Inputs, Receiver<Input>) {
    sync_channel(WAITING_MAX)
}

/// Why the program ends with an error.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) text: String,
    /// The exit code of the help.
    pub(crate) code: u8,
}

impl Failed {
    /// The host or the system is the reason.
    pub(crate) fn host(text: impl Into<String>) -> Failed {
        Failed { text: text.into(), code: 1 }
    }

    /// The command line or a file is the reason.
    pub(crate) fn usage(text: impl Into<String>) -> Failed {
        Failed { text: text.into(), code: 2 }
    }
}
