//! What the core asks of the store and what it gets back: the border between the two, and the list of
//! the jobs of the store.

use crate::{
    action::Action,
    core::Core,
    ids::{Caller, ModuleId, RequestId},
    time::Time,
};
use bulkhead_protocol::{
    Delivery, Failure, Json, ModuleName, Pattern, RequestType,
    layer1::{
        CommitNumber, Cursor, EntityId, EntityName, EntityState, KeyState, Mutation, NewEvent, Query, StoredEvent,
        UnitId,
    },
};

/// An idempotency key, and what must be the same for it to be the same work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The caller of the key: a module; all clients together are `None`.
    pub caller: Option<ModuleName>,
    /// The key.
    pub key: String,
    /// The recipient of the request.
    pub to: String,
    /// Its type.
    pub kind: RequestType,
    /// Its payload.
    pub payload: Json,
}

/// A module's stream advances with a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The module.
    pub module: ModuleName,
    /// How far its stream has got with that.
    pub cursor: Cursor,
    /// How far it must have got before: otherwise the outcome is [`StoreOutcome::Conflict`].
    pub after: Cursor,
}

/// What the store is to do. Operations are to be passed to it in the order in which they are polled;
/// each gets exactly one outcome, except [`StoreOp::Discard`] and [`StoreOp::Interrupt`], which get
/// none of their own.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreOp {
    /// Read. Outcome: [`StoreOutcome::Rows`].
    Query {
        /// The unit whose changes it also sees, and which remembers what it has read: a change of that
        /// builds on the version that was read, and is in conflict if there is a newer one.
        unit: Option<UnitId>,
        /// What.
        query: Box<Query>,
    },
    /// Change. In a unit the change waits for the unit's commit; without one it is committed before
    /// the outcome. Outcome: [`StoreOutcome::Mutated`], [`StoreOutcome::Key`] when it was not done
    /// because of its key, or [`StoreOutcome::Conflict`].
    Mutate {
        /// The unit that it belongs to; the first query or change that names a unit opens it.
        unit: Option<UnitId>,
        /// The module that changes; `None` for a client.
        owner: Option<ModuleName>,
        /// Bytes that the owner may have stored.
        quota: Option<u64>,
        /// What.
        mutation: Box<Mutation>,
        /// Checked, and stored with the answer, in the same commit; only without a unit.
        key: Option<KeyUse>,
        /// Entities that the unit was shown from memory, and in which state.
        shown: Vec<((EntityName, EntityId), EntityState)>,
    },
    /// Store an event, in a commit of its own. Outcome: [`StoreOutcome::Emitted`].
    Emit(NewEvent),
    /// Was this work done? Outcome: [`StoreOutcome::Key`].
    LookUpKey(KeyUse),
    /// Commit a unit, its events, the reply under its key and how far a stream has got, all or
    /// nothing; the unit ends with any outcome. Outcome: [`StoreOutcome::Committed`],
    /// [`StoreOutcome::Conflict`], or [`StoreOutcome::Key`] when the key is taken by now.
    Commit {
        /// The changes; there are none if nothing named the unit before.
        unit: UnitId,
        /// Events that the unit publishes, after those of its changes.
        events: Vec<NewEvent>,
        /// The key, and the data of the success.
        key: Option<(KeyUse, Json)>,
        /// The event that is done with.
        advance: Option<Advance>,
    },
    /// Undo a unit.
    Discard(UnitId),
    /// How far has this module's stream got? A new one begins at the end. Outcome:
    /// [`StoreOutcome::Subscribed`].
    Subscription(ModuleName),
    /// Read events for a module's stream. Outcome: [`StoreOutcome::Events`].
    ReadEvents {
        /// For whom.
        module: ModuleName,
        /// After this one.
        after: Cursor,
        /// Only those that match one of these.
        patterns: Vec<Pattern>,
        /// At most this many.
        limit: usize,
        /// At most this many bytes of data; one event always fits.
        bytes_max: usize,
    },
    /// A module's stream has got so far. Outcome: [`StoreOutcome::Done`].
    Advance {
        /// Whose.
        module: ModuleName,
        /// How far.
        cursor: Cursor,
        /// How many events that are no longer kept it has passed by since the last report.
        missed: u64,
    },
    /// Set aside an event that a module kept failing on, and let its stream go on after it, in one
    /// commit. Outcome: [`StoreOutcome::Done`].
    SetAside {
        /// Whose stream.
        module: ModuleName,
        /// Which event.
        cursor: Cursor,
        /// How often it was tried.
        attempts: u32,
        /// The error of the last try.
        error: String,
    },
    /// No caller waits for the query with this job any more: stop it, if it is not done. The query
    /// still gets its one outcome.
    Interrupt,
}

/// The outcome of a [`StoreOp`].
#[derive(Clone, Debug, PartialEq)]
pub enum StoreOutcome {
    /// The data of a query's answer.
    Rows(Json),
    /// The same of a query for one entity by its id and nothing with it.
    Entity {
        /// The data.
        data: Json,
        /// Which state of it that is.
        state: EntityState,
    },
    /// A mutation was done: the data of its answer, and, if it was committed, the events that it led to.
    Mutated {
        /// The data.
        data: Json,
        /// The events; none in a unit.
        events: Vec<StoredEvent>,
    },
    /// Events were stored.
    Emitted {
        /// As they are stored.
        events: Vec<StoredEvent>,
    },
    /// A unit was committed.
    Committed {
        /// All its events, those of its changes first.
        events: Vec<StoredEvent>,
    },
    /// Something else changed meanwhile, or is not as expected; nothing was changed.
    Conflict(Failure),
    /// What is known of a key.
    Key(KeyState),
    /// How far a stream has got.
    Subscribed {
        /// The last event that is done with.
        cursor: Cursor,
    },
    /// Events for a stream.
    Events {
        /// In order.
        events: Vec<StoredEvent>,
        /// Everything up to here was looked at: if no limit was met, the last event of all.
        upto: Cursor,
        /// Events that are gone without having been read, among all that were looked at, whatever their names were.
        lost: u64,
    },
    /// It was done.
    Done,
    /// It was not done: refused, interrupted, or the store is at fault. With `delivery` unknown where the
    /// store does not know whether a commit is on the disk.
    Failed(Failure),
}

