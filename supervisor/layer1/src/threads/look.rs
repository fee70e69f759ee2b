//! The thread that writes looks after its files: before a commit, when nothing is to be done, and when it is
//! asked. Where they are not those any more that it has open, nothing more is acknowledged, and nothing is read:
//! the next start would know nothing of it.

use super::writer::Writer;
use crate::{
    file_identity::Lost,
    limits::{CHECKPOINT_PAGES, LOG_PAGES_MAX, LOG_WAIT_AGAIN_AFTER, LOG_WAIT_MAX},
    open::BUSY_TIME_MAX,
};
use rusqlite::{Connection, config::DbConfig, hooks::Wal};
use std::{
    cell::Cell,
    ffi::c_int,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How often it looks at most, while there are commits. A change is acknowledged at most so long after the files
/// have gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

thread_local! {
    /// Whether a commit of this thread has carried the log over into the database: SQLite calls a function that
    /// has no place of its own to note it in.
    static HAS_CARRIED_OVER: Cell<bool> = const { Cell::new(false) };
    /// How many pages the log had after the last commit of this thread.
    static LOG_PAGES: Cell<i64> = const { Cell::new(0) };
}

/// Has the log carried over into the database as SQLite does by itself, and noted.
pub(crate) fn note_checkpoints(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.wal_hook(Some(|log: &mut Wal, pages: c_int| {
        LOG_PAGES.set(pages.into());
        if i64::from(pages) < CHECKPOINT_PAGES {
            return Ok(());
        }
        HAS_CARRIED_OVER.set(true);
        // A reader may be in the way, and the disk full: the next commit tries again.
        let _ = log.checkpoint();
        Ok(())
    }))
}

impl Writer {
    /// After a commit.
    pub(super) fn note_checkpoint(&self) {
        if HAS_CARRIED_OVER.take() {
            self.place.borrow_mut().was_written();
        }
        if LOG_PAGES.get() > LOG_PAGES_MAX && Instant::now() >= self.log_next.get() {
            self.begin_log_anew();
        }
    }

    /// Carries the log over and waits until no thread reads from it, so that what is written next stands at its
    /// beginning. As long as a query always reads, it would grow with every commit; so what has been reading for
    /// long is ended. Another program that reads is not, and is not waited for again before long.
    fn begin_log_anew(&self) {
        let wait = |time| self.connection.busy_timeout(time);
        // A reader that begins in the place of another, while SQLite sleeps between two looks, could be waited for
        // for ever.
        self.shared.queue().scans_wait = true;
        self.shared.log_waits.store(true, Ordering::Release);
        let is_busy = wait(LOG_WAIT_MAX)
            .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0)))
            .unwrap_or(true);
        self.shared.log_waits.store(false, Ordering::Release);
        self.shared.queue().scans_wait = false;
        self.shared.for_readers.notify_all();
        // It was set before to the same, which cannot fail.
        let _ = wait(BUSY_TIME_MAX);
        self.place.borrow_mut().was_written();
        match is_busy {
            true => self.log_next.set(Instant::now() + LOG_WAIT_AGAIN_AFTER),
            false => LOG_PAGES.set(0),
        }
    }

    /// Looks at the files, and says why nothing more may be written, if so.
    pub(super) fn look(&self) -> Result<(), String> {
        self.look_next.set(Instant::now() + LOOK_INTERVAL);
        let Some(lost) = self.place.borrow_mut().look() else { return Ok(()) };
        let (what, remedy) = match lost {
            Lost::Data(what) => {
                // What stands under the name now is not this log's.
                let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
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
            // What cannot be saved now may be when the store is closed.
            let _ = self.connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()));
        }
    }
}
