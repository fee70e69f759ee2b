//! The table `events`. Cursors are given in the order of the commits, one after the other, and never twice: the
//! newest event is never cleared away, so the next cursor is always one more than the highest. Where there is
//! a gap between two cursors, the events of those between them are no longer kept, and a reader that
//! passes by gets their number.
//!
//! The event of an entity's last change holds nothing of what the entity has. When the entity is changed again, or
//! deleted, what it had goes into the table `event_copies`, where it stays as long as the event. So an event says
//! the same at any time. What it is counted with is what it says, wherever that is.

use crate::{
    held::{Amount, Held},
    limits::{CLEARED_ROWS_MAX, EVENT_OVERHEAD_BYTES, EVENTS_SCANNED_MAX},
    outcome::{EventPage, More, StoredEvent, Waiting},
    statements::Statements,
    stored_id::StoredId,
    tables::{
        entities::OfEntity,
        names::{Kind, Numbers, Texts, text_of},
        usage,
    },
    unit::{Emitted, event_text},
};
use bulkhead_protocol::{Json, Pattern, layer1::Cursor};
use rusqlite::{Connection, OptionalExtension, Row, params, types::ValueRef};

/// The columns of an event, in the order in which a reading takes them.
macro_rules! columns {
    () => {
        "cursor, time, data, event, source, of_row"
    };
}

/// What each source's events take.
pub(crate) const RECOUNT: &str =
    concat!("SELECT ", text_of!("source"), ", sum(bytes), count(*) FROM events GROUP BY source");

const _: () = assert!(EVENT_OVERHEAD_BYTES == 64, "as the schema has it");

/// What an event takes that is not stored yet.
pub(crate) fn bytes(event: &Emitted) -> i64 {
    bytes_of(&event.event, &event.source, event.data.as_str())
}

/// With how many bytes an event with these texts is counted.
pub(crate) fn bytes_of(event: &str, source: &str, data: &str) -> i64 {
    (event.len() + source.len() + data.len()) as i64 + EVENT_OVERHEAD_BYTES
}

/// Which cursors events get, and which of them are kept.
pub(crate) struct Cursors {
    /// The cursor of the first one; the others follow.
    pub(crate) first: u64,
    /// Which are kept, if not all are. The others are dropped at once.
    pub(crate) kept: Option<Vec<bool>>,
}

impl Cursors {
    /// The cursor of an event that is kept.
    pub(crate) fn of(&self, index: usize) -> Option<u64> {
        let is_kept = self.kept.as_ref().is_none_or(|kept| kept[index]);
        is_kept.then_some(self.first + index as u64)
    }
}

/// Stores events in order, at this age of the store. Of `of_entities`, which are in the same order, their entities have
/// what they say.
pub(crate) fn store(
    statements: &mut Statements<'_>,
    names: &mut Numbers,
    events: &[Emitted],
    age: i64,
    cursors: &Cursors,
    of_entities: &[OfEntity],
) -> rusqlite::Result<Vec<StoredEvent>> {
    let sql = "INSERT INTO events (cursor, age, time, event, source, bytes, of_row, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let connection = statements.connection();
    let statement = statements.prepare(sql)?;
    let mut of_entities = of_entities.iter().peekable();
    let mut stored = Vec::with_capacity(events.len());
    for (index, event) in events.iter().enumerate() {
        let of_entity = of_entities.next_if(|of| of.event == index);
        if let Some(cursor) = cursors.of(index) {
            // SQLite gives out one more than the greatest, which takes fewer steps than to look for a place.
            let given = cursors.kept.is_some().then_some(cursor);
            let found = statement.insert(params![
                given,
                age,
                of_entity.is_none_or(|of| of.updated_at != event.time).then_some(event.time),
                names.of(connection, &event.event, Kind::Event)?,
                names.of(connection, &event.source, Kind::Module)?,
                bytes(event),
                of_entity.map(|of| of.rowid),
                of_entity.is_none().then(|| event.data.as_str())
            ])?;
            assert_eq!(found.cast_unsigned(), cursor, "cursors are given one after the other");
        }
        stored.push(StoredEvent {
            cursor: Cursor(cursors.first + index as u64),
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
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM events WHERE cursor > ?1 ORDER BY cursor LIMIT ?2"
    ))?;
    // Everything below is of one moment: a statement that has begun holds the connection to its snapshot.
    let mut rows = statement.query(params![after.0, EVENTS_SCANNED_MAX + 1])?;
    let mut reading = Reading::new(connection);
    let (mut bytes, mut scanned) = (0, 0);
    while let Some(row) = rows.next()? {
        if scanned == EVENTS_SCANNED_MAX {
            page.more = More::Yes;
            break;
        }
        let name = reading.names.of(row.get_ref(3)?)?;
        if patterns.iter().any(|pattern| pattern.matches(&name)) {
            let event = reading.event(row, &name)?;
            bytes += event.data.as_str().len() + name.len();
            if page.events.len() >= limit || (bytes > bytes_max && !page.events.is_empty()) {
                page.more = More::Yes;
                break;
            }
            page.events.push(event);
        }
        scanned += 1;
        let cursor: u64 = row.get(0)?;
        page.lost += cursor.saturating_sub(page.cursor.0 + 1);
        page.cursor = Cursor(cursor);
    }
    Ok(page)
}

/// The event at a cursor, if it is kept.
pub(crate) fn find(connection: &Connection, cursor: Cursor) -> rusqlite::Result<Option<StoredEvent>> {
    Reading::new(connection).find(cursor)
}

/// What turns rows into events.
pub(crate) struct Reading<'c> {
    connection: &'c Connection,
    names: Texts<'c>,
}

