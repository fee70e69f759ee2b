//! What the store can be asked to do. Its result is in [`crate::outcome`].

pub use bulkhead_protocol::layer1::{Cursor, NewEvent, UnitId};
use bulkhead_protocol::{
    HeldBytes, Json, Pattern, allocation,
    layer1::{Mutation, Query},
};
use sha2::{Digest, Sha256};

/// The caller's number for a job; its outcome comes back under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// The number that the caller has for the sender of a job. Jobs that read are done for the senders alternately;
/// the order of what one has sent is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sender(pub u64);

/// Something that the store is asked to do. Jobs of one unit are done in the order in which they come.
#[derive(Clone, Debug)]
pub enum Job {
    /// Answers a query: [`crate::Outcome::Rows`]. In a unit, it sees the unit's own changes, and what it
    /// returns is what the unit's changes build on: if another commit has changed one of these entities
    /// since, and the unit changes it without naming a version, the unit's commit is in conflict.
    Query {
        /// The unit, if the query belongs to one.
        unit: Option<UnitId>,
        /// What is asked.
        query: Query,
    },
    /// Changes entities: [`crate::Outcome::Mutated`]. In a unit, it is not visible outside before the commit; without
    /// one, it is committed at once.
    Mutate {
        /// The unit, if the mutation belongs to one.
        unit: Option<UnitId>,
        /// Whose entities are created: a module's name, or nothing for a client.
        owner: String,
        /// What is changed.
        mutation: Mutation,
        /// The idempotency key of a mutation without a unit, under which its answer is kept.
        key: Option<Keyed>,
    },
    /// Emits an event: [`crate::Outcome::Emitted`] in a unit, [`crate::Outcome::Committed`] without one.
    Emit {
        /// The unit, if the event belongs to one.
        unit: Option<UnitId>,
        /// Who emits it: a module's name, or nothing for a client.
        source: String,
        /// Its name.
        event: String,
        /// Its data.
        data: Json,
    },
    /// Makes a unit's changes and events durable and visible, with everything else that is to happen in
    /// the same commit: [`crate::Outcome::Committed`], [`crate::Outcome::Conflict`], or [`crate::Outcome::Key`] if the key is
    /// taken. In the last two cases, and in that of a failure, nothing of it happens.
    Commit {
        /// The unit. One that no job has named is an empty one.
        unit: UnitId,
        /// The key of the message, and the reply that is kept under it.
        key: Option<(Keyed, Json)>,
        /// What it emits after what the unit has emitted already.
        events: Vec<NewEvent>,
        /// What else happens in this commit.
        also: Vec<Also>,
    },
    /// Forgets a unit. It has no outcome, and is never refused.
    Discard {
        /// The unit.
        unit: UnitId,
    },
    /// What is kept under a key: [`crate::Outcome::Key`].
    LookUpKey(Keyed),
    /// Reads events after a cursor: [`crate::Outcome::Events`].
    ReadEvents {
        /// The cursor of the last event that is known.
        after: Cursor,
        /// Which events; none is none.
        patterns: Vec<Pattern>,
        /// How many at most.
        limit: usize,
        /// How many bytes of data at most; one event always fits.
        bytes_max: usize,
    },
    /// The cursors of the oldest and of the newest event: [`crate::Outcome::Ends`].
    EventEnds,
    /// How far a module has handled its events: [`crate::Outcome::Subscription`]. A module that has none yet
    /// gets one, after the newest event.
    Subscribe {
        /// The module.
        module: String,
    },
    /// Forgets how far a module has handled its events, and those that were set aside for it:
    /// [`crate::Outcome::Forgotten`]. No event waits for it any more.
    Forget {
        /// The module.
        module: String,
    },
    /// Every module's subscription: [`crate::Outcome::Subscriptions`].
    Subscriptions {
        /// What those of them subscribe to of which that is known. For these it is counted what waits,
        /// as far as [`crate::limits::EVENTS_COUNTED_MAX`] allows.
        known: Vec<Subscriber>,
    },
    /// Does what can go along with a commit, alone: [`crate::Outcome::Done`].
    Also(Vec<Also>),
    /// The events that were set aside: [`crate::Outcome::SetAside`].
    ListSetAside {
        /// Those of one module.
        module: Option<String>,
        /// Those after this id.
        after: i64,
        /// How many at most.
        limit: usize,
    },
    /// How many events are set aside: [`crate::Outcome::SetAsideCount`].
    CountSetAside,
    /// What is stored of each owner: [`crate::Outcome::Usage`].
    Usage,
    /// Lines of an export: [`crate::Outcome::Imported`], all of them or none.
    Import {
        /// The lines, with the number of the first.
        lines: Vec<String>,
        /// The number of the first line in its file, for errors.
        first: u64,
        /// What happens to an entity that is there already.
        existing: Existing,
    },
}

