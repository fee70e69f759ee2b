//! The table of requests. What is in it is read everywhere and changed here only: each change is a step of a
//! request's way, and says in which states it may be taken. When a step is taken is decided in
//! [`crate::dispatch`], [`crate::answers`], [`crate::delivery`] and [`crate::layer1`]; queues, timers and callers
//! are theirs to keep in line.

mod at_store;

pub(crate) use at_store::{AtStore, LookUpState};

use crate::{
    id_map::IdMap,
    ids::{ModuleId, Recipient, RequestId, RunId},
    layer1::{CommitNumber, Done, EntityKey, Extent, OpenUnit, Unit},
    request::{RequestEntry, RequestState},
    time::Time,
};
use bulkhead_protocol::{Delivery, Json};
use std::ops::Index;

/// All requests that have come and are not forgotten yet.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    by_id: IdMap<RequestId, RequestEntry>,
}

/// What the end of a request's wait leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The moment of its timer, which has nothing to ring for any more.
    pub(crate) deadline: Time,
    /// Who is to be answered, unless that was done before.
    pub(crate) recipient: Option<Recipient>,
    /// The newest commit that the answer can rest on.
    pub(crate) seen: CommitNumber,
}

/// What a process gets with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The bytes that are sent.
    pub(crate) bytes: usize,
    /// The newest commit that the process can see in it.
    pub(crate) seen: CommitNumber,
}

/// What a queue takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) module: ModuleId,
    /// What it holds in memory.
    pub(crate) held: usize,
}

/// What the store is to commit for a request.
#[derive(Debug)]
pub(crate) struct Commit {
    /// What was asked of the store so far.
    pub(crate) open: OpenUnit,
    /// What is stored under its key, if it has one.
    pub(crate) answer: Option<Json>,
}

impl Requests {
    pub(crate) fn get(&self, id: RequestId) -> Option<&RequestEntry> {
        self.by_id.get(&id)
    }

    pub(crate) fn contains(&self, id: RequestId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RequestId, &RequestEntry)> {
        self.by_id.iter().map(|(id, entry)| (*id, entry))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &RequestEntry> {
        self.by_id.values()
    }

    pub(crate) fn insert(&mut self, id: RequestId, entry: RequestEntry) {
        self.by_id.insert(id, entry);
    }

    /// Forgets a request: its module is done with it.
    pub(crate) fn remove(&mut self, id: RequestId) -> Option<RequestEntry> {
        self.by_id.remove(&id)
    }

    /// A request is not wanted any more: it is answered now, or its caller has gone. It has a recipient only the first
    /// time.
    pub(crate) fn close(&mut self, id: RequestId) -> Option<Closed> {
        self.by_id.get_mut(&id).map(RequestEntry::close)
    }

    /// As [`Requests::close`] and [`Requests::remove`] in one: nothing else rests on the request.
    pub(crate) fn end(&mut self, id: RequestId) -> Option<Closed> {
        self.by_id.remove(&id).map(|mut entry| entry.close())
    }

    /// Its caller wants a request to stop. Returns whether it had said so before.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        std::mem::replace(&mut self.step(id).cancelled, true)
    }

    /// A request that would have joined the work of its key leads it: the store is asked about the key. `at_store`
    /// here and below is that of the request's module.
    pub(crate) fn lead(&mut self, id: RequestId, at_store: &mut AtStore) {
        let entry = self.step(id);
        debug_assert_eq!(entry.state, RequestState::Joined);
        entry.state = RequestState::LookingUp;
        at_store.begin_look_up(id);
    }

    /// The work of a request's key is to be done: it waits for a process.
    pub(crate) fn queue(&mut self, id: RequestId) -> Queued {
        let entry = self.step(id);
        debug_assert_eq!(entry.state, RequestState::LookingUp);
        entry.queued()
    }

    /// A request goes to a process, with what is left of its time.
    pub(crate) fn send(&mut self, now: Time, id: RequestId, run: RunId) -> Sent {
        let entry = self.step(id);
        debug_assert_eq!(entry.state, RequestState::Queued);
        entry.state = RequestState::InFlight { run, progressed: false };
        if !entry.is_event() {
            let left = entry.deadline.since(now).as_millis().max(1);
            entry.message.deadline_ms = Some(u64::try_from(left).unwrap_or(u64::MAX));
        }
        Sent { bytes: entry.bytes(), seen: entry.seen }
    }

