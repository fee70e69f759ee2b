//! How long the thread that writes waits for more jobs before it begins a group.

use std::time::Duration;

/// How many jobs came in the last groups, and how long the last one took.
#[derive(Debug, Default)]
pub(super) struct Pace {
    group: usize,
    group_before: usize,
    took: Duration,
}

impl Pace {
    /// For how many jobs it pays to wait, and how long at most. Callers that were answered together
    /// soon send their next job, one after the other; a flush for the first of them alone would delay
    /// all the others. Where a flush is slow, nearly all of them are waited for; where it is fast, some,
    /// and the others send theirs while these are written. A single caller is never waited for.
    pub(super) fn expected(&self) -> (usize, Duration) {
        /// Longer than any caller needs that has another job at all.
        const WAIT_MAX: Duration = Duration::from_micros(500);
        (self.group.max(self.group_before), (self.took / 8).min(WAIT_MAX))
    }

    pub(super) fn note(&mut self, group: usize, took: Duration) {
        self.group_before = std::mem::replace(&mut self.group, group);
        self.took = took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_is_never_waited_for_and_many_are_for_a_moment() {
        let mut pace = Pace::default();
        let millis = Duration::from_millis;
        for _ in 0..3 {
            pace.note(1, millis(4));
            assert_eq!(pace.expected().0, 1);
        }
        pace.note(63, millis(1));
        pace.note(1, millis(1));
        assert_eq!(pace.expected(), (63, Duration::from_micros(125)));
        pace.note(1, millis(100));
        assert_eq!(pace.expected(), (1, Duration::from_micros(500)));
    }
}
