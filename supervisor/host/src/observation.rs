//! What `status` has to look at: the memory of process trees and the lengths of the store's files. Which answers
//! wait for that, and for how long, is a rule without thread and clock; what is answered is decided in
//! [`crate::builtin`].

use crate::{tracers, tree_memory};
use bulkhead_core::{Caller, Recipient, Time, Tracer};
use std::{collections::HashMap, path::PathBuf, time::Duration};

/// How long an answer waits for a look. When it has not come by then, what it would have seen is left out.
const LOOK_TIME_MAX: Duration = Duration::from_secs(1);

/// Answers that may wait for a look; more are given without one.
const WAITING_MAX: usize = 1024;

/// Answers to one client that may wait, before its next request is not read: each of them may be long.
pub(crate) const OF_CLIENT_MAX: usize = 8;

/// What is looked at.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// The first processes of the modules, each with a tree below it.
    pub(crate) leaders: Vec<i32>,
    /// This process.
    pub(crate) own: Option<i32>,
    /// The guardian's, below which tracers do not count.
    pub(crate) guardian: Option<i32>,
    /// The store's database, and the log beside it.
    pub(crate) store: Option<(PathBuf, PathBuf)>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) memory: HashMap<i32, u64>,
    /// Their tracers.
    pub(crate) tracers: HashMap<i32, Tracer>,
    pub(crate) store_bytes: Option<(u64, u64)>,
}

impl Observed {
    pub(crate) fn look(self) -> Look {
        let traced = |pid: &i32| Some((*pid, tracers::of_process(*pid, self.guardian)?));
        let tracers = self.leaders.iter().filter_map(traced).collect();
        let own = self.own.and_then(|pid| Some((pid, tree_memory::of_process(pid)?)));
        let memory = tree_memory::of_trees(&self.leaders).into_iter().chain(own).collect();
        let bytes = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Look { memory, tracers, store_bytes: self.store.map(|(file, log)| (bytes(file), bytes(log))) }
    }
}

/// The requests that wait for looks; `T` is what each asks for.
#[derive(Debug)]
pub(crate) struct Observations<T> {
    last: u64,
    in_progress: Option<InProgress<T>>,
    waiting: Vec<(Recipient, T)>,
}

#[derive(Debug)]
struct InProgress<T> {
    number: u64,
    until: Time,
    /// Empty once they were answered without it.
    asked: Vec<(Recipient, T)>,
}

impl<T> Default for Observations<T> {
    fn default() -> Observations<T> {
        Observations { last: 0, in_progress: None, waiting: Vec::new() }
    }
}

impl<T> Observations<T> {
    /// Takes in a question that waits for the next look. It is given back if it is to be answered now: a look is
    /// overdue, or too many wait.
    pub(crate) fn ask(&mut self, who: Recipient, what: T) -> Option<T> {
        if self.is_overdue() || self.waiting.len() >= WAITING_MAX {
            return Some(what);
        }
        self.waiting.push((who, what));
        None
    }

    /// Whether a look has been given up on and has not ended since.
    pub(crate) fn is_overdue(&self) -> bool {
        self.in_progress.as_ref().is_some_and(|look| look.asked.is_empty())
    }

    /// Begins the next look, if one is waited for and none is in progress: its number, and the requests for it.
    pub(crate) fn begin(&mut self, now: Time) -> Option<(u64, &[(Recipient, T)])> {
        if self.in_progress.is_some() || self.waiting.is_empty() {
            return None;
        }
        self.last += 1;
        let asked = std::mem::take(&mut self.waiting);
        let look = self.in_progress.insert(InProgress { number: self.last, until: now + LOOK_TIME_MAX, asked });
        Some((look.number, &look.asked))
    }

    /// A look has ended: the requests that waited for it.
    pub(crate) fn end(&mut self, number: u64) -> Vec<(Recipient, T)> {
        match self.in_progress.take_if(|look| look.number == number) {
            Some(look) => look.asked,
            None => Vec::new(),
        }
    }

    /// When one has waited long enough.
    pub(crate) fn due(&self) -> Option<Time> {
        self.in_progress.as_ref().filter(|look| !look.asked.is_empty()).map(|look| look.until)
    }

