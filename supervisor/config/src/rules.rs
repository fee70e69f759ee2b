//! The core's rules, made from settings, and the settings' defaults, made from the core's rules, so that each default
//! is defined once, in the core.

use crate::{Limits, Restart, Restarts};
use bulkhead_core::{HostSettings, ModuleRules, RestartRules};
use std::time::Duration;

impl Restart {
    /// The rules from the settings.
    pub fn rules(&self) -> RestartRules {
        RestartRules {
            policy: self.policy,
            at_once_after: self.at_once_after,
            delay_initial: self.delay_initial,
            delay_max: self.delay_max,
            reset_after: self.reset_after,
            breaker_failures: count(self.breaker_failures),
            breaker_window: self.breaker_window,
            breaker_retry: self.breaker_retry,
            give_up: self.give_up.map(count),
        }
    }
}

impl Default for Restart {
    fn default() -> Restart {
        let rules = RestartRules::default();
        Restart {
            policy: rules.policy,
            at_once_after: rules.at_once_after,
            delay_initial: rules.delay_initial,
            delay_max: rules.delay_max,
            reset_after: rules.reset_after,
            breaker_failures: rules.breaker_failures as usize,
            breaker_window: rules.breaker_window,
            breaker_retry: rules.breaker_retry,
            give_up: rules.give_up.map(|failures| failures as usize),
        }
    }
}

impl Limits {
    /// The rules that the settings make, with the processor time after which the host ends a message. Settings of some
    /// kinds only, as the time to compile, are not among these.
    pub fn rules(&self, cpu_time_max: Option<Duration>) -> ModuleRules {
        ModuleRules {
            queue_max: self.queue,
            queue_bytes_max: self.queue_bytes_max,
            window: self.window,
            window_bytes_max: self.window_bytes,
            requests_max: self.requests,
            start_timeout: self.start_timeout,
            compile_timeout: None,
            drain_timeout: self.stop_timeout,
            term_timeout: self.term_timeout,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            ping_misses: count(self.ping_misses),
            deadline_default: self.deadline_default,
            cancel_grace: self.cancel_grace,
            cpu_time_max,
            close_grace: ModuleRules::default().close_grace,
            last_grace: ModuleRules::default().last_grace,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        let rules = ModuleRules::default();
        Limits {
            queue: rules.queue_max,
            queue_bytes_max: rules.queue_bytes_max,
            window: rules.window,
            window_bytes: rules.window_bytes_max,
            requests: rules.requests_max,
            start_timeout: rules.start_timeout,
            stop_timeout: rules.drain_timeout,
            term_timeout: rules.term_timeout,
            ping_interval: rules.ping_interval,
            ping_timeout: rules.ping_timeout,
            ping_misses: rules.ping_misses as usize,
            deadline_default: rules.deadline_default,
            cancel_grace: rules.cancel_grace,
        }
    }
}

impl Restarts {
    /// The core's settings from these.
    pub fn settings(&self) -> HostSettings {
        HostSettings {
            restarts_per_second: count(self.per_second),
            restarts_burst: count(self.burst),
            starts_at_once: count(self.starts_at_once),
            ..HostSettings::default()
        }
    }
}

impl Default for Restarts {
    fn default() -> Restarts {
        let settings = HostSettings::default();
        Restarts {
            per_second: settings.restarts_per_second as usize,
            burst: settings.restarts_burst as usize,
            starts_at_once: settings.starts_at_once as usize,
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_core() {
        assert_eq!(Restart::default().rules(), RestartRules::default());
        assert_eq!(Limits::default().rules(None), ModuleRules::default());
        assert_eq!(Restarts::default().settings(), HostSettings::default());
    }
}
