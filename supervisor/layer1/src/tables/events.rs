//! The table `events`. Cursors are given in the order of the commits, without gaps, and never twice: the
//! newest event is never cleared away, so the next cursor is always one more than the highest.

use crate::{
    limits::{CLEARED_ROWS_MAX, EVENTS_SCANNED_MAX},
    outcome::{EventPage, More, StoredEvent, Waiting},
    statements::Statements,
    unit::Emitted,
};
use bulkhead_protocol::{Json, Pattern};
use rusqlite::{Connection, Row, params};

/// Stores events behind the newest one, in order, at this age of the store.
pub(crate) fn store(
    statements: &mut Statements<'_>,
    events: &[Emitted],
    age: i64,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let sql = "INSERT INTO events (time, event, source, data, age) VALUES (?1, ?2, ?3, ?4, ?5)";
    let statement = statements.prepare(sql)?;
    let mut stored = Vec::with_capacity(events.len());
    for event in events {
        let cursor = statement.insert(params![event.time, event.event, &*event.source, event.data.as_str(), age])?;
        stored.push(StoredEvent {
            cursor: cursor.cast_unsigned(),
            time: event.time,
            event: event.event.clone(),
            source: event.source.as_ref().to_owned(),
            data: event.data.clone(),
        });
    }
    Ok(stored)
}

/// The cursors of the oldest and the newest event, 0 where there is none.
pub(crate) fn ends(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let mut statement = connection.prepare_cached(
        "SELECT ifnull((SELECT min(cursor) FROM events), 0), ifnull((SELECT max(cursor) FROM events), 0)",
    )?;
    statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Reads what matches behind a cursor.
pub(crate) fn read(
    connection: &Connection,
    after: u64,
    patterns: &[Pattern],
    limit: usize,
    bytes_max: usize,
) -> rusqlite::Result<EventPage> {
    let (oldest, newest) = ends(connection)?;
    let after = after.min(newest);
    let lost = oldest.saturating_sub(1).saturating_sub(after);
    let mut page = EventPage { events: Vec::new(), cursor: after + lost, more: More::No, lost };
    let mut statement = connection.prepare_cached(
        "SELECT cursor, time, event, source, data FROM events WHERE cursor > ?1 ORDER BY cursor LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after, EVENTS_SCANNED_MAX + 1])?;
    let (mut bytes, mut scanned) = (0, 0);
    while let Some(row) = rows.next()? {
        if scanned == EVENTS_SCANNED_MAX {
            page.more = More::Yes;
            break;
        }
        let name = row.get_ref(2)?.as_str()?;
        if patterns.iter().any(|pattern| pattern.matches(name)) {
            bytes += row.get_ref(4)?.as_str()?.len() + name.len();
            if page.events.len() >= limit || (bytes > bytes_max && !page.events.is_empty()) {
                page.more = More::Yes;
                break;
            }
            page.events.push(stored_event(row, 0)?);
        }
        scanned += 1;
        page.cursor = row.get(0)?;
    }
    Ok(page)
}

/// Counts what matches behind a cursor, among at most so many events.
pub(crate) fn count(
    connection: &Connection,
    after: u64,
    patterns: &[Pattern],
    scanned_max: usize,
) -> rusqlite::Result<Waiting> {
    let (oldest, newest) = ends(connection)?;
    let behind = newest.saturating_sub(after.max(oldest.saturating_sub(1)));
    // There are no gaps, so whoever wants everything is counted without a look at what there is.
    if patterns.iter().any(|pattern| pattern.as_str() == "*") {
        return Ok(Waiting { events: behind, more: More::No });
    }
    if patterns.is_empty() {
        return Ok(Waiting { events: 0, more: More::No });
    }
    let mut statement =
        connection.prepare_cached("SELECT event FROM events WHERE cursor > ?1 ORDER BY cursor LIMIT ?2")?;
    let mut rows = statement.query(params![after, scanned_max])?;
    let mut events = 0;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        events += u64::from(patterns.iter().any(|pattern| pattern.matches(name)));
    }
    Ok(Waiting { events, more: if behind > scanned_max as u64 { More::Yes } else { More::No } })
}

/// Reads an event from a row whose columns begin at `first` with the cursor.
pub(crate) fn stored_event(row: &Row<'_>, first: usize) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        cursor: row.get(first)?,
        time: row.get(first + 1)?,
        event: row.get(first + 2)?,
        source: row.get(first + 3)?,
        data: Json::parse(row.get_ref(first + 4)?.as_str()?).unwrap_or_default(),
    })
}

/// Removes a few events that are old or too many, and says how many. What a subscription has not reached
/// yet stays, until there are twice as many events as are to be kept: then the oldest go all the same,
/// and the subscription is told how many it missed.
pub(crate) fn clear(connection: &Connection, oldest_age: i64, events_max: u64) -> rusqlite::Result<usize> {
    let (oldest, newest) = ends(connection)?;
    let slowest: Option<u64> = connection.query_row("SELECT min(cursor) FROM subscriptions", [], |row| row.get(0))?;
    let by_number = newest.saturating_sub(events_max);
    let by_age: Option<u64> = connection
        .prepare_cached(
            "SELECT max(cursor) FROM (SELECT cursor, age FROM events ORDER BY cursor LIMIT ?1) WHERE age < ?2",
        )?
        .query_row(params![CLEARED_ROWS_MAX, oldest_age], |row| row.get(0))?;
    let wanted = by_number.max(by_age.unwrap_or(0)).min(slowest.unwrap_or(u64::MAX));
    let last = wanted.max(newest.saturating_sub(events_max.saturating_mul(2))).min(newest.saturating_sub(1));
    let last = last.min((oldest + CLEARED_ROWS_MAX as u64).saturating_sub(1));
    if oldest == 0 || last < oldest {
        return Ok(0);
    }
    let removed = connection.prepare_cached("DELETE FROM events WHERE cursor <= ?1")?.execute([last])?;
    connection
        .prepare_cached("UPDATE subscriptions SET missed = missed + ?1 - cursor, cursor = ?1 WHERE cursor < ?1")?
        .execute([last])?;
    Ok(removed)
}
