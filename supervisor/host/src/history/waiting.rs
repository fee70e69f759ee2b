//! Which questions wait for what is read from the files of logs and of crashes, and for how long: a rule without
//! thread and clock. One question after the other is read for, so that what is read for one is held at a time. What
//! is read, and what is answered, is not known here.

use bulkhead_core::{Caller, Recipient, Time};
use std::{collections::VecDeque, time::Duration};

/// How long an answer waits for the files. When they have not been read by then, it is given without them.
pub(crate) const HISTORY_TIME_MAX: Duration = Duration::from_secs(5);

/// Questions that may wait; more are answered without the files.
const WAITING_MAX: usize = 256;

/// Those of one client, before its next request is not read.
pub(crate) const OF_CLIENT_MAX: usize = 8;

/// A question `T` that waits.
#[derive(Debug)]
struct Waiting<T> {
    who: Recipient,
    until: Time,
    what: T,
}

/// The reading in progress.
#[derive(Debug)]
struct InProgress<T> {
    number: u64,
    /// The question that waits for it; none once it was answered without it, or is no longer to be answered.
    asked: Option<Waiting<T>>,
    is_overdue: bool,
}

/// All that wait.
#[derive(Debug)]
pub(crate) struct Histories<T> {
    last: u64,
    in_progress: Option<InProgress<T>>,
    waiting: VecDeque<Waiting<T>>,
}

impl<T> Default for Histories<T> {
    fn default() -> Histories<T> {
        Histories { last: 0, in_progress: None, waiting: VecDeque::new() }
    }
}

impl<T> Histories<T> {
    /// Takes in a question. It is given back if it is to be answered now: a reading is overdue, or too many wait.
    pub(crate) fn ask(&mut self, who: Recipient, until: Time, what: T) -> Option<T> {
        let is_overdue = self.in_progress.as_ref().is_some_and(|reading| reading.is_overdue);
        if is_overdue || self.waiting.len() >= WAITING_MAX {
            return Some(what);
        }
        self.waiting.push_back(Waiting { who, until, what });
        None
    }

    /// Begins the next reading, if one is waited for and none is in progress: its number, and the question.
    pub(crate) fn begin(&mut self) -> Option<(u64, &mut T)> {
        if self.in_progress.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.last += 1;
        let reading = self.in_progress.insert(InProgress { number: self.last, asked: Some(next), is_overdue: false });
        reading.asked.as_mut().map(|asked| (reading.number, &mut asked.what))
    }

    /// A reading has ended: the question that waited for it.
    pub(crate) fn end(&mut self, number: u64) -> Option<(Recipient, T)> {
        let reading = self.in_progress.take_if(|reading| reading.number == number)?;
        reading.asked.map(|asked| (asked.who, asked.what))
    }

    /// When one has waited long enough.
    pub(crate) fn due(&self) -> Option<Time> {
        self.all().map(|waiting| waiting.until).min()
    }

