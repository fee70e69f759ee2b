//! The processor's time of this process, apart for the threads of the store and for the one that calls:
//! on a machine that others use too, it says more than the clock. The system counts in hundredths of a
//! second.

use bulkhead_protocol::ProcessStat;
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
            let Ok(text) = fs::read(thread.path().join("stat")) else { continue };
            let Some(stat) = ProcessStat::parse(&text) else { continue };
            let is_store = fs::read(thread.path().join("comm")).is_ok_and(|name| name.starts_with(b"layer1-"));
            let part = if is_store { &mut used.store } else { &mut used.caller };
            *part += Duration::from_millis(stat.ticks * 10);
        }
        used
    }

    /// What they have used since.
    pub(crate) fn until_now(self) -> Processor {
        let now = Processor::now();
        Processor { caller: now.caller - self.caller, store: now.store - self.store }
    }
}
