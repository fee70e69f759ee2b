//! One module's stream of events: what of it is done with, what is next, what is fetched already. What
//! is done about it is in [`super::streams`].

use super::{CommitNumber, Cursor, StoredEvent, answered::Answered};
use crate::limits::{FETCHED_BYTES_MAX, FETCHED_MAX};
use crate::{blame::Crash, ids::RequestId, time::Time};
use bulkhead_protocol::Pattern;
use std::collections::VecDeque;

/// Whether the store has said how far the stream has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PositionState {
    Unknown,
    Asked,
    Known,
}

/// What is done with the event that is next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum EventState {
    /// There is none, or it waits for a moment or a process.
    Idle,
    /// It is on its way to the module, or there.
    InProgress(RequestId),
    /// It is being set aside.
    SettingAside,
}

/// One module's stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) position_state: PositionState,
    pub(super) patterns: Vec<Pattern>,
    /// Everything up to here is done with.
    pub(super) position: Cursor,
    /// The events after that which the module has answered while commits before them were under way.
    pub(super) answered: Answered,
    /// Up to here, an event is given only when the one before it is committed.
    one_by_one: Cursor,
    /// The position that was reported to the store.
    pub(super) reported: Cursor,
    /// The event that is next, until it is done with.
    pub(super) current: Option<StoredEvent>,
    pub(super) event_state: EventState,
    /// How often the current event has failed, and how.
    pub(super) attempts: u32,
    pub(super) error: String,
    /// Of its failures, those that were crashes.
    crashes: Vec<Crash>,
    /// The events after it, up to `known`.
    pub(super) fetched: VecDeque<StoredEvent>,
    pub(super) fetched_bytes: usize,
    pub(super) known: Cursor,
    /// The newest commit of what was fetched.
    pub(super) seen: CommitNumber,
    /// The last event of all.
    pub(super) end: Cursor,
    pub(super) reading: Option<RequestId>,
    /// The last event that was stored while the read is under way, which may have begun before it was stored.
    pub(super) stored_while_reading: Cursor,
    /// The position that is being reported to the store, and how many events that are gone it has passed by.
    pub(super) advancing: Option<(Cursor, u64)>,
    /// How many of these were not reported to the store, and from which position on they can be.
    pub(super) missed: u64,
    pub(super) missed_upto: Cursor,
    /// Failures of the store in a row.
    pub(super) failures: u32,
    /// Nothing is tried before this moment.
    pub(super) pause: Option<Time>,
}

impl Stream {
    pub(super) fn new() -> Stream {
        Stream {
            position_state: PositionState::Unknown,
            patterns: Vec::new(),
            position: Cursor(0),
            answered: Answered::default(),
            one_by_one: Cursor(0),
            reported: Cursor(0),
            current: None,
            event_state: EventState::Idle,
            attempts: 0,
            error: String::new(),
            crashes: Vec::new(),
            fetched: VecDeque::new(),
            fetched_bytes: 0,
            known: Cursor(0),
            seen: CommitNumber(0),
            end: Cursor(0),
            reading: None,
            stored_while_reading: Cursor(0),
            advancing: None,
            missed: 0,
            missed_upto: Cursor(0),
            failures: 0,
            pause: None,
        }
    }

    pub(crate) fn pause(&self) -> Option<Time> {
        self.pause
    }

    pub(crate) fn gives(&self) -> Option<RequestId> {
        match self.event_state {
            EventState::InProgress(request) => Some(request),
            EventState::Idle | EventState::SettingAside => None,
        }
    }

    /// The requests of events that their module has answered, and whose commits are under way.
    pub(crate) fn commits(&self) -> impl Iterator<Item = RequestId> {
        self.answered.requests()
    }

    /// Whether an event waits to be given to the module, or may wait: what the store has is read piece by piece.
    pub(crate) fn may_have_next(&self) -> bool {
        let may_follow = !self.patterns.is_empty() && (self.reading.is_some() || self.known < self.end);
        self.current.is_some() || !self.fetched.is_empty() || may_follow
    }

