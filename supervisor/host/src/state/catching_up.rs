//! What the loop does when it was late: it was stopped, or the machine or its container was, or others had the
//! processor. What came meanwhile is read before any timeout is decided, however many iterations that takes. What
//! the lost time means for processes is decided by the core.
//!
//! The time is that of `CLOCK_MONOTONIC`, which stops while the machine is suspended, for modules as
//! for the host: a suspended machine is no pause at all.

use super::*;

/// The time between two iterations from which on something may have come that one iteration does not read.
const GAP_MIN: Duration = Duration::from_millis(250);

/// How long timers wait at most for what is still read: a sender that floods must not delay them for ever.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// The host reads on before it decides any timeout.
#[derive(Debug)]
pub(super) struct CatchingUp {
    until: Instant,
    /// Whether this is still the iteration that noticed it: the system may have been asked before the gap what
    /// is ready, so finding nothing proves nothing yet.
    is_first: bool,
    /// Whether an iteration has ended before everything was read.
    was_cut_short: bool,
}

impl HostState {
    /// The time between this iteration and the last one was long, which may be because nothing happened.
    pub(super) fn after_a_gap(&mut self, began: Instant, gap: Duration) {
        self.catching_up = Some(CatchingUp { until: began + CATCH_UP_MAX, is_first: true, was_cut_short: false });
        if self.core.poll_timeout().is_some_and(|due| due + GAP_MIN <= self.now) {
            tracing::warn!("the host did not run for up to {:.1} s: it reads first what has come", gap.as_secs_f64());
            self.core.handle_late(self.now, gap);
            self.perform();
        }
    }

    /// Whether what is due must wait for what is still to be read; asked at the end of an iteration that has
    /// handled so many events.
    pub(crate) fn reads_on(&mut self, handled: usize, is_cut_short: bool, began: Instant) -> bool {
        let Some(catching_up) = &mut self.catching_up else { return false };
        catching_up.was_cut_short |= is_cut_short;
        let is_due = self.core.poll_timeout().is_some_and(|due| due <= self.now);
        let is_first = std::mem::take(&mut catching_up.is_first);
        let has_read_all = (handled == 0 && !is_first) || !(catching_up.was_cut_short || is_due);
        if has_read_all || began >= catching_up.until {
            self.catching_up = None;
            // What is due is decided in the next iteration.
            return is_due;
        }
        true
    }
}

/// Whether the time between two iterations was so long.
pub(super) fn is_gap(gap: Duration) -> bool {
    gap >= GAP_MIN
}