    /// The answer to a request can rest on this commit.
    pub(crate) fn saw(&mut self, id: RequestId, seen: CommitNumber) -> &RequestEntry {
        let entry = self.step(id);
        entry.seen = entry.seen.max(seen);
        entry
    }

    /// The process that has a request has begun with it: it has reported progress, or asked the store for it.
    pub(crate) fn begun(&mut self, id: RequestId) -> &RequestEntry {
        let entry = self.step(id);
        match &mut entry.state {
            RequestState::InFlight { progressed, .. } => *progressed = true,
            other => unreachable!("only what is in flight has a process that begins with it, found {other:?}"),
        }
        entry
    }

    /// Its module has succeeded with a request; the commit of that waits for what is still asked of the store for it.
    /// Returns the entities that its unit changes, as far as it has named them.
    pub(crate) fn begin_settling(&mut self, id: RequestId, done: Done, at_store: &mut AtStore) -> Vec<EntityKey> {
        let entry = self.step(id);
        debug_assert!(matches!(entry.state, RequestState::InFlight { .. }), "{entry:?}");
        at_store.begin_commit(done.job);
        entry.state = RequestState::Settling(Box::new(done));
        entry.unit.opened_mut().map(|open| std::mem::take(&mut open.changes)).unwrap_or_default()
    }

    /// A success goes to the store: from now on its unit is the store's.
    pub(crate) fn begin_committing(&mut self, id: RequestId) -> Commit {
        let entry = self.step(id);
        let RequestState::Settling(done) = std::mem::replace(&mut entry.state, RequestState::Queued) else {
            unreachable!("only what its module has succeeded with is committed")
        };
        let answer = entry.message.key.is_some().then(|| done.data.clone());
        let commit = Commit { open: entry.unit.take().unwrap_or_default(), answer };
        entry.state = RequestState::Committing(done);
        commit
    }

    /// A request has ended, and its answer waits until what it rests on is on the disk.
    pub(crate) fn begin_flushing(&mut self, id: RequestId, at_store: &mut AtStore) {
        let entry = self.step(id);
        debug_assert!(!matches!(entry.state, RequestState::Joined | RequestState::Flushing), "{entry:?}");
        entry.state = RequestState::Flushing;
        at_store.begin_flush();
    }

    /// Forgets a request whose answer has waited for the disk, and has been given.
    pub(crate) fn end_flushing(&mut self, id: RequestId, at_store: &mut AtStore) {
        let entry = self.by_id.remove(&id);
        debug_assert!(entry.as_ref().is_some_and(|it| it.state == RequestState::Flushing), "{entry:?}");
        at_store.end_flush();
    }

    /// A success is certain, or its commit has failed: what was kept of it until then. The request stays where it
    /// is until it is forgotten or waits again.
    pub(crate) fn take_done(&mut self, id: RequestId) -> Done {
        match &mut self.step(id).state {
            RequestState::Settling(done) | RequestState::Committing(done) => {
                Done { job: done.job, data: std::mem::take(&mut done.data), again: done.again }
            }
            other => unreachable!("only a success is kept, found {other:?}"),
        }
    }

    /// The commit of a request has lost against another one, and the request was worked on all the same.
    pub(crate) fn conflicted(&mut self, id: RequestId) -> &RequestEntry {
        let entry = self.step(id);
        debug_assert!(matches!(entry.state, RequestState::Committing(_)), "{entry:?}");
        entry.conflicts += 1;
        entry.reached = entry.overall_delivery(Delivery::Started);
        entry
    }

    /// The process that had a request has ended, and had got so far with it. What was undone for it is of no
    /// account in the next attempt.
    pub(crate) fn interrupted(&mut self, id: RequestId, here: Delivery) {
        let entry = self.step(id);
        debug_assert!(matches!(entry.state, RequestState::InFlight { .. }), "{entry:?}");
        entry.unit = Unit::Empty;
        entry.reached = entry.overall_delivery(here);
    }

