//! What the core, the store and the host share: units of work, cursors, events and the state of a key. Each is
//! defined here once.

use crate::{HeldBytes, Json};
use std::fmt;

/// A unit of work: changes that become visible together or not at all. Each attempt at a request has one of
/// its own, so that what was undone can never be committed by what comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub u64);

/// The number of a stored event. The first event has 1, and numbers grow by one from event to event in the
/// order of the commits; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub u64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a commit of the store. The first commit of an open store has 1, and numbers grow with the commits;
/// 0 is before the first. What is committed is visible at once, and durable when the flush that covers its
/// number is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u64);

/// Which state of an entity was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityState {
    /// The row, which tells the entity from one of the same id that was deleted before.
    pub rowid: i64,
    /// The version.
    pub version: u64,
}

/// An event that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The module that publishes it; empty for a client.
    pub source: String,
    /// Its name.
    pub event: String,
    /// Its data.
    pub data: Json,
}

/// An event that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub cursor: Cursor,
    /// When it was committed, in microseconds since 1970.
    pub time: i64,
    /// Its name.
    pub event: String,
    /// The module that published it; empty for a client.
    pub source: String,
    /// Its data.
    pub data: Json,
}

/// What is stored under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Nothing.
    Vacant,
    /// The work was done, with this data as its answer.
    Stored(Json),
    /// The answer to other work.
    OtherPayload,
}

impl HeldBytes for NewEvent {
    fn held_bytes(&self) -> usize {
        self.source.held_bytes() + self.event.held_bytes() + self.data.held_bytes()
    }
}

impl HeldBytes for StoredEvent {
    fn held_bytes(&self) -> usize {
        self.event.held_bytes() + self.source.held_bytes() + self.data.held_bytes()
    }
}
