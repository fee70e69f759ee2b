//! A transaction of the thread that writes: a group of jobs. Where it fails, nothing of it is left.

use super::{
    queue::{Group, Joined, Write},
    writer::Writer,
};
use crate::{
    failure::{breakage, gone, is_full, of_sqlite, refusal, with_data},
    limits::CLOCK_WRITTEN_AFTER,
    operations::NotDone,
    outcome::Outcome,
    statements::Statements,
    tables::{clock, event_quota::Oldest},
};
use bulkhead_protocol::{ErrorCode, Failure};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

/// Why a transaction was not made.
enum Undone {
    /// Nothing is written any more.
    Broken(String),
    /// The files are no longer those that are open.
    Gone(String),
    /// SQLite refused a part of it.
    Sqlite(rusqlite::Error),
    /// It met a fault of this program.
    Fault,
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Undone {
        Undone::Sqlite(error)
    }
}

impl Undone {
    /// Whether the reason concerns the whole transaction, not one job.
    fn concerns_all(&self) -> bool {
        match self {
            Undone::Broken(_) | Undone::Gone(_) => true,
            Undone::Sqlite(error) => is_full(error) || breakage(error).is_some(),
            Undone::Fault => false,
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Undone::Broken(reason) => {
                with_data(refusal(ErrorCode::Internal, reason), &serde_json::json!({"reason": "damaged"}))
            }
            Undone::Gone(reason) => gone(reason),
            Undone::Sqlite(error) => of_sqlite(error),
            Undone::Fault => refusal(ErrorCode::Internal, "the store met a fault of its own; the host's log has it"),
        }
    }
}

impl Writer {
    /// Does a group of jobs, with those that come meanwhile. If one of them cannot be written for a reason
    /// of its own, each is done alone, so that it fails alone.
    pub(super) fn group(&mut self, group: &mut Group) -> Vec<Outcome> {
        let undone = match self.attempt(|writer| writer.shared_transaction(group)) {
            Ok(outcomes) => return outcomes,
            Err(undone) => undone,
        };
        if undone.concerns_all() || group.writes.len() == 1 {
            return vec![Outcome::Failed(undone.failure()); group.writes.len()];
        }
        let mut alone = |write| self.attempt(|writer| writer.transaction_of_one(write));
        let outcomes =
            group.writes.iter().map(|write| alone(write).unwrap_or_else(|undone| Outcome::Failed(undone.failure())));
        outcomes.collect()
    }

    /// Does something that makes and ends a transaction.
    fn attempt<T>(&mut self, transaction: impl FnOnce(&Writer) -> Result<T, Undone>) -> Result<T, Undone> {
        if let Some(reason) = self.shared.gone() {
            return Err(Undone::Gone(reason));
        }
        if let Some(reason) = self.shared.broken() {
            return Err(Undone::Broken(reason));
        }
        let undone = match catch_unwind(AssertUnwindSafe(|| transaction(self))) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(undone)) => undone,
            Err(_) => Undone::Fault,
        };
        self.undo();
        self.save_log();
        if let Undone::Sqlite(error) = &undone
            && let Some(reason) = breakage(error)
        {
            self.shared.set_broken(reason);
        }
        Err(undone)
    }

    fn shared_transaction(&self, group: &mut Group) -> Result<Vec<Outcome>, Undone> {
        let mut statements = self.begin()?;
        let mut outcomes = Vec::with_capacity(group.writes.len());
        let mut wait_end = None;
        loop {
            for write in &group.writes[outcomes.len()..] {
                outcomes.push(self.outcome(&mut statements, write)?);
            }
            if self.join(group, &mut wait_end) == Joined::Nothing {
                break;
            }
        }
        self.commit_all(statements)?;
        Ok(outcomes)
    }

    fn transaction_of_one(&self, write: &Write) -> Result<Outcome, Undone> {
        let mut statements = self.begin()?;
        let outcome = self.outcome(&mut statements, write)?;
        self.commit_all(statements)?;
        Ok(outcome)
    }

    fn begin(&self) -> rusqlite::Result<Statements<'_>> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Statements::new(&self.connection))
    }

    fn commit_all(&self, statements: Statements<'_>) -> Result<(), Undone> {
        drop(statements);
        // A flush may have failed since this transaction began. A part of a unit may have failed by that on a thread that
        // reads, and the commit of the rest of it may have joined since.
        if let Some(reason) = self.shared.gone() {
            return Err(Undone::Gone(reason));
        }
        self.usage.borrow_mut().write(&self.connection)?;
        let due = self.clock_due(self.age.get(), CLOCK_WRITTEN_AFTER);
        due.map_or(Ok(()), |due| clock::write(&self.connection, due))?;
        if Instant::now() >= self.look_next.get() {
            self.look().map_err(Undone::Gone)?;
        }
        self.commit_transaction()?;
        self.carry_over();
        self.clock_written.set(due.unwrap_or(self.clock_written.get()));
        Ok(())
    }

    /// Commits the transaction that is open, under a number of its own: visible from now on, and not yet durable.
    pub(super) fn commit_transaction(&self) -> rusqlite::Result<()> {
        let number = self.shared.durability.announce();
        let committed = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        self.shared.durability.committed(number);
        committed.map(|_| ())
    }

    /// The outcome of a job. An error of SQLite may leave a part of it in the transaction.
    fn outcome(&self, statements: &mut Statements<'_>, write: &Write) -> rusqlite::Result<Outcome> {
        if let Some(failure) = write.task.limits.passed() {
            return Ok(Outcome::Failed(failure));
        }
        match self.perform(statements, write) {
            Ok(outcome) => Ok(outcome),
            Err(NotDone::Refused(failure)) => Ok(Outcome::Failed(*failure)),
            Err(NotDone::Sqlite(error)) => Err(error),
        }
    }

    /// Undoes the transaction, as far as SQLite has not done so by itself.
    pub(super) fn undo(&mut self) {
        self.rows.undone();
        self.usage.borrow_mut().forget();
        self.names.borrow_mut().forget();
        self.newest.set(None);
        *self.oldest.borrow_mut() = Oldest::default();
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            self.shared.set_broken(format!("the database could not undo a transaction: {error}; start the host again"));
        }
    }
}
