//! Layer 1 of Bulkhead: the durable store. Entities, units of work, idempotency keys and events in one
//! SQLite file, and a queue of jobs in front of it that never waits.
//!
//! This crate knows nothing of modules, sockets and the frames of the wire: an owner, a source and a
//! subscriber are names to it. It does not ask what any process may do; `needs()` of the grammar says what a
//! payload touches, and the host decides before it gives the store a job. The grammar of payloads is
//! `bulkhead_protocol::layer1`.
//!
//! # Using it
//! [`Layer1::open`] starts the threads, [`Layer1::submit`] takes a [`Job`] under a [`JobId`] or gives it
//! back, [`Layer1::poll`] gives [`Outcome`]s. The caller is woken when there are outcomes. A change has its
//! outcome only when it is on the disk; [`Layer1::poll_visible`] gives it as soon as it is committed.
//!
//! # What holds
//! - **Durable.** A commit is visible when it is made, and durable when the write-ahead log is flushed. An outcome
//!   that [`Layer1::poll`] gives rests on nothing that is not flushed. Everything that waits when the writing thread
//!   is free shares a transaction, and all commits before a flush share that. After a flush that failed, nothing
//!   becomes durable any more ([`Layer1::flush_failure`]).
//! - **Whole.** A commit that fails fails everything in it, with the reason, and leaves nothing; after a
//!   full disk the store goes on as soon as there is room, after a failed disk or a damaged page it writes
//!   no more and says why ([`Layer1::broken`]).
//! - **Readers never wait for the writer,** and see what was acknowledged before they were asked. Page,
//!   count and includes of one answer are of one moment.
//! - **A unit of work** sees what is committed, with its own changes over it, by the same rules; its changes
//!   are not visible outside before its commit. What it sees of others' is not frozen: a later query of it may
//!   see a later commit. At its commit, every entity that it changed must be as it was when it first changed
//!   it; otherwise [`Outcome::Conflict`], and nothing of it happens. Entities that it only read are not
//!   compared: `expected_version` is for that. It has at most 10,000 changes and events, and 64 MiB.
//! - **Ids** that the store makes are UUIDs of version 7, each greater than all that it has made before and
//!   keeps, and than those that it has imported, also after a restart and when the wall clock was set back.
//!   Then the time in them is ahead of the clock. A caller's own id may be any UUID; it is kept in lower
//!   case, and has no effect on the ids that the store makes.
//! - **Versions** count the changes of an entity from 1. The version in the answer to a delete is one more
//!   than the last. An entity made anew under an old id begins at 1 again, and a unit that changed the old
//!   one conflicts all the same.
//! - **Owner** is the module that created an entity. Its quota counts the bytes of the data, whichever module
//!   changes them; changes that make an owner's entities smaller are never refused. Clients own as "".
//! - **A key** is its caller's, for one target. It is checked again in the commit that would keep it: if it
//!   was taken meanwhile, nothing is done and the outcome is [`Outcome::Key`]. A refused or failed commit
//!   leaves its key vacant.
//! - **Time.** Keys and events are kept for a time of the store's own, its age, which advances with the time
//!   since boot while the store is open. The wall clock is shown, and decides nothing. No
//!   entity's `updated_at` is before its `created_at`, or before it was with the last version.
//!
//! # Queries
//! - Order of values: nothing and `null`, numbers, texts by their bytes, `false`, `true`, lists and objects
//!   by their canonical text. Numbers compare by what they are worth: integers from -2^63 to 2^63-1
//!   exactly, all others as the nearest double. `null` equals a missing value; `exists` distinguishes the two.
//! - `gt`, `gte`, `lt` and `lte` hold only among numbers or among texts. `ne` holds for entities without a
//!   value too. `contains` looks for a part of a text, or for an element of a list.
//! - Entities that are alike in everything that is ordered by come by id, in the direction of the last
//!   path. Without an order: by id, which is the order of creation for ids that the store made.
//! - A cursor holds the values of the last entity, not its position: no entity is seen twice or left out because
//!   of what is created or deleted elsewhere, also if that entity is gone. An entity whose values change
//!   between two pages moves as in any list. A cursor is for the same type and order only.
//! - An answer ends before its limit when it would not fit into a frame; `next` goes on. With `count`, all
//!   entities are counted for which the filters hold; `limit` 0 counts only.
//! - `include` puts in what refers to an entity, by id, 100 each unless it says otherwise; where there is
//!   more, the entity has `"more":[NAME,…]`. Declare an index on the field: without one, every entity of
//!   the answer looks at every entity of the included type.
//! - `search` has words, all of which must be there, `"phrases"`, `begin*` and `-without`, over the
//!   members that are declared for its type; on a type without a declaration it is refused. The order is
//!   that of any query, not one of relevance, so that cursors hold.
//! - An index is used for the narrowest filter on a declared path (equality, then `in`, then a range), else
//!   for the first path of the order. `include` and filters use the same ones.
//!
//! # Events
//! Each operation makes one, `ENTITY.created`, `.updated` or `.deleted`, with
//! `{"id","version","data"}`: the data as it is after the change, if it has at most 4 KiB; otherwise,
//! and for a delete, there is none, and a subscriber that wants it queries. They are in the stream in the
//! order of the commits, within a unit in the order in which they were made, among those that it emitted.
//! An import makes none. Cursors are given one by one. Events are cleared away by age, number and
//! bytes, but not the newest one, and not what a subscription has not reached, unless there are twice as many
//! as are to be kept. Beyond the quota of a source its own oldest go, also those that were not read yet. A gap
//! between two cursors is what is gone: a reading reports how many it passes by ([`outcome::EventPage::lost`]),
//! and its caller has them kept in the subscription's account ([`job::Also::Missed`]). A new subscription begins
//! after the newest event.
//!
//! Which history a cursor belongs to is an [`Epoch`]. An opening that does not continue what the last one has
//! left, as of a backup or a copy, begins another one ([`Layer1::epochs`]).
//!
//! What waits for a subscription is counted by the names of the events, among a bounded number of them.
//!
//! An event that is set aside keeps a copy of its own until it is removed, or until more are set aside than
//! are to be kept and it is the oldest. To replay it is the host's: it lists the event, has it handled, and
//! removes it in the commit of that ([`job::Also::RemoveSetAside`]).
//!
//! # The tables
//! For people with `sqlite3`, also while the host runs; only the host may write. Times are microseconds
//! since 1970. `application_id` is 0x426b684c, `user_version` the version of the tables.
//!
//! | table | a row is | columns |
//! |---|---|---|
//! | `entities` | an entity | `entity` (type), `id` (16 bytes), `version`, `created_at`, `updated_at`, `owner`, `event` (the cursor of the event of its last change, if that holds nothing of its own), `data` (the JSON as it came, without white space between its parts) |
//! | `keys` | an idempotency key | `number`, `caller` (module, or empty for clients), `target` (module or `layer1`; empty, in a file that was of version 1, for any), `key` (16 bytes, if it is the text of an id), `fingerprint` (SHA-256 of target, type and payload), `reply`, `created_at`, `expires_age`, `bytes` (what it is counted with) |
//! | `events` | an event | `cursor`, `age` (of the store, when it was stored), `time`, `event`, `source` (module, or empty for a client), `bytes` (what it is counted with), `of_row`, `data` |
//! | `event_copies` | what an event says whose entity was changed since | `cursor`, `id`, `version`, `time`, `data` |
//! | `names` | a name of a module or an event, which other rows have as its number | `number`, `name` |
//! | `subscriptions` | how far a module is | `module`, `cursor`, `missed`, `since` |
//! | `set_aside` | an event that a module kept failing on | `id`, `module`, `cursor`, `time`, `event`, `source`, `data`, `attempts`, `error`, `set_aside_at` |
//! | `usage` | what of an owner is stored | `owner`, `bytes`, `entities`, `event_bytes`, `events`, `key_bytes`, `keys` |
//! | `clock` | the store's own time, in one row | `age` (how much time it has seen pass, in microseconds), `ids_upto` (the time of the ids that it gave out, in milliseconds since 1970) |
//! | `epochs` | a history of the stream | `number`, `epoch` (its name), `since` (the newest event when it began) |
//! | `opening` | the one row says by which opening it was written | `one`, `mark`, `previous` |
//! | `indexes` | a declared index | `number` (its name is `index_NUMBER`), `entity`, `path` |
//! | `searches` | a declared search | `number` (its table is `search_NUMBER`, FTS5), `entity`, `paths` |
//!
//! An event without `data` is that of one of the first changes of an entity: what it says is in `entities`, in the row `of_row`, as long as that
//! has its cursor as `event`, or else in `event_copies`. Without `time`, it was made when the entity was changed. The
//! views `entities_as_text`, `events_as_text` and `keys_as_text` have all of that as texts.
//!
//! The indexes are made with a function of this program, `layer1_value`. Another program reads the tables
//! all the same, but cannot use these indexes, and so cannot write entities of an indexed type.
//!
//! Beside the database lie `-wal` and `-shm` while it is open or was not closed, `.lock`, which one host
//! at a time holds, and `.opened`, which belongs to no copy of it. A backup is one file, and replaces the
//! database as it is.

#![forbid(unsafe_code)]

mod clock;
mod continuation;
mod declarations;
mod failure;
mod file_identity;
mod functions;
mod held;
mod ids;
pub mod job;
pub mod limits;
mod open;
mod operations;
pub mod outcome;
mod own_files;
mod query;
mod quotas;
mod schema;
mod schema_5;
mod settings;
mod staged;
mod statements;
mod store;
mod stored_id;
mod tables;
mod threads;
mod tools;
mod unit;
mod weight;

pub use clock::{Clock, Now};
pub use job::{Job, JobId, Sender, UnitId};
pub use open::OpenError;
pub use outcome::Outcome;
pub use schema::SCHEMA_VERSION;
pub use settings::{Flush, Index, Searched, Settings};
pub use store::{Layer1, Overloaded, Visible};
pub use tables::{epochs::Epoch, keys::other_payload};
pub use tools::{
    Progress, ToolError, Tools, Watcher,
    compact::{CompactError, Compacted, compact},
    import::ImportLines,
};
