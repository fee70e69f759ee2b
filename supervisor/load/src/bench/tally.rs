//! What was counted of one round: the times of successes, and errors by their codes. Its memory is bounded, however many
//! calls there are.

use bulkhead_protocol::{ErrorCode, Failure};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time that is distinguished from a longer one, in nanoseconds: more than the longest deadline.
const NANOS_MAX: u64 = 100_000 * 1_000_000_000;

/// Significant digits of a time.
const DIGITS: u8 = 3;

/// Errors with one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Errors {
    pub(super) count: u64,
    /// The sentence of the first one.
    pub(super) first: String,
}

/// The counts.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    times: Histogram<u64>,
    errors: BTreeMap<&'static str, Errors>,
}

impl Tally {
    pub(super) fn new() -> Tally {
        let times = Histogram::new_with_bounds(1, NANOS_MAX, DIGITS).expect("the bounds are in order");
        Tally { times, errors: BTreeMap::new() }
    }

    pub(super) fn add_success(&mut self, time: Duration) {
        self.times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The codes are a closed list, so they bound this as well.
    pub(super) fn add_error(&mut self, failure: &Failure) {
        let code: ErrorCode = failure.code;
        let errors = self.errors.entry(code.name());
        errors.or_insert_with(|| Errors { count: 0, first: failure.error.clone() }).count += 1;
    }

    pub(super) fn successes(&self) -> u64 {
        self.times.len()
    }

    pub(super) fn errors(&self) -> &BTreeMap<&'static str, Errors> {
        &self.errors
    }

    /// The time that this share of all successes did not exceed; none without a success.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        (self.successes() > 0).then(|| Duration::from_nanos(self.times.value_at_quantile(share)))
    }

    /// The longest time.
    pub(super) fn max(&self) -> Option<Duration> {
        (self.successes() > 0).then(|| Duration::from_nanos(self.times.max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with a precision of three digits.
    fn is_about(found: Option<Duration>, micros: u64) -> bool {
        let found = found.unwrap().as_nanos() as f64;
        let expected = (micros * 1000) as f64;
        (found - expected).abs() <= expected / 500.0
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_times_to_three_digits() {
        let mut tally = Tally::new();
        assert_eq!((tally.quantile(0.5), tally.max()), (None, None));
        (1..=1000).rev().for_each(|micros| tally.add_success(Duration::from_micros(micros)));
        assert_eq!(tally.successes(), 1000);
        for (share, micros) in [(0.5, 500), (0.9, 900), (0.99, 990), (1.0, 1000)] {
            assert!(is_about(tally.quantile(share), micros), "{share}: {:?}", tally.quantile(share));
        }
        assert!(is_about(tally.max(), 1000));
    }

    #[test]
    fn a_time_beyond_the_longest_deadline_is_kept_as_the_longest() {
        let mut tally = Tally::new();
        tally.add_success(Duration::MAX);
        assert!(tally.max().unwrap() >= Duration::from_nanos(NANOS_MAX));
    }

    #[test]
    fn errors_are_counted_by_their_codes_with_the_first_sentence() {
        let mut tally = Tally::new();
        for sentence in ["the queue is full", "it is full again"] {
            tally.add_error(&Failure::new(ErrorCode::Overloaded, sentence));
        }
        tally.add_error(&Failure::new(ErrorCode::ModuleCrashed, "it crashed"));
        let counts: Vec<_> =
            tally.errors().iter().map(|(code, errors)| (*code, errors.count, &*errors.first)).collect();
        assert_eq!(counts, [("module_crashed", 1, "it crashed"), ("overloaded", 2, "the queue is full")]);
        assert_eq!(tally.successes(), 0);
    }
}
