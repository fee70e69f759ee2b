//! What the threads share: the queue, the outcomes, and how to wake each other.

use super::queue::{Queue, Task, Wake};
use crate::{
    clock::StoreTime, declarations::Declarations, failure::closing, ids::IdMaker, job::JobId, outcome::Outcome,
    quotas::Quotas, settings::Settings, tables::clock,
};
use bulkhead_protocol::HeldBytes;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// What the threads share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) time: StoreTime,
    pub(crate) ids: IdMaker,
    pub(crate) declarations: Declarations,
    pub(crate) quotas: Quotas,
    queue: Mutex<Queue>,
    pub(crate) for_readers: Condvar,
    pub(crate) for_writer: Condvar,
    /// Each with the bytes that it and its job are counted with.
    outcomes: Mutex<VecDeque<(JobId, usize, Outcome)>>,
    for_outcomes: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
    /// Why nothing more is written, if so.
    broken: Mutex<Option<String>>,
    /// The files are not those any more that are open, for which reason nothing is read either.
    gone: AtomicBool,
    /// Whether the thread that writes waits for those who read, so that the log can begin anew.
    pub(crate) log_waits: Arc<AtomicBool>,
    /// How many set-aside events have gone since there were too many.
    set_aside_dropped: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        declarations: Declarations,
        clock: clock::Written,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Shared {
        let queue = Mutex::new(Queue::new(settings.readers, settings.queue_bytes_max));
        Shared {
            time: StoreTime::new(settings.clock.clone(), clock.age),
            ids: IdMaker::behind(clock.ids_upto),
            settings,
            declarations,
            quotas: Quotas::default(),
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
            Wake::Nobody => {}
            Wake::Reader => self.for_readers.notify_one(),
            Wake::Writer => self.for_writer.notify_one(),
        }
    }

    /// Hands out the outcomes of jobs, each with the bytes that its job was counted with.
    pub(crate) fn finish(&self, outcomes: impl IntoIterator<Item = (JobId, usize, Outcome)>) {
        let mut done = Vec::new();
        {
            let mut queue = self.queue();
            for (job_id, bytes, outcome) in outcomes {
                let outcome_bytes = outcome.held_bytes();
                queue.leave(job_id, outcome_bytes);
                done.push((job_id, bytes + outcome_bytes, outcome));
            }
            if queue.closing {
                self.for_writer.notify_one();
            }
        }
        if !done.is_empty() {
            self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
            self.for_outcomes.notify_all();
            (self.wake)();
        }
    }

    pub(crate) fn take_outcome(&self) -> Option<(JobId, Outcome)> {
        let (job_id, bytes, outcome) = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        self.queue().release(bytes);
        Some((job_id, outcome))
    }

    pub(crate) fn wait_outcome(&self) -> (JobId, Outcome) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let (job_id, bytes, outcome) = loop {
            match outcomes.pop_front() {
                Some(outcome) => break outcome,
                None => outcomes = self.for_outcomes.wait(outcomes).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(outcomes);
        self.queue().release(bytes);
        (job_id, outcome)
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing more is written. The caller is told to look.
    pub(crate) fn set_broken(&self, reason: String) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        (self.wake)();
    }

    /// Nothing more is written, and nothing is read: what is open is not what the next start will find.
    pub(crate) fn set_gone(&self, reason: String) {
        // Callers that asked before were told of damage, and are told from now on what became of the files.
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.gone.store(true, Ordering::Release);
        (self.wake)();
    }

    /// Why nothing is read, if so.
    pub(crate) fn gone(&self) -> Option<String> {
        self.gone.load(Ordering::Acquire).then(|| self.broken()).flatten()
    }

    /// Has the thread that writes look after its files at once.
    pub(crate) fn look(&self) {
        self.queue().look = true;
        self.for_writer.notify_one();
    }

    /// Takes note that so many set-aside events are gone, and tells the caller to look.
    pub(crate) fn dropped_set_aside(&self, events: u64) {
        self.set_aside_dropped.fetch_add(events, Ordering::Release);
        (self.wake)();
    }

    pub(crate) fn set_aside_dropped(&self) -> u64 {
        self.set_aside_dropped.load(Ordering::Acquire)
    }

    /// Begins the end; the jobs that nobody does any more are answered.
    pub(crate) fn close(&self) {
        let given_back = self.queue().close();
        self.finish(given_back.into_iter().map(|task| (task.job_id, task.bytes, Outcome::Failed(closing()))));
        self.for_readers.notify_all();
        self.for_writer.notify_all();
    }
}
