//! The token bucket that bounds all automatic restarts of a host together, so that a thousand
//! modules that crash at once do not all start at once.

use crate::time::Time;
use std::time::Duration;

/// Tokens may be taken ahead of time: each reservation returns the moment from which it counts, so
/// that every waiter has a moment of its own and none has to ask again.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    interval: Duration,
    burst: u32,
    /// The moment at which the bucket would be full again if nothing more were taken.
    full_at: Time,
}

impl Bucket {
    pub(crate) fn new(per_second: u32, burst: u32) -> Bucket {
        Bucket { interval: Duration::from_secs(1) / per_second.max(1), burst: burst.max(1), full_at: Time::ZERO }
    }

    /// Takes one token and returns from when on it may be used: now, or later.
    pub(crate) fn reserve(&mut self, now: Time) -> Time {
        self.full_at = self.full_at.max(now) + self.interval;
        let ahead = self.interval * self.burst;
        let debt = self.full_at.since(now);
        if debt <= ahead { now } else { now + (debt - ahead) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_is_spaced() {
        let mut bucket = Bucket::new(10, 3);
        let now = Time::from_millis(5000);
        for _ in 0..3 {
            assert_eq!(bucket.reserve(now), now);
        }
        assert_eq!(bucket.reserve(now), Time::from_millis(5100));
        assert_eq!(bucket.reserve(now), Time::from_millis(5200));
        let later = Time::from_millis(9000);
        assert_eq!(bucket.reserve(later), later);
    }
}
