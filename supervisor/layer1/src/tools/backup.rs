//! Backup: a whole copy of the database as of one moment, made while the store goes on. It is a database
//! like the original, and replaces it when it is moved to its path.

use super::{ToolError, Tools, Watcher, report};
use crate::{open::open_reader, tables::epochs};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Pages that are copied between two reports: 1 MiB.
const STEP_PAGES: i32 = 256;

impl Tools {
    /// Copies the database to `to`, which must not be there. The copy is made under another name beside
    /// it, and gets its name when it was checked, is whole and on the disk.
    ///
    /// # Errors
    /// When the file is there, the database is damaged, copying fails, or the watcher stops it. No file is
    /// left then.
    pub fn backup(&self, to: &Path, watcher: Watcher<'_>) -> Result<(), ToolError> {
        if to.exists() {
            return Err(ToolError::Exists(to.to_owned()));
        }
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        remove(&partial);
        let copied = copy(&self.path, &partial, watcher).and_then(|problem| {
            if let Some(found) = problem {
                return Err(self.damaged(found));
            }
            File::open(&partial)?.sync_all()?;
            // A link, unlike a rename, never replaces a file that was created meanwhile.
            fs::hard_link(&partial, to).map_err(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => ToolError::Exists(to.to_owned()),
                _ => error.into(),
            })?;
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(File::open(folder)?.sync_all()?)
        });
        remove(&partial);
        copied.map_err(|error| self.explained(error))
    }
}

/// Copies, and says what is wrong with the copy, if anything: pages are copied as they are, damaged or not.
fn copy(from: &Path, to: &Path, watcher: Watcher<'_>) -> Result<Option<String>, ToolError> {
    let source = open_reader(from)?;
    // With a transaction open, every step copies from the same moment, whatever is written meanwhile.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    // Only the owner may read the state directory, and so a copy of its contents.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let mut target = Connection::open_with_flags(to, flags)?;
    {
        let backup = Backup::new(&source, &mut target)?;
        loop {
            let step = backup.step(STEP_PAGES)?;
            let progress = backup.progress();
            let total = u64::try_from(progress.pagecount).unwrap_or_default();
            let left = u64::try_from(progress.remaining).unwrap_or_default();
            report(watcher, total - left, Some(total))?;
            if step == StepResult::Done {
                break;
            }
        }
    }
    // Opening the copy may leave a log beside it; it is to be one file.
    target.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    // It was written by no opening, whatever its path is.
    epochs::note_opening(&target, "", "")?;
    let found: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    target.close().map_err(|(_, error)| error)?;
    Ok((found != "ok").then_some(found))
}

fn remove(partial: &Path) {
    for ending in ["", "-journal", "-wal", "-shm"] {
        let mut name = partial.as_os_str().to_owned();
        name.push(ending);
        // What is not there need not be removed.
        let _ = fs::remove_file(name);
    }
}
