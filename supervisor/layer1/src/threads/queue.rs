//! What waits for the threads: bounded in number and in bytes, and never waiting itself.

use super::{
    fair::{self, Fair},
    run::Finished,
    units::{Next, Units},
    watch::{Cancelled, Limits},
};
use crate::{
    job::{Job, JobId, Sender, UnitId},
    limits::{GROUP_BYTES_MAX, GROUP_JOBS_MAX, JOBS_MAX},
    outcome::Outcome,
    unit::Unit,
};
use bulkhead_protocol::{
    HeldBytes, allocation,
    layer1::{CommitNumber, Selection},
};
use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

/// What a job takes beside what it holds: its slot in a list that has grown by doubling, that of its outcome,
/// its entries in the two tables of open jobs, and the mark by which it is cancelled.
pub(crate) const OVERHEAD_BYTES: usize = 2 * size_of::<Write>()
    + 2 * size_of::<Finished>()
    + 2 * 3 * size_of::<(JobId, Cancelled)>()
    + fair::OVERHEAD_BYTES
    + allocation(3 * size_of::<usize>());

/// A job on its way.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) sender: Sender,
    pub(crate) job_id: JobId,
    pub(crate) job: Job,
    pub(crate) limits: Limits,
    pub(crate) bytes: usize,
}

impl Task {
    pub(crate) fn new(sender: Sender, job_id: JobId, job: Job, deadline: Option<Instant>) -> Task {
        let bytes = OVERHEAD_BYTES + job.held_bytes();
        Task { sender, job_id, job, limits: Limits { deadline, cancelled: Cancelled::default() }, bytes }
    }

    /// The job with its outcome.
    pub(crate) fn finished(&self, seen: CommitNumber, outcome: Outcome) -> Finished {
        Finished { job_id: self.job_id, bytes: self.bytes, seen, entity: None, outcome }
    }

    pub(crate) fn is_commit(&self) -> bool {
        matches!(self.job, Job::Commit { .. })
    }
}

/// A job for the thread that writes, with the unit that it commits, if it commits one.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) task: Task,
    pub(crate) unit: Option<Box<Unit>>,
}

/// Jobs that share a commit, in their order.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) writes: Vec<Write>,
    bytes: usize,
}

impl Group {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no further job may join.
    pub(crate) fn is_full(&self) -> bool {
        self.writes.len() >= GROUP_JOBS_MAX || self.bytes >= GROUP_BYTES_MAX
    }
}

/// Whether a group has become larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    Some,
    Nothing,
}

/// The unit that a job belongs to, if it belongs to one.
pub(crate) type UnitOfJob = Option<(UnitId, Box<Unit>)>;

/// Which thread is to be woken after something was put into the queue, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Nothing,
    Reader,
    Writer,
}

