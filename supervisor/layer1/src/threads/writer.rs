//! The thread that writes. Everything that waits when it is free shares one transaction and one flush to
//! the disk, and is answered after that. A job is decided upon before anything of it is written, so one
//! that is refused leaves no trace in what the others share.

use super::{
    Shared,
    pace::Pace,
    queue::{Queue, Write},
};
use crate::{
    failure::{breakage, conflict, is_full, of_sqlite, refusal, with_data},
    job::{Also, Job, Keyed, NewEvent},
    operations::{MutationError, World, run},
    outcome::{Forgotten, KeyState, Outcome, StoredEvent},
    pending::Author,
    settings::micros,
    tables::{entities, events, keys, set_aside, subscriptions, usage::UsageCache},
    tools::import,
    unit::{Emitted, Unit},
};
use bulkhead_protocol::{ErrorCode, Failure, Json};
use rusqlite::Connection;
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The state of the thread that writes.
pub(crate) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Connection,
    usage: RefCell<UsageCache>,
    pub(super) clear_next: Instant,
    /// Whether more may be set aside than is to be kept: something was since the last look.
    pub(super) has_set_aside: Cell<bool>,
    pace: Pace,
}

/// Why a job has no outcome of its own.
enum JobError {
    Refused(Box<Failure>),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for JobError {
    fn from(error: rusqlite::Error) -> JobError {
        JobError::Sqlite(error)
    }
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> JobError {
        JobError::Refused(Box::new(failure))
    }
}

impl From<MutationError> for JobError {
    fn from(error: MutationError) -> JobError {
        match error {
            MutationError::Refused(failure) => JobError::Refused(failure),
            MutationError::Sqlite(error) => JobError::Sqlite(error),
        }
    }
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, connection: Connection) -> Writer {
        Writer {
            shared,
            connection,
            usage: RefCell::default(),
            clear_next: Instant::now(),
            has_set_aside: Cell::new(true),
            pace: Pace::default(),
        }
    }

    /// Works until the store closes and everything that waits is written, and carries the log over into
    /// the database. Gives back the connection: the last one to be closed removes the log.
    pub(crate) fn work(mut self) -> rusqlite::Result<Connection> {
        while let Some(group) = self.next_group() {
            if !group.is_empty() {
                let begun = Instant::now();
                let outcomes = self.group(&group);
                self.pace.note(group.len(), begun.elapsed());
                let finished = group.iter().zip(outcomes);
                let outcome = |(write, outcome): (&Write, Outcome)| (write.task.ticket, write.task.bytes, outcome);
                self.shared.finish(finished.map(outcome));
            }
            if Instant::now() >= self.clear_next {
                self.clear();
            }
        }
        if self.shared.broken().is_some() {
            return Ok(self.connection);
        }
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(self.connection)
    }

