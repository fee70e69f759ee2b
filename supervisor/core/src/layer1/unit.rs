//! Units of work: what a module changes and publishes while it handles a request is committed with its
//! success and undone by everything else. The caller is answered only after the commit.

use super::{
    CommitNumber, EntityState, JobPurpose, KeyState, NewEvent, StoreOp, StoreOutcome, UnitId, entities::EntityKey,
};
use crate::{
    action::Action,
    core::Core,
    delivery::RetrySafety,
    ids::{ModuleId, RequestId, RunId},
    limits::{CONFLICTS_MAX, UNIT_EVENT_BYTES_MAX, UNIT_EVENTS_MAX},
    request::RequestState,
    requests::Commit,
    time::Time,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Json, Status};

/// What a module has done at the store so far for one request.
#[derive(Debug)]
pub(crate) enum Unit {
    /// Nothing.
    Empty,
    /// It has asked the store, and what it changed is to be committed.
    Open(Box<OpenUnit>),
    /// Something was changed, and was undone for this reason: nothing more can be done for this request.
    Undone(&'static str),
}

/// What was asked of the store for one request.
#[derive(Debug, Default)]
pub(crate) struct OpenUnit {
    /// The store's name for it, once the store was asked. A unit that only read has one too: the store
    /// remembers which versions its changes build on.
    pub(crate) id: Option<UnitId>,
    pub(crate) extent: Extent,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) event_bytes: usize,
    /// The entities that it changes, as far as it names them.
    pub(crate) changes: Vec<EntityKey>,
    /// Those that it was shown from memory, and the store was not informed of.
    pub(crate) shown: Vec<(EntityKey, EntityState)>,
    /// The module's requests to the store that belong to it and are not answered.
    pub(crate) store_requests: Vec<RequestId>,
    /// Why it cannot be committed: something of it failed, and the module did not learn of it before it answered.
    pub(crate) abort_reason: Option<Failure>,
}

/// How far a unit goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Something was read: there is nothing to commit and nothing to undo.
    #[default]
    Reads,
    /// Something was changed or published.
    Changes,
}

/// A success that its caller has not got yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// The commit's number at the store. The module's later requests have higher ones, and waits for it.
    pub(crate) job: RequestId,
    pub(crate) data: Json,
    pub(crate) again: RetrySafety,
}

impl Unit {
    /// As an open one, which it is from now on.
    pub(crate) fn open(&mut self) -> &mut OpenUnit {
        if !matches!(self, Unit::Open(_)) {
            *self = Unit::Open(Box::default());
        }
        self.opened_mut().expect("it was opened a line ago")
    }

    pub(crate) fn opened(&self) -> Option<&OpenUnit> {
        match self {
            Unit::Open(open) => Some(open),
            Unit::Empty | Unit::Undone(_) => None,
        }
    }

    pub(crate) fn opened_mut(&mut self) -> Option<&mut OpenUnit> {
        match self {
            Unit::Open(open) => Some(open),
            Unit::Empty | Unit::Undone(_) => None,
        }
    }

    /// Takes out what was asked of the store, which leaves nothing.
    pub(crate) fn take(&mut self) -> Option<OpenUnit> {
        match std::mem::replace(self, Unit::Empty) {
            Unit::Open(open) => Some(*open),
            Unit::Empty => None,
            Unit::Undone(reason) => {
                *self = Unit::Undone(reason);
                None
            }
        }
    }
}

impl Core {
    /// The store's name of a request's unit, given when it is first needed.
    pub(crate) fn unit_id(&mut self, id: RequestId) -> UnitId {
        if let Some(unit) = self.requests.open_unit(id).id {
            return unit;
        }
        let unit = self.new_unit_id();
        self.requests.open_unit(id).id = Some(unit);
        unit
    }

    fn new_unit_id(&mut self) -> UnitId {
        self.layer1.last_unit += 1;
        UnitId(self.layer1.last_unit)
    }

    pub(crate) fn opened_unit(&self, id: RequestId) -> Option<&OpenUnit> {
        self.requests.get(id)?.unit.opened()
    }

    /// Whether something was changed or published for a request, and is not committed.
    pub(crate) fn has_changed(&self, id: RequestId) -> bool {
        self.opened_unit(id).is_some_and(|open| open.extent == Extent::Changes)
    }

