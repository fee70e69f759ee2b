//! The store as its host sees it: opened, given jobs, asked for outcomes, closed.

use crate::{
    continuation::{self, Opened},
    declarations::Declarations,
    failure::not_flushed,
    file_identity::FileIdentity,
    job::{Job, JobId, Sender},
    open::{Lock, OpenError, lock, open_reader, open_writer, take_over_flushes},
    outcome::Outcome,
    schema::SCHEMA_VERSION,
    settings::Settings,
    tables::{clock, epochs::Epoch},
    threads::{Durability, Finished, Shared, queue::Task, reader::Reader, writer::Writer},
    tools::{Tools, compact::remove_leftovers},
};
use bulkhead_protocol::{
    Failure,
    layer1::{CommitNumber, EntityId, EntityName, EntityState, UnitId},
};
use rusqlite::Connection;
use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{Builder, JoinHandle},
    time::Instant,
};

/// An open store. Dropping it closes it.
pub struct Layer1 {
    epochs: Vec<Epoch>,
    migrated: Option<i64>,
    shared: Arc<Shared>,
    readers: Mutex<Vec<JoinHandle<()>>>,
    writer: Mutex<Option<JoinHandle<rusqlite::Result<Connection>>>>,
    _lock: Lock,
}

/// An outcome that is visible, and not on the disk for certain.
#[derive(Debug)]
pub struct Visible {
    /// The job.
    pub job_id: JobId,
    /// The commit that it has made, or the last that it can have seen.
    pub seen: CommitNumber,
    /// The state of the entity that it has read, if it is a query for one by its id, and nothing with it.
    pub entity: Option<EntityState>,
    /// What came of it.
    pub outcome: Outcome,
}

/// A job that was not taken, since too many wait or the store is closing. It comes back unchanged.
#[derive(Debug)]
pub struct Overloaded(pub Box<Job>);

impl Layer1 {
    /// Opens the store, makes it if it is not there, and starts its threads. `wake` is called on one of
    /// them after outcomes are ready for [`Layer1::poll`]; it must not wait.
    ///
    /// New indexes and searches are made here, which takes about a second for each hundred thousand
    /// entities of their type.
    ///
    /// # Errors
    /// As [`OpenError`] says; nothing was changed then.
    pub fn open(settings: Settings, wake: impl Fn() + Send + Sync + 'static) -> Result<Layer1, OpenError> {
        let path = settings.path.clone();
        let lock = lock(&path)?;
        remove_leftovers(&path);
        let (mut connection, version) = open_writer(&path, settings.migrated_bytes_max)?;
        let migrated = (1..i64::from(SCHEMA_VERSION)).contains(&version).then_some(version);
        let Opened { epochs, mark, trace } = continuation::establish(&mut connection, &path)?;
        let declarations = Declarations::establish(&mut connection, &settings)?;
        let count = settings.readers.max(1);
        let fail = |error| OpenError::of_sqlite(&path, error);
        let clock = clock::read(&connection).map_err(fail)?;
        let log = take_over_flushes(&connection, &path)?;
        let durability = Durability::new(log, settings.flush.0.clone());
        let shared = Arc::new(Shared::new(settings, declarations, clock, durability, Box::new(wake)));
        let mut parts = Vec::new();
        for _ in 0..count {
            let connection = open_reader(&path).map_err(fail)?;
            // Otherwise it would open some of the files only at its first read, and these may be others by then.
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(fail)?;
            parts.push(Reader::new(Arc::clone(&shared), connection).map_err(fail)?);
        }
        let io = |source| OpenError::Io { path: path.clone(), source };
        let identity = FileIdentity::of(&path, mark).map_err(io)?;
        let mut readers = Vec::new();
        for (index, reader) in parts.into_iter().enumerate() {
            let name = format!("layer1-read-{index}");
            readers.push(Builder::new().name(name).spawn(move || reader.work()).map_err(io)?);
        }
        let writer = Writer::new(Arc::clone(&shared), connection, clock, identity, trace).map_err(fail)?;
        let writer = Builder::new().name("layer1-write".into()).spawn(move || writer.work()).map_err(io)?;
        let flushing = Arc::clone(&shared);
        let flusher =
            Builder::new().name("layer1-flush".into()).spawn(move || flushing.flush_until_end()).map_err(io)?;
        readers.push(flusher);
        Ok(Layer1 {
            epochs,
            migrated,
            shared,
            readers: Mutex::new(readers),
            writer: Mutex::new(Some(writer)),
            _lock: lock,
        })
    }

    /// The histories that cursors of events may belong to, oldest first. The last one is in force; each before it
    /// holds up to where the next one began. There is always one.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The version that the tables had before they were changed to those of this version, if they were: such a file
    /// keeps its length until it is compacted.
    pub fn migrated(&self) -> Option<i64> {
        self.migrated
    }

    /// Does a job on the caller's thread, if it needs nothing of the database: a mutation of a unit that only creates
    /// entities under new ids, where their owner has no quota. Otherwise nothing is done, and the job is to be
    /// submitted. Never waits for the disk.
    pub fn at_once(&self, job: &Job) -> Option<Outcome> {
        self.shared.at_once(job)
    }

    /// Gives the store a job. Its outcome comes under `job_id`, which no other open job has. Never waits.
    ///
    /// A query ends with `deadline_exceeded` when the deadline passes; a change that has begun by then
    /// is made all the same, and says so.
    ///
    /// # Errors
    /// When too many jobs wait or have outcomes that were not taken, or the store is closing; the job comes
    /// back. `Discard` and, until the store closes, `Commit` are always taken.
    pub fn submit(&self, job_id: JobId, job: Job, deadline: Option<Instant>) -> Result<(), Overloaded> {
        self.submit_for(Sender::default(), job_id, job, deadline)
    }

