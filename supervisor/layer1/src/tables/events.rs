//! The table `events`. Cursors are given in the order of the commits, one after the other, and never twice: the
//! newest event is never cleared away, so the next cursor is always one more than the highest. Where there is
//! a gap between two cursors, the events of those between them are no longer kept, and a reader that
//! passes by gets their number.

use crate::{
    held::{Amount, Held},
    limits::{CLEARED_ROWS_MAX, EVENT_OVERHEAD_BYTES, EVENTS_SCANNED_MAX},
    outcome::{EventPage, More, StoredEvent, Waiting},
    statements::Statements,
    tables::usage,
    unit::Emitted,
};
use bulkhead_protocol::{Json, Pattern, layer1::Cursor};
use rusqlite::{Connection, Row, params};

/// The texts of an event that is stored, in bytes. None of them is read for that.
macro_rules! texts {
    () => {
        "octet_length(event) + octet_length(source) + octet_length(data)"
    };
}
pub(crate) use texts;

/// What each source's events take.
pub(crate) const RECOUNT: &str =
    concat!("SELECT source, sum(", texts!(), " + 64), count(*) FROM events GROUP BY source");

const _: () = assert!(EVENT_OVERHEAD_BYTES == 64, "as the recount and the schema have it");

/// What an event takes that is not stored yet.
pub(crate) fn bytes(event: &Emitted) -> i64 {
    (event.event.len() + event.source.len() + event.data.as_str().len()) as i64 + EVENT_OVERHEAD_BYTES
}

/// Which cursors events get, and which of the events are kept.
pub(crate) enum Cursors<'a> {
    /// After the newest event, all of them.
    Next,
    /// From this cursor on, which is one more than the greatest that was given; the list says which are kept. The
    /// others are dropped at once.
    From(u64, &'a [bool]),
}

/// Stores events after the newest one, in order, at this age of the store.
pub(crate) fn store(
    statements: &mut Statements<'_>,
    events: &[Emitted],
    age: i64,
    cursors: &Cursors<'_>,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let sql = "INSERT INTO events (cursor, time, event, source, data, age) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let statement = statements.prepare(sql)?;
    let mut stored = Vec::with_capacity(events.len());
    for (index, event) in events.iter().enumerate() {
        let (cursor, kept) = match cursors {
            Cursors::Next => (None, true),
            Cursors::From(first, kept) => (Some(first + index as u64), kept[index]),
        };
        let row = params![cursor, event.time, event.event, &*event.source, event.data.as_str(), age];
        let cursor = match (cursor, kept) {
            (Some(cursor), false) => cursor,
            _ => statement.insert(row)?.cast_unsigned(),
        };
        stored.push(StoredEvent {
            cursor: Cursor(cursor),
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

/// Reads what matches after a cursor.
pub(crate) fn read(
    connection: &Connection,
    after: Cursor,
    patterns: &[Pattern],
    limit: usize,
    bytes_max: usize,
) -> rusqlite::Result<EventPage> {
    let (_, newest) = ends(connection)?;
    let after = after.min(Cursor(newest));
    let mut page = EventPage { events: Vec::new(), cursor: after, more: More::No, lost: 0 };
    let mut statement = connection.prepare_cached(
        "SELECT cursor, time, event, source, data FROM events WHERE cursor > ?1 ORDER BY cursor LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after.0, EVENTS_SCANNED_MAX + 1])?;
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
        let cursor: u64 = row.get(0)?;
        page.lost += cursor.saturating_sub(page.cursor.0 + 1);
        page.cursor = Cursor(cursor);
    }
    Ok(page)
}

/// Counts what matches after a cursor, among at most so many events.
pub(crate) fn count(
    connection: &Connection,
    after: Cursor,
    patterns: &[Pattern],
    scanned_max: usize,
) -> rusqlite::Result<Waiting> {
    if patterns.is_empty() {
        return Ok(Waiting { events: 0, more: More::No });
    }
    // For a reader that wants everything that is kept, the events are counted without a look at them.
    if after.0 < ends(connection)?.0 && patterns.iter().any(|pattern| pattern.as_str() == "*") {
        let all = usage::of_all_events(connection)?.rows;
        return Ok(Waiting { events: all.max(0).cast_unsigned(), more: More::No });
    }
    let mut statement =
        connection.prepare_cached("SELECT event FROM events WHERE cursor > ?1 ORDER BY cursor LIMIT ?2")?;
    let mut rows = statement.query(params![after.0, scanned_max + 1])?;
    let (mut events, mut scanned) = (0, 0);
    while let Some(row) = rows.next()? {
        if scanned == scanned_max {
            return Ok(Waiting { events, more: More::Yes });
        }
        scanned += 1;
        let name = row.get_ref(0)?.as_str()?;
        events += u64::from(patterns.iter().any(|pattern| pattern.matches(name)));
    }
    Ok(Waiting { events, more: More::No })
}

/// Reads an event from a row whose columns begin at `first` with the cursor.
pub(crate) fn stored_event(row: &Row<'_>, first: usize) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        cursor: Cursor(row.get(first)?),
        time: row.get(first + 1)?,
        event: row.get(first + 2)?,
        source: row.get(first + 3)?,
        data: Json::parse(row.get_ref(first + 4)?.as_str()?).unwrap_or_default(),
    })
}

/// How much is to be kept of all events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// What came at an earlier age of the store is old.
    pub(crate) oldest_age: i64,
    /// The most events, and their bytes.
    pub(crate) most: Amount,
}

/// Removes a few events that are old or too many, and says how much of which sources, and up to which cursor. What
/// a subscription has not reached yet stays, until there is twice as much as is to be kept: then the oldest go all
/// the same, and its reading gets the number of those it passes by.
pub(crate) fn clear(connection: &Connection, kept: &Kept) -> rusqlite::Result<Option<(Held, u64)>> {
    let (_, newest) = ends(connection)?;
    let slowest: Option<u64> = connection.query_row("SELECT min(cursor) FROM subscriptions", [], |row| row.get(0))?;
    let slowest = slowest.unwrap_or(u64::MAX);
    let mut left = usage::of_all_events(connection)?;
    let mut statement = connection.prepare_cached(concat!(
        "SELECT cursor, age, source, ",
        texts!(),
        " FROM events WHERE cursor < ?1 ORDER BY cursor LIMIT ?2"
    ))?;
    let mut rows = statement.query(params![newest, CLEARED_ROWS_MAX])?;
    let (mut removed, mut last) = (Held::default(), None);
    while let Some(row) = rows.next()? {
        let (cursor, age): (u64, i64) = (row.get(0)?, row.get(1)?);
        let exceeds = |times: i64| {
            left.rows > kept.most.rows.saturating_mul(times) || left.bytes > kept.most.bytes.saturating_mul(times)
        };
        if !exceeds(2) && (cursor > slowest || !(exceeds(1) || age < kept.oldest_age)) {
            break;
        }
        let amount = Amount { bytes: row.get::<_, i64>(3)? + EVENT_OVERHEAD_BYTES, rows: 1 };
        removed.add(&row.get_ref(2)?.as_str()?.into(), amount);
        left = left.minus(amount);
        last = Some(cursor);
    }
    drop(rows);
    let Some(last) = last else { return Ok(None) };
    connection.prepare_cached("DELETE FROM events WHERE cursor <= ?1")?.execute([last])?;
    Ok(Some((removed, last)))
}