/// Everything that waits.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) closing: bool,
    /// The thread that writes is asked to look after its files.
    pub(crate) look: bool,
    /// What waits to be committed is to be committed at once.
    pub(crate) hurry: bool,
    /// Jobs that take no longer than a few rows take.
    quick: Fair,
    /// Jobs that may look at every row.
    scans: Fair,
    /// How many threads work on one of these, and how many may.
    scanning: usize,
    scanning_max: usize,
    /// None of these begins: the log is to begin anew.
    pub(crate) scans_wait: bool,
    last_was_quick: bool,
    writes: VecDeque<Write>,
    /// For how many jobs the thread that writes waits; 0 while it works.
    pub(crate) writer_waits_for: usize,
    pub(crate) units: Units,
    /// Every job that has no outcome yet.
    open: HashMap<JobId, Cancelled>,
    /// Those of them that a thread reads for.
    reading: HashMap<JobId, Cancelled>,
    /// How many jobs there are whose outcomes were not taken yet, and what they and their outcomes hold.
    held: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Queue {
    /// An empty queue for so many threads that read, which may hold so many bytes. One of several threads is
    /// kept free of long work, so that slow queries do not hold up all changes.
    pub(crate) fn new(readers: usize, bytes_max: usize) -> Queue {
        Queue { scanning_max: readers.saturating_sub(1).max(1), bytes_max, ..Queue::default() }
    }

    /// Takes a job, or gives it back if there is no room.
    pub(crate) fn enter(&mut self, task: Task) -> Result<Wake, Box<Task>> {
        if let Job::Discard { unit } = task.job {
            self.units.discard(unit);
            return Ok(Wake::Nothing);
        }
        // The end of a unit always finds room: there are no more of them than there were jobs.
        let room = self.held < JOBS_MAX && (self.held == 0 || self.bytes + task.bytes <= self.bytes_max);
        if self.closing || !(room || task.is_commit()) {
            return Err(Box::new(task));
        }
        self.held += 1;
        self.bytes += task.bytes;
        self.open.insert(task.job_id, task.limits.cancelled.clone());
        match destination(&task.job) {
            Destination::Write => Ok(self.push_write(Write { task, unit: None })),
            Destination::Read => Ok(self.push_read(task)),
            Destination::Unit(id) => match self.units.enter(id, task) {
                Some(task) => Ok(self.push_read(task)),
                None => Ok(Wake::Nothing),
            },
            Destination::Commit(id) => match self.units.enter_commit(id, task) {
                Some((task, unit)) => Ok(self.push_write(Write { task, unit: Some(unit) })),
                None => Ok(Wake::Nothing),
            },
        }
    }

    fn push_write(&mut self, write: Write) -> Wake {
        self.writes.push_back(write);
        // Waking a thread costs more than most jobs; one that works looks here by itself.
        let waits = self.writer_waits_for > 0 && self.writes.len() >= self.writer_waits_for;
        if waits { Wake::Writer } else { Wake::Nothing }
    }

    fn push_read(&mut self, task: Task) -> Wake {
        if may_scan(&task.job) { &mut self.scans } else { &mut self.quick }.push_back(task);
        Wake::Reader
    }

    /// The next job for a thread that reads, with the unit that it belongs to.
    pub(crate) fn next_read(&mut self) -> Option<(Task, UnitOfJob)> {
        // Alternately where there are both, so that neither waits for the other for ever.
        let may_scan = self.scanning < self.scanning_max && !self.scans.is_empty() && !self.scans_wait;
        let scan = may_scan && (self.last_was_quick || self.quick.is_empty());
        let task = if scan { self.scans.pop_front()? } else { self.quick.pop_front()? };
        self.scanning += usize::from(scan);
        self.last_was_quick = !scan;
        self.reading.insert(task.job_id, task.limits.cancelled.clone());
        let unit = match destination(&task.job) {
            Destination::Unit(id) => Some((id, self.units.check_out(id))),
            _ => None,
        };
        Some((task, unit))
    }

    /// Notes that a thread is done with a job.
    pub(crate) fn done_reading(&mut self, task: &Task) -> Wake {
        if !may_scan(&task.job) {
            return Wake::Nothing;
        }
        self.scanning -= 1;
        if self.scans.is_empty() { Wake::Nothing } else { Wake::Reader }
    }

    /// Takes a unit back from a thread. The jobs that were discarded with it are given back.
    pub(crate) fn check_in(&mut self, id: UnitId, unit: Box<Unit>) -> (Wake, Vec<Task>) {
        match self.units.check_in(id, unit) {
            Next::Nothing => (Wake::Nothing, Vec::new()),
            Next::Run(task) => (self.push_read(task), Vec::new()),
            Next::Commit(task, unit) => (self.push_write(Write { task, unit: Some(unit) }), Vec::new()),
            Next::Discarded(tasks) => (Wake::Nothing, tasks),
        }
    }

    /// Takes what waits into the group that shares the next commit, as far as it has room.
    pub(crate) fn join(&mut self, group: &mut Group) -> Joined {
        let before = group.writes.len();
        while !group.is_full() {
            let Some(write) = self.writes.pop_front() else { break };
            group.bytes += write.task.bytes + write.unit.as_ref().map_or(0, |unit| unit.bytes);
            group.writes.push(write);
        }
        if group.writes.len() > before { Joined::Some } else { Joined::Nothing }
    }

    /// Whether every job has its outcome.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// How many jobs wait for the thread that writes.
    pub(crate) fn writes(&self) -> usize {
        self.writes.len()
    }

    /// Notes that a job has its outcome, which holds so many bytes.
    pub(crate) fn leave(&mut self, job_id: JobId, outcome_bytes: usize) {
        self.open.remove(&job_id);
        self.reading.remove(&job_id);
        self.bytes += outcome_bytes;
    }

    /// How many jobs there are, and the bytes that they and their outcomes hold.
    pub(crate) fn holds(&self) -> (usize, usize) {
        (self.held, self.bytes)
    }

    /// Notes that an outcome was taken, which held so many bytes together with its job.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.held -= 1;
        self.bytes -= bytes;
    }

    /// Marks a job as no longer wanted.
    pub(crate) fn cancel(&mut self, job_id: JobId) {
        if let Some(cancelled) = self.open.get(&job_id) {
            cancelled.set();
        }
    }

    /// Begins the end: nothing more comes in, nothing more is read, and what is being read ends early.
    /// What is to be written still is. Gives back the jobs that are not done.
    pub(crate) fn close(&mut self) -> Vec<Task> {
        self.closing = true;
        let mut given_back: Vec<Task> = self.quick.take_all().chain(self.scans.take_all()).collect();
        given_back.extend(self.units.drain());
        for cancelled in self.reading.values() {
            cancelled.set();
        }
        given_back
    }
}

enum Destination {
    Write,
    Read,
    Unit(UnitId),
    Commit(UnitId),
}

/// Which thread a job is for.
fn destination(job: &Job) -> Destination {
    match job {
        Job::Query { unit: Some(unit), .. }
        | Job::Mutate { unit: Some(unit), .. }
        | Job::Emit { unit: Some(unit), .. } => Destination::Unit(*unit),
        Job::Commit { unit, .. } => Destination::Commit(*unit),
        Job::Mutate { unit: None, .. }
        | Job::Emit { unit: None, .. }
        | Job::Subscribe { .. }
        | Job::Forget { .. }
        | Job::Also(_)
        | Job::Import { .. } => Destination::Write,
        Job::Query { unit: None, .. }
        | Job::Discard { .. }
        | Job::LookUpKey(_)
        | Job::ReadEvents { .. }
        | Job::EventEnds
        | Job::Subscriptions { .. }
        | Job::ListSetAside { .. }
        | Job::CountSetAside
        | Job::Usage => Destination::Read,
    }
}

/// Whether a job may look at any number of rows.
fn may_scan(job: &Job) -> bool {
    match job {
        Job::Query { query, .. } => matches!(query.selection, Selection::Many(_)) || !query.include.is_empty(),
        Job::ReadEvents { .. } | Job::Subscriptions { .. } | Job::ListSetAside { .. } | Job::CountSetAside => true,
        _ => false,
    }
}
