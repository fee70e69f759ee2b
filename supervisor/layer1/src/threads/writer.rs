//! The thread that writes. Everything that waits when it is free, and what comes while it works on that or while
//! the disk is busy with an earlier flush, shares one transaction. It is visible after the commit, and durable after
//! the flush that covers it: [`super::durability`].

use super::{
    Shared,
    pace::Pace,
    queue::{Group, Joined, Queue, Write},
};
use crate::{
    continuation::Trace,
    file_identity::FileIdentity,
    held::Held,
    limits::UNFLUSHED_BYTES_MAX,
    outcome::Outcome,
    settings::micros,
    tables::{
        clock::{self, Written},
        entities::Rows,
        event_quota::Oldest,
        events,
        names::Numbers,
        usage::UsageCache,
    },
    unit::Unit,
};
use rusqlite::Connection;
use std::{
    cell::{Cell, RefCell},
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The state of the thread that writes.
pub(crate) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Connection,
    pub(super) usage: RefCell<UsageCache>,
    pub(super) rows: Rows,
    /// The oldest events of each source.
    pub(super) oldest: RefCell<Oldest>,
    /// The newest event, if it is known.
    pub(super) newest: Cell<Option<u64>>,
    pub(super) names: RefCell<Numbers>,
    /// Whose events are being stored, and how much they take.
    pub(super) sources: RefCell<Held>,
    /// The unit of whatever mutation is in progress that belongs to none.
    pub(super) own_unit: RefCell<Unit>,
    pub(super) clear_next: Instant,
    /// The age of the store at the last job.
    pub(super) age: Cell<i64>,
    pub(super) clock_written: Cell<Written>,
    /// Whether more may be set aside than is to be kept: something was since the last look.
    pub(super) has_set_aside: Cell<bool>,
    pub(super) identity: RefCell<FileIdentity>,
    trace: Trace,
    /// When the files are looked at before a commit.
    pub(super) look_next: Cell<Instant>,
    pub(super) has_log_to_save: Cell<bool>,
    /// Until then, no reader is waited for to begin the log anew.
    pub(super) log_next: Cell<Instant>,
    pace: Pace,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        clock: Written,
        identity: FileIdentity,
        trace: Trace,
    ) -> rusqlite::Result<Writer> {
        let rows = Rows::after_all(&connection)?;
        Ok(Writer {
            rows,
            shared,
            connection,
            usage: RefCell::default(),
            oldest: RefCell::default(),
            newest: Cell::default(),
            names: RefCell::default(),
            sources: RefCell::default(),
            own_unit: RefCell::default(),
            clear_next: Instant::now(),
            age: Cell::new(clock.age),
            clock_written: Cell::new(clock),
            has_set_aside: Cell::new(true),
            identity: RefCell::new(identity),
            trace,
            look_next: Cell::new(Instant::now()),
            has_log_to_save: Cell::new(false),
            log_next: Cell::new(Instant::now()),
            pace: Pace::default(),
        })
    }

    /// Works until the store closes and everything that waits is written, and carries the log over into
    /// the database. Gives back the connection: the last one to be closed removes the log.
    pub(crate) fn work(mut self) -> rusqlite::Result<Connection> {
        let mut unflushed = 0;
        while let Some(mut group) = self.next_group() {
            if !group.writes.is_empty() {
                let begun = Instant::now();
                let outcomes = self.group(&mut group);
                let seen = self.shared.durability.seen();
                unflushed += group.bytes();
                if self.shared.durability.is_flushed() {
                    unflushed = 0;
                }
                if self.is_alone(&group) || unflushed > UNFLUSHED_BYTES_MAX {
                    self.shared.flush_here();
                } else {
                    self.shared.durability.rouse();
                }
                self.pace.note(group.writes.len(), begun.elapsed());
                let finished = group.writes.iter().zip(outcomes);
                let finished = finished.map(|(write, outcome): (&Write, Outcome)| write.task.finished(seen, outcome));
                self.shared.finish(finished);
            }
            let is_time = Instant::now() >= self.clear_next;
            if is_time || group.writes.is_empty() {
                self.look_between();
            }
            if is_time {
                self.clear();
                self.note_newest();
            }
        }
        self.shared.flush_here();
        self.shared.durability.end();
        self.shared.flushed();
        if self.shared.durability.failed().is_some() {
            // The thread whose flush it was may not have said so yet.
            self.leave_log();
            return Ok(self.connection);
        }
        self.look_between();
        if self.shared.broken().is_some() {
            return Ok(self.connection);
        }
        self.write_clock();
        self.note_newest();
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            // Else SQLite would try again when it is closed: after a flush that failed, with what is not on the disk.
            self.leave_log();
            return Err(error);
        }
        Ok(self.connection)
    }

    /// Whether a group is one job that nothing else has come with: it costs a switch of threads less to flush here.
    fn is_alone(&self, group: &Group) -> bool {
        let mut queue = self.shared.queue();
        let was_hurried = std::mem::take(&mut queue.hurry);
        group.writes.len() == 1 && self.pace.expected().0 <= 1 && queue.writes() == 0 && !was_hurried
    }

    /// What is to be written of the store's own time, if the written age is too old by so much, or an id was
    /// made that is beyond what is written.
    pub(super) fn clock_due(&self, age: i64, after: Duration) -> Option<Written> {
        /// How far ahead of the ids it is written, so that hardly any commit must write it, in milliseconds.
        const IDS_AHEAD: i64 = 2000;
        let (written, upto) = (self.clock_written.get(), self.shared.ids.upto());
        let is_due = age.saturating_sub(written.age) >= micros(after) || upto > written.ids_upto;
        is_due.then_some(Written { age, ids_upto: upto + IDS_AHEAD })
    }

    /// Writes the store's own time at its end. Where that fails, what was written before holds: the store is
    /// younger then than it could be, and keeps things longer.
    fn write_clock(&mut self) {
        let written = Written { age: self.shared.time.now().age, ids_upto: self.shared.ids.upto() };
        if written != self.clock_written.get() && clock::write(&self.connection, written).is_err() {
            self.undo();
        }
    }

    /// Records for the next opening how far the stream has got.
    fn note_newest(&mut self) {
        if self.shared.broken().is_none()
            && let Ok((_, newest)) = events::ends(&self.connection)
        {
            self.trace.note(newest);
        }
    }

    /// Waits for something to write, or for the time to clear or to look. `None` is the end.
    fn next_group(&self) -> Option<Group> {
        let mut queue = self.shared.queue();
        let mut group = Group::default();
        while queue.writes() == 0 {
            if queue.closing && queue.is_quiet() {
                return None;
            }
            if std::mem::take(&mut queue.look) {
                return Some(group);
            }
            let wait = self.clear_next.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Some(group);
            }
            queue = self.wait(queue, 1, wait);
        }
        queue.join(&mut group);
        Some(group)
    }

    /// Takes into the group what has come while the group was worked on. Where nothing has, and more are
    /// expected, or the disk is busy with an earlier flush, it waits for more, until `end` at most, and no longer
    /// than until something waits for the commit itself.
    pub(super) fn join(&self, group: &mut Group, end: &mut Option<Instant>) -> Joined {
        /// For how many jobs it wakes while the disk is busy.
        const TOGETHER: usize = 16;
        /// How long at most: what waits to be visible, and does not say so, waits no longer.
        const WAIT_MAX: Duration = Duration::from_millis(5);
        let (expected, wait) = self.pace.expected();
        let mut queue = self.shared.queue();
        loop {
            if queue.join(group) == Joined::Some {
                return Joined::Some;
            }
            if queue.hurry || queue.closing || group.is_full() {
                return Joined::Nothing;
            }
            let lags = self.shared.durability.lags();
            let missing = if lags { TOGETHER } else { expected.saturating_sub(group.writes.len()) };
            let wait = if lags { WAIT_MAX } else { wait };
            let left = end.get_or_insert_with(|| Instant::now() + wait).saturating_duration_since(Instant::now());
            if missing == 0 || left.is_zero() {
                return Joined::Nothing;
            }
            // It waits for all of them: on a busy machine, each wake-up of a thread costs more than it saves.
            queue = self.wait(queue, missing, left);
        }
    }

    /// Waits until so many jobs are there, or the time is up, or this thread is woken.
    fn wait<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, jobs: usize, time: Duration) -> MutexGuard<'a, Queue> {
        queue.writer_waits_for = jobs;
        let mut queue = self.shared.for_writer.wait_timeout(queue, time).unwrap_or_else(PoisonError::into_inner).0;
        queue.writer_waits_for = 0;
        queue
    }
}
