//! The only file that reads the clock: the core gets the time as an argument.

use bulkhead_core::Time;
use bulkhead_protocol::time;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the host began.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// A moment as the core understands it.
    pub(crate) fn time(&self, instant: Instant) -> Time {
        let since = instant.saturating_duration_since(self.origin);
        Time::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// A moment as the system understands it.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.origin + Duration::from_micros(time.as_micros())
    }
}

/// The time of day in UTC, as RFC 3339 with milliseconds.
pub(crate) fn wall_clock() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    time::format_millis(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
