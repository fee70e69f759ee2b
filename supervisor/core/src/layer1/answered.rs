//! The events of one stream that their module has answered and that are not done with: a commit is under way, of
//! them or of one before them. The module has the next event meanwhile.

use super::Cursor;
use crate::{ids::RequestId, limits::EVENTS_COMMITTING_MAX};
use std::collections::VecDeque;

/// These events, in their order.
#[derive(Debug, Default)]
pub(super) struct Answered {
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Event {
    cursor: Cursor,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The store is to commit what was done for it.
    Committing(RequestId),
    /// The store has, or there was nothing to commit.
    Done,
    /// The store has not.
    Failed,
}

impl Answered {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.events.len() < EVENTS_COMMITTING_MAX && !self.has_failed()
    }

    pub(super) fn contains(&self, request: RequestId) -> bool {
        self.position(request).is_some()
    }

    /// The requests whose commits are under way.
    pub(super) fn requests(&self) -> impl Iterator<Item = RequestId> {
        self.events.iter().filter_map(|event| match event.state {
            State::Committing(request) => Some(request),
            State::Done | State::Failed => None,
        })
    }

    pub(super) fn is_committing(&self) -> bool {
        self.requests().next().is_some()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.events.iter().any(|event| event.state == State::Failed)
    }

    /// The last of these events.
    pub(super) fn last(&self) -> Option<Cursor> {
        self.events.back().map(|event| event.cursor)
    }

    /// How far the stream must have got at the store when an event that follows is committed.
    pub(super) fn after(&self) -> Cursor {
        let committed = |event: &&Event| event.state != State::Done;
        self.events.iter().rev().find(committed).map(|event| event.cursor).unwrap_or_default()
    }

    /// The next one is answered, and its commit is under way.
    pub(super) fn commits(&mut self, request: RequestId, cursor: Cursor) {
        self.events.push_back(Event { cursor, state: State::Committing(request) });
    }

    /// The next one is answered, and there is nothing to commit.
    pub(super) fn handled(&mut self, cursor: Cursor) {
        self.events.push_back(Event { cursor, state: State::Done });
    }

    /// A commit was made. Returns whether it was one of these.
    pub(super) fn committed(&mut self, request: RequestId) -> bool {
        self.ends(request, State::Done)
    }

    /// A commit was not made, or that is not known. Returns whether it was one of these.
    pub(super) fn failed(&mut self, request: RequestId) -> bool {
        self.ends(request, State::Failed)
    }

    /// Takes out those that are done with, up to the first that is not. Returns the last of them.
    pub(super) fn settled(&mut self) -> Option<Cursor> {
        let mut settled = None;
        while let Some(event) = self.events.pop_front_if(|event| event.state == State::Done) {
            settled = Some(event.cursor);
        }
        settled
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
    }

    fn ends(&mut self, request: RequestId, state: State) -> bool {
        let Some(at) = self.position(request) else { return false };
        self.events[at].state = state;
        true
    }

    fn position(&self, request: RequestId) -> Option<usize> {
        self.events.iter().position(|event| event.state == State::Committing(request))
    }
}
