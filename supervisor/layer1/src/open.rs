//! Opening the database: what is looked at before anything is written, and how it is refused.
//! A refusal leaves the file as it was.
//!
//! Looked at every time: the lock, the header, the program that the file is of, its version, and that its
//! tables can be read. A file of up to 32 MiB is also checked page by page (`PRAGMA quick_check`), which
//! takes a moment; a larger one is not, since that would take as long as reading all of it, and is checked
//! on request ([`crate::Tools::check`]).

use crate::{
    continuation::refuse_foreign_log,
    file_identity::beside,
    functions,
    limits::{CHECKED_AT_OPEN_BYTES_MAX, LOG_BYTES_KEPT, READER_CACHE_KIB, WRITER_CACHE_KIB},
    own_files,
    schema::{APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION, migrate},
    threads::note_log_pages,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, limits::Limit};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// Why a store was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{path} is in use by another host{holder}; stop that one, or give this one a state directory of its own")]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who has it, in brackets, or nothing.
        holder: String,
    },
    /// Nothing is there, and nothing may be made.
    #[error("there is no data store at {path}: name the state directory of a host that has run")]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// The file was made by an older version.
    #[error(
        "{path} was made by an older version of Bulkhead: its tables are of version {found}, this program knows {known}; start the host once, which changes them"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// The version of its tables.
        found: i64,
        /// The version that this program knows.
        known: i32,
    },
    /// The file was made by an older version, and to change its tables takes long.
    #[error(
        "{path} was made by an older version of Bulkhead: its tables are of version {found}, this program knows {known}; with {bytes} bytes it is too long to be changed at the start: run `bulkhead layer1 compact --state DIR` with the state directory it is in, which shows how far it is"
    )]
    Long {
        /// The database.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
        /// The version of its tables.
        found: i64,
        /// The version that this program knows.
        known: i32,
    },
    /// The file was made by a newer version.
    #[error(
        "{path} was made by a newer version of Bulkhead: its tables are of version {found}, this program knows {known}; run the newer program, or start with an empty state directory and import an export"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version of its tables.
        found: i64,
        /// The version that this program knows.
        known: i32,
    },
    /// The file is no database, or that of another program.
    #[error("{path} is no database of Bulkhead: {found}; move it away, and a new one is made")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The name leads to something other than a file.
    #[error(
        "{path} is {found} and no file: the log and the lock of a database are found by its own name; put the file itself there, or mount the disk that has it over the folder"
    )]
    NoFile {
        /// The database.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// Another user could have created the file.
    #[error("{path} may not be used: {found}")]
    NotOwn {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        found: String,
    },
    /// The log beside the database is that of another one.
    #[error(
        "{log} is the log of another database than {path}, which was put in the place of one that was not closed; to go on with {path}, move the log and {path}-shm away; to go on with what was there before, put its database back"
    )]
    ForeignLog {
        /// The database.
        path: PathBuf,
        /// Its log.
        log: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "{path} is damaged: {found}; keep a copy of it and of its -wal file, then put a backup in its place, or save what can be read with `sqlite3 {path} .recover`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The folder or the file cannot be written.
    #[error("{path} cannot be written: {source}; give the host's user the right to write there, or mount it writable")]
    ReadOnly {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no room.
    #[error("there is no room on the disk of {path}: {source}; make some and start again")]
    Full {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system or SQLite says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite keeps to another journal than the log that commits go to.
    #[error(
        "{path} has no write-ahead log: expected the journal mode wal, found {found}; put the state directory on a disk of this machine"
    )]
    NoLog {
        /// The database.
        path: PathBuf,
        /// The journal mode that SQLite keeps to.
        found: String,
    },
    /// A declaration cannot be followed.
    #[error("the declarations for {path} cannot be followed: {reason}")]
    Declaration {
        /// The database.
        path: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// A file cannot be opened.
    #[error("{path} cannot be opened: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite refuses for another reason.
    #[error("{path} cannot be opened: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl OpenError {
    pub(crate) fn of_sqlite(path: &Path, source: rusqlite::Error) -> OpenError {
        let path = path.to_owned();
        let extended = source.sqlite_error().map_or(0, |error| error.extended_code);
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::Foreign { path, found: "it is not a SQLite database".into() },
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, found: source.to_string() },
            Some(ErrorCode::DiskFull) => OpenError::Full { path, source: source.into() },
            _ if matches!(extended, rusqlite::ffi::SQLITE_IOERR_SHMSIZE | rusqlite::ffi::SQLITE_IOERR_WRITE) => {
                OpenError::Full { path, source: source.into() }
            }
            Some(ErrorCode::ReadOnly) => {
                OpenError::ReadOnly { path, source: io::Error::new(io::ErrorKind::ReadOnlyFilesystem, source) }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                OpenError::InUse { path, holder: " or by a program that reads it with a lock, such as sqlite3".into() }
            }
            _ => OpenError::Sqlite { path, source },
        }
    }

    pub(crate) fn of_io(path: &Path, source: io::Error) -> OpenError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => OpenError::ReadOnly { path, source },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                OpenError::Full { path, source: source.into() }
            }
            _ => OpenError::Io { path, source },
        }
    }
}

