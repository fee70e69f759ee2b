//! How far the commits have got: which have begun, which are visible, which are on the disk.
//!
//! The thread that writes commits to the write-ahead log without a flush, so that a commit is visible at once; one
//! flush of the log covers all commits before it. What a job has seen is known by a number, which is never below
//! that of any commit that it has seen: a commit announces its number before it begins, and a reader takes the
//! number after its first look at the database.
//!
//! A flush that fails is never repeated: the kernel may have dropped what was to be written, and the next flush
//! would succeed without it. Nothing after [`Durability::flushed`] becomes durable then.

use bulkhead_protocol::layer1::CommitNumber;
use std::{
    fs::File,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How the log is flushed.
pub(crate) type FlushLog = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

pub(crate) struct Durability {
    /// The write-ahead log, by a descriptor of its own, which is kept: SQLite holds no lock on this file. None
    /// where the database has no such log, and each commit is durable when it is made.
    log: Option<File>,
    flush_log: FlushLog,
    announced: AtomicU64,
    flushed: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
    failed: OnceLock<String>,
}

#[derive(Default)]
struct State {
    committed: u64,
    is_flushing: bool,
    /// The thread that flushes is to end.
    ends: bool,
}

impl Durability {
    pub(crate) fn new(log: Option<File>, flush_log: FlushLog) -> Durability {
        Durability {
            log,
            flush_log,
            announced: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
            failed: OnceLock::new(),
        }
    }

    /// Announces the commit that begins now. Only for the thread that writes.
    pub(crate) fn announce(&self) -> CommitNumber {
        CommitNumber(self.announced.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The number of all that a reading, which has looked at the database before, can have seen.
    pub(crate) fn seen(&self) -> CommitNumber {
        CommitNumber(self.announced.load(Ordering::SeqCst))
    }

    /// Everything up to this commit is on the disk.
    pub(crate) fn flushed(&self) -> CommitNumber {
        CommitNumber(self.flushed.load(Ordering::SeqCst))
    }

    /// Why nothing more becomes durable, if so.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// The announced commit is made, or is not: nothing of it is left then, and its number has no meaning.
    pub(crate) fn committed(&self, number: CommitNumber) {
        self.state().committed = number.0;
        if self.log.is_none() {
            self.flushed.store(number.0, Ordering::SeqCst);
        }
    }

    /// Lets the thread that flushes begin, if there is something to flush.
    pub(crate) fn rouse(&self) {
        self.changed.notify_all();
    }

    /// Whether all that is committed is on the disk.
    pub(crate) fn is_flushed(&self) -> bool {
        self.state().committed <= self.flushed().0
    }

    /// Whether a flush is under way or due.
    pub(crate) fn lags(&self) -> bool {
        let state = self.state();
        state.is_flushing || self.is_due(&state)
    }

    /// Waits for something to flush, and flushes it: true, until the end.
    ///
    /// # Errors
    /// When the flush failed. It is reported once.
    pub(crate) fn flush_next(&self) -> Result<bool, String> {
        let mut state = self.state();
        loop {
            if !state.is_flushing && self.is_due(&state) {
                return self.flush(state).map(|()| true);
            }
            if state.ends {
                return Ok(false);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Flushes on the caller's thread what is committed, once no other thread flushes.
    ///
    /// # Errors
    /// When the flush failed. It is reported once.
    pub(crate) fn flush_all(&self) -> Result<(), String> {
        let mut state = self.state();
        while state.is_flushing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if self.is_due(&state) { self.flush(state) } else { Ok(()) }
    }

    /// Ends the thread that flushes, once nothing is left to flush.
    pub(crate) fn end(&self) {
        self.state().ends = true;
        self.changed.notify_all();
    }

    fn is_due(&self, state: &State) -> bool {
        state.committed > self.flushed().0 && self.failed().is_none()
    }

    fn flush(&self, mut state: MutexGuard<'_, State>) -> Result<(), String> {
        let upto = state.committed;
        state.is_flushing = true;
        drop(state);
        let flushed = self.log.as_ref().map_or(Ok(()), |log| (self.flush_log)(log));
        let mut state = self.state();
        state.is_flushing = false;
        self.changed.notify_all();
        match flushed {
            Ok(()) => {
                self.flushed.store(upto, Ordering::SeqCst);
                Ok(())
            }
            Err(error) => {
                let reason = format!(
                    "the disk of the database failed to keep what was written: {error}; nothing is stored or read any \
                     more, and what was not acknowledged may be lost: look at the disk, then start the host again"
                );
                let _ = self.failed.set(reason.clone());
                Err(reason)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