    /// A crash counts against a request.
    pub(crate) fn blamed(&mut self, id: RequestId) {
        self.step(id).crashes += 1;
    }

    /// What was begun with a request came to nothing: it waits for a process again.
    pub(crate) fn restart(&mut self, id: RequestId) -> Queued {
        let entry = self.step(id);
        debug_assert!(
            matches!(entry.state, RequestState::InFlight { .. } | RequestState::Committing(_))
                && matches!(entry.unit, Unit::Empty),
            "{entry:?}"
        );
        entry.queued()
    }

    /// The unit of a request in progress, which is open from now on.
    pub(crate) fn open_unit(&mut self, id: RequestId) -> &mut OpenUnit {
        self.step(id).unit.open()
    }

    /// The unit of a request, if it is open.
    pub(crate) fn opened_unit(&mut self, id: RequestId) -> Option<&mut OpenUnit> {
        self.by_id.get_mut(&id)?.unit.opened_mut()
    }

    /// Ends the unit of a request in which nothing was changed.
    pub(crate) fn take_unit(&mut self, id: RequestId) -> Option<OpenUnit> {
        let open = self.step(id).unit.take();
        debug_assert!(open.as_ref().is_none_or(|open| open.extent == Extent::Reads), "{open:?}");
        open
    }

    /// Undoes what was done for a request so far, if something was. Where it has only read, nothing was undone; where
    /// something was changed, nothing more can be done for it, for this reason.
    pub(crate) fn undo(&mut self, id: RequestId, reason: &'static str) -> Option<OpenUnit> {
        let unit = &mut self.by_id.get_mut(&id)?.unit;
        let open = unit.take()?;
        if open.extent == Extent::Changes || open.abort_reason.is_some() {
            *unit = Unit::Undone(reason);
        }
        Some(open)
    }

    /// A request that the caller has seen in the table.
    fn step(&mut self, id: RequestId) -> &mut RequestEntry {
        self.by_id.get_mut(&id).expect("a request stays in the table until its way is over")
    }
}

impl Index<RequestId> for Requests {
    type Output = RequestEntry;

    fn index(&self, id: RequestId) -> &RequestEntry {
        &self.by_id[&id]
    }
}

impl RequestEntry {
    fn close(&mut self) -> Closed {
        self.wanted = false;
        Closed { deadline: self.deadline, recipient: self.recipient.take(), seen: self.seen }
    }