    /// Those that have waited long enough, and all that wait after them.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<(Recipient, T)> {
        let Some(look) = self.in_progress.as_mut().filter(|look| look.until <= now) else { return Vec::new() };
        let mut asked = std::mem::take(&mut look.asked);
        asked.append(&mut self.waiting);
        asked
    }

    /// Whether a caller's number is that of a question that waits.
    pub(crate) fn has(&self, who: Recipient) -> bool {
        self.recipients().any(|other| other == who)
    }

    pub(crate) fn has_of(&self, caller: Caller) -> bool {
        self.recipients().any(|who| who.caller == caller)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.recipients().next().is_none()
    }

    /// Whether so much waits for a caller that it may not ask for more.
    pub(crate) fn is_full_of(&self, caller: Caller) -> bool {
        // This is called for each message.
        if self.in_progress.is_none() && self.waiting.is_empty() {
            return false;
        }
        self.recipients().filter(|who| who.caller == caller).count() >= OF_CLIENT_MAX
    }

    fn recipients(&self) -> impl Iterator<Item = Recipient> {
        let in_progress = self.in_progress.iter().flat_map(|look| &look.asked);
        in_progress.chain(&self.waiting).map(|(who, _)| *who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_core::ClientId;

    fn who(id: u64) -> Recipient {
        Recipient { caller: Caller::Client(ClientId(1)), id }
    }

    fn ids(asked: &[(Recipient, ())]) -> Vec<u64> {
        asked.iter().map(|(who, ())| who.id).collect()
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn what_is_asked_while_a_look_is_in_progress_waits_for_the_next() {
        let mut looks = Observations::default();
        assert!(looks.ask(who(1), ()).is_none() && looks.ask(who(2), ()).is_none());
        let (number, asked) = looks.begin(at(0)).unwrap();
        assert_eq!(ids(asked), [1, 2]);
        assert!(looks.ask(who(3), ()).is_none() && looks.begin(at(1)).is_none());
        assert!(looks.has(who(1)) && looks.has(who(3)) && !looks.has(who(4)));
        assert_eq!(ids(&looks.end(number)), [1, 2]);
        assert_eq!(ids(looks.begin(at(2)).unwrap().1), [3]);
    }

    #[test]
    fn no_answer_waits_longer_than_a_second_and_none_at_all_while_a_look_is_overdue() {
        let mut looks = Observations::default();
        assert!(looks.ask(who(1), ()).is_none());
        let number = looks.begin(at(0)).unwrap().0;
        assert!(looks.ask(who(2), ()).is_none());
        assert_eq!(looks.due(), Some(at(1000)));
        assert!(looks.expire(at(999)).is_empty());
        assert_eq!(ids(&looks.expire(at(1000))), [1, 2]);
        assert_eq!(looks.due(), None);
        assert_eq!(looks.ask(who(3), ()), Some(()));
        assert!(looks.is_empty() && looks.end(number).is_empty() && !looks.is_overdue());
        assert!(looks.ask(who(4), ()).is_none() && looks.begin(at(5000)).is_some());
    }

    #[test]
    fn a_caller_is_full_with_eight_and_not_any_more_when_they_are_answered() {
        let mut looks = Observations::default();
        for id in 1..=OF_CLIENT_MAX as u64 {
            assert!(!looks.is_full_of(who(1).caller));
            assert!(looks.ask(who(id), ()).is_none());
        }
        assert!(looks.is_full_of(who(1).caller) && !looks.is_full_of(Caller::Client(ClientId(2))));
        let number = looks.begin(at(0)).unwrap().0;
        assert!(looks.is_full_of(who(1).caller));
        looks.end(number);
        assert!(!looks.is_full_of(who(1).caller));
    }

    #[test]
    fn only_so_many_wait() {
        let mut looks = Observations::default();
        assert!((0..WAITING_MAX as u64).all(|id| looks.ask(who(id), ()).is_none()));
        assert_eq!(looks.ask(who(5000), ()), Some(()));
    }
}
