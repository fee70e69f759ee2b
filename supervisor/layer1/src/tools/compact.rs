//! Compact: the database is written anew beside itself, without free pages and with the tables of this version, and
//! takes the name of the old one when it is whole, checked and on the disk. Before that moment the old file has
//! everything, after it the new one: a kill or a power cut leaves one of the two, and at most a file with another
//! name, which the next start removes. No host may have the database open meanwhile.
//!
//! It is for files that are too long to be migrated when they are opened, and gives back the pages of what was
//! removed.

use super::{ToolError, Watcher, is_damage, report};
use crate::{
    continuation,
    file_identity::{FileId, beside},
    functions,
    open::{OpenError, lock, open_alone},
    schema::{MIGRATIONS, SCHEMA_VERSION, migrate},
};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

/// The new file until it is whole, and what one of an older version is copied to first.
const ENDINGS: [&str; 2] = [".compacting", ".migrating"];

/// Steps of SQLite's machine between two looks whether it is to stop.
const STEPS: i32 = 2000;

/// How often progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// What must be free on the disk beside what is written.
const ROOM_BYTES: u64 = 16 * 1024 * 1024;

/// The result of compacting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The length of the database before, in bytes.
    pub before: u64,
    /// The length of the new one.
    pub after: u64,
    /// The version of the tables before.
    pub version: i64,
}

/// Why a database was not written anew. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// It cannot be opened, or a host has it open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was stopped, or reading or writing failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// There is no room for it twice.
    #[error(
        "{path} is written anew beside itself, which takes {needed} bytes for a while; {free} are free on its disk"
    )]
    NoRoom {
        /// The database.
        path: PathBuf,
        /// How many bytes are needed.
        needed: u64,
        /// How many there are.
        free: u64,
    },
}

/// Writes the database at `path` anew, with the tables of this version.
///
/// # Errors
/// When a host has it open, it is no database of this program or damaged, there is no room, reading or writing fails,
/// or the watcher stops it. The database is as it was then.
pub fn compact(path: &Path, watcher: Watcher<'_>) -> Result<Compacted, CompactError> {
    if !path.try_exists().map_err(|error| OpenError::of_io(path, error))? {
        return Err(OpenError::Missing { path: path.to_owned() }.into());
    }
    let _lock = lock(path)?;
    remove_leftovers(path);
    let (connection, version) = open_alone(path)?;
    let compacted = write_anew(path, connection, version, watcher);
    remove_leftovers(path);
    compacted.map_err(|error| match error {
        CompactError::Tool(ToolError::Sqlite(error)) if is_damage(&error) => {
            OpenError::Damaged { path: path.to_owned(), found: error.to_string() }.into()
        }
        other => other,
    })
}

/// Removes what a run that was cut short has left. Only for the one that holds the lock.
pub(crate) fn remove_leftovers(path: &Path) {
    for ending in ENDINGS {
        for part in ["", "-journal", "-wal", "-shm"] {
            // What is not there need not be removed.
            let _ = fs::remove_file(beside(path, &format!("{ending}{part}")));
        }
    }
}

fn write_anew(
    path: &Path,
    connection: Connection,
    version: i64,
    watcher: Watcher<'_>,
) -> Result<Compacted, CompactError> {
    let io = |error: io::Error| CompactError::Tool(error.into());
    let before = fs::symlink_metadata(path).map_err(io)?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let used = number("page_count")
        .and_then(|pages| Ok((pages - number("freelist_count")?) * number("page_size")?))
        .map_err(ToolError::from)?;
    let is_older = version < i64::from(SCHEMA_VERSION);
    // The tables of another version are made in a copy, which has the old ones and the new ones for a while.
    let needed = if is_older { 3 * used } else { used } + ROOM_BYTES;
    let free = free_bytes(path).map_err(io)?;
    if free < needed {
        return Err(CompactError::NoRoom { path: path.to_owned(), needed, free });
    }
    let (whole, migrated) = (beside(path, ENDINGS[0]), beside(path, ENDINGS[1]));
    let total = if is_older { None } else { Some(used) };
    if is_older {
        let (from, to) = (connection, migrated.clone());
        watched(&[&migrated, &whole], total, watcher, move |stops| {
            copy(from, &to, &stops)?;
            migrate_copy(&to, stops)
        })?;
        let (from, to) = (open_copy(&migrated).map_err(ToolError::from)?, whole.clone());
        watched(&[&migrated, &whole], total, watcher, move |stops| copy(from, &to, &stops))?;
    } else {
        let to = whole.clone();
        watched(&[&whole], total, watcher, move |stops| copy(connection, &to, &stops))?;
    }
    let checked = whole.clone();
    watched(&[&whole], total, watcher, move |stops| check(&checked, stops))?;
    let after = put_in_place(path, &whole).map_err(io)?;
    // Cursors of events stay what they were. Where that fails, another epoch begins, which does no harm.
    let _ = continuation::follow(path, &FileId::of(&before));
    Ok(Compacted { before: before.len(), after, version })
}

