//! The thread that writes checks its files: before a commit, when nothing is to be done, and when it is asked.
//! Where they are no longer those that it has open, nothing more is acknowledged, and nothing is read: the next
//! start would not find it.

use super::writer::Writer;
use crate::{
    failure::breakage,
    file_identity::Lost,
    limits::{LOG_CHECKPOINTS_MISSED_MAX, LOG_WAIT_AGAIN_AFTER, LOG_WAIT_MAX},
    open::BUSY_TIME_MAX,
};
use rusqlite::{Connection, config::DbConfig, hooks::Wal};
use std::{
    cell::Cell,
    ffi::c_int,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How often it looks at most, while there are commits. This is also how long a change may still be acknowledged
/// after the files are gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

thread_local! {
    /// How many pages the log had after the last commit of this thread: SQLite calls a function that has no state
    /// of its own to note it in.
    static LOG_PAGES: Cell<i64> = const { Cell::new(0) };
}

/// Has the length of the log noted. SQLite itself carries nothing over: it would keep an error of that to itself.
pub(crate) fn note_log_pages(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.wal_hook(Some(|_: &mut Wal, pages: c_int| {
        LOG_PAGES.set(pages.into());
        Ok(())
    }))
}

impl Writer {
    /// Carries the log over into the database, where it has become long. After a commit.
    pub(super) fn carry_over(&self) {
        if LOG_PAGES.get() < self.shared.settings.checkpoint_pages || self.shared.broken().is_some() {
            return;
        }
        // SQLite flushes the log first, by a descriptor of its own, and may not learn there that a flush of ours has
        // failed: it would carry over what is not on the disk. So ours is done, and then there is nothing to flush.
        self.shared.flush_here();
        if self.shared.durability.failed().is_some() {
            return;
        }
        // A reader may block it, or the disk be full: the next commit tries again.
        self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
        if LOG_PAGES.get() > LOG_CHECKPOINTS_MISSED_MAX * self.shared.settings.checkpoint_pages
            && Instant::now() >= self.log_next.get()
        {
            self.begin_log_anew();
        }
    }

    /// Carries the log over, and says whether others were in the way. Where a flush of that fails, it is
    /// unknown what is on the disk: nothing more is written, read or carried over.
    fn checkpoint(&self, sql: &str) -> bool {
        let is_busy = self.connection.query_row(sql, [], |row| row.get(0));
        self.identity.borrow_mut().was_written();
        is_busy.unwrap_or_else(|error| {
            if let Some(reason) = breakage(&error) {
                self.shared.set_gone(reason);
                self.leave_log();
            }
            true
        })
    }

    /// Leaves the log as it is when the store closes: the next start carries over what is in it.
    pub(super) fn leave_log(&self) {
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }

    /// Carries the log over and waits until no thread reads from it, so that what is written next is at its
    /// beginning. If a query were always reading, it would grow with every commit; so what has been reading for
    /// long is ended. Another program that reads is not, and is not waited for again before long.
    fn begin_log_anew(&self) {
        let wait = |time| self.connection.busy_timeout(time);
        // A reader that begins when another ends, while SQLite sleeps between two looks, could be waited for
        // for ever.
        self.shared.queue().scans_wait = true;
        self.shared.log_waits.store(true, Ordering::Release);
        let is_busy = wait(LOG_WAIT_MAX).map_or(true, |()| self.checkpoint("PRAGMA wal_checkpoint(RESTART)"));
        self.shared.log_waits.store(false, Ordering::Release);
        self.shared.queue().scans_wait = false;
        self.shared.for_readers.notify_all();
        // It was set before to the same, which cannot fail.
        let _ = wait(BUSY_TIME_MAX);
        match is_busy {
            true => self.log_next.set(Instant::now() + LOG_WAIT_AGAIN_AFTER),
            false => LOG_PAGES.set(0),
        }
    }

    /// Looks at the files, and says why nothing more may be written, if so.
    pub(super) fn look(&self) -> Result<(), String> {
        self.look_next.set(Instant::now() + LOOK_INTERVAL);
        let Some(lost) = self.identity.borrow_mut().look() else { return Ok(()) };
        let (what, remedy) = match lost {
            Lost::Data(what) => {
                // The file under the name now is not the one that this log belongs to.
                self.leave_log();
                (what, "put it back as it was, or a backup in its place, and start the host again")
            }
            Lost::Name(what) => {
                self.has_log_to_save.set(true);
                (what, "start the host again")
            }
        };
        let reason = format!("{what}: nothing is stored or read any more, as it could be lost; {remedy}");
        self.shared.set_gone(reason.clone());
        Err(reason)
    }

    /// Looks at the files while no transaction is open.
    pub(super) fn look_between(&self) {
        if self.shared.gone().is_none() && self.look().is_err() {
            self.save_log();
        }
    }

    /// What was committed and is in a log that has lost its name is saved into the database. No transaction is
    /// open.
    pub(super) fn save_log(&self) {
        if self.has_log_to_save.take() {
            self.shared.flush_here();
            if self.shared.durability.failed().is_some() {
                return self.leave_log();
            }
            // What cannot be saved now may be when the store is closed.
            let _ = self.connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()));
        }
    }
}
