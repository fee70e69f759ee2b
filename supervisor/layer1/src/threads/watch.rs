//! What may end a running query early: its deadline, or that nobody wants it any more. SQLite asks every
//! so many steps.

use crate::failure::refusal;
use bulkhead_protocol::{ErrorCode, Failure};
use rusqlite::Connection;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// That a job is not wanted any more. Clones are of one job.
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Option<Limits>>>);

impl Watch {
    /// Lets SQLite ask.
    pub(crate) fn attach(&self, connection: &Connection) -> rusqlite::Result<()> {
        /// Steps of SQLite's machine between two questions, a fraction of a millisecond.
        const STEPS: i32 = 2000;
        let watch = self.clone();
        connection.progress_handler(STEPS, Some(move || watch.passed().is_some()))
    }

    pub(crate) fn set(&self, limits: Option<Limits>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Why the job must end now, if it must.
    pub(crate) fn passed(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Limits::passed)
    }
}