/// Proof that only this process has the database. The lock ends with the value, and with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock beside the database at `path`.
pub(crate) fn lock(path: &Path) -> Result<Lock, OpenError> {
    own_files::check(path)?;
    let name = beside(path, ".lock");
    let fail = |error| OpenError::of_io(&name, error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&name).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The holder's id helps a person; its absence is no reason for another error.
            let _ = file.take(20).read_to_string(&mut holder);
            let holder = holder.trim().parse::<u32>().map_or(String::new(), |id| format!(" (process {id})"));
            return Err(OpenError::InUse { path: path.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(fail)?;
    Ok(Lock { _file: file })
}

/// Opens the connection that writes, after a check of the file. One of an older version that is longer than
/// `migrated_bytes_max` is refused. Gives the version of its tables as they were found, 0 for a new file.
pub(crate) fn open_writer(path: &Path, migrated_bytes_max: u64) -> Result<(Connection, i64), OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let (mut connection, version) = open_checked(path, flags, |version| {
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let (path, known) = (path.to_owned(), SCHEMA_VERSION);
        match version > 0 && version < i64::from(known) && bytes > migrated_bytes_max {
            true => Err(OpenError::Long { path, bytes, found: version, known }),
            false => Ok(()),
        }
    })?;
    configure_writer(&mut connection).map_err(fail)?;
    Ok((connection, version))
}

/// Opens the database, of this version or an older one, for one who has it alone: its log is empty, and goes when this
/// connection is closed. Gives the version of its tables.
pub(crate) fn open_alone(path: &Path) -> Result<(Connection, i64), OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    let (connection, version) = open_checked(path, OpenFlags::SQLITE_OPEN_READ_WRITE, |version| match version {
        0 => Err(OpenError::Missing { path: path.to_owned() }),
        _ => Ok(()),
    })?;
    // What is copied is written to another file, which has to be named to SQLite.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1).map_err(fail)?;
    Ok((connection, version))
}

/// Opens a connection that may write, after a check of the file, and of its version by `judge`. The log is carried over.
fn open_checked(
    path: &Path,
    flags: OpenFlags,
    judge: impl FnOnce(i64) -> Result<(), OpenError>,
) -> Result<(Connection, i64), OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    must_be_file(path)?;
    refuse_foreign_log(path)?;
    let has_log = std::fs::metadata(beside(path, "-wal")).is_ok_and(|metadata| metadata.len() > 0);
    let connection = connect(path, flags).map_err(fail)?;
    // A refused file stays as it is, its write-ahead log too; an empty log is removed by itself.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log).map_err(fail)?;
    let version = inspect(&connection, path)?;
    judge(version)?;
    if has_log {
        write_log_again(path)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(fail)?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(fail)?;
    Ok((connection, version))
}

/// Leaves the flushes to the caller from now on, and gives the log that is to be flushed.
pub(crate) fn take_over_flushes(connection: &Connection, path: &Path) -> Result<File, OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    let found: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(fail)?;
    if found != "wal" {
        return Err(OpenError::NoLog { path: path.to_owned(), found });
    }
    let name = beside(path, "-wal");
    let log = File::open(&name).map_err(|error| OpenError::of_io(&name, error))?;
    connection.pragma_update(None, "synchronous", "normal").map_err(fail)?;
    Ok(log)
}