    /// Those that have waited long enough; if the one that is read for is among them, all after it as well.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<(Recipient, T)> {
        let mut expired = Vec::new();
        if let Some(reading) = &mut self.in_progress
            && let Some(late) = reading.asked.take_if(|asked| asked.until <= now)
        {
            reading.is_overdue = true;
            expired.push(late);
            expired.extend(self.waiting.drain(..));
        }
        let (late, on_time): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|waiting| waiting.until <= now);
        self.waiting = on_time.into();
        expired.extend(late);
        expired.into_iter().map(|waiting| (waiting.who, waiting.what)).collect()
    }

    /// A question is no longer to be answered; whether there was one of that number.
    pub(crate) fn forget(&mut self, who: Recipient) -> bool {
        self.forget_where(|waiting| waiting.who == who) > 0
    }

    /// The same for all questions of a caller.
    pub(crate) fn forget_caller(&mut self, caller: Caller) {
        self.forget_where(|waiting| waiting.who.caller == caller);
    }

    fn forget_where(&mut self, is_meant: impl Fn(&Waiting<T>) -> bool) -> usize {
        let before = self.all().count();
        // The reading in progress goes on, and its result is dropped.
        if let Some(reading) = &mut self.in_progress {
            reading.asked.take_if(|asked| is_meant(asked));
        }
        self.waiting.retain(|waiting| !is_meant(waiting));
        before - self.all().count()
    }

    /// Whether a caller's number is that of a question that waits.
    pub(crate) fn has(&self, who: Recipient) -> bool {
        self.all().any(|waiting| waiting.who == who)
    }

    pub(crate) fn has_of(&self, caller: Caller) -> bool {
        self.all().any(|waiting| waiting.who.caller == caller)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Whether so much waits for a caller that it may not ask for more.
    pub(crate) fn is_full_of(&self, caller: Caller) -> bool {
        // This is called for each message.
        if self.in_progress.is_none() && self.waiting.is_empty() {
            return false;
        }
        self.all().filter(|waiting| waiting.who.caller == caller).count() >= OF_CLIENT_MAX
    }

    fn all(&self) -> impl Iterator<Item = &Waiting<T>> {
        let in_progress = self.in_progress.iter().filter_map(|reading| reading.asked.as_ref());
        in_progress.chain(&self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_core::ClientId;

    fn who(id: u64) -> Recipient {
        Recipient { caller: Caller::Client(ClientId(1)), id }
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn ids(asked: &[(Recipient, u64)]) -> Vec<u64> {
        asked.iter().map(|(who, _)| who.id).collect()
    }

    /// With questions 1, 2 and 3, which wait until one, two and three seconds.
    fn three() -> Histories<u64> {
        let mut histories = Histories::default();
        (1..=3).for_each(|id| assert_eq!(histories.ask(who(id), at(id * 1000), id), None));
        histories
    }

    #[test]
    fn one_after_the_other_is_read_for() {
        let mut histories = three();
        let (number, what) = histories.begin().unwrap();
        assert_eq!((*what, histories.begin()), (1, None));
        assert_eq!(histories.end(number + 1), None, "another's");
        assert_eq!(histories.end(number), Some((who(1), 1)));
        assert_eq!(histories.begin().map(|(_, what)| *what), Some(2));
        assert!(histories.has(who(2)) && histories.has(who(3)) && !histories.has(who(1)));
    }

    #[test]
    fn none_waits_beyond_its_time_and_none_at_all_after_a_reading_that_is_overdue() {
        let mut histories = three();
        let number = histories.begin().unwrap().0;
        assert_eq!(histories.due(), Some(at(1000)));
        assert!(histories.expire(at(999)).is_empty());
        assert_eq!(ids(&histories.expire(at(1000))), [1, 2, 3]);
        assert_eq!(histories.ask(who(4), at(9000), 4), Some(4), "it is answered at once");
        assert!(histories.begin().is_none() && histories.is_empty());
        assert_eq!(histories.end(number), None);
        assert_eq!(histories.ask(who(5), at(9000), 5), None, "files answer again");
        // One that waits after another may have less time than that.
        assert_eq!(histories.ask(who(6), at(5000), 6), None);
        histories.begin().unwrap();
        assert_eq!(ids(&histories.expire(at(5000))), [6]);
    }

    #[test]
    fn what_was_cancelled_is_answered_no_more_and_what_is_read_for_it_is_waited_for() {
        let mut histories = three();
        let number = histories.begin().unwrap().0;
        assert_eq!(histories.ask(who(4), at(4000), 4), None);
        assert!(histories.forget(who(1)) && histories.forget(who(2)) && !histories.forget(who(2)));
        assert_eq!(histories.ask(who(5), at(5000), 5), None, "it is not overdue");
        assert_eq!(histories.end(number), None);
        assert_eq!(histories.begin().map(|(_, what)| *what), Some(3));
        histories.forget_caller(who(3).caller);
        assert!(histories.is_empty() && !histories.has_of(who(3).caller));
    }

    #[test]
    fn only_so_many_wait_and_a_caller_is_full_with_eight() {
        let mut histories = Histories::default();
        for id in 1..=WAITING_MAX as u64 {
            assert_eq!(histories.is_full_of(who(1).caller), id > OF_CLIENT_MAX as u64);
            assert_eq!(histories.ask(who(id), at(1), id), None);
        }
        assert_eq!(histories.ask(who(5000), at(1), 5000), Some(5000));
    }
}