    /// As [`Layer1::submit`], for one of several senders: jobs that read are done for the senders alternately.
    ///
    /// # Errors
    /// As [`Layer1::submit`].
    pub fn submit_for(
        &self,
        sender: Sender,
        job_id: JobId,
        job: Job,
        deadline: Option<Instant>,
    ) -> Result<(), Overloaded> {
        self.shared.submit(Task::new(sender, job_id, job, deadline)).map_err(|task| Overloaded(Box::new(task.job)))
    }

    /// The next outcome, once what it says is on the disk. Never waits. Outcomes of commits come in the order of
    /// the commits. What turns out never to be on the disk for certain fails with `internal`, delivery `unknown`.
    pub fn poll(&self) -> Option<(JobId, Outcome)> {
        self.shared.take_durable()
    }

    /// As [`Layer1::poll`], but waits. For programs that have nothing else to do meanwhile.
    pub fn wait(&self) -> (JobId, Outcome) {
        self.shared.wait_durable()
    }

    /// The next outcome as soon as it is visible, with the number of the commit that it has made, or else of the
    /// last that it can have seen. The outcome may be shown to others once [`Layer1::flushed`] has reached that.
    pub fn poll_visible(&self) -> Option<Visible> {
        let Finished { job_id, seen, entity, outcome, .. } = self.shared.take_visible()?;
        Some(Visible { job_id, seen, entity, outcome })
    }

    /// Notes that a unit has read these entities elsewhere, as in memory: a change of one of them that names no
    /// version builds on that state.
    pub fn note_seen(&self, unit: UnitId, seen: Vec<((EntityName, EntityId), EntityState)>) {
        self.shared.queue().units.note_seen(unit, seen);
    }

    /// All commits up to this one are on the disk. The caller is woken when it grows.
    pub fn flushed(&self) -> CommitNumber {
        self.shared.durability.flushed()
    }

    /// Why no further commit becomes durable, if so: a flush has failed. What was committed after
    /// [`Layer1::flushed`] may be there at the next start or not, as the failure says. The caller is woken for it.
    pub fn flush_failure(&self) -> Option<Failure> {
        self.shared.durability.failed().map(not_flushed)
    }

    /// Has what waits to be committed committed at once, and not together with what may come: something waits until
    /// it is visible.
    pub fn hasten(&self) {
        self.shared.hasten();
    }

    /// Says that a job's outcome is no longer wanted. If it has not begun, or is a query, it ends with
    /// `cancelled`; a change that has begun is made.
    pub fn cancel(&self, job_id: JobId) {
        self.shared.queue().cancel(job_id);
    }

    /// Sets how many bytes the entities of an owner may hold, each with [`crate::limits::ENTITY_OVERHEAD_BYTES`]
    /// beside its data; `None` is no limit. It holds for changes that are committed from now on. What is stored
    /// already stays, even if it is more.
    pub fn set_quota(&self, owner: &str, quota: Option<u64>) {
        self.shared.quotas.set_storage(owner, quota);
    }

    /// Sets how many bytes the events of a source may take; `None` is no limit. Beyond that its own oldest go,
    /// also those that were not read yet, but never the newest of all events.
    pub fn set_events_quota(&self, source: &str, quota: Option<u64>) {
        self.shared.quotas.set_events(source, quota);
    }

    /// Sets how many bytes the answers under a caller's keys may take; `None` is no limit. Beyond that a new key
    /// is refused, by [`Job::LookUpKey`] too.
    pub fn set_keys_quota(&self, caller: &str, quota: Option<u64>) {
        self.shared.quotas.set_keys(caller, quota);
    }

    /// Why nothing more is written, if so: the disk failed, the database is damaged, or the files under its names
    /// are no longer those that are open. Every job that would write gets this reason, too. Queries are answered as
    /// far as they can be, but not from files that are gone. The caller is woken when this changes.
    pub fn broken(&self) -> Option<String> {
        self.shared.broken()
    }

    /// Whether queries are answered: not if the files are no longer those that are open.
    pub fn is_readable(&self) -> bool {
        self.shared.gone().is_none()
    }

    /// Has the files checked at once: whether they are those that are open. Otherwise that is done every second, and
    /// before a commit if the last check is a twentieth of a second ago.
    pub fn look(&self) {
        self.shared.look();
    }

    /// How many jobs have an outcome to come, or one that was not taken, and how many bytes they and their
    /// outcomes hold.
    pub fn holds(&self) -> (usize, usize) {
        self.shared.queue().holds()
    }

    /// How many set-aside events were dropped since the store was opened, the oldest first, since there were
    /// more than [`Settings::set_aside_max`]. The caller is woken when it grows.
    pub fn set_aside_dropped(&self) -> u64 {
        self.shared.set_aside_dropped()
    }

    /// Export, backup and check. They may be used on another thread.
    pub fn tools(&self) -> Tools {
        Tools::of_open(&self.shared.settings.path)
    }

    /// Writes what waits to be written, ends everything else, and carries the log over into the database,
    /// so that one file has everything. [`Layer1::poll`] still has the outcomes.
    ///
    /// # Errors
    /// When the log could not be carried over. Nothing is lost: the next start does it.
    pub fn close(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.shared.close();
        let readers = std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        for reader in readers {
            reader.join().map_err(|_| "a thread that reads ended by a fault of its own")?;
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match writer.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(Ok(connection))) => connection.close().map_err(|(_, error)| error.into()),
            Some(Ok(Err(error))) => Err(error.into()),
            Some(Err(_)) => Err("the thread that writes ended by a fault of its own".into()),
        }
    }
}

impl Drop for Layer1 {
    fn drop(&mut self) {
        // A caller that wants the result calls `close` first.
        let _ = self.close();
    }
}
