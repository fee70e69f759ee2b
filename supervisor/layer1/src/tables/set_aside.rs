//! The table `set_aside`: events that a module kept failing on, each with a copy of the event, so that it
//! outlives the stream.

use super::events;
use crate::{
    limits::{
        CLEARED_ROWS_MAX, EVENT_OVERHEAD_BYTES, SET_ASIDE_ERROR_BYTES_MAX, SET_ASIDE_LISTED_BYTES_MAX,
        SET_ASIDE_LISTED_MAX,
    },
    outcome::{Cursor, SetAsideEvent, StoredEvent},
};
use bulkhead_protocol::Json;
use rusqlite::{Connection, params};

/// Sets the event at `cursor` aside. An event that is no longer kept leaves nothing.
pub(crate) fn add(
    connection: &Connection,
    module: &str,
    cursor: Cursor,
    attempts: u32,
    error: &str,
    now: i64,
) -> rusqlite::Result<()> {
    let error = &error[..error.floor_char_boundary(SET_ASIDE_ERROR_BYTES_MAX)];
    let Some(StoredEvent { time, event, source, data, .. }) = events::find(connection, cursor)? else { return Ok(()) };
    connection
        .prepare_cached(
            "INSERT INTO set_aside (module, cursor, time, event, source, data, attempts, error, set_aside_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![module, cursor.0, time, event, source, data.as_str(), attempts, error, now])
        .map(|_| ())
}

/// Forgets one.
pub(crate) fn remove(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM set_aside WHERE id = ?1")?.execute([id]).map(|_| ())
}

/// Forgets all of a module, and says how many.
pub(crate) fn remove_all(connection: &Connection, module: &str) -> rusqlite::Result<usize> {
    connection.prepare_cached("DELETE FROM set_aside WHERE module = ?1")?.execute([module])
}

/// How many there are.
pub(crate) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT count(*) FROM set_aside")?.query_row([], |row| row.get(0))
}

/// Removes a few of the oldest, if there are more than are to be kept or they take more bytes, and says how many.
/// The newest is kept whatever it takes.
pub(crate) fn clear(connection: &Connection, set_aside_max: u64, bytes_max: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "WITH newest_first AS (
                 SELECT id, row_number() OVER back AS place, sum(octet_length(event) + octet_length(source)
                     + octet_length(data) + octet_length(error) + ?3) OVER back AS bytes
                 FROM set_aside WINDOW back AS (ORDER BY id DESC)
             )
             DELETE FROM set_aside WHERE id IN
                 (SELECT id FROM newest_first WHERE place > ?1 OR (bytes > ?2 AND place > 1) ORDER BY id LIMIT ?4)",
        )?
        .execute(params![set_aside_max, bytes_max, EVENT_OVERHEAD_BYTES, CLEARED_ROWS_MAX])
}

/// Those after an id, oldest first: as many as are asked for, or as fit into the bytes of one list.
pub(crate) fn list(
    connection: &Connection,
    module: Option<&str>,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<SetAsideEvent>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, module, attempts, error, set_aside_at, cursor, time, event, source, data FROM set_aside
         WHERE id > ?1 AND (?2 IS NULL OR module = ?2) ORDER BY id LIMIT ?3",
    )?;
    let mut rows = statement.query_map(params![after, module, limit.min(SET_ASIDE_LISTED_MAX)], |row| {
        Ok(SetAsideEvent {
            id: row.get(0)?,
            module: row.get(1)?,
            attempts: row.get(2)?,
            error: row.get(3)?,
            set_aside_at: row.get(4)?,
            event: StoredEvent {
                cursor: Cursor(row.get(5)?),
                time: row.get(6)?,
                event: row.get(7)?,
                source: row.get(8)?,
                data: Json::parse(row.get_ref(9)?.as_str()?).unwrap_or_default(),
            },
        })
    })?;
    let (mut listed, mut bytes) = (Vec::new(), 0);
    while bytes < SET_ASIDE_LISTED_BYTES_MAX
        && let Some(row) = rows.next()
    {
        let aside: SetAsideEvent = row?;
        bytes += aside.event.data.as_str().len();
        listed.push(aside);
    }
    Ok(listed)
}
