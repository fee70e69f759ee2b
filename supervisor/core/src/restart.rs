//! When a module that ended is started again: backoff, reset, circuit breaker. Why it ended is decided in
//! [`crate::exit_class`], the bound of the whole host in [`crate::bucket`].

use crate::limits::PARDONED_MAX;
use crate::{random::Random, rule::Rule, time::Time};
use std::{collections::VecDeque, time::Duration};

/// Which endings lead to another start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// All but a commanded stop.
    Always,
    /// Failures only.
    #[default]
    OnFailure,
    /// None.
    Never,
}

/// When a module is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartRules {
    /// Which endings lead to another start.
    pub policy: Policy,
    /// A module that had been ready for this long is started again at once, the first time.
    pub at_once_after: Duration,
    /// The first delay; it doubles with each further failure.
    pub delay_initial: Duration,
    /// The longest delay.
    pub delay_max: Duration,
    /// Continuous readiness after which all is forgotten; at least twice the last delay.
    pub reset_after: Duration,
    /// This many failures within the window open the breaker.
    pub breaker_failures: u32,
    /// The window.
    pub breaker_window: Duration,
    /// With the breaker open, one try in this time.
    pub breaker_retry: Duration,
    /// Failed tries with the breaker open after which there are no more; `None`: never given up on.
    pub give_up: Option<u32>,
}

/// Why a start has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// It failed a few times in a row.
    Backoff {
        /// How many.
        failures: u32,
    },
    /// It failed too often: the breaker is open, the state `crash_loop`.
    CrashLoop {
        /// Tries since the breaker opened.
        tries: u32,
    },
    /// Its last process ended on purpose, after it had done what it was asked: that is no failure.
    Left,
    /// All modules of the host together restart too often.
    HostLimit,
    /// It ended with a part of the host, which is not counted.
    HostPart,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Start at this moment, which may be now.
    StartAt(Time, WaitReason),
    /// The breaker was open and the last allowed try failed.
    GiveUp,
}

/// The accounting of one slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restart {
    /// Failures within the breaker's window, oldest first.
    recent: VecDeque<Time>,
    /// Failures since the last reset.
    failures: u32,
    /// Of those, how many were followed by a delay.
    delayed: u32,
    last_delay: Duration,
    /// Tries since the breaker opened, while it is open.
    open: Option<u32>,
    /// The settings of the last decision.
    decided_by: &'static [Rule],
}

impl Restart {
    /// Accounts for a failure after `ready_for` of readiness, and decides what follows.
    pub(crate) fn failed(
        &mut self,
        now: Time,
        ready_for: Option<Duration>,
        rules: &RestartRules,
        random: &mut Random,
    ) -> Decision {
        self.end_series(ready_for, rules);
        self.failures = self.failures.saturating_add(1);
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now.since(*at) > rules.breaker_window) {
            self.recent.pop_front();
        }
        while self.recent.len() > rules.breaker_failures.max(1) as usize + PARDONED_MAX {
            self.recent.pop_front();
        }

        if let Some(tries) = self.open {
            let tries = tries.saturating_add(1);
            self.open = Some(tries);
            if rules.give_up.is_some_and(|most| tries >= most) {
                self.decided_by = &[Rule::GiveUp];
                return Decision::GiveUp;
            }
            self.decided_by = &[Rule::BreakerRetry];
            return self.delay(now, rules.breaker_retry, WaitReason::CrashLoop { tries });
        }
        if self.recent.len() >= rules.breaker_failures.max(1) as usize {
            self.open = Some(0);
            self.decided_by = &[Rule::BreakerFailures, Rule::BreakerWindow, Rule::BreakerRetry];
            return self.delay(now, rules.breaker_retry, WaitReason::CrashLoop { tries: 0 });
        }

