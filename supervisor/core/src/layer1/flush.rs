//! Answers that wait for the disk. What is committed is visible to modules at once; a client and a follower get
//! nothing that a power cut could take back.
//!
//! What a process has seen is known by one number, that of the newest commit that it can have seen: it grows with
//! the answers of the store, with the answers to the process's own calls, and with the requests and events that it
//! is sent. Its answer to a client waits until the disk has reached that number, and the number of the answer's own
//! commit. What a module keeps from one request to the next is covered by that; what it writes outside of the
//! store is not.

use super::{StoredEvent, store_requests::StoreRequestState};
use crate::{
    action::Action,
    core::Core,
    ids::{Caller, Recipient, RequestId, RunId},
    limits::{HELD_ANSWER_BYTES, HELD_ANSWERS_BYTES_MAX},
    module::Desired,
    request::RequestEntry,
    time::Time,
};
use bulkhead_protocol::{Delivery, Failure, HeldBytes, Json, Status, layer1::CommitNumber};
use std::collections::BTreeMap;

/// Something that waits for the disk.
#[derive(Debug)]
enum Held {
    /// The answer to a request.
    Answer(RequestId, Status),
    /// Progress of a request that is in flight.
    Progress(RequestId, Json),
    /// The answer to a request to the store.
    StoreAnswer(RequestId, Status),
    /// An event for followers.
    Event(Box<StoredEvent>),
}

impl Held {
    fn bytes(&self) -> usize {
        HELD_ANSWER_BYTES
            + match self {
                Held::Answer(_, status) | Held::StoreAnswer(_, status) => status.held_bytes(),
                Held::Progress(_, data) => data.held_bytes(),
                Held::Event(event) => size_of::<StoredEvent>() + event.held_bytes(),
            }
    }
}

/// When something may leave for a client.
#[derive(Debug, PartialEq)]
pub(super) enum When {
    Now,
    /// When a flush has reached what it has seen.
    Flushed,
    /// Not at all, since a flush has failed: this failure is reported in its place.
    Never(Failure),
}

/// Everything that waits for the disk, in the order of the commits.
#[derive(Debug, Default)]
pub(crate) struct HeldAnswers {
    by_number: BTreeMap<(CommitNumber, u64), Held>,
    last: u64,
    bytes: usize,
    /// The newest commit that anything here can have seen.
    newest: CommitNumber,
    /// All commits up to this one are on the disk.
    flushed: CommitNumber,
    /// Why no further one ever will be, if so.
    failed: Option<Failure>,
}

impl HeldAnswers {
    fn push(&mut self, seen: CommitNumber, held: Held) {
        self.last += 1;
        self.bytes += held.bytes();
        self.by_number.insert((seen, self.last), held);
    }

    pub(super) fn hold_store_answer(&mut self, seen: CommitNumber, id: RequestId, status: Status) {
        self.push(seen, Held::StoreAnswer(id, status));
    }

    /// The store has made or seen this commit.
    pub(super) fn note(&mut self, seen: CommitNumber) {
        self.newest = self.newest.max(seen);
    }

    pub(super) fn newest(&self) -> CommitNumber {
        self.newest
    }

    /// The next that waits for the disk no longer.
    fn pop_flushed(&mut self) -> Option<Held> {
        let (first, _) = self.by_number.first_key_value()?;
        (first.0 <= self.flushed).then(|| self.pop()).flatten()
    }

    fn pop(&mut self) -> Option<Held> {
        let (_, held) = self.by_number.pop_first()?;
        self.bytes -= held.bytes();
        Some(held)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// When a client may get something that has seen this.
    pub(super) fn when(&self, seen: CommitNumber) -> When {
        match &self.failed {
            _ if seen <= self.flushed => When::Now,
            None => When::Flushed,
            Some(failure) => When::Never(failure.clone()),
        }
    }

    /// The requests whose answers wait, and the requests to the store.
    pub(crate) fn requests(&self) -> (Vec<RequestId>, Vec<RequestId>) {
        let held = self.by_number.values();
        let of = |held: &Held| match held {
            Held::Answer(id, _) => (Some(*id), None),
            Held::StoreAnswer(id, _) => (None, Some(*id)),
            Held::Progress(..) | Held::Event(_) => (None, None),
        };
        let (answers, store): (Vec<_>, Vec<_>) = held.map(of).unzip();
        (answers.into_iter().flatten().collect(), store.into_iter().flatten().collect())
    }

    /// The bytes of all that waits, counted once more beside those that are kept.
    pub(crate) fn accounts(&self) -> (usize, usize) {
        (self.bytes, self.by_number.values().map(Held::bytes).sum())
    }
}

impl Core {
    /// All commits up to this one are on the disk: what has waited for them is answered.
    pub fn handle_flushed(&mut self, now: Time, upto: CommitNumber) {
        if upto <= self.layer1.held_answers.flushed {
            return;
        }
        self.layer1.held_answers.flushed = upto;
        while let Some(held) = self.layer1.held_answers.pop_flushed() {
            match held {
                Held::Answer(id, status) => self.release_answer(now, id, status),
                Held::Progress(id, data) => self.release_progress(id, data),
                Held::StoreAnswer(id, status) => self.finish_store_request(now, id, status),
                Held::Event(event) => self.act(Action::NotifyFollowers(event)),
            }
        }
    }