/// Brings what an earlier host has left in the log onto the disk: its last flush may have failed, after which the
/// kernel believes that what it holds is written. So each byte is written again at its offset, and flushed.
fn write_log_again(path: &Path) -> Result<(), OpenError> {
    const PIECE_BYTES: usize = 1024 * 1024;
    let name = beside(path, "-wal");
    let fail = |error| OpenError::of_io(&name, error);
    let log = match OpenOptions::new().read(true).write(true).open(&name) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        match log.read_at(&mut piece, at).map_err(fail)? {
            0 => return log.sync_all().map_err(fail),
            bytes => {
                log.write_all_at(&piece[..bytes], at).map_err(fail)?;
                at += bytes as u64;
            }
        }
    }
}

/// Opens a connection that only reads.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // It may still write temporary tables, which hold what a unit has changed.
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

/// The timeout of a connection that waits for a lock of another program.
pub(crate) const BUSY_TIME_MAX: Duration = Duration::from_secs(5);

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // One thread has the connection at a time, so SQLite need not guard it.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    functions::register(&connection)?;
    Ok(connection)
}

/// SQLite would follow a link, and keep its log where that leads.
fn must_be_file(path: &Path) -> Result<(), OpenError> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::of_io(path, error)),
    };
    let found = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_dir() => "a folder",
        () => "a device, a pipe or a socket",
    };
    Err(OpenError::NoFile { path: path.to_owned(), found })
}

/// Checks whether the tools can read the file, and changes nothing.
pub(crate) fn look(path: &Path) -> Result<(), OpenError> {
    if !path.try_exists().map_err(|error| OpenError::of_io(path, error))? {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    must_be_file(path)?;
    let connection = open_reader(path).map_err(|error| OpenError::of_sqlite(path, error))?;
    match identify(&connection, path)? {
        0 => Err(OpenError::Missing { path: path.to_owned() }),
        found if found < i64::from(SCHEMA_VERSION) => {
            Err(OpenError::Older { path: path.to_owned(), found, known: SCHEMA_VERSION })
        }
        _ => Ok(()),
    }
}

/// Looks at the file without changing it, and gives the version of its tables.
fn inspect(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let version = identify(connection, path)?;
    if version > 0 && std::fs::metadata(path).map_or(0, |metadata| metadata.len()) <= CHECKED_AT_OPEN_BYTES_MAX {
        let check = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        let found = connection
            .query_row("PRAGMA quick_check(1)", [], check)
            .map_err(|error| OpenError::of_sqlite(path, error))?;
        if found != "ok" {
            return Err(OpenError::Damaged { path: path.to_owned(), found: found.replace('\n', " ") });
        }
    }
    Ok(version)
}

/// The version of the tables, 0 for a file that has none yet; or why the file is not a data store.
fn identify(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(fail);
    let application = number("application_id")?;
    let version = number("user_version")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fail)?;
    if application != i64::from(APPLICATION_ID) {
        // A file without a table is one whose making was cut short, or an empty one.
        if application == 0 && version == 0 && tables == 0 {
            return Ok(0);
        }
        let found = format!("it is a SQLite database of another program, with the application id {application}");
        return Err(OpenError::Foreign { path: path.to_owned(), found });
    }
    if version > i64::from(SCHEMA_VERSION) {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known: SCHEMA_VERSION });
    }
    Ok(version)
}

/// What makes the commits of the opening survive a power cut, and bounds memory and log.
fn configure_writer(connection: &mut Connection) -> rusqlite::Result<()> {
    // To its end: the mode is its first row, and the change is committed after that, which may fail.
    connection.execute_batch("PRAGMA journal_mode = wal")?;
    // Of this change alone, the commit is that a journal is removed: with less than this, that is not flushed.
    connection.pragma_update(None, "synchronous", "extra")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // It replaces the function by which SQLite carries the log over by itself, which hides the errors of that.
    note_log_pages(connection)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_KEPT, |_| Ok(()))?;
    migrate(connection, MIGRATIONS)
}