    /// Adds an event to what a request's unit publishes.
    pub(crate) fn publish_in_unit(&mut self, id: RequestId, event: NewEvent) -> Result<(), Failure> {
        let bytes = event.event.len() + event.data.as_str().len();
        let open = self.requests.open_unit(id);
        let over = match open.events.len() >= UNIT_EVENTS_MAX {
            true => Some(format!("one message publishes at most {UNIT_EVENTS_MAX} events")),
            false if open.event_bytes + bytes > UNIT_EVENT_BYTES_MAX => {
                Some(format!("the events of one message have at most {UNIT_EVENT_BYTES_MAX} bytes"))
            }
            false => None,
        };
        if let Some(over) = over {
            let failure = Failure::new(ErrorCode::BadRequest, format!("{over}; make several messages of it"));
            // A module that publishes without a number gets no error; its unit must not be half done.
            open.abort_reason.get_or_insert(failure.clone());
            return Err(failure.delivery(Delivery::NotStarted));
        }
        open.extent = Extent::Changes;
        open.event_bytes += bytes;
        open.events.push(event);
        Ok(())
    }

    /// Undoes what was done for a request so far, if something was; `reason` is why. Where it has only
    /// read, nothing was undone: a module that goes on all the same may still succeed.
    pub(crate) fn undo(&mut self, now: Time, id: RequestId, reason: &'static str) {
        let Some(open) = self.requests.undo(id, reason) else { return };
        let module = self.requests[id].module;
        let why = undone(id, reason);
        if let Some(unit) = open.id {
            let job = self.ids.request();
            self.act(Action::Store { job, op: StoreOp::Discard(unit).into() });
        }
        for store_request in open.store_requests {
            self.revoke(store_request, &why);
        }
        self.end_precedence(now, id);
        self.release_held(now, module);
    }

    /// A process answered a request: with an error all is undone, with a success all is committed.
    pub(crate) fn concluded(&mut self, now: Time, run_id: RunId, id: RequestId, status: Status) {
        let entry = &self.requests[id];
        let status = match (status, &entry.unit) {
            (Status::Success(_), Unit::Undone(_)) => {
                let name = &self.runs[&run_id].spec.name;
                let reason = format!("cancelled; what {name} had changed is undone");
                Failure::new(ErrorCode::Cancelled, reason).delivery(Delivery::Started).into()
            }
            (status, Unit::Empty | Unit::Open(_) | Unit::Undone(_)) => status,
        };
        match status {
            Status::Success(data) if entry.wanted && self.has_to_commit(id) => {
                let again = self.retry_safety(&self.runs[&run_id], entry);
                let module = self.modules.get_mut(entry.module).expect("a module outlives its requests");
                let job = self.ids.request();
                let changes = self.requests.begin_settling(id, Done { job, data, again }, &mut module.at_store);
                self.layer1.entities.commit_begins(job, changes);
                self.unit_progressed(now, id);
            }
            Status::Error(failure) => {
                self.undo(now, id, "it was answered with an error");
                self.failed(now, id, *failure);
            }
            status @ (Status::Success(_) | Status::Progress(_)) => {
                self.event_handled(id);
                self.conclude(id, status);
            }
        }
    }

    fn has_to_commit(&self, id: RequestId) -> bool {
        let entry = &self.requests[id];
        matches!(entry.unit, Unit::Open(_)) || entry.message.key.is_some()
    }

    /// Reports to a request's caller, or to the stream that it came from, that it failed. It has come to its end
    /// with that.
    fn failed(&mut self, now: Time, id: RequestId, failure: Failure) {
        let entry = &self.requests[id];
        if entry.event.is_some() && entry.wanted {
            self.event_failed(now, id, &failure);
        }
        self.conclude(id, failure.into());
    }

    /// As [`Core::unit_progressed`], after the module's answer; the next event of its stream is given.
    pub(crate) fn unit_goes_on(&mut self, now: Time, id: RequestId) {
        self.unit_progressed(now, id);
        if let Some(module) = self.requests.get(id).filter(|entry| entry.is_event()).map(|entry| entry.module) {
            self.stream_on(now, module);
        }
    }