impl<'c> Reading<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Reading<'c> {
        Reading { connection, names: Texts::new(connection) }
    }

    /// The event at a cursor, if it is kept.
    pub(crate) fn find(&mut self, cursor: Cursor) -> rusqlite::Result<Option<StoredEvent>> {
        let sql = concat!("SELECT ", columns!(), " FROM events WHERE cursor = ?1");
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([cursor.0])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let name = self.names.of(row.get_ref(3)?)?;
        self.event(row, &name).map(Some)
    }

    /// The event of a row with these columns, whose name is known already.
    fn event(&mut self, row: &Row<'_>, name: &str) -> rusqlite::Result<StoredEvent> {
        let cursor: u64 = row.get(0)?;
        let time: Option<i64> = row.get(1)?;
        let (changed_at, data) = match row.get_ref(2)? {
            ValueRef::Null => self.of_entity(cursor, row.get(5)?)?,
            data => (0, Json::parse(data.as_str()?).unwrap_or_default()),
        };
        let source = self.names.of(row.get_ref(4)?)?.as_ref().to_owned();
        Ok(StoredEvent { cursor: Cursor(cursor), time: time.unwrap_or(changed_at), event: name.into(), source, data })
    }

    /// What the event says that holds nothing of its own, and when that was made: its entity has it, or else the copy
    /// that was made when the entity was changed.
    fn of_entity(&self, cursor: u64, rowid: Option<i64>) -> rusqlite::Result<(i64, Json)> {
        let read = |row: &Row<'_>| {
            let (id, version): (StoredId, u64) = (row.get(0)?, row.get(1)?);
            let text = event_text(&id.id(), version, Some(row.get_ref(3)?.as_str()?));
            let data = Json::parse(&text).map_err(|error| damage(&format!("{error}")))?;
            Ok((row.get(2)?, data))
        };
        let found = self
            .connection
            .prepare_cached("SELECT id, version, updated_at, data FROM entities WHERE rowid = ?1 AND event = ?2")?
            .query_row(params![rowid, cursor], read)
            .optional()?;
        if let Some(found) = found {
            return Ok(found);
        }
        self.connection
            .prepare_cached("SELECT id, version, time, data FROM event_copies WHERE cursor = ?1")?
            .query_row([cursor], read)
            .optional()?
            .ok_or_else(|| damage(&format!("neither an entity nor a copy has what the event {cursor} says")))
    }
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
    let mut names = Texts::new(connection);
    let (mut events, mut scanned) = (0, 0);
    while let Some(row) = rows.next()? {
        if scanned == scanned_max {
            return Ok(Waiting { events, more: More::Yes });
        }
        scanned += 1;
        let name = names.of(row.get_ref(0)?)?;
        events += u64::from(patterns.iter().any(|pattern| pattern.matches(&name)));
    }
    Ok(Waiting { events, more: More::No })
}

fn damage(reason: &str) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(reason.into())
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
    let mut statement = connection
        .prepare_cached("SELECT cursor, age, source, bytes FROM events WHERE cursor < ?1 ORDER BY cursor LIMIT ?2")?;
    let mut rows = statement.query(params![newest, CLEARED_ROWS_MAX])?;
    let mut names = Texts::new(connection);
    let (mut removed, mut last) = (Held::default(), None);
    while let Some(row) = rows.next()? {
        let (cursor, age): (u64, i64) = (row.get(0)?, row.get(1)?);
        let exceeds = |times: i64| {
            left.rows > kept.most.rows.saturating_mul(times) || left.bytes > kept.most.bytes.saturating_mul(times)
        };
        if !exceeds(2) && (cursor > slowest || !(exceeds(1) || age < kept.oldest_age)) {
            break;
        }
        let amount = Amount { bytes: row.get(3)?, rows: 1 };
        removed.add(&names.of(row.get_ref(2)?)?, amount);
        left = left.minus(amount);
        last = Some(cursor);
    }
    drop(rows);
    let Some(last) = last else { return Ok(None) };
    connection.prepare_cached("DELETE FROM events WHERE cursor <= ?1")?.execute([last])?;
    connection.prepare_cached("DELETE FROM event_copies WHERE cursor <= ?1")?.execute([last])?;
    Ok(Some((removed, last)))
}
