//! What happened, in order and bounded: beyond the bound the entries are counted.

use bulkhead_core::{AppliedRule, Ended, Time};
use std::time::Duration;

/// Entries that are kept.
pub(crate) const ENTRIES_MAX: usize = 500;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Time,
    pub(crate) what: Deed,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// A process starts.
    Starts(String),
    /// A process is ready.
    Ready(String),
    /// A process ends, and this follows.
    Ended(Box<Ended>),
    /// A spare takes over.
    TookOver(String),
    /// A restart waits for the host's own bound.
    PutOff { by: Duration, rules: Vec<AppliedRule> },
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) entries: Vec<Entry>,
    /// How many more there were.
    pub(crate) left_out: u64,
}

impl Timeline {
    pub(crate) fn push(&mut self, at: Time, what: Deed) {
        if self.entries.len() < ENTRIES_MAX {
            self.entries.push(Entry { at, what });
        } else {
            self.left_out += 1;
        }
    }
}
