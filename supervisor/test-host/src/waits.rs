//! What takes less time in a test: the waits before restarts, of stops and for hung processes. A value that a manifest
//! or the test sets is left as it is; the rules are the same.

use bulkhead_config::{HostConfig, ModuleConfig, Origin};
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Shortens what was not set.
pub(crate) fn shorten(host: &mut HostConfig, modules: &mut [ModuleConfig]) {
    // A bucket that a test does not empty.
    host.restarts.per_second = 1000;
    host.restarts.burst = 10_000;
    for module in modules {
        let values = [
            ("restart.at_once_after", &mut module.restart.at_once_after, ms(0)),
            ("restart.delay_initial", &mut module.restart.delay_initial, ms(1)),
            ("restart.delay_max", &mut module.restart.delay_max, ms(100)),
            ("limits.stop_timeout", &mut module.limits.stop_timeout, ms(1000)),
            ("limits.term_timeout", &mut module.limits.term_timeout, ms(500)),
            ("limits.cancel_grace", &mut module.limits.cancel_grace, ms(500)),
        ];
        for (key, value, shorter) in values {
            if module.origins.of(key) == Origin::Default {
                *value = shorter;
            }
        }
        module.restart.delay_max = module.restart.delay_max.max(module.restart.delay_initial);
    }
}
