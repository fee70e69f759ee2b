//! What time it is. The wall clock is shown, and decides nothing: it may be set at any moment, by years. What
//! a store keeps for a time is measured by the store's **age**, which is how much time the store has seen pass: it
//! advances by the time since boot, a machine's sleep included, while the store is open.
//!
//! What passes while no host has the store open does not count, since no clock that survives a boot can be
//! trusted with it. So "kept for a week" means a week at least.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// What the two clocks say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time of day, in microseconds since 1970.
    pub wall: i64,
    /// The time since boot, in microseconds. It never goes back.
    pub since_boot: i64,
}

/// The two clocks.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

impl Clock {
    /// The system's clocks.
    pub fn system() -> Clock {
        Clock::new(|| {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let since_boot = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
                .expect("Linux has had this clock since 2.6.39, and no program can lose it");
            Now {
                wall: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX),
                since_boot: since_boot.tv_sec() * 1_000_000 + since_boot.tv_nsec() / 1000,
            }
        })
    }

    /// Clocks that the caller provides, as for tests.
    pub fn new(now: impl Fn() -> Now + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// What they say.
    pub fn now(&self) -> Now {
        (self.0)()
    }
}

/// A moment as the store takes it, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The time of day, since 1970: to be shown, and to make ids of.
    pub(crate) wall: i64,
    /// The age of the store: to decide by.
    pub(crate) age: i64,
}

/// The time of one open store.
pub(crate) struct StoreTime {
    clock: Clock,
    opened: Now,
    age_when_opened: i64,
}

impl StoreTime {
    /// The time of a store that is opened now and had this age when it was last written.
    pub(crate) fn new(clock: Clock, age: i64) -> StoreTime {
        let opened = clock.now();
        StoreTime { clock, opened, age_when_opened: age }
    }

    /// This moment. It reads each clock once.
    pub(crate) fn now(&self) -> Moment {
        let Now { wall, since_boot } = self.clock.now();
        let passed = since_boot.saturating_sub(self.opened.since_boot).max(0);
        Moment { wall, age: self.age_when_opened.saturating_add(passed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn the_age_goes_by_the_time_since_boot_and_never_by_the_wall_clock() {
        let now = Arc::new(Mutex::new(Now { wall: 5_000_000, since_boot: 700 }));
        let shown = Arc::clone(&now);
        let time = StoreTime::new(Clock::new(move || *shown.lock().unwrap()), 1000);
        assert_eq!(time.now(), Moment { wall: 5_000_000, age: 1000 });
        for (wall, since_boot, age) in
            [(i64::MAX, 700, 1000), (0, 701, 1001), (9, 1_000_700, 1_001_000), (-5, 2_000_700, 2_001_000)]
        {
            *now.lock().unwrap() = Now { wall, since_boot };
            assert_eq!(time.now(), Moment { wall, age });
        }
        // Another boot's clock begins again; the age does not go back.
        let shown = Arc::clone(&now);
        *now.lock().unwrap() = Now { wall: 0, since_boot: 3 };
        assert_eq!(StoreTime::new(Clock::new(move || *shown.lock().unwrap()), 2_001_000).now().age, 2_001_000);
    }

    #[test]
    fn the_systems_clocks_go_forward() {
        let clock = Clock::system();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.since_boot >= first.since_boot && first.since_boot > 0, "{first:?} {second:?}");
    }
}
