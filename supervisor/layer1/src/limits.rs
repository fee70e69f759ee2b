//! Every limit of the store that is no setting, units last. Those of a payload are in
//! `bulkhead_protocol::layer1::limits`.

use std::time::Duration;

/// Most changes and events of one unit of work.
pub const UNIT_CHANGES_MAX: usize = 10_000;

/// Most bytes that the changes and events of one unit of work hold: 64 MiB.
pub const UNIT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most entities of which one unit of work remembers the version that it has read.
pub const UNIT_SEEN_MAX: usize = 10_000;

/// Most bytes that all units of work hold together: 256 MiB.
pub const UNITS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Most jobs that wait, run, or have an outcome that was not taken.
pub const JOBS_MAX: usize = 8192;

/// Most bytes that these jobs and their outcomes hold, unless the settings say otherwise: 128 MiB.
pub const JOBS_BYTES_MAX_DEFAULT: usize = 128 * 1024 * 1024;

/// Largest mutation that is done on the caller's thread, as it lies in memory: 64 KiB.
pub const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// Most jobs that share one commit.
pub const GROUP_JOBS_MAX: usize = 512;

/// Bytes of jobs that share one commit, after which no further one joins: 8 MiB.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of the jobs of commits that are not on the disk, after which nothing more is committed before a flush is
/// done: 32 MiB.
pub const UNFLUSHED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Largest data of an entity that the event of its change carries, in bytes: 4 KiB.
pub const EVENT_ENTITY_BYTES_MAX: usize = 4096;

/// Largest data of an event that a module emits, in bytes: 1 MiB.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// With how many bytes an entity counts beside its data in the quota of its owner: its id in the table and in the
/// index, its type in both, its times, its version and its owner.
pub const ENTITY_OVERHEAD_BYTES: i64 = 256;

/// With how many bytes an event counts beside its texts: its times, its cursor, and its part of the pages.
pub const EVENT_OVERHEAD_BYTES: i64 = 64;

/// With how many bytes a key counts beside the answer and the key itself: its fingerprint, its times, and its
/// entries in two indexes.
pub const KEY_OVERHEAD_BYTES: i64 = 192;

/// Bytes of a source's events that one commit removes beyond what it brings, when the source is over its quota: the
/// rest goes while nothing else is done.
pub const EVENTS_REMOVED_BYTES: i64 = 256 * 1024;

/// Events that are looked at in one reading, whether or not they match.
pub const EVENTS_SCANNED_MAX: usize = 20_000;

/// Events that are looked at for counting what waits for all subscribers together; each may have an equal
/// part of it, and [`EVENTS_SCANNED_MAX`] at most.
pub const EVENTS_COUNTED_MAX: usize = 200_000;

/// Greatest version of an entity whose event holds nothing of what the entity has: one that is changed more often, as
/// a counter, would have each change write the copy for the event before.
pub const VERSIONS_SHARED_MAX: u64 = 2;

/// Most names that are kept once for all rows that have them, of modules and of events; further names of events stand
/// in each row.
pub const EVENT_NAMES_MAX: i64 = 4096;

/// Numbers of names that the thread that writes remembers.
pub const NAMES_MAX: usize = 10_000;

/// The greatest database of an older version that is brought to the tables of this one when it is opened, in bytes:
/// 256 MiB, which takes seconds. For a greater one there is `layer1 compact`, which shows how far it is.
pub const MIGRATED_AT_OPEN_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Most searched members of one type of entity.
pub const SEARCH_PATHS_MAX: usize = 32;

/// By how much the store's age may exceed the written one before a commit that happens anyway writes its age too.
pub const CLOCK_WRITTEN_AFTER: Duration = Duration::from_secs(1);

/// The same where nothing else is to be written, which costs a flush.
pub const CLOCK_WRITTEN_IDLE_AFTER: Duration = Duration::from_secs(600);

/// Rows that one step of clearing removes.
pub const CLEARED_ROWS_MAX: usize = 500;

/// Most set-aside events that one job lists.
pub const SET_ASIDE_LISTED_MAX: usize = 1000;

/// Bytes of the data of set-aside events after which a job lists no further one: 4 MiB. A list with so
/// many may not be all of it.
pub const SET_ASIDE_LISTED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Length to which the error of a set-aside event is cut, in bytes: 16 KiB.
pub const SET_ASIDE_ERROR_BYTES_MAX: usize = 16 * 1024;

/// A database of at most this many bytes is checked whole when it is opened: 32 MiB.
pub const CHECKED_AT_OPEN_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Histories of the stream of events that are remembered; cursors of older ones are not known any more.
pub const EPOCHS_MAX: usize = 1000;

/// Page cache of the connection that writes, in KiB.
pub const WRITER_CACHE_KIB: i64 = 32 * 1024;

/// Page cache of each connection that reads, in KiB.
pub const READER_CACHE_KIB: i64 = 16 * 1024;

/// Pages of the write-ahead log after which it is carried over into the database: 8 MiB.
pub const CHECKPOINT_PAGES: i64 = 2048;

/// After so many times as many pages, 32 MiB, the thread that writes waits until no thread reads from the log.
pub const LOG_CHECKPOINTS_MISSED_MAX: i64 = 4;

/// How long a reader may have run and is still not ended for that.
pub const LOG_WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the thread that writes waits for that. Nothing that may take long begins meanwhile.
pub const LOG_WAIT_MAX: Duration = Duration::from_secs(3);

/// After which time it waits again, if the wait failed: another program may read.
pub const LOG_WAIT_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// To how many bytes the write-ahead log is cut when it has been carried over: 10 MiB. That is what it usually has then,
/// with the group of commits that made it long enough; to cut it shorter would make the next one grow the file again.
pub const LOG_BYTES_KEPT: i64 = 10 * 1024 * 1024;

/// A page of the log, with its head.
const LOG_PAGE_BYTES: i64 = 4096 + 24;

const _: () = assert!(CHECKPOINT_PAGES * LOG_PAGE_BYTES < LOG_BYTES_KEPT);

const _: () = assert!(2 * GROUP_BYTES_MAX <= JOBS_BYTES_MAX_DEFAULT);
const _: () = assert!(UNIT_BYTES_MAX <= UNITS_BYTES_MAX);
