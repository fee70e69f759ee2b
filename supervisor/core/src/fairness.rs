//! What one link may do before the others are served: an account of the time that it costs the host.
//!
//! A link that has cost more than its share, or that has more to say at once than one portion, is served after
//! those that have not had theirs. So a quiet caller waits for one portion, however many others never stop.
//! The host decides when a link is looked at; nothing here measures anything.

use crate::limits::{DEBT_NANOS_MAX, PAID_BACK_NANOS, SHARE_NANOS};
use crate::time::Time;

/// The time that one link has cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeAccount {
    /// Nanoseconds that it owed at that moment.
    debt: u64,
    as_of: Time,
}

impl TimeAccount {
    /// Notes that the link has cost the host so many nanoseconds.
    pub fn charge(&mut self, now: Time, nanos: u64) {
        self.debt = self.debt_at(now).saturating_add(nanos).min(DEBT_NANOS_MAX);
        self.as_of = now;
    }

    /// Whether the link is served after those that have not had their share.
    pub fn has_had_its_share(&self, now: Time) -> bool {
        self.debt_at(now) > SHARE_NANOS
    }

    fn debt_at(&self, now: Time) -> u64 {
        let passed = now.as_micros().saturating_sub(self.as_of.as_micros());
        self.debt.saturating_sub(passed.saturating_mul(PAID_BACK_NANOS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PORTION_NANOS_MAX;
    use std::time::Duration;

    const CALL: Duration = Duration::from_micros(20);

    fn nanos(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap()
    }

    #[test]
    fn a_caller_that_calls_now_and_then_is_never_put_after_the_others() {
        let mut account = TimeAccount::default();
        for call in 0..100_000 {
            let now = Time::from_millis(call * 20);
            account.charge(now, nanos(CALL));
            assert!(!account.has_had_its_share(now), "after call {call}");
        }
    }

    #[test]
    fn a_caller_that_never_stops_is_put_after_the_others_and_is_forgiven_soon_after_its_end() {
        let mut account = TimeAccount::default();
        let mut now = Time::ZERO;
        for _ in 0..1_000_000 {
            now = now + CALL;
            account.charge(now, nanos(CALL));
        }
        assert!(account.has_had_its_share(now));
        assert!(account.has_had_its_share(now + Duration::from_secs(2)));
        assert!(!account.has_had_its_share(now + Duration::from_secs(3)));
    }

    #[test]
    fn one_that_has_its_part_of_a_busy_host_comes_later_however_many_there_are() {
        // Each of two hundred has half a percent of the time.
        let mut account = TimeAccount::default();
        for round in 0..1000 {
            account.charge(Time::from_millis(round * 20), PORTION_NANOS_MAX);
        }
        assert!(account.has_had_its_share(Time::from_millis(20_000)));
    }

    #[test]
    fn a_clock_that_stands_still_or_an_endless_cost_does_no_harm() {
        let mut account = TimeAccount::default();
        account.charge(Time::from_millis(5), u64::MAX);
        account.charge(Time::ZERO, u64::MAX);
        assert!(account.has_had_its_share(Time::ZERO));
        assert!(!account.has_had_its_share(Time::from_millis(60_000)));
    }
}
