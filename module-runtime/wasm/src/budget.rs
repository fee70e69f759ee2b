//! The bound on processor time of one message. A thread of its own looks at the clock of the thread
//! that serves, and moves the engine's epoch when the time is over: compiled code looks at the epoch
//! at every loop and every function. It sleeps while nothing is limited or in progress.
//!
//! Work of the runtime for the module, within a function that the module called, looks at no epoch. It has bounds of
//! its own, calls [`Budget::check`] where it is long, and, if all of that fails, ends with the process a moment later.

use crate::limits::Limit;
use bulkhead_child::EXIT_LIMIT;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::gettid;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use wasmtime::Engine;

/// How much longer than its limit a message may run before the process ends without an answer. Only
/// a call of the runtime that is not bounded by itself could take so long.
const OVERRUN: Duration = Duration::from_secs(2);

/// The shortest sleep between two looks at the clock.
const TICK: Duration = Duration::from_millis(1);

/// The budget of the messages of one thread.
#[derive(Debug)]
pub(crate) struct Budget {
    shared: Arc<Shared>,
    limit: Duration,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<Budgeted>,
    changed: Condvar,
    /// The processor time of the thread that serves.
    clock: ClockId,
}

#[derive(Debug)]
struct Budgeted {
    /// When the message in progress has used all its time, on the thread's clock.
    end: Option<Duration>,
    watcher: Watcher,
}

#[derive(Debug, PartialEq, Eq)]
enum Watcher {
    /// Sleeps until it is woken for a message.
    Waits,
    /// Looks at the clock by itself, and notices another message without being woken.
    Looks,
    /// Ends.
    Done,
}

impl Budget {
    /// Starts the watch over the calling thread, which is the one that serves.
    pub(crate) fn new(engine: Engine, limit: Duration) -> std::io::Result<Budget> {
        Budget::with_last_resort(engine, limit, OVERRUN, move || {
            let limit = Limit::CpuTime { limit };
            bulkhead_child::log!(error, "{limit}, in a function of the runtime that does not end; the process ends");
            std::process::exit(i32::from(EXIT_LIMIT));
        })
    }

    fn with_last_resort(
        engine: Engine,
        limit: Duration,
        overrun: Duration,
        last_resort: impl FnMut() + Send + 'static,
    ) -> std::io::Result<Budget> {
        let shared = Arc::new(Shared {
            state: Mutex::new(Budgeted { end: None, watcher: Watcher::Looks }),
            changed: Condvar::new(),
            clock: clock_of_this_thread(),
        });
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("cpu-time".into()).stack_size(128 * 1024);
        thread.spawn(move || watch(&watched, &engine, overrun, last_resort))?;
        Ok(Budget { shared, limit })
    }

    /// Counts from now on. The store must have been given one epoch before.
    pub(crate) fn begin(&self) {
        let end = self.shared.used() + self.limit;
        let mut state = self.shared.state();
        state.end = Some(end);
        if state.watcher == Watcher::Waits {
            self.shared.changed.notify_one();
        }
    }

    /// Counts no longer. After it, the epoch does not move for the message that was in progress.
    pub(crate) fn finish(&self) {
        self.shared.state().end = None;
    }

    /// Whether the message in progress may go on: for work in many small steps.
    pub(crate) fn check(&self) -> Result<(), Limit> {
        let end = self.shared.state().end;
        match end {
            Some(end) if self.shared.used() >= end => Err(Limit::CpuTime { limit: self.limit }),
            _ => Ok(()),
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.shared.state().watcher = Watcher::Done;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Budgeted> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn used(&self) -> Duration {
        clock_gettime(self.clock).map_or(Duration::ZERO, Duration::from)
    }
}

/// The processor time clock of this thread, readable by others: glibc's `pthread_getcpuclockid` composes the same
/// number, which is part of the kernel's interface (`CPUCLOCK_PERTHREAD_MASK` and `CPUCLOCK_SCHED` under the complement
/// of the thread's number).
fn clock_of_this_thread() -> ClockId {
    ClockId::from_raw((!gettid().as_raw() << 3) | 4 | 2)
}

fn watch(shared: &Shared, engine: &Engine, overrun: Duration, mut last_resort: impl FnMut()) {
    let mut state = shared.state();
    let mut stopped = None;
    while state.watcher != Watcher::Done {
        let Some(end) = state.end else {
            state.watcher = Watcher::Waits;
            state = shared.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
            if state.watcher == Watcher::Waits {
                state.watcher = Watcher::Looks;
            }
            continue;
        };
        let used = shared.used();
        if used >= end && stopped != Some(end) {
            // Under the lock, so that the epoch moves for this message and no other.
            engine.increment_epoch();
            stopped = Some(end);
        } else if used >= end + overrun {
            last_resort();
        }
        // Processor time never runs faster than the wall clock, so this is never too late by more than a tick.
        let sleep = end.saturating_sub(used).max(TICK);
        state = shared.changed.wait_timeout(state, sleep).unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn burn(budget: &Budget, most: Duration) -> Result<(), Limit> {
        let end = Instant::now() + most;
        while Instant::now() < end {
            budget.check()?;
        }
        Ok(())
    }

    fn budget(limit: Duration) -> Budget {
        Budget::new(Engine::default(), limit).unwrap()
    }

    #[test]
    fn work_is_stopped_when_its_processor_time_is_over() {
        let budget = budget(Duration::from_millis(20));
        budget.begin();
        let passed = burn(&budget, Duration::from_secs(20)).unwrap_err();
        assert_eq!(passed, Limit::CpuTime { limit: Duration::from_millis(20) });
    }

    #[test]
    fn waiting_costs_no_processor_time() {
        let budget = budget(Duration::from_millis(20));
        budget.begin();
        // This sleep waits for nothing: the test is that passing time does not count.
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(budget.check(), Ok(()));
    }

    #[test]
    fn each_message_has_a_budget_of_its_own() {
        let budget = budget(Duration::from_millis(30));
        for _ in 0..5 {
            budget.begin();
            assert_eq!(burn(&budget, Duration::from_millis(10)), Ok(()));
            budget.finish();
        }
        assert_eq!(budget.check(), Ok(()), "nothing is in progress");
    }

    #[test]
    fn work_that_notices_nothing_ends_with_the_process() {
        let (sender, ended) = std::sync::mpsc::channel();
        let (limit, overrun) = (Duration::from_millis(10), Duration::from_millis(20));
        let last_resort = move || {
            let _ = sender.send(());
        };
        let budget = Budget::with_last_resort(Engine::default(), limit, overrun, last_resort).unwrap();
        budget.begin();
        let end = Instant::now() + Duration::from_secs(20);
        while ended.try_recv().is_err() {
            assert!(Instant::now() < end, "it goes on for ever");
        }
        assert!(budget.shared.used() >= limit + overrun);
    }

    #[test]
    fn the_watcher_ends_with_the_budget() {
        let shared = {
            let budget = budget(Duration::from_secs(1));
            budget.begin();
            Arc::clone(&budget.shared)
        };
        let end = Instant::now() + Duration::from_secs(20);
        while Arc::strong_count(&shared) > 1 {
            assert!(Instant::now() < end, "the watcher holds on");
            std::thread::yield_now();
        }
    }
}