    /// Waits for something to write, or for the time to clear. `None` is the end.
    fn next_group(&self) -> Option<Vec<Write>> {
        let mut queue = self.shared.queue();
        while queue.writes() == 0 {
            if queue.closing && queue.is_quiet() {
                return None;
            }
            let wait = self.clear_next.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Some(Vec::new());
            }
            queue = self.wait(queue, 1, wait);
        }
        let (expected, wait) = self.pace.expected();
        let end = Instant::now() + wait;
        while queue.writes() < expected && !queue.closing {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = self.wait(queue, expected, left);
        }
        Some(queue.next_group())
    }

    /// Waits until so many jobs are there, or the time is up, or somebody wakes this thread.
    fn wait<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, jobs: usize, time: Duration) -> MutexGuard<'a, Queue> {
        queue.writer_waits_for = jobs;
        let mut queue = self.shared.for_writer.wait_timeout(queue, time).unwrap_or_else(PoisonError::into_inner).0;
        queue.writer_waits_for = 0;
        queue
    }

    /// Does a group of jobs in one transaction. If one of them cannot be written for a reason of its own,
    /// each is done alone, so that it fails alone.
    fn group(&mut self, group: &[Write]) -> Vec<Outcome> {
        let all = |failure: Failure| group.iter().map(|_| Outcome::Failed(failure.clone())).collect();
        if let Some(reason) = self.shared.broken() {
            return all(with_data(refusal(ErrorCode::Internal, reason), &serde_json::json!({"reason": "damaged"})));
        }
        let error = match catch_unwind(AssertUnwindSafe(|| self.transaction(group))) {
            Ok(Ok(outcomes)) => return outcomes,
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        self.undo();
        if let Some(reason) = error.as_ref().and_then(breakage) {
            self.shared.set_broken(reason);
        }
        match error {
            Some(error) if group.len() == 1 || is_full(&error) || breakage(&error).is_some() => all(of_sqlite(&error)),
            None if group.len() == 1 => {
                all(refusal(ErrorCode::Internal, "the store met a fault of its own; the host's log has it"))
            }
            _ => group.iter().flat_map(|write| self.group(std::slice::from_ref(write))).collect(),
        }
    }

    fn transaction(&self, group: &[Write]) -> rusqlite::Result<Vec<Outcome>> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut outcomes = Vec::with_capacity(group.len());
        for write in group {
            let outcome = match write.task.limits.passed() {
                Some(failure) => Ok(Outcome::Failed(failure)),
                None => self.perform(write),
            };
            outcomes.push(match outcome {
                Ok(outcome) => outcome,
                Err(JobError::Refused(failure)) => Outcome::Failed(*failure),
                Err(JobError::Sqlite(error)) => return Err(error),
            });
        }
        self.usage.borrow_mut().write(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(outcomes)
    }

    /// Undoes the transaction, as far as SQLite has not done so by itself.
    pub(super) fn undo(&mut self) {
        self.usage.borrow_mut().forget();
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            self.shared.set_broken(format!("the database could not undo a transaction: {error}; start the host again"));
        }
    }

    fn perform(&self, write: &Write) -> Result<Outcome, JobError> {
        let now = self.shared.settings.clock.now();
        let connection = &self.connection;
        match &write.task.job {
            Job::Mutate { owner, mutation, key, .. } => {
                let taken = self.taken(key.as_ref(), now)?;
                if let Some(taken) = taken {
                    return Ok(taken);
                }
                let mut unit = Unit::default();
                let mut world = World {
                    find: &mut |key| entities::find(connection, key),
                    used: &mut |owner| self.usage.borrow_mut().bytes(connection, owner),
                    quotas: &self.shared.quotas,
                };
                let author = Author { owner: owner.as_str().into(), now };
                let reply = run(&mut unit, mutation, &author, &mut world)?;
                let events = self.write(&unit)?;
                self.keep(key.as_ref().map(|key| (key, &reply)), now)?;
                Ok(Outcome::Mutated { reply, events })
            }
            Job::Emit { source, event, data, .. } => {
                let mut unit = Unit::default();
                unit.emit(event, data, &Author { owner: source.as_str().into(), now })?;
                Ok(Outcome::Committed { events: self.write(&unit)? })
            }
            Job::Commit { key, events, also, .. } => {
                let empty = Unit::default();
                let mut emitted = Unit::default();
                for NewEvent { source, event, data } in events {
                    emitted.emit(event, data, &Author { owner: source.as_str().into(), now })?;
                }
                let unit = write.unit.as_deref().unwrap_or(&empty);
                self.commit(unit, &emitted.events, key.as_ref(), also, now)
            }
            Job::Also(also) => self.also(also, now).map(|()| Outcome::Done),
            Job::Subscribe { module } => {
                Ok(Outcome::Subscription(subscriptions::find_or_begin(connection, module, now)?))
            }
            Job::Forget { module } => {
                let subscription = subscriptions::remove(connection, module)?;
                let set_aside = set_aside::remove_all(connection, module)? as u64;
                Ok(Outcome::Forgotten(Forgotten { subscription, set_aside }))
            }
            Job::Import { lines, first, existing } => {
                let (unit, imported) = import::prepare(connection, lines, *first, *existing)??;
                self.write(&unit)?;
                Ok(Outcome::Imported(imported))
            }
            job => Err(refusal(
                ErrorCode::Internal,
                format!("a job of another thread came to the one that writes: {job:?}"),
            )
            .into()),
        }
    }

    fn commit(
        &self,
        unit: &Unit,
        emitted: &[Emitted],
        key: Option<&(Keyed, Json)>,
        also: &[Also],
        now: i64,
    ) -> Result<Outcome, JobError> {
        if let Some(taken) = self.taken(key.map(|(keyed, _)| keyed), now)? {
            return Ok(taken);
        }
        if let Some(((entity, id), found)) = entities::changed_since(&self.connection, unit)? {
            let base = unit.changes[&(entity.clone(), id)].base.as_ref();
            return Ok(Outcome::Conflict(conflict(&entity, &id, base.map(|base| base.version), found)));
        }
        for (owner, (bytes, _)) in &unit.held {
            let used = self.usage.borrow_mut().bytes(&self.connection, owner)?;
            self.shared.quotas.check(owner, used, *bytes)?;
        }
        let mut events = self.write(unit)?;
        events.extend(events::store(&self.connection, emitted)?);
        self.keep(key.map(|(keyed, reply)| (keyed, reply)), now)?;
        self.also(also, now)?;
        Ok(Outcome::Committed { events })
    }

    /// What is said of a key that is not vacant.
    fn taken(&self, keyed: Option<&Keyed>, now: i64) -> Result<Option<Outcome>, JobError> {
        let Some(keyed) = keyed else { return Ok(None) };
        Ok(match keys::find(&self.connection, keyed, now)? {
            KeyState::Vacant => None,
            taken => Some(Outcome::Key(taken)),
        })
    }

    fn keep(&self, key: Option<(&Keyed, &Json)>, now: i64) -> Result<(), JobError> {
        let Some((keyed, reply)) = key else { return Ok(()) };
        Ok(keys::store(&self.connection, keyed, reply, now, micros(self.shared.settings.key_ttl))?)
    }

    /// Writes what a unit has changed and emitted.
    fn write(&self, unit: &Unit) -> Result<Vec<StoredEvent>, JobError> {
        entities::write(&self.connection, &self.shared.declarations, unit)?;
        let mut usage = self.usage.borrow_mut();
        for (owner, held) in &unit.held {
            if *held != (0, 0) {
                usage.bytes(&self.connection, owner)?;
                usage.add(owner, *held);
            }
        }
        Ok(events::store(&self.connection, &unit.events)?)
    }

    fn also(&self, also: &[Also], now: i64) -> Result<(), JobError> {
        for one in also {
            match one {
                Also::Advance { module, cursor } => subscriptions::advance(&self.connection, module, *cursor)?,
                Also::SetAside { module, cursor, attempts, error } => {
                    set_aside::add(&self.connection, module, *cursor, *attempts, error, now)?;
                    self.has_set_aside.set(true);
                    subscriptions::advance(&self.connection, module, *cursor)?;
                }
                Also::RemoveSetAside { id } => set_aside::remove(&self.connection, *id)?,
            }
        }
        Ok(())
    }
}
