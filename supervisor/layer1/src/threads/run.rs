//! What the threads share: the queue, the outcomes, and how to wake each other.

use super::{
    durability::Durability,
    queue::{Queue, Task, Wake},
};
use crate::{
    clock::StoreTime,
    declarations::Declarations,
    failure::{closing, not_flushed},
    ids::IdMaker,
    job::JobId,
    outcome::Outcome,
    quotas::Quotas,
    settings::Settings,
    tables::clock,
};
use bulkhead_protocol::{
    HeldBytes,
    layer1::{CommitNumber, EntityState},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// A job that has its outcome.
pub(crate) struct Finished {
    pub(crate) job_id: JobId,
    /// What it is counted with; together with its outcome, once that is among those that are to be taken.
    pub(crate) bytes: usize,
    /// The commit that it has made, or the last that it can have seen.
    pub(crate) seen: CommitNumber,
    /// The state of the entity that it has read, if it is a query for one alone.
    pub(crate) entity: Option<EntityState>,
    pub(crate) outcome: Outcome,
}

/// What the threads share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) time: StoreTime,
    pub(crate) ids: IdMaker,
    pub(crate) declarations: Declarations,
    pub(crate) quotas: Quotas,
    pub(crate) durability: Durability,
    queue: Mutex<Queue>,
    pub(crate) for_readers: Condvar,
    pub(crate) for_writer: Condvar,
    outcomes: Mutex<VecDeque<Finished>>,
    for_outcomes: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
    /// Why nothing more is written, if so.
    broken: Mutex<Option<String>>,
    /// The files are no longer those that are open, so nothing is read either.
    gone: AtomicBool,
    /// Whether the thread that writes waits for the threads that read, so that the log can begin anew.
    pub(crate) log_waits: Arc<AtomicBool>,
    /// How many set-aside events have gone since there were too many.
    set_aside_dropped: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        declarations: Declarations,
        clock: clock::Written,
        durability: Durability,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Shared {
        let queue = Mutex::new(Queue::new(settings.readers, settings.queue_bytes_max));
        Shared {
            time: StoreTime::new(settings.clock.clone(), clock.age),
            ids: IdMaker::after(clock.ids_upto),
            settings,
            declarations,
            quotas: Quotas::default(),
            durability,
            queue,
            for_readers: Condvar::new(),
            for_writer: Condvar::new(),
            outcomes: Mutex::default(),
            for_outcomes: Condvar::new(),
            wake,
            broken: Mutex::default(),
            gone: AtomicBool::new(false),
            log_waits: Arc::default(),
            set_aside_dropped: AtomicU64::new(0),
        }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job into the queue, or gives it back.
    pub(crate) fn submit(&self, task: Task) -> Result<(), Box<Task>> {
        let wake = self.queue().enter(task)?;
        self.rouse(wake);
        Ok(())
    }

    pub(crate) fn rouse(&self, wake: Wake) {
        match wake {
            Wake::Nothing => {}
            Wake::Reader => self.for_readers.notify_one(),
            Wake::Writer => self.for_writer.notify_one(),
        }
    }

    /// Gives out the outcomes of jobs, which are visible from now on and durable once their commits are.
    pub(crate) fn finish(&self, finished: impl IntoIterator<Item = Finished>) {
        let mut done = Vec::new();
        {
            let mut queue = self.queue();
            for mut finished in finished {
                let outcome_bytes = finished.outcome.held_bytes();
                queue.leave(finished.job_id, outcome_bytes);
                finished.bytes += outcome_bytes;
                done.push(finished);
            }
            if queue.closing {
                self.for_writer.notify_one();
            }
        }
        if !done.is_empty() {
            self.outcomes().extend(done);
            self.for_outcomes.notify_all();
            (self.wake)();
        }
    }

    fn outcomes(&self) -> MutexGuard<'_, VecDeque<Finished>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next outcome, whether or not what it has seen is on the disk.
    pub(crate) fn take_visible(&self) -> Option<Finished> {
        let finished = self.outcomes().pop_front()?;
        self.queue().release(finished.bytes);
        Some(finished)
    }

    /// The next outcome, once what it has seen is on the disk, or never will be.
    pub(crate) fn take_durable(&self) -> Option<(JobId, Outcome)> {
        let finished = self.pop_durable(&mut self.outcomes())?;
        self.queue().release(finished.bytes);
        Some((finished.job_id, finished.outcome))
    }

    pub(crate) fn wait_durable(&self) -> (JobId, Outcome) {
        let mut outcomes = self.outcomes();
        let finished = loop {
            match self.pop_durable(&mut outcomes) {
                Some(finished) => break finished,
                None => outcomes = self.for_outcomes.wait(outcomes).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(outcomes);
        self.queue().release(finished.bytes);
        (finished.job_id, finished.outcome)
    }

    fn pop_durable(&self, outcomes: &mut VecDeque<Finished>) -> Option<Finished> {
        let is_flushed = outcomes.front()?.seen <= self.durability.flushed();
        match self.durability.failed() {
            _ if is_flushed => outcomes.pop_front(),
            None => None,
            Some(reason) => {
                let finished = outcomes.pop_front()?;
                Some(Finished { outcome: Outcome::Failed(not_flushed(reason)), ..finished })
            }
        }
    }

    /// Works until the store closes: flushes what is committed.
    pub(crate) fn flush_until_end(&self) {
        loop {
            match self.durability.flush_next() {
                Ok(true) => self.flushed(),
                Ok(false) => return,
                Err(reason) => self.set_gone(reason),
            }
        }
    }

    /// Flushes what is committed, on the caller's thread, which wakes the threads that wait for that.
    pub(crate) fn flush_here(&self) {
        if let Err(reason) = self.durability.flush_all() {
            self.set_gone(reason);
        }
    }

    /// More is on the disk than before, or nothing more ever will be: all threads that wait for that look again.
    pub(crate) fn flushed(&self) {
        // Taken and left, so that none of them has looked before and begins to wait afterwards.
        drop(self.queue());
        self.for_writer.notify_one();
        drop(self.outcomes());
        self.for_outcomes.notify_all();
        (self.wake)();
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing more is written. The caller is woken.
    pub(crate) fn set_broken(&self, reason: String) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        (self.wake)();
    }

    /// Nothing more is written, and nothing is read: what is open is not what the next start will find.
    pub(crate) fn set_gone(&self, reason: String) {
        // Earlier callers got a report of damage; from now on the answer says what became of the files.
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.gone.store(true, Ordering::Release);
        self.flushed();
    }

    /// Why nothing is read, if so.
    pub(crate) fn gone(&self) -> Option<String> {
        self.gone.load(Ordering::Acquire).then(|| self.broken()).flatten()
    }

    /// Has what waits to be committed committed at once: something waits until it is visible.
    pub(crate) fn hasten(&self) {
        self.queue().hurry = true;
        self.for_writer.notify_one();
    }

    /// Has the thread that writes check its files at once.
    pub(crate) fn look(&self) {
        self.queue().look = true;
        self.for_writer.notify_one();
    }

    /// Notes that so many set-aside events are gone, and wakes the caller.
    pub(crate) fn dropped_set_aside(&self, events: u64) {
        self.set_aside_dropped.fetch_add(events, Ordering::Release);
        (self.wake)();
    }

    pub(crate) fn set_aside_dropped(&self) -> u64 {
        self.set_aside_dropped.load(Ordering::Acquire)
    }

    /// Begins the end; the jobs that will not be done are answered.
    pub(crate) fn close(&self) {
        let given_back = self.queue().close();
        self.finish(given_back.into_iter().map(|task| task.finished(CommitNumber(0), Outcome::Failed(closing()))));
        self.for_readers.notify_all();
        self.for_writer.notify_all();
    }
}
