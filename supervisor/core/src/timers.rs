//! Every pending timer of the core, in order of time.
//!
//! Deadlines of requests are set and cleared with every message, nearly always in the order in which
//! they would pass, and hardly ever reached. So those that come in that order are in a list, where
//! one that is cleared is only struck out; everything else is in a sorted set.

use crate::{
    ids::{ModuleId, RequestId, RunId, SlotId, WaiterId},
    lacks::LackId,
    time::Time,
};
use std::collections::{BTreeSet, VecDeque};

/// What a timer is for. Each owner has at most one of its kind and remembers when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A request's deadline.
    Deadline(RequestId),
    /// A run's next check: start timeout, ping, hang, stop escalation.
    Run(RunId),
    /// A slot's next start.
    Start(ModuleId, SlotId),
    /// When something that the host lacks is tried again.
    Lack(LackId),
    /// The timeout of a wait for a state.
    Waiter(WaiterId),
    /// The deadline of a request to the store.
    StoreRequest(RequestId),
    /// When a stream of events may try again.
    Stream(ModuleId),
    /// How long others of its module wait for a request with precedence.
    Precedence(ModuleId),
}

/// The timers, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    sorted: BTreeSet<(Time, Timer)>,
    deadlines: Deadlines,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Time, timer: Timer) {
        let is_in_line = matches!(timer, Timer::Deadline(id) if self.deadlines.push(at, id));
        if !is_in_line {
            self.sorted.insert((at, timer));
        }
    }

    pub(crate) fn clear(&mut self, at: Time, timer: Timer) {
        let stood_in_line = matches!(timer, Timer::Deadline(id) if self.deadlines.strike_out(at, id));
        if !stood_in_line {
            self.sorted.remove(&(at, timer));
        }
    }

    pub(crate) fn next(&self) -> Option<Time> {
        let sorted = self.sorted.first().map(|(at, _)| *at);
        match (sorted, self.deadlines.next()) {
            (Some(sorted), Some((deadline, _))) => Some(sorted.min(deadline)),
            (sorted, deadline) => sorted.or(deadline.map(|(at, _)| at)),
        }
    }

    /// The first timer, once it is due; of several at one moment, deadlines come first.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        let sorted = self.sorted.first().copied().filter(|(at, _)| *at <= now);
        let deadline = self.deadlines.next().filter(|(at, _)| *at <= now);
        if let Some((at, id)) = deadline
            && sorted.is_none_or(|sorted| (at, Timer::Deadline(id)) < sorted)
        {
            self.deadlines.strike_out(at, id);
            return Some(Timer::Deadline(id));
        }
        let (at, timer) = sorted?;
        self.sorted.remove(&(at, timer));
        Some(timer)
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len() + self.deadlines.len()
    }

    pub(crate) fn contains(&self, at: Time, timer: Timer) -> bool {
        matches!(timer, Timer::Deadline(id) if self.deadlines.find(at, id).is_some())
            || self.sorted.contains(&(at, timer))
    }
}

/// Fewer entries than this are not worth compacting.
const TIDY_FROM: usize = 64;

/// Deadlines that came in the order in which they pass. The first one is never struck out, and of all
/// of them at most half, so that their memory is bounded by those that count.
#[derive(Debug, Default)]
struct Deadlines {
    line: VecDeque<(Time, RequestId, EntryState)>,
    struck_out: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryState {
    Valid,
    StruckOut,
}

impl Deadlines {
    /// Appends a deadline to the list; `false` if it would have to precede another.
    fn push(&mut self, at: Time, id: RequestId) -> bool {
        if self.line.back().is_some_and(|(last, last_id, _)| (*last, *last_id) >= (at, id)) {
            return false;
        }
        self.line.push_back((at, id, EntryState::Valid));
        true
    }

    fn find(&self, at: Time, id: RequestId) -> Option<usize> {
        let found = match self.line.front() {
            // What is answered in order is the first.
            Some((first, first_id, _)) if (*first, *first_id) == (at, id) => 0,
            _ => self.line.binary_search_by_key(&(at, id), |(at, id, _)| (*at, *id)).ok()?,
        };
        (self.line[found].2 == EntryState::Valid).then_some(found)
    }

    /// Removes a deadline from the list; `false` if it is not in it.
    fn strike_out(&mut self, at: Time, id: RequestId) -> bool {
        let Some(found) = self.find(at, id) else { return false };
        self.line[found].2 = EntryState::StruckOut;
        self.struck_out += 1;
        while self.line.front().is_some_and(|(.., state)| *state == EntryState::StruckOut) {
            self.line.pop_front();
            self.struck_out -= 1;
        }
        if self.line.len() >= TIDY_FROM && self.struck_out > self.line.len() / 2 {
            self.line.retain(|(.., state)| *state == EntryState::Valid);
            self.struck_out = 0;
        }
        true
    }

    fn next(&self) -> Option<(Time, RequestId)> {
        self.line.front().map(|(at, id, _)| (*at, *id))
    }

    fn len(&self) -> usize {
        self.line.len() - self.struck_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deadline(at: u64, id: u64) -> (Time, Timer) {
        (Time::from_micros(at), Timer::Deadline(RequestId(id)))
    }

    #[test]
    fn a_long_deadline_before_many_short_lives_keeps_little() {
        let mut timers = Timers::default();
        let (at, timer) = deadline(1_000, 0);
        timers.set(at, timer);
        for id in 1..100_000 {
            let (at, timer) = deadline(1_000 + id, id);
            timers.set(at, timer);
            timers.clear(at, timer);
            assert!(timers.deadlines.line.len() <= TIDY_FROM, "{}", timers.deadlines.line.len());
        }
        assert_eq!((timers.len(), timers.next()), (1, Some(at)));
    }

    proptest! {
        /// Compared with a plain sorted set.
        #[test]
        fn it_is_a_sorted_set(steps in prop::collection::vec((0u64..4, 0u64..40, 0u64..20), 0..300)) {
            let (mut timers, mut plain) = (Timers::default(), BTreeSet::new());
            for (what, at, id) in steps {
                let (at, timer) = match id % 4 {
                    0 => (Time::from_micros(at), Timer::Run(RunId(id))),
                    _ => deadline(at, id),
                };
                match what {
                    // No caller sets what is set already.
                    0 | 1 if plain.contains(&(at, timer)) => {}
                    0 | 1 => {
                        timers.set(at, timer);
                        plain.insert((at, timer));
                    }
                    2 => {
                        timers.clear(at, timer);
                        plain.remove(&(at, timer));
                    }
                    _ => {
                        let due = plain.first().copied().filter(|(due, _)| *due <= at);
                        due.map(|due| plain.remove(&due));
                        prop_assert_eq!(timers.pop_due(at), due.map(|(_, timer)| timer));
                    }
                }
                prop_assert_eq!(timers.len(), plain.len());
                prop_assert_eq!(timers.next(), plain.first().map(|(at, _)| *at));
                prop_assert!(plain.iter().all(|(at, timer)| timers.contains(*at, *timer)));
            }
        }
    }
}