    /// A flush has failed: nothing that has seen more than is on the disk is answered any more, and each caller that
    /// waits for such an answer learns that its fate is unknown.
    pub fn handle_flush_failed(&mut self, now: Time, failure: &Failure) {
        if self.layer1.held_answers.failed.is_some() {
            return;
        }
        let failure = failure.clone().delivery(Delivery::Unknown);
        self.layer1.held_answers.failed = Some(failure.clone());
        self.layer1.entities.suspend();
        while let Some(held) = self.layer1.held_answers.pop() {
            match held {
                Held::Answer(id, _) => self.release_answer(now, id, failure.clone().into()),
                Held::StoreAnswer(id, _) => self.finish_store_request(now, id, failure.clone().into()),
                Held::Progress(..) | Held::Event(_) => {}
            }
        }
    }

    /// An import begins, which may change any entity without the core's knowing which.
    pub fn handle_import_begun(&mut self) {
        self.layer1.entities.suspend();
    }

    /// The import has its outcome.
    pub fn handle_import_ended(&mut self) {
        self.layer1.entities.resume();
    }

    /// The store's files are not what it has open any more: nothing is to be answered from memory.
    pub fn handle_store_gone(&mut self) {
        self.layer1.entities.suspend();
    }

    /// Whether so much waits for the disk that clients are refused more before a flush.
    pub(crate) fn holds_too_much(&self) -> bool {
        self.layer1.held_answers.bytes > HELD_ANSWERS_BYTES_MAX
    }

    /// A process can have seen everything up to this commit.
    pub(crate) fn has_seen(&mut self, run: RunId, seen: CommitNumber) {
        if let Some(run) = self.runs.get_mut(&run) {
            run.seen = run.seen.max(seen);
        }
    }

    /// The request has come to its end with this answer, which is given at once or when what it has seen is on
    /// the disk. The request is forgotten with that.
    pub(crate) fn conclude(&mut self, id: RequestId, status: Status) {
        let Some(entry) = self.requests.get(id) else { return };
        let (module, seen, is_awaited_by_others) = (entry.module, entry.seen, entry.is_awaited_by_others());
        let when = if is_for_client(entry) { self.layer1.held_answers.when(seen) } else { When::Now };
        let status = match when {
            When::Flushed => {
                let module = self.modules.get_mut(module).expect("a module outlives its requests");
                self.requests.begin_flushing(id, &mut module.at_store);
                return self.layer1.held_answers.push(seen, Held::Answer(id, status));
            }
            When::Now => status,
            When::Never(failure) => failure.into(),
        };
        if !is_awaited_by_others {
            return self.end(id, status);
        }
        self.answer(id, status);
        self.requests.remove(id);
    }

    fn release_answer(&mut self, now: Time, id: RequestId, status: Status) {
        let Some(module) = self.requests.get(id).map(|entry| entry.module) else { return };
        self.answer(id, status);
        let found = self.modules.get_mut(module).expect("a module outlives its requests");
        self.requests.end_flushing(id, &mut found.at_store);
        if found.desired == Desired::Removed {
            self.reconcile(now, module);
        }
    }

    /// Progress of a request in flight, for its caller.
    pub(crate) fn reply_progress(&mut self, to: Recipient, id: RequestId, seen: CommitNumber, data: Json) {
        let when = match to.caller {
            Caller::Client(_) => self.layer1.held_answers.when(seen),
            Caller::Run(run) => {
                self.has_seen(run, seen);
                When::Now
            }
        };
        match when {
            When::Now => self.act(Action::Reply { to, status: Status::Progress(data) }),
            When::Flushed => self.layer1.held_answers.push(seen, Held::Progress(id, data)),
            When::Never(_) => {}
        }
    }

    fn release_progress(&mut self, id: RequestId, data: Json) {
        if let Some(to) = self.requests.get(id).and_then(|entry| entry.recipient) {
            self.act(Action::Reply { to, status: Status::Progress(data) });
        }
    }

    /// A request to the store has this answer, which is given at once or when what it has seen is on the disk.
    pub(crate) fn conclude_store_request(&mut self, now: Time, id: RequestId, status: Status, seen: CommitNumber) {
        let Some(store_request) = self.layer1.store_requests.get(&id) else { return };
        let when = match store_request.caller {
            Caller::Client(_) if store_request.recipient.is_some() => self.layer1.held_answers.when(seen),
            Caller::Client(_) => When::Now,
            Caller::Run(run) => {
                self.has_seen(run, seen);
                When::Now
            }
        };
        match when {
            When::Now => self.finish_store_request(now, id, status),
            When::Never(failure) => self.finish_store_request(now, id, failure.into()),
            When::Flushed => {
                if let Some(store_request) = self.layer1.store_requests.get_mut(&id)
                    && let StoreRequestState::AtStore { kind, .. } = store_request.state
                {
                    store_request.state = StoreRequestState::Flushing { kind };
                }
                self.layer1.held_answers.hold_store_answer(seen, id, status);
            }
        }
    }

    /// An event is committed: followers get it when it is on the disk.
    pub(crate) fn notify_followers(&mut self, event: Box<StoredEvent>, seen: CommitNumber) {
        match self.layer1.held_answers.when(seen) {
            When::Now => self.act(Action::NotifyFollowers(event)),
            When::Flushed => self.layer1.held_answers.push(seen, Held::Event(event)),
            When::Never(_) => {}
        }
    }
}

/// Whether a client gets the answer, or one that joins by the key may.
fn is_for_client(entry: &RequestEntry) -> bool {
    match entry.recipient {
        Some(to) => matches!(to.caller, Caller::Client(_)),
        None => entry.message.key.is_some() && entry.key_caller.is_none(),
    }
}
