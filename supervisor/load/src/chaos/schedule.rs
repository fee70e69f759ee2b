//! When which process is disturbed, and how: it follows from the seed alone. What a process is doing at that moment does
//! not.

use std::time::Duration;

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It is killed.
    Kill,
    /// It is stopped, and continued after this time.
    Stop(Duration),
    /// It is stopped and continued many times during this time, so that little of its program runs.
    Slow(Duration),
}

impl Act {
    pub(super) fn name(self) -> &'static str {
        match self {
            Act::Kill => "kill",
            Act::Stop(_) => "stop",
            Act::Slow(_) => "slow",
        }
    }
}

/// One disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disturbance {
    /// After the beginning.
    pub(super) at: Duration,
    pub(super) act: Act,
    /// Which process, among however many there are then.
    pub(super) pick: u64,
}

/// All disturbances of a run, in their order.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    random: Random,
    /// What comes how often, and when next.
    acts: Vec<(Act, Duration, Duration)>,
    end: Duration,
}

impl Schedule {
    /// Each act comes on average once in its time, and never after `end`.
    pub(super) fn new(seed: u64, acts: &[(Act, Duration)], end: Duration) -> Schedule {
        let mut random = Random(seed);
        let acts = acts.iter().map(|(act, every)| (*act, *every, random.about(*every))).collect();
        Schedule { random, acts, end }
    }
}

impl Iterator for Schedule {
    type Item = Disturbance;

    fn next(&mut self) -> Option<Disturbance> {
        let (act, every, next) = self.acts.iter_mut().min_by_key(|(_, _, next)| *next)?;
        let disturbance = Disturbance { at: *next, act: *act, pick: self.random.next() };
        *next += self.random.about(*every);
        (disturbance.at < self.end).then_some(disturbance)
    }
}

/// Numbers that look random and follow from a seed: SplitMix64, of Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators" (2014).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between half of a time and one and a half of it, so that nothing keeps step with the disturbances.
    fn about(&mut self, time: Duration) -> Duration {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        time / 2 + Duration::from_nanos(self.next() % nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTS: [(Act, Duration); 2] =
        [(Act::Kill, Duration::from_secs(1)), (Act::Stop(Duration::from_millis(200)), Duration::from_secs(5))];

    fn schedule(seed: u64) -> Vec<Disturbance> {
        Schedule::new(seed, &ACTS, Duration::from_secs(600)).collect()
    }

    #[test]
    fn a_seed_always_makes_the_same_disturbances() {
        assert_eq!(schedule(7), schedule(7));
        assert_ne!(schedule(7), schedule(8));
        // The first of SplitMix64 with the seed 0, as published with it.
        assert_eq!(Random(0).next(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn disturbances_come_in_order_about_as_often_as_they_should_and_not_after_the_end() {
        for seed in 0..100 {
            let all = schedule(seed);
            assert!(all.is_sorted_by_key(|disturbance| disturbance.at), "{seed}");
            assert!(all.iter().all(|disturbance| disturbance.at < Duration::from_secs(600)), "{seed}");
            let kills = all.iter().filter(|disturbance| disturbance.act == Act::Kill).count();
            assert!((540..=660).contains(&kills) && (100..=140).contains(&(all.len() - kills)), "{seed}: {kills}");
        }
    }
}
