//! What the requests of one module have at the store: keys that are looked up, commits, answers that wait for the disk.
//! Each is begun by the step of [`super::Requests`] that changes the request's state, so the two cannot differ. What
//! goes to the store, and what follows its answer, is decided in [`crate::layer1`].

use crate::ids::RequestId;
use std::collections::{BTreeSet, VecDeque};

/// How far the store has got with a key that it looks up before the work of a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookUpState {
    /// The store has not answered.
    Asked,
    /// The work is to be done.
    Vacant,
    /// There is nothing left to do.
    Over,
}

/// What a module's requests have at the store.
#[derive(Debug, Default)]
pub(crate) struct AtStore {
    /// Keys, in the order in which the requests came.
    look_ups: VecDeque<(RequestId, LookUpState)>,
    /// Commits of what the module's processes have answered, by their numbers at the store.
    commits: BTreeSet<RequestId>,
    /// How many answers wait for the disk.
    flushing: usize,
}

impl AtStore {
    pub(super) fn begin_look_up(&mut self, request: RequestId) {
        self.look_ups.push_back((request, LookUpState::Asked));
    }

    /// The store has looked up the key of a request.
    pub(crate) fn looked_up(&mut self, request: RequestId, state: LookUpState) {
        let asked = |look_up: &&mut (RequestId, LookUpState)| *look_up == &(request, LookUpState::Asked);
        self.look_ups.iter_mut().find(asked).expect("the store answers what it was asked").1 = state;
    }

    /// The first request, once the store has answered for it, and whether its work is to be done. Those after it wait
    /// for it, so that they do not overtake it.
    pub(crate) fn pop_looked_up(&mut self) -> Option<(RequestId, LookUpState)> {
        self.look_ups.pop_front_if(|(_, state)| *state != LookUpState::Asked)
    }

    pub(super) fn begin_commit(&mut self, job: RequestId) {
        let is_new = self.commits.insert(job);
        debug_assert!(is_new, "{job} was begun before");
    }

    /// A commit was made, or will not be.
    pub(crate) fn end_commit(&mut self, job: RequestId) {
        let was_there = self.commits.remove(&job);
        debug_assert!(was_there, "{job} was not begun or has ended");
    }

    pub(crate) fn has_commits(&self) -> bool {
        !self.commits.is_empty()
    }

    pub(crate) fn oldest_commit(&self) -> Option<RequestId> {
        self.commits.first().copied()
    }

    pub(crate) fn newest_commit(&self) -> Option<RequestId> {
        self.commits.last().copied()
    }

    pub(crate) fn newest_commit_before(&self, job: RequestId) -> Option<RequestId> {
        self.commits.range(..job).next_back().copied()
    }

    pub(super) fn begin_flush(&mut self) {
        self.flushing += 1;
    }

    pub(super) fn end_flush(&mut self) {
        self.flushing = self.flushing.checked_sub(1).expect("a flush ends as often as it was begun");
    }

    /// Whether a commit or an answer is not on the disk yet. Requests whose keys are looked up count in the queue.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.has_commits() || self.flushing > 0
    }

    /// How far the store has got with the key of a request that waits for that.
    pub(crate) fn look_up_of(&self, request: RequestId) -> Option<LookUpState> {
        self.look_ups.iter().find(|(other, _)| *other == request).map(|(_, state)| *state)
    }

    /// The commits, and how many answers wait for the disk, as the requests' states must have them.
    pub(crate) fn accounts(&self) -> (&BTreeSet<RequestId>, usize) {
        (&self.commits, self.flushing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_the_store_has_answered_for_go_on_in_the_order_in_which_they_came() {
        let mut at_store = AtStore::default();
        let [first, second, third] = [1, 2, 3].map(RequestId);
        for request in [first, second, third] {
            at_store.begin_look_up(request);
        }
        at_store.looked_up(second, LookUpState::Over);
        assert_eq!(at_store.pop_looked_up(), None, "the first is not known yet");
        at_store.looked_up(first, LookUpState::Vacant);
        assert_eq!(at_store.look_up_of(first), Some(LookUpState::Vacant));
        assert_eq!(at_store.pop_looked_up(), Some((first, LookUpState::Vacant)));
        assert_eq!(at_store.pop_looked_up(), Some((second, LookUpState::Over)));
        assert_eq!(at_store.pop_looked_up(), None);
        assert_eq!((at_store.look_up_of(first), at_store.look_up_of(third)), (None, Some(LookUpState::Asked)));
        assert!(!at_store.is_unsettled(), "what is looked up counts in the queue");
    }

    #[test]
    fn a_module_is_unsettled_until_its_last_commit_and_its_last_answer_are_on_the_disk() {
        let mut at_store = AtStore::default();
        for job in [4, 7, 9] {
            at_store.begin_commit(RequestId(job));
        }
        assert_eq!((at_store.oldest_commit(), at_store.newest_commit()), (Some(RequestId(4)), Some(RequestId(9))));
        assert_eq!(at_store.newest_commit_before(RequestId(9)), Some(RequestId(7)));
        assert_eq!(at_store.newest_commit_before(RequestId(4)), None);
        at_store.begin_flush();
        for job in [7, 4, 9] {
            at_store.end_commit(RequestId(job));
        }
        assert!(!at_store.has_commits() && at_store.is_unsettled());
        at_store.end_flush();
        assert!(!at_store.is_unsettled());
    }

    #[test]
    #[should_panic(expected = "a flush ends as often as it was begun")]
    fn an_answer_leaves_the_wait_for_the_disk_once() {
        AtStore::default().end_flush();
    }
}
