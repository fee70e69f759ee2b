//! The results of jobs: one outcome for each, and its contents.

pub use bulkhead_protocol::layer1::{Cursor, KeyState, StoredEvent};
use bulkhead_protocol::{Failure, Json};

/// The result of a job.
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
        oldest: Cursor,
        /// The newest.
        newest: Cursor,
    },
    /// How far a module is.
    Subscription(Subscription),
    /// How far each module is.
    Subscriptions(Vec<SubscriptionStatus>),
    /// What was removed of a module.
    Forgotten(Forgotten),
    /// Set-aside events, oldest first.
    SetAside(Vec<SetAsideEvent>),
    /// How many events are set aside.
    SetAsideCount(u64),
    /// What is stored of each owner.
    Usage(Vec<Usage>),
    /// The result of an import.
    Imported(Imported),
    /// It is done, and durable.
    Done,
    /// It failed, and changed nothing.
    Failed(Failure),
}

/// A piece of the stream of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events that match, in order.
    pub events: Vec<StoredEvent>,
    /// The cursor up to which the stream was read: the cursor to go on from.
    pub cursor: Cursor,
    /// Whether there is more after it.
    pub more: More,
    /// How many events between the cursor of the reading and the one of the page are not kept any more, whatever
    /// their names were.
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
    pub cursor: Cursor,
    /// How many events were gone before it had seen them, whatever their names were.
    pub missed: u64,
}

impl Subscription {
    /// Adds what is gone before the oldest event that is kept: the module learns of it when it reads on.
    pub(crate) fn with_gone(mut self, oldest: u64) -> Subscription {
        self.missed += oldest.saturating_sub(1).saturating_sub(self.cursor.0);
        self
    }
}

/// How far a module is, and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionStatus {
    /// How far it is.
    pub subscription: Subscription,
    /// The events after that which it subscribes to, if it is known which these are.
    pub waiting: Option<Waiting>,
}

/// Events that wait for a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many were counted.
    pub events: u64,
    /// Whether there may be some after those that were looked at.
    pub more: More,
}

/// What was removed of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// How far it was, if it had subscribed to anything.
    pub subscription: Option<Subscription>,
    /// How many events were set aside for it.
    pub set_aside: u64,
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

/// What is stored of one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// A module's name, or nothing for clients.
    pub owner: String,
    /// Bytes of the data of its entities.
    pub bytes: u64,
    /// How many entities there are.
    pub entities: u64,
    /// Bytes that its events take, with what each of them takes beside its texts.
    pub event_bytes: u64,
    /// How many events there are.
    pub events: u64,
    /// Bytes that the answers under its keys take, with what each of them takes beside its texts.
    pub key_bytes: u64,
    /// How many keys there are.
    pub keys: u64,
}

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Entities that were not there before.
    pub created: u64,
    /// Entities that replaced another state.
    pub replaced: u64,
    /// Entities that were there already and stayed.
    pub kept: u64,
}