    pub(super) fn wants(&self, event: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(event))
    }

    pub(super) fn has_room(&self, event: &StoredEvent) -> bool {
        let bytes = event.data.as_str().len();
        self.fetched.is_empty() || (self.fetched.len() < FETCHED_MAX && self.fetched_bytes + bytes <= FETCHED_BYTES_MAX)
    }

    pub(super) fn fetch(&mut self, event: StoredEvent) {
        self.fetched_bytes += event.data.as_str().len();
        self.fetched.push_back(event);
    }

    /// There may be events up to here.
    pub(super) fn may_have(&mut self, cursor: Cursor) {
        self.end = self.end.max(cursor);
        self.stored_while_reading = self.stored_while_reading.max(cursor);
    }

    /// The store is being asked for what follows.
    pub(super) fn reads(&mut self, job: RequestId) {
        self.reading = Some(job);
        self.stored_while_reading = Cursor(0);
    }

    /// A read has found nothing that follows: there is only what was stored meanwhile.
    pub(super) fn found_nothing(&mut self) {
        self.end = self.known.max(self.stored_while_reading);
    }

    /// An event was stored just now. It is kept only if it follows directly on what is known; events in
    /// between are read later.
    pub(super) fn stored(&mut self, event: &StoredEvent) {
        self.may_have(event.cursor);
        let follows = self.position_state == PositionState::Known && event.cursor.0 == self.known.0 + 1;
        if !follows || self.reading.is_some() {
            return;
        }
        if !self.wants(&event.event) {
            self.known = event.cursor;
        } else if self.has_room(event) {
            self.known = event.cursor;
            self.fetch(event.clone());
        }
    }

    /// Other events are subscribed to: what was fetched is fetched again.
    pub(super) fn subscribe(&mut self, patterns: &[Pattern]) {
        self.patterns = patterns.to_vec();
        self.fetched.clear();
        self.fetched_bytes = 0;
        self.reading = None;
        if self.event_state == EventState::Idle
            && let Some(current) = self.current.take_if(|current| !patterns.iter().any(|it| it.matches(&current.event)))
        {
            self.handled(current.cursor);
        }
        let answered = self.answered.last().unwrap_or(self.position);
        self.known = self.current.as_ref().map_or(answered, |current| current.cursor);
    }

    /// The current event is done with, and so are all before it.
    pub(super) fn done(&mut self, cursor: Cursor) {
        self.position = self.position.max(cursor);
        self.leave();
    }

    /// The current event is done with, without a commit.
    pub(super) fn handled(&mut self, cursor: Cursor) {
        if self.answered.is_empty() {
            return self.done(cursor);
        }
        self.answered.handled(cursor);
        self.leave();
    }

    /// What was done for an event is committed.
    pub(super) fn committed(&mut self, request: RequestId, cursor: Cursor) {
        self.reported = self.reported.max(cursor);
        if self.answered.committed(request) {
            self.position = self.position.max(self.answered.settled().unwrap_or_default());
        } else {
            self.done(cursor);
        }
    }

    /// Whether there is a next event that can be given while the current one is committed. An event that has failed,
    /// or is given again because a commit before it was not made, is waited for.
    pub(super) fn may_overlap(&self) -> bool {
        let may = |current: &StoredEvent| current.cursor > self.one_by_one;
        self.attempts == 0
            && self.answered.has_room()
            && !self.fetched.is_empty()
            && self.current.as_ref().is_some_and(may)
    }

    /// Leaves the current event to its commit where the next one can be given.
    pub(super) fn overlap(&mut self, request: RequestId) {
        if self.may_overlap()
            && let Some(current) = &self.current
        {
            self.answered.commits(request, current.cursor);
            self.leave();
        }
    }

    /// What was done for an event could not be committed. Returns whether events after it were given, or one before it
    /// is the cause: then nothing of them can be committed, and all of them are given again, one by one.
    pub(super) fn came_back(&mut self, request: RequestId) -> bool {
        if self.answered.failed(request) {
            return true;
        }
        let is_after_one = self.event_state == EventState::InProgress(request) && self.answered.has_failed();
        if is_after_one {
            self.event_state = EventState::Idle;
        }
        is_after_one
    }

    /// Goes back to what the store has, once nothing of what is given again is under way.
    pub(super) fn go_back(&mut self) {
        if self.answered.is_committing() || matches!(self.event_state, EventState::InProgress(_)) {
            return;
        }
        self.one_by_one =
            self.current.as_ref().map(|current| current.cursor).or(self.answered.last()).unwrap_or_default();
        self.answered.clear();
        self.fetched.clear();
        self.fetched_bytes = 0;
        self.reading = None;
        self.leave();
        self.known = self.position;
        self.position_state = PositionState::Unknown;
    }

    /// There is no current event any more.
    fn leave(&mut self) {
        self.current = None;
        self.event_state = EventState::Idle;
        self.attempts = 0;
        self.crashes.clear();
    }

    /// The current event was in progress in a process that crashed.
    pub(super) fn crashed(&mut self, reason: &str, crash: Crash) {
        self.attempts += 1;
        self.error = format!("crashed ({reason})");
        self.crashes.push(crash);
    }

    pub(crate) fn crashes_mut(&mut self) -> impl Iterator<Item = &mut Crash> {
        self.crashes.iter_mut()
    }

    /// The crashes that the current event explains, if it is set aside.
    pub(crate) fn take_crashes(&mut self) -> Vec<Crash> {
        std::mem::take(&mut self.crashes)
    }

    /// Makes the next event the current one, if it is fetched; otherwise everything that is known has passed by.
    pub(super) fn next(&mut self) -> Option<&StoredEvent> {
        if self.current.is_none() {
            self.current = self.fetched.pop_front();
            match &self.current {
                Some(current) => self.fetched_bytes -= current.data.as_str().len(),
                None if self.answered.is_empty() => self.position = self.position.max(self.known),
                None => {}
            }
        }
        self.current.as_ref()
    }
}
