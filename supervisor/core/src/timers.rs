//! Every pending timer of the core, in order of time.

use crate::{module::ModuleId, module::SlotId, pending::RequestId, run::RunId, time::Time, waiters::WaiterId};
use std::collections::BTreeSet;

/// What a timer is for. Each owner has at most one of its kind and remembers when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A request's deadline.
    Deadline(RequestId),
    /// A run's next check: start timeout, ping, hang, stop escalation.
    Run(RunId),
    /// A slot's next start.
    Start(ModuleId, SlotId),
    /// Somebody's patience for a state.
    Waiter(WaiterId),
    /// The deadline of a request to the store.
    Operation(RequestId),
    /// When a stream of events may try again.
    Stream(ModuleId),
    /// How long others of its module wait for a request that kept losing against them.
    Turn(ModuleId),
}

/// The timers, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Time, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Time, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(crate) fn clear(&mut self, at: Time, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, at: Time, timer: Timer) -> bool {
        self.0.contains(&(at, timer))
    }
}