/// Does something that takes long on a thread of its own, and reports how long the files have become.
fn watched(
    files: &[&Path],
    total: Option<u64>,
    watcher: &mut dyn FnMut(super::Progress) -> std::ops::ControlFlow<()>,
    work: impl FnOnce(Stops) -> Result<(), ToolError> + Send,
) -> Result<(), ToolError> {
    let stops = Stops::default();
    let (done, is_done) = channel();
    thread::scope(|scope| {
        let its = stops.clone();
        let working = scope.spawn(move || {
            let worked = work(its);
            // The other end is there until this thread has ended.
            let _ = done.send(());
            worked
        });
        let mut stopped = Ok(());
        loop {
            let waited = is_done.recv_timeout(REPORT_INTERVAL);
            let written: u64 = files.iter().filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum();
            if stopped.is_ok() {
                stopped = report(watcher, total.map_or(written, |total| written.min(total)), total);
            }
            if stopped.is_err() {
                stops.0.store(true, Ordering::Release);
            }
            if !matches!(waited, Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
        let worked = working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        stopped.and(worked)
    })
}

/// Whether the work is to stop.
#[derive(Clone, Default)]
struct Stops(Arc<AtomicBool>);

impl Stops {
    fn attach(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let stops = self.0.clone();
        connection.progress_handler(STEPS, Some(move || stops.load(Ordering::Acquire)))
    }
}

/// Copies everything but free pages into a new file.
fn copy(mut from: Connection, to: &Path, stops: &Stops) -> Result<(), ToolError> {
    // Only the owner may read the state directory, and so a copy of its contents.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    stops.attach(&mut from)?;
    let name = to.to_str().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no UTF-8, which SQLite needs here", to.display()))
    })?;
    from.execute("VACUUM INTO ?1", [name])?;
    Ok(from.close().map_err(|(_, error)| error)?)
}

/// Brings a copy to the tables of this version. It is of no use until it is whole, and so needs no journal.
fn migrate_copy(copy: &Path, stops: Stops) -> Result<(), ToolError> {
    let mut connection = open_copy(copy)?;
    stops.attach(&mut connection)?;
    connection.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "off")?;
    migrate(&mut connection, MIGRATIONS)?;
    Ok(connection.close().map_err(|(_, error)| error)?)
}

/// Opens a copy, whose indexes are made with the functions of this program.
fn open_copy(copy: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    functions::register(&connection)?;
    Ok(connection)
}

fn check(whole: &Path, stops: Stops) -> Result<(), ToolError> {
    let mut connection = open_copy(whole)?;
    stops.attach(&mut connection)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match (found == "ok", version == SCHEMA_VERSION) {
        (true, true) => Ok(()),
        _ => Err(ToolError::Refused(format!("the new file has tables of version {version} and this fault: {found}"))),
    }
}

/// Gives the new file the name of the old one, and says how long it is.
fn put_in_place(path: &Path, whole: &Path) -> io::Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = File::open(whole)?;
    file.sync_all()?;
    let length = file.metadata()?.len();
    // The log of the old one went when it was closed, unless another program has it open too: then the new one would
    // share it. That it is gone is on the disk before the new one has the name.
    for ending in ["-wal", "-shm", "-journal"] {
        let left = beside(path, ending);
        if left.try_exists()? {
            let reason = format!("{} is in use by another program; end that, and run this again", left.display());
            return Err(io::Error::other(reason));
        }
    }
    File::open(folder)?.sync_all()?;
    fs::rename(whole, path)?;
    File::open(folder)?.sync_all()?;
    Ok(length)
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = nix::sys::statvfs::statvfs(folder)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}
