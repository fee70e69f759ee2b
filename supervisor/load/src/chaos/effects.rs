//! The effects that were seen of each call: how often its id stands in what a command answers, or in how many events.

use crate::called::Run;
use std::collections::BTreeSet;

/// How often each call had an effect.
#[derive(Debug)]
pub(super) struct Effects {
    run: Run,
    /// By the numbers of calls.
    seen: Vec<u32>,
    /// Ids of this run that belong to no call.
    unknown: u64,
}

impl Effects {
    /// None yet, of so many calls.
    pub(super) fn new(run: &Run, calls: usize) -> Effects {
        Effects { run: run.clone(), seen: vec![0; calls], unknown: 0 }
    }

    /// A list of effects: each place at which an id stands is one.
    pub(super) fn add_list(&mut self, text: &str) {
        let run = self.run.clone();
        run.numbers_in(text).for_each(|number| self.add(number));
    }

    /// One effect: an id counts once, however often it stands there.
    pub(super) fn add_one(&mut self, text: &str) {
        let run = self.run.clone();
        let numbers: BTreeSet<u64> = run.numbers_in(text).collect();
        numbers.into_iter().for_each(|number| self.add(number));
    }

    pub(super) fn of(&self, number: usize) -> u32 {
        self.seen[number]
    }

    pub(super) fn total(&self) -> u64 {
        self.seen.iter().map(|count| u64::from(*count)).sum()
    }

    pub(super) fn unknown(&self) -> u64 {
        self.unknown
    }

    fn add(&mut self, number: u64) {
        match usize::try_from(number).ok().and_then(|at| self.seen.get_mut(at)) {
            Some(count) => *count = count.saturating_add(1),
            None => self.unknown += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_counts_each_place_and_an_event_counts_once() {
        let mut effects = Effects::new(&Run::named("ab12"), 3);
        effects.add_list(r#"["ab12-0","ab12-2","ab12-0","ff00-1","ab12-3"]"#);
        effects.add_one(r#"{"id":"ab12-1","text":"ab12-1"}"#);
        assert_eq!([0, 1, 2].map(|number| effects.of(number)), [2, 1, 1]);
        assert_eq!((effects.total(), effects.unknown()), (4, 1));
    }
}
