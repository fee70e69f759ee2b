//! What may end a running query early: its deadline, its cancellation, or that the log waits for it to be carried
//! over. SQLite asks every so many steps.

use crate::{failure::refusal, limits::LOG_WAIT_TIMEOUT};
use bulkhead_protocol::{ErrorCode, Failure};
use rusqlite::Connection;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// The mark that a job is no longer wanted. Clones belong to the same job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// When a job must end.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancelled: Cancelled,
}

impl Limits {
    /// Why the job must end now, if it must.
    pub(crate) fn passed(&self) -> Option<Failure> {
        if self.cancelled.is_set() {
            return Some(refusal(ErrorCode::Cancelled, "the caller does not want this any more"));
        }
        let late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        late.then(|| {
            let sentence = "the time for this is up; if it is a query that looks at many entities, declare an index for what it filters on";
            refusal(ErrorCode::DeadlineExceeded, sentence)
        })
    }
}

/// The limits of the job that a connection works on.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    job: Arc<Mutex<Option<Job>>>,
    log_waits: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Job {
    limits: Limits,
    begun: Instant,
    /// The log waited when SQLite asked; it may have stopped waiting since.
    gives_way: bool,
}

impl Watch {
    /// Nothing is watched yet. `log_waits` says that the thread that writes waits for the threads that read.
    pub(crate) fn new(log_waits: Arc<AtomicBool>) -> Watch {
        Watch { job: Arc::default(), log_waits }
    }

    /// Has SQLite ask.
    pub(crate) fn attach(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        /// Steps of SQLite's machine between two questions, a fraction of a millisecond.
        const STEPS: i32 = 2000;
        let watch = self.clone();
        connection.progress_handler(STEPS, Some(move || watch.passed().is_some()))
    }

    pub(crate) fn set(&self, limits: Option<Limits>) {
        let job = limits.map(|limits| Job { limits, begun: Instant::now(), gives_way: false });
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }

    /// Why the job must end now, if it must.
    pub(crate) fn passed(&self) -> Option<Failure> {
        let mut job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        let job = job.as_mut()?;
        job.gives_way |= self.log_waits.load(Ordering::Acquire) && job.begun.elapsed() >= LOG_WAIT_TIMEOUT;
        let gives_way = job.gives_way.then(|| {
            let sentence = "this was ended since more was written meanwhile than the log of the store may hold; ask again, and if it is a query that looks at many entities, declare an index for what it filters on";
            refusal(ErrorCode::Overloaded, sentence)
        });
        job.limits.passed().or(gives_way)
    }
}