/// What a module subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The module.
    pub module: String,
    /// Which events; none is none.
    pub patterns: Vec<Pattern>,
}

/// What can happen in the same commit as a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Also {
    /// A module has handled its events up to this cursor. It never goes back.
    Advance {
        /// The module.
        module: String,
        /// The cursor.
        cursor: Cursor,
        /// In a [`Job::Commit`]: how far it must have got before. Otherwise the outcome is a conflict, and nothing
        /// is committed.
        after: Cursor,
    },
    /// A module's reading has passed by so many events that are not kept any more.
    Missed {
        /// The module.
        module: String,
        /// How many.
        events: u64,
    },
    /// A module fails on the event at this cursor: it is set aside, and the module goes on after it.
    SetAside {
        /// The module.
        module: String,
        /// The event.
        cursor: Cursor,
        /// How often it was tried.
        attempts: u32,
        /// What went wrong the last time.
        error: String,
    },
    /// A set-aside event was handled after all, or is not wanted any more.
    RemoveSetAside {
        /// Its id.
        id: i64,
    },
}

/// What an import does with an entity that is there already. One that is exactly the same is passed over
/// in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is refused, and everything in the same group of lines with it.
    Refuse,
    /// What is there stays.
    Keep,
    /// The import's replaces it.
    Replace,
}

/// An idempotency key, and what distinguishes one work under it from another. Keys of different callers, and of
/// one caller for different targets, are independent of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Whose key it is: a module's name, or nothing for all clients together.
    pub caller: String,
    /// The recipient of the work: a module's name, or `layer1`.
    pub target: String,
    /// The key.
    pub key: String,
    /// What the request was.
    pub fingerprint: Fingerprint,
}

/// SHA-256 of a request's address, type and payload. Of a long payload it is made where it is needed, on a
/// thread of the store, since that takes as long as to read it.
#[derive(Clone, Debug)]
pub struct Fingerprint(State);

#[derive(Clone, Debug)]
enum State {
    Made([u8; 32]),
    Later(Box<(String, String, Json)>),
}

impl Fingerprint {
    /// The longest payload of which it is made at once, in bytes.
    const AT_ONCE_BYTES_MAX: usize = 8 * 1024;

    /// The fingerprint of a request.
    pub fn of(to: &str, kind: &str, payload: &Json) -> Fingerprint {
        match payload.as_str().len() <= Fingerprint::AT_ONCE_BYTES_MAX {
            true => Fingerprint(State::Made(digest(to, kind, payload))),
            false => Fingerprint(State::Later(Box::new((to.to_owned(), kind.to_owned(), payload.clone())))),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> [u8; 32] {
        match &self.0 {
            State::Made(bytes) => *bytes,
            State::Later(request) => digest(&request.0, &request.1, &request.2),
        }
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Fingerprint) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Fingerprint {}

impl HeldBytes for Fingerprint {
    fn held_bytes(&self) -> usize {
        match &self.0 {
            State::Made(_) => 0,
            State::Later(request) => {
                allocation(size_of::<(String, String, Json)>())
                    + request.0.held_bytes()
                    + request.1.held_bytes()
                    + request.2.held_bytes()
            }
        }
    }
}

fn digest(to: &str, kind: &str, payload: &Json) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [to, kind, payload.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
