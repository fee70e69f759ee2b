//! What a store is opened with, and the defaults.

use crate::{
    clock::Clock,
    declarations::declared_in,
    limits::{CHECKPOINT_PAGES, JOBS_BYTES_MAX_DEFAULT, MIGRATED_AT_OPEN_BYTES_MAX},
    open::{OpenError, look},
    threads::FlushLog,
};
use bulkhead_protocol::{
    layer1::{EntityName, MemberPath, Path},
    limits::FRAME_BYTES_MAX_DEFAULT,
};
use std::{fs::File, io, path::PathBuf, sync::Arc, time::Duration};

/// How a store is opened. [`Settings::new`] has the defaults.
#[derive(Clone)]
pub struct Settings {
    /// The database file. Its folder must exist.
    pub path: PathBuf,
    /// The paths that are indexed. An index that is not declared any more is dropped.
    pub indexes: Vec<Index>,
    /// The members that are searched by their words. At most one declaration for each entity type.
    pub searches: Vec<Searched>,
    /// How long the reply of a key is kept, at least: only time while the store is open counts. Default: 7 days.
    pub key_ttl: Duration,
    /// How long events are kept, at least, counted likewise. Default: 30 days.
    pub event_ttl: Duration,
    /// How many events are kept. Default: 1,000,000.
    pub events_max: u64,
    /// How many bytes events take that are kept. Default: 1 GiB.
    pub events_bytes_max: u64,
    /// How many set-aside events are kept. Default: 10,000.
    pub set_aside_max: u64,
    /// How many bytes set-aside events take that are kept. Default: 256 MiB.
    pub set_aside_bytes_max: u64,
    /// How many threads read. One of several is kept free of long queries. Default: 3.
    pub readers: usize,
    /// How many bytes an answer has at most. Default: 64 KiB below the default frame.
    pub answer_bytes_max: usize,
    /// How many bytes the jobs that wait or run may hold together with their outcomes, as they lie in memory;
    /// one job always may. Default: 128 MiB.
    pub queue_bytes_max: usize,
    /// How long a query may run if its job has no deadline. Default: 30 s.
    pub query_time_max: Duration,
    /// What the time is. Default: the system's clocks.
    pub clock: Clock,
    /// How the write-ahead log is flushed to the disk. Default: `fdatasync`.
    pub flush: Flush,
    /// Pages of the write-ahead log after which it is carried over into the database. For tests, which write little.
    #[doc(hidden)]
    pub checkpoint_pages: i64,
    /// The longest database of an older version that is changed when it is opened, in bytes. For tests, whose are short.
    #[doc(hidden)]
    pub migrated_bytes_max: u64,
}

/// How the write-ahead log is flushed. For tests of disks that fail or lose what was not flushed.
#[derive(Clone)]
pub struct Flush(pub(crate) FlushLog);

impl Flush {
    /// By `fdatasync`.
    pub fn to_disk() -> Flush {
        Flush::by(File::sync_data)
    }

    /// By a function that the caller provides, which gets the open log. It runs on a thread of the store, and may wait.
    pub fn by(flush: impl Fn(&File) -> io::Result<()> + Send + Sync + 'static) -> Flush {
        Flush(Arc::new(flush))
    }
}

impl Settings {
    /// The defaults, for this file.
    pub fn new(path: impl Into<PathBuf>) -> Settings {
        Settings {
            path: path.into(),
            indexes: Vec::new(),
            searches: Vec::new(),
            key_ttl: Duration::from_secs(7 * 24 * 3600),
            event_ttl: Duration::from_secs(30 * 24 * 3600),
            events_max: 1_000_000,
            events_bytes_max: 1024 * 1024 * 1024,
            set_aside_max: 10_000,
            set_aside_bytes_max: 256 * 1024 * 1024,
            readers: 3,
            answer_bytes_max: FRAME_BYTES_MAX_DEFAULT - 64 * 1024,
            queue_bytes_max: JOBS_BYTES_MAX_DEFAULT,
            query_time_max: Duration::from_secs(30),
            clock: Clock::system(),
            flush: Flush::to_disk(),
            checkpoint_pages: CHECKPOINT_PAGES,
            migrated_bytes_max: MIGRATED_AT_OPEN_BYTES_MAX,
        }
    }

    /// For a tool that opens the store instead of its host: with the indexes and searches that it has,
    /// so that none is dropped, and so that hardly anything expires meanwhile.
    ///
    /// # Errors
    /// When something is at `path` that this program cannot read.
    pub fn as_found(path: impl Into<PathBuf>) -> Result<Settings, OpenError> {
        const TEN_YEARS: Duration = Duration::from_secs(3650 * 24 * 3600);
        let mut settings = Settings::new(path);
        settings.event_ttl = TEN_YEARS;
        settings.events_max = 1_000_000_000;
        settings.events_bytes_max = i64::MAX.cast_unsigned();
        settings.set_aside_max = 1_000_000_000;
        settings.set_aside_bytes_max = i64::MAX.cast_unsigned();
        match look(&settings.path) {
            Ok(()) => (settings.indexes, settings.searches) = declared_in(&settings.path)?,
            Err(OpenError::Missing { .. } | OpenError::Older { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(settings)
    }
}

/// A path of one type of entity that is indexed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index {
    /// The type of entity.
    pub entity: EntityName,
    /// The part of it.
    pub path: Path,
}

/// The members of one type of entity whose words are searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Searched {
    /// The type of entity.
    pub entity: EntityName,
    /// The members: texts, or lists of texts. A phrase never goes from one into another.
    pub paths: Vec<MemberPath>,
}

/// The microseconds of a duration.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