    fn queued(&mut self) -> Queued {
        self.state = RequestState::Queued;
        Queued { module: self.module, held: self.held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::RetrySafety, ids::Caller};
    use bulkhead_protocol::{Request, RequestType};

    const ID: RequestId = RequestId(1);
    const RUN: RunId = RunId(2);

    fn requests(state: RequestState) -> Requests {
        let message = Request::new(Some(7), RequestType::Command, Json::parse("\"abc\"").unwrap());
        let recipient = Recipient { caller: Caller::Run(RUN), id: 7 };
        let mut requests = Requests::default();
        requests.insert(ID, RequestEntry::new(ModuleId(3), Some(recipient), message, Time::from_millis(500), state));
        requests
    }

    fn in_flight() -> Requests {
        let mut requests = requests(RequestState::Queued);
        requests.send(Time::from_millis(100), ID, RUN);
        requests
    }

    fn done() -> Done {
        Done { job: RequestId(9), data: Json::parse("7").unwrap(), again: RetrySafety::Safe }
    }

    #[test]
    fn a_request_has_a_recipient_once_and_is_not_wanted_from_then_on() {
        let mut requests = requests(RequestState::Queued);
        let closed = requests.close(ID).unwrap();
        assert_eq!((closed.deadline, closed.recipient.unwrap().id), (Time::from_millis(500), 7));
        assert!(!requests[ID].wanted);
        assert_eq!(requests.close(ID), Some(Closed { recipient: None, ..closed }));
        requests.remove(ID);
        assert_eq!(requests.close(ID), None);
    }

    #[test]
    fn the_work_of_a_key_waits_for_a_process_after_the_store_was_asked() {
        let (mut requests, mut at_store) = (requests(RequestState::Joined), AtStore::default());
        requests.lead(ID, &mut at_store);
        assert_eq!(requests[ID].state, RequestState::LookingUp);
        assert_eq!(at_store.look_up_of(ID), Some(LookUpState::Asked));
        let held = requests[ID].held;
        assert_eq!(requests.queue(ID), Queued { module: ModuleId(3), held });
        assert_eq!(requests[ID].state, RequestState::Queued);
    }

    #[test]
    fn a_request_is_sent_with_what_is_left_of_its_time() {
        let mut requests = requests(RequestState::Queued);
        assert_eq!(requests.send(Time::from_millis(100), ID, RUN), Sent { bytes: 5, seen: CommitNumber(0) });
        assert_eq!(requests[ID].state, RequestState::InFlight { run: RUN, progressed: false });
        assert_eq!(requests[ID].message.deadline_ms, Some(400));
        assert_eq!(requests.begun(ID).state, RequestState::InFlight { run: RUN, progressed: true });
    }

    #[test]
    fn a_success_hands_its_unit_to_the_store_and_waits_again_where_another_commit_was_first() {
        let (mut requests, mut at_store) = (in_flight(), AtStore::default());
        requests.open_unit(ID).extent = Extent::Changes;
        requests.begin_settling(ID, done(), &mut at_store);
        assert_eq!(at_store.newest_commit(), Some(done().job));
        assert_eq!(requests[ID].state, RequestState::Settling(Box::new(done())));
        let commit = requests.begin_committing(ID);
        assert_eq!((commit.open.extent, commit.answer), (Extent::Changes, None));
        assert_eq!(requests[ID].state, RequestState::Committing(Box::new(done())));
        assert!(requests.opened_unit(ID).is_none());
        assert_eq!(requests.take_done(ID), done());
        let entry = requests.conflicted(ID);
        assert_eq!((entry.conflicts, entry.reached), (1, Delivery::Started));
        requests.restart(ID);
        assert_eq!(requests[ID].state, RequestState::Queued);
    }

    #[test]
    fn what_was_only_read_can_be_read_again_and_what_was_changed_is_undone_until_its_process_has_ended() {
        let mut requests = in_flight();
        requests.open_unit(ID);
        assert!(requests.undo(ID, "first").is_some() && matches!(requests[ID].unit, Unit::Empty));
        requests.open_unit(ID).extent = Extent::Changes;
        assert!(requests.undo(ID, "second").is_some() && matches!(requests[ID].unit, Unit::Undone("second")));
        assert!(requests.undo(ID, "third").is_none() && matches!(requests[ID].unit, Unit::Undone("second")));
        requests.interrupted(ID, Delivery::Started);
        requests.blamed(ID);
        assert!(matches!(requests[ID].unit, Unit::Empty));
        requests.restart(ID);
        requests.send(Time::from_millis(1100), ID, RUN);
        requests.interrupted(ID, Delivery::NotStarted);
        let entry = &requests[ID];
        assert_eq!((entry.reached, entry.crashes, entry.message.deadline_ms), (Delivery::Started, 1, Some(1)));
    }

    #[test]
    fn an_answer_rests_on_the_newest_commit_that_was_seen_and_waits_for_the_disk_in_a_state_of_its_own() {
        let (mut requests, mut at_store) = (in_flight(), AtStore::default());
        requests.saw(ID, CommitNumber(5));
        assert_eq!(requests.saw(ID, CommitNumber(4)).seen, CommitNumber(5));
        requests.begin_flushing(ID, &mut at_store);
        assert!(requests[ID].state == RequestState::Flushing && at_store.is_unsettled());
        assert_eq!(requests.close(ID).unwrap().seen, CommitNumber(5));
        requests.end_flushing(ID, &mut at_store);
        assert!(!requests.contains(ID) && !at_store.is_unsettled());
    }

    #[test]
    fn only_the_first_cancel_is_the_first() {
        let mut requests = in_flight();
        assert_eq!((requests.cancel(ID), requests.cancel(ID)), (false, true));
    }

    #[test]
    #[should_panic(expected = "only what its module has succeeded with is committed")]
    fn what_has_not_succeeded_is_not_committed() {
        in_flight().begin_committing(ID);
    }
}
