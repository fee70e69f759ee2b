//! What the store can be asked to do, and what comes of it.

use bulkhead_protocol::{
    Failure, Json, Pattern,
    layer1::{Mutation, Query},
};
use sha2::{Digest, Sha256};

/// The caller's number for a job; its outcome comes back under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The caller's number for a unit of work. The first job that names it begins the unit, `Commit` or
/// `Discard` ends it. A number is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId(pub u64);

/// Something that the store is asked to do. Jobs of one unit are done in the order in which they come.
#[derive(Clone, Debug)]
pub enum Job {
    /// Answers a query: [`Outcome::Rows`]. In a unit, it sees the unit's own changes.
    Query {
        /// The unit, if the query belongs to one.
        unit: Option<UnitId>,
        /// What is asked.
        query: Query,
    },
    /// Changes entities: [`Outcome::Mutated`]. In a unit, nobody else sees it before the commit; without
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
    /// Emits an event: [`Outcome::Emitted`] in a unit, [`Outcome::Committed`] without one.
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
    /// the same commit: [`Outcome::Committed`], [`Outcome::Conflict`], or [`Outcome::Key`] if the key is
    /// taken. In the last two cases, and in that of a failure, nothing of it happens.
    Commit {
        /// The unit. One that no job has named is an empty one.
        unit: UnitId,
        /// The key of the message, and the reply that is kept under it.
        key: Option<(Keyed, Json)>,
        /// What it emits behind what the unit has made already.
        events: Vec<NewEvent>,
        /// What else happens in this commit.
        also: Vec<Also>,
    },
    /// Forgets a unit. It has no outcome, and is never refused.
    Discard {
        /// The unit.
        unit: UnitId,
    },
    /// What is kept under a key: [`Outcome::Key`].
    LookUpKey(Keyed),
    /// Reads events behind a cursor: [`Outcome::Events`].
    ReadEvents {
        /// The cursor of the last event that is known.
        after: u64,
        /// Which events; none is none.
        patterns: Vec<Pattern>,
        /// How many at most.
        limit: usize,
        /// How many bytes of data at most; one event always fits.
        bytes_max: usize,
    },
    /// The cursors of the oldest and of the newest event: [`Outcome::Ends`].
    EventEnds,
    /// How far a module has handled its events: [`Outcome::Subscription`]. A module that has none yet
    /// gets one, behind the newest event.
    Subscribe {
        /// The module.
        module: String,
    },
    /// Forgets how far a module has handled its events: [`Outcome::Done`].
    Unsubscribe {
        /// The module.
        module: String,
    },
    /// Every module's subscription: [`Outcome::Subscriptions`].
    Subscriptions,
    /// Does what can go along with a commit, alone: [`Outcome::Done`].
    Also(Vec<Also>),
    /// The events that were set aside: [`Outcome::SetAside`].
    ListSetAside {
        /// Those of one module.
        module: Option<String>,
        /// Those behind this id.
        after: i64,
        /// How many at most.
        limit: usize,
    },
    /// What each owner's entities take: [`Outcome::Usage`].
    Usage,
    /// Lines of an export: [`Outcome::Imported`], all of them or none.
    Import {
        /// The lines, with the number of the first.
        lines: Vec<String>,
        /// The number of the first line in its file, for errors.
        first: u64,
        /// What happens to an entity that is there already.
        existing: Existing,
    },
}

/// An event that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Who emits it: a module's name, or nothing for a client.
    pub source: String,
    /// Its name.
    pub event: String,
    /// Its data.
    pub data: Json,
}

/// What can happen in the same commit as a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Also {
    /// A module has handled its events up to this cursor. It never goes back.
    Advance {
        /// The module.
        module: String,
        /// The cursor.
        cursor: u64,
    },
    /// A module fails on the event at this cursor: it is set aside, and the module goes on behind it.
    SetAside {
        /// The module.
        module: String,
        /// The event.
        cursor: u64,
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
    /// The import's takes its place.
    Replace,
}

/// An idempotency key, and what tells one work under it from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The key.
    pub key: String,
    /// What the request was.
    pub fingerprint: Fingerprint,
}

/// SHA-256 of a request's address, type and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a request.
    pub fn of(to: &str, kind: &str, payload: &str) -> Fingerprint {
        let mut hash = Sha256::new();
        for part in [to, kind, payload] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Fingerprint(hash.finalize().into())
    }
}

/// What came of a job.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The answer to a query.
    Rows(Json),
    /// The answer to a mutation, and the events of its commit; in a unit there are none yet.
    Mutated {
        /// The answer.
        reply: Json,
        /// What was stored.
        events: Vec<StoredEvent>,
    },
    /// The event is in the unit.
    Emitted,
    /// It is durable, and so are these events.
    Committed {
        /// What was stored, in order.
        events: Vec<StoredEvent>,
    },
    /// Another unit changed one of the entities first: the whole unit is undone. It may be run again.
    Conflict(Failure),
    /// What is kept under a key.
    Key(KeyState),
    /// A piece of the stream of events.
    Events(EventPage),
    /// The cursors of the oldest and of the newest event that are kept; 0 where there is none.
    Ends {
        /// The oldest.
        oldest: u64,
        /// The newest.
        newest: u64,
    },
    /// How far a module is.
    Subscription(Subscription),
    /// How far each module is.
    Subscriptions(Vec<Subscription>),
    /// Set-aside events, oldest first.
    SetAside(Vec<SetAsideEvent>),
    /// What each owner's entities take.
    Usage(Vec<Usage>),
    /// What an import came to.
    Imported(Imported),
    /// It is done, and durable.
    Done,
    /// It failed, and changed nothing.
    Failed(Failure),
}

/// What is kept under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Nothing.
    Vacant,
    /// The reply to this very request.
    Stored(Json),
    /// The reply to another request.
    OtherPayload,
}

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the stream.
    pub cursor: u64,
    /// When, in microseconds since 1970.
    pub time: i64,
    /// Its name.
    pub event: String,
    /// Who emitted it: a module's name, or nothing for a client.
    pub source: String,
    /// Its data.
    pub data: Json,
}

/// A piece of the stream of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events that match, in order.
    pub events: Vec<StoredEvent>,
    /// Up to where the stream was looked at: the cursor to go on from.
    pub cursor: u64,
    /// Whether there is more behind it.
    pub more: More,
    /// How many events behind the cursor of the reading are not kept any more.
    pub lost: u64,
}

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// There was none at the time.
    No,
    /// There may be.
    Yes,
}

/// How far a module has handled its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The module.
    pub module: String,
    /// The cursor of the last event that it is done with.
    pub cursor: u64,
    /// How many events were cleared away before it had seen them, since too many waited for it.
    pub missed: u64,
}

/// An event that a module kept failing on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAsideEvent {
    /// Its number.
    pub id: i64,
    /// The module.
    pub module: String,
    /// The event.
    pub event: StoredEvent,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub error: String,
    /// When it was set aside, in microseconds since 1970.
    pub set_aside_at: i64,
}

/// What one owner's entities take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// A module's name, or nothing for clients.
    pub owner: String,
    /// Bytes of their data.
    pub bytes: u64,
    /// How many there are.
    pub entities: u64,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Entities that were not there before.
    pub created: u64,
    /// Entities that took the place of another state.
    pub replaced: u64,
    /// Entities that were there already and stayed.
    pub kept: u64,
}
