//! Whether an opening continues what the last one has left, or another past: a backup that was restored, a copy.
//! Only where it certainly continues does the epoch of the events stay; otherwise another one begins, so that no
//! cursor that a reader has got means two events. One epoch more than was needed does no harm: the cursors of
//! those before it hold up to where it began.
//!
//! It is certain where two files agree: the database, and a file beside it that no copy of it includes. That
//! file has the random mark of the last opening, which file the database was, which file it is itself, and the
//! newest event as of at most a second before the end. What a snapshot of the whole file system brings back, both
//! files in it, cannot be distinguished from what it was taken of.

use crate::{
    file_identity::{FileId, beside},
    open::OpenError,
    tables::{
        epochs::{self, Epoch},
        events, subscriptions,
    },
};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

/// Longest file of this kind.
const FILE_BYTES_MAX: u64 = 4096;

/// The version of the tables from which on they have these.
const VERSION: i32 = 4;

/// Random bytes of an epoch's name, which each event has room for.
const EPOCH_BYTES: usize = 4;

/// Random bytes of an opening's mark.
const MARK_BYTES: usize = 16;

/// Digits of the newest event in it.
const NEWEST_DIGITS: usize = 20;

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    /// The mark of the opening.
    mark: String,
    /// Whether the mark is in the database without its log.
    is_carried_over: bool,
    database: String,
    itself: String,
    newest: u64,
}

/// The file, while the store is open.
#[derive(Debug)]
pub(crate) struct Trace {
    file: File,
    newest_at: u64,
    newest: u64,
}

impl Trace {
    /// Notes how far the stream has got. It is not flushed: after a power cut, what is older is enough.
    pub(crate) fn note(&mut self, newest: u64) {
        if newest != self.newest && self.file.write_all_at(digits(newest).as_bytes(), self.newest_at).is_ok() {
            self.newest = newest;
        }
    }
}

/// An opening.
#[derive(Debug)]
pub(crate) struct Opened {
    /// All epochs that are known, oldest first; the last one is in force.
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) mark: String,
    pub(crate) trace: Trace,
}

/// Finds out whether this opening goes on with the last one, begins an epoch if not, and records it for the next.
pub(crate) fn establish(connection: &mut Connection, path: &Path) -> Result<Opened, OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    let name = beside(path, ".opened");
    let io = |error| OpenError::of_io(&name, error);
    let kept = Kept::read_of_any(&name);
    let database = FileId::of(&fs::symlink_metadata(path).map_err(io)?).text();
    let mark = random::<MARK_BYTES>();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let (_, newest) = events::ends(&transaction).map_err(fail)?;
    let (last, _) = epochs::opening(&transaction).map_err(fail)?;
    let continues = kept.as_ref().is_some_and(|kept| {
        kept.is_no_copy(&name) && kept.mark == last && kept.database == database && kept.newest <= newest
    });
    if !continues || epochs::list(&transaction).map_err(fail)?.is_empty() {
        epochs::begin(&transaction, &Epoch { name: random::<EPOCH_BYTES>(), since: newest }).map_err(fail)?;
    }
    // The mark that the file has, not that of the database: it must be found until the file is written anew. That
    // holds for a copy of all files, too: its first opening may be cut short.
    let previous = kept.map_or(String::new(), |kept| kept.mark);
    epochs::note_opening(&transaction, &mark, &previous).map_err(fail)?;
    subscriptions::bring_back(&transaction, newest).map_err(fail)?;
    transaction.commit().map_err(fail)?;
    let carried =
        |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?);
    let is_carried_over = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], carried).map_err(fail)?;
    let trace = Kept { mark: mark.clone(), is_carried_over, database, itself: String::new(), newest }
        .write(&name)
        .map_err(io)?;
    Ok(Opened { epochs: epochs::list(connection).map_err(fail)?, mark, trace })
}

/// A database whose log was carried over was written anew, and has the name of the file that is given: the next opening
/// goes on with the last one, if it had done so with that file.
pub(crate) fn follow(path: &Path, before: &FileId) -> io::Result<()> {
    let name = beside(path, ".opened");
    match Kept::read_of_any(&name) {
        Some(kept) if kept.is_no_copy(&name) && kept.database == before.text() => {
            let database = FileId::of(&fs::symlink_metadata(path)?).text();
            Kept { database, is_carried_over: true, ..kept }.write(&name).map(drop)
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a database whose log belongs to another one: a backup that replaced a database that was not closed,
/// whose log SQLite would carry over into it. To be called before the database is opened.
pub(crate) fn refuse_foreign_log(path: &Path) -> Result<(), OpenError> {
    let log = beside(path, "-wal");
    let Some(kept) = Kept::read_of_any(&beside(path, ".opened")).filter(|kept| kept.is_carried_over) else {
        return Ok(());
    };
    if !fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) || !path.is_file() {
        return Ok(());
    }
    match marks_without_log(path) {
        Ok((mark, previous)) if kept.mark != mark && kept.mark != previous => {
            Err(OpenError::ForeignLog { path: path.to_owned(), log })
        }
        // What cannot be read is refused, with the reason, by the checks that follow.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether the file of the database, without its log, is the one that this opening has left its mark in.
pub(crate) fn has_mark(path: &Path, mark: &str) -> bool {
    marks_without_log(path).is_ok_and(|(found, _)| found == mark)
}

fn marks_without_log(path: &Path) -> rusqlite::Result<(String, String)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri_without_log(path), flags).and_then(|connection| {
        // One of an older version has no such table. In one of this version it may be invisible, where the log
        // was being carried over when the host was killed.
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version < VERSION { Ok(Default::default()) } else { epochs::opening(&connection) }
    })
}

/// The database as its file alone has it.
fn uri_without_log(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            other => write!(uri, "%{other:02x}").expect("a text takes everything"),
        }
    }
    uri + "?immutable=1"
}

impl Kept {
    /// Whether the file under this name is the one that was written.
    fn is_no_copy(&self, name: &Path) -> bool {
        fs::symlink_metadata(name).is_ok_and(|metadata| FileId::of(&metadata).text() == self.itself)
    }

    /// What the file says, also if it is a copy.
    fn read_of_any(name: &Path) -> Option<Kept> {
        let mut text = String::new();
        File::open(name).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let mut member = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        Some(Kept {
            mark: member("opening")?,
            is_carried_over: member("carried-over")? == "yes",
            database: member("database")?,
            itself: member("itself")?,
            newest: member("newest")?.parse().ok()?,
        })
    }

    fn write(mut self, name: &Path) -> io::Result<Trace> {
        let unfinished = beside(name, ".unfinished");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
        self.itself = FileId::of(&file.metadata()?).text();
        let Kept { mark, database, itself, newest, .. } = &self;
        let carried_over = if self.is_carried_over { "yes" } else { "no" };
        let head =
            format!("opening {mark}\ncarried-over {carried_over}\ndatabase {database}\nitself {itself}\nnewest ");
        file.write_all(format!("{head}{}\n", digits(*newest)).as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, name)?;
        let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Ok(Trace { file, newest_at: head.len() as u64, newest: self.newest })
    }
}

fn digits(newest: u64) -> String {
    format!("{newest:0NEWEST_DIGITS$}")
}

/// Hexadecimal digits, for which there are so many bytes.
fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the system has random bytes once it has started");
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
