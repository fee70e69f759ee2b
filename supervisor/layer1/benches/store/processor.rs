//! The processor's time of this process, apart for the threads of the store and for the one that calls:
//! on a machine that others use too, it says more than the clock. The system counts in hundredths of a
//! second.

use std::{fs, time::Duration};

/// What threads have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Processor {
    /// The thread that calls.
    pub(crate) caller: Duration,
    /// The threads of the store.
    pub(crate) store: Duration,
}

impl Processor {
    /// What all of them have used up to now.
    pub(crate) fn now() -> Processor {
        let mut used = Processor::default();
        for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let Ok(line) = fs::read_to_string(thread.path().join("stat")) else { continue };
            // The name stands in brackets and may hold anything; what follows are words.
            let Some((name, words)) = line.rsplit_once(") ") else { continue };
            let ticks = words.split(' ').skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum::<u64>();
            let part = if name.contains("(layer1-") { &mut used.store } else { &mut used.caller };
            *part += Duration::from_millis(ticks * 10);
        }
        used
    }

    /// What they have used since.
    pub(crate) fn until_now(self) -> Processor {
        let now = Processor::now();
        Processor { caller: now.caller - self.caller, store: now.store - self.store }
    }
}