    /// Something that belongs to a request's unit is done; if the module has answered and it was the
    /// last, the unit is committed.
    fn unit_progressed(&mut self, now: Time, id: RequestId) {
        let Some(entry) = self.requests.get(id) else { return };
        let RequestState::Settling(done) = &entry.state else { return };
        let job = done.job;
        if matches!(&entry.unit, Unit::Open(open) if !open.store_requests.is_empty()) || self.commit_waits(id, job) {
            return;
        }
        let entry = &self.requests[id];
        let (module, open, is_event) = (entry.module, entry.unit.opened(), entry.event.is_some());
        if let Some(failure) = open.and_then(|open| open.abort_reason.clone()) {
            self.undo(now, id, "a part of it failed");
            self.failed(now, id, failure.delivery(Delivery::Started));
            self.commit_ended(now, module, job);
            return;
        }
        if open.is_none_or(|open| open.extent == Extent::Reads) && entry.message.key.is_none() {
            // It has only read, or its changes never reached the store, and the module knows.
            if let Some(unit) = self.requests.take_unit(id).and_then(|open| open.id) {
                let job = self.ids.request();
                self.act(Action::Store { job, op: StoreOp::Discard(unit).into() });
            }
            self.end_precedence(now, id);
            self.event_handled(id);
            let data = self.requests.take_done(id).data;
            self.conclude(id, Status::Success(data));
            self.commit_ended(now, module, job);
            return;
        }
        let advance = self.advance_of(id);
        let key = self.key_use(id);
        let Commit { open, answer } = self.requests.begin_committing(id);
        let unit = open.id.unwrap_or_else(|| self.new_unit_id());
        let op = StoreOp::Commit { unit, events: open.events, key: key.zip(answer), advance };
        self.submit_as(job, JobPurpose::Commit(id), op);
        if is_event && !self.has_next_event(module) {
            // Nothing that follows soon would share its commit.
            self.act(Action::HastenCommits);
        }
        // The store takes commits in this order: those that follow find what this one has changed.
        self.end_precedence(now, id);
    }

    /// A request that was answered by its module has ended without a commit.
    pub(crate) fn forget_settling(&mut self, now: Time, id: RequestId) {
        let Some(entry) = self.requests.remove(id) else { return };
        if let RequestState::Settling(done) = &entry.state {
            self.commit_ended(now, entry.module, done.job);
        }
    }

    /// A commit was made, or will not be: what waited for it goes on.
    fn commit_ended(&mut self, now: Time, module_id: ModuleId, job: RequestId) {
        let module = self.modules.get_mut(module_id).expect("a module outlives its requests");
        module.at_store.end_commit(job);
        self.layer1.entities.commit_ends(job);
        self.release_held(now, module_id);
        self.reconcile(now, module_id);
    }

    /// Something that belongs to a unit failed after the module had answered, or without the module's knowing
    /// the outcome.
    pub(crate) fn mark_for_abort(&mut self, id: RequestId, failure: &Failure) {
        if let Some(open) = self.requests.opened_unit(id) {
            open.abort_reason.get_or_insert_with(|| failure.clone());
        }
    }

    /// A store request of a unit was answered.
    pub(crate) fn unit_lost(&mut self, id: RequestId, store_request: RequestId) {
        if let Some(open) = self.requests.opened_unit(id) {
            open.store_requests.retain(|other| *other != store_request);
        }
    }

    /// The store has committed, or not.
    pub(crate) fn commit_done(
        &mut self,
        now: Time,
        job: RequestId,
        id: RequestId,
        outcome: StoreOutcome,
        seen: CommitNumber,
    ) {
        let Done { again, data, .. } = self.requests.take_done(id);
        let entry = self.requests.saw(id, seen);
        let (module, delivery) = (entry.module, entry.overall_delivery(Delivery::Started));
        match outcome {
            other if !matches!(other, StoreOutcome::Committed { .. }) && self.event_came_back(now, id, &other) => {
                self.conclude(id, other.into_failure().into());
            }
            StoreOutcome::Committed { .. } => {
                self.event_committed(id);
                self.conclude(id, Status::Success(data));
            }
            StoreOutcome::Key(KeyState::Stored(stored)) => {
                self.event_handled(id);
                self.conclude(id, Status::Success(stored));
            }
            StoreOutcome::Conflict(failure) => {
                let entry = self.requests.conflicted(id);
                let is_unwanted = entry.cancelled || !entry.wanted;
                if !is_unwanted
                    && entry.conflicts < CONFLICTS_MAX
                    && again == RetrySafety::Safe
                    && self.modules[module].is_available()
                {
                    self.requeue(id);
                    self.commit_ended(now, module, job);
                    return;
                }
                let mut failure = failure.delivery(delivery);
                failure.retryable = true;
                if is_unwanted {
                    // Its own caller gave up; the callers that joined its work by the key have not.
                    failure.code = ErrorCode::Cancelled;
                }
                self.failed(now, id, failure);
            }
            other => {
                let failure = other.into_failure();
                // The store sets it where it does not know whether a commit is on the disk.
                let delivery = failure.delivery.filter(|it| *it == Delivery::Unknown).unwrap_or(delivery);
                if failure.retryable {
                    self.event_not_committed(now, id);
                }
                self.failed(now, id, failure.delivery(delivery));
            }
        }
        self.commit_ended(now, module, job);
    }
}

/// The answer to a module that asks something of the store for a request that has ended.
pub(crate) fn undone(id: RequestId, reason: &str) -> Failure {
    let reason = format!("request {id} is not wanted any more ({reason}): its changes are undone");
    Failure::new(ErrorCode::Cancelled, reason).delivery(Delivery::NotStarted)
}