impl StoreOutcome {
    /// The failure in it, or that it is not what was asked for, which is a fault of the host.
    pub(crate) fn into_failure(self) -> Failure {
        use bulkhead_protocol::ErrorCode;
        match self {
            StoreOutcome::Failed(failure) | StoreOutcome::Conflict(failure) => failure,
            StoreOutcome::Key(KeyState::OtherPayload) => super::keys::reused_for_other_work(),
            other @ (StoreOutcome::Rows(_)
            | StoreOutcome::Entity { .. }
            | StoreOutcome::Mutated { .. }
            | StoreOutcome::Emitted { .. }
            | StoreOutcome::Committed { .. }
            | StoreOutcome::Key(KeyState::Vacant | KeyState::Stored(_))
            | StoreOutcome::Subscribed { .. }
            | StoreOutcome::Events { .. }
            | StoreOutcome::Done) => {
                Failure::new(ErrorCode::Internal, format!("the store answered something else: {other:?}"))
            }
        }
    }

    /// The events that were stored by it.
    pub(crate) fn stored_events(&mut self) -> Vec<StoredEvent> {
        match self {
            StoreOutcome::Mutated { events, .. }
            | StoreOutcome::Emitted { events }
            | StoreOutcome::Committed { events } => std::mem::take(events),
            StoreOutcome::Rows(_)
            | StoreOutcome::Entity { .. }
            | StoreOutcome::Conflict(_)
            | StoreOutcome::Key(_)
            | StoreOutcome::Subscribed { .. }
            | StoreOutcome::Events { .. }
            | StoreOutcome::Done
            | StoreOutcome::Failed(_) => Vec::new(),
        }
    }
}

/// The jobs of the store, and what each is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobPurpose {
    /// A request to the store itself, which has the same number.
    StoreRequest,
    /// The key of this request is looked up.
    LookUp(RequestId, ModuleId),
    /// What this request did is committed.
    Commit(RequestId),
    /// How far a stream has got.
    Subscription(ModuleId),
    /// Events for a stream.
    ReadEvents(ModuleId),
    /// How far a stream has got.
    Advance(ModuleId),
    /// An event that a module kept failing on.
    SetAside(ModuleId),
}

impl Core {
    /// The answer to [`Action::Store`]. May be called in any order of the jobs, but the outcomes
    /// that have events in the order of their cursors. `seen` is the number of the commit that the job has made, or
    /// of the last that it can have seen: what comes of it is sent to clients once [`Core::handle_flushed`] has
    /// reached that.
    pub fn handle_stored(&mut self, now: Time, job: RequestId, mut outcome: StoreOutcome, seen: CommitNumber) {
        self.layer1.held_answers.note(seen);
        let Some(what) = self.layer1.jobs.remove(&job) else { return };
        let events = outcome.stored_events();
        let cursor = events.last().map(|event| event.cursor);
        if matches!(&outcome, StoreOutcome::Failed(failure) if failure.delivery == Some(Delivery::Unknown)) {
            self.look_for_events(now);
        }
        match what {
            JobPurpose::StoreRequest => self.store_request_completed(now, job, outcome, cursor, seen),
            JobPurpose::LookUp(request, module) => self.looked_up(now, request, module, outcome, seen),
            JobPurpose::Commit(request) => self.commit_done(now, job, request, outcome, seen),
            JobPurpose::Subscription(module) => self.subscribed(now, module, outcome),
            JobPurpose::ReadEvents(module) => self.events_read(now, job, module, outcome, seen),
            JobPurpose::Advance(module) => self.advanced(now, module, &outcome),
            JobPurpose::SetAside(module) => self.set_aside(now, module, outcome),
        }
        self.events_stored(now, events, seen);
    }

    /// Submits something to the store, under a number of its own.
    pub(crate) fn submit(&mut self, what: JobPurpose, op: StoreOp) -> RequestId {
        let job = self.ids.request();
        self.submit_as(job, what, op);
        job
    }

    pub(crate) fn submit_as(&mut self, job: RequestId, what: JobPurpose, op: StoreOp) {
        self.layer1.jobs.insert(job, what);
        self.act(Action::Store { job, op: op.into() });
    }

    /// The caller of the job that the store has under this number; `None` where it is the core's own.
    pub fn asker(&self, job: RequestId) -> Option<Caller> {
        self.layer1.store_requests.get(&job).map(|store_request| store_request.caller)
    }

    /// Whether the store has a job that a caller waits for, or that must not be lost.
    pub(crate) fn store_is_busy(&self) -> bool {
        let has_job = self.layer1.jobs.values().any(|job| match job {
            JobPurpose::StoreRequest
            | JobPurpose::LookUp(..)
            | JobPurpose::Commit(_)
            | JobPurpose::Advance(_)
            | JobPurpose::SetAside(_) => true,
            JobPurpose::Subscription(_) | JobPurpose::ReadEvents(_) => false,
        });
        has_job || !self.layer1.held_answers.is_empty()
    }
}