        let why = WaitReason::Backoff { failures: self.failures };
        if self.failures == 1 && ready_for.is_some_and(|ready_for| ready_for >= rules.at_once_after) {
            self.decided_by = &[Rule::AtOnceAfter];
            return Decision::StartAt(now, why);
        }
        let delay = self.next_delay(rules, random);
        self.delayed = self.delayed.saturating_add(1);
        self.delay(now, delay, why)
    }

    /// Decides what follows a failure that a message explains: as after any other, but it does not count.
    pub(crate) fn explained(
        &mut self,
        now: Time,
        ready_for: Option<Duration>,
        rules: &RestartRules,
        random: &mut Random,
    ) -> Decision {
        self.end_series(ready_for, rules);
        if let Some(tries) = self.open {
            self.decided_by = &[Rule::BreakerRetry];
            return self.delay(now, rules.breaker_retry, WaitReason::CrashLoop { tries });
        }
        let why = WaitReason::Backoff { failures: self.failures.saturating_add(1) };
        if self.failures == 0 && ready_for.is_some_and(|ready_for| ready_for >= rules.at_once_after) {
            self.decided_by = &[Rule::AtOnceAfter];
            return Decision::StartAt(now, why);
        }
        let delay = self.next_delay(rules, random);
        self.delay(now, delay, why)
    }

    /// Removes failures of these moments from the account, since a message explains them; returns whether
    /// that has closed the breaker.
    pub(crate) fn pardon(&mut self, moments: impl Iterator<Item = Time>, rules: &RestartRules) -> bool {
        for moment in moments {
            if let Some(found) = self.recent.iter().position(|at| *at == moment) {
                self.recent.remove(found);
                self.failures = self.failures.saturating_sub(1);
                self.delayed = self.delayed.min(self.failures);
                self.open = self.open.map(|tries| tries.saturating_sub(1));
            }
        }
        let closes = self.open.is_some() && self.recent.len() < rules.breaker_failures.max(1) as usize;
        if closes {
            self.open = None;
            self.last_delay = Duration::ZERO;
        }
        closes
    }

    /// The settings by which it was last decided what follows a failure.
    pub(crate) fn decided_by(&self) -> &'static [Rule] {
        self.decided_by
    }

    /// Failures since the last reset.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// A series of failures is over once a process has held.
    fn end_series(&mut self, ready_for: Option<Duration>, rules: &RestartRules) {
        let held = rules.reset_after.max(self.last_delay * 2);
        if ready_for.is_some_and(|ready_for| ready_for >= held) {
            // The series is over; the breaker's window runs on, so that a module that lives for
            // eleven seconds at a time is still a crash loop, unless the breaker was open and held.
            let recent = if self.open.is_some() { VecDeque::new() } else { std::mem::take(&mut self.recent) };
            *self = Restart { recent, ..Restart::default() };
        }
    }

    fn next_delay(&mut self, rules: &RestartRules, random: &mut Random) -> Duration {
        let doubled = rules.delay_initial.saturating_mul(1u32 << self.delayed.min(30));
        self.decided_by = if doubled < rules.delay_max { &[Rule::DelayInitial] } else { &[Rule::DelayMax] };
        doubled.min(rules.delay_max).mul_f64(random.jitter())
    }

    fn delay(&mut self, now: Time, delay: Duration, why: WaitReason) -> Decision {
        self.last_delay = delay;
        Decision::StartAt(now + delay, why)
    }

    /// The host did not run for `gap` until `now`: the time did not count for the window.
    pub(crate) fn postpone(&mut self, now: Time, gap: Duration) {
        self.recent.iter_mut().for_each(|at| *at = (*at + gap).min(now));
    }

    /// Forgets everything: a person asked for a start.
    pub(crate) fn clear(&mut self) {
        *self = Restart::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: fn() -> RestartRules = RestartRules::default;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    /// The delay that follows a failure at `now`.
    fn fail(
        restart: &mut Restart,
        now: Time,
        ready_for: Option<u64>,
        random: &mut Random,
    ) -> Option<(Duration, WaitReason)> {
        match restart.failed(now, ready_for.map(Duration::from_secs), &RULES(), random) {
            Decision::StartAt(at, why) => Some((at.since(now), why)),
            Decision::GiveUp => None,
        }
    }

    #[test]
    fn the_first_restart_is_at_once_only_after_a_second_of_readiness() {
        let random = &mut Random::new(1);
        assert_eq!(fail(&mut Restart::default(), at(9), Some(1), random).unwrap().0, Duration::ZERO);
        assert!(fail(&mut Restart::default(), at(9), Some(0), random).unwrap().0 > Duration::ZERO);
        assert!(fail(&mut Restart::default(), at(9), None, random).unwrap().0 > Duration::ZERO);
    }

    #[test]
    fn delays_double_up_to_the_longest_and_are_spread_by_a_quarter() {
        for seed in 0..200 {
            let (mut restart, mut random) = (Restart::default(), Random::new(seed));
            let rules = RestartRules { breaker_failures: 1000, ..RULES() };
            for n in 0..15u32 {
                let now = at(1000 + u64::from(n) * 40);
                let Decision::StartAt(then, _) = restart.failed(now, None, &rules, &mut random) else { panic!() };
                let exact = Duration::from_millis(100).saturating_mul(1 << n).min(Duration::from_secs(30));
                let found = then.since(now).as_secs_f64() / exact.as_secs_f64();
                assert!((0.749..=1.251).contains(&found), "n={n}: factor {found}");
            }
        }
    }

    #[test]
    fn readiness_of_ten_seconds_or_twice_the_last_delay_resets_the_series() {
        let random = &mut Random::new(1);
        let mut restart = Restart::default();
        for _ in 0..3 {
            fail(&mut restart, at(100), None, random);
        }
        assert_eq!(
            fail(&mut restart, at(120), Some(10), random).unwrap(),
            (Duration::ZERO, WaitReason::Backoff { failures: 1 })
        );

        restart.last_delay = Duration::from_secs(20);
        restart.failures = 5;
        let Some((_, WaitReason::Backoff { failures })) = fail(&mut restart, at(200), Some(39), random) else {
            panic!()
        };
        assert_eq!(failures, 6, "39 s is less than twice 20 s");
        restart.last_delay = Duration::from_secs(20);
        let Some((_, WaitReason::Backoff { failures })) = fail(&mut restart, at(300), Some(40), random) else {
            panic!()
        };
        assert_eq!(failures, 1);
    }

    #[test]
    fn ten_failures_in_five_minutes_open_the_breaker_even_when_each_series_was_reset() {
        let random = &mut Random::new(1);
        let mut restart = Restart::default();
        for n in 0..9 {
            let (_, why) = fail(&mut restart, at(100 + n * 20), Some(15), random).unwrap();
            assert!(matches!(why, WaitReason::Backoff { .. }), "{n}");
        }
        let (delay, why) = fail(&mut restart, at(290), Some(15), random).unwrap();
        assert_eq!((delay, why), (Duration::from_secs(60), WaitReason::CrashLoop { tries: 0 }));
        let (_, why) = fail(&mut restart, at(351), None, random).unwrap();
        assert_eq!(why, WaitReason::CrashLoop { tries: 1 });
        let (_, why) = fail(&mut restart, at(600), Some(200), random).unwrap();
        assert_eq!(why, WaitReason::Backoff { failures: 1 }, "a try that holds closes the breaker");
    }

    #[test]
    fn failures_that_are_old_do_not_count_for_the_breaker() {
        let random = &mut Random::new(1);
        let mut restart = Restart::default();
        for n in 0..50 {
            let (_, why) = fail(&mut restart, at(1000 + n * 40), Some(35), random).unwrap();
            assert!(matches!(why, WaitReason::Backoff { .. }), "{n}");
        }
    }

    #[test]
    fn explained_failures_close_the_breaker_that_they_opened_and_no_other() {
        let random = &mut Random::new(1);
        let rules = RestartRules { breaker_failures: 3, ..RULES() };
        let mut restart = Restart::default();
        let fail = |restart: &mut Restart, now, random: &mut Random| restart.failed(at(now), None, &rules, random);
        for now in [100, 101, 102] {
            fail(&mut restart, now, random);
        }
        assert_eq!(restart.open, Some(0));
        assert!(!restart.pardon([at(99)].into_iter(), &rules), "there was no failure at that moment");
        assert!(restart.pardon([at(101)].into_iter(), &rules));
        assert_eq!((restart.failures(), restart.recent.len(), restart.open), (2, 2, None));
        // The two that are left keep counting.
        let opens = Decision::StartAt(at(103) + rules.breaker_retry, WaitReason::CrashLoop { tries: 0 });
        assert_eq!(fail(&mut restart, 103, random), opens);
        for now in 104..110 {
            fail(&mut restart, now, random);
        }
        assert_eq!(restart.open, Some(6));
        assert!(!restart.pardon((104..110).map(at), &rules), "those that opened it are still there");
        assert_eq!(restart.open, Some(0), "its tries did not fail by themselves");
    }

    #[test]
    fn an_explained_failure_is_followed_by_the_delay_of_the_next_one_and_leaves_the_account_as_it_was() {
        let rules = RULES();
        let mut restart = Restart::default();
        for n in 0..30u64 {
            let Decision::StartAt(then, why) =
                restart.explained(at(100 + n), Some(Duration::ZERO), &rules, &mut Random::new(n))
            else {
                panic!("it gave up")
            };
            assert_eq!(why, WaitReason::Backoff { failures: 1 });
            let delay = then.since(at(100 + n));
            assert!(delay >= Duration::from_millis(74) && delay <= Duration::from_millis(126), "{delay:?}");
        }
        let ready_for = Some(Duration::from_secs(1));
        let at_once = Decision::StartAt(at(200), WaitReason::Backoff { failures: 1 });
        assert_eq!(restart.explained(at(200), ready_for, &rules, &mut Random::new(1)), at_once);
        assert_eq!((restart.failures, restart.delayed, restart.recent.len()), (0, 0, 0));
    }

    #[test]
    fn giving_up_happens_only_when_the_manifest_says_so() {
        let random = &mut Random::new(1);
        let rules = RestartRules { breaker_failures: 2, give_up: Some(2), ..RULES() };
        let mut restart = Restart::default();
        let decisions: Vec<_> = (0..4).map(|n| restart.failed(at(100 + n), None, &rules, random)).collect();
        assert!(matches!(decisions[1], Decision::StartAt(_, WaitReason::CrashLoop { tries: 0 })));
        assert!(matches!(decisions[2], Decision::StartAt(_, WaitReason::CrashLoop { tries: 1 })));
        assert_eq!(decisions[3], Decision::GiveUp);
    }
}
