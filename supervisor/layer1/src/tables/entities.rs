//! The table `entities`, and the full-text tables that follow it.
//!
//! An entity is distinguished from one that had its id before by its row: a version grows as long as an entity
//! stays in its row, and a row is given to one entity only. Times distinguish nothing, since the wall clock may
//! be set.

use crate::{
    declarations::{Declarations, insert_words, remove_words},
    limits::VERSIONS_SHARED_MAX,
    staged::{Base, Key, StagedEntity, State, Stored},
    statements::Statements,
    stored_id::StoredId,
    tables::events::Cursors,
    unit::Unit,
};
use bulkhead_protocol::layer1::Data;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::cell::Cell;

/// The numbers of new rows, of which none is seen twice while the store is open. Units of work, which remember
/// them, live no longer. SQLite gives out one more than the greatest that exists, which is correct and takes
/// fewer steps, unless the greatest of all was removed.
#[derive(Debug)]
pub(crate) struct Rows {
    greatest: Cell<i64>,
    is_there: Cell<bool>,
}

impl Rows {
    /// The numbers after all existing ones.
    pub(crate) fn after_all(connection: &Connection) -> rusqlite::Result<Rows> {
        let greatest = connection.query_row("SELECT ifnull(max(rowid), 0) FROM entities", [], |row| row.get(0))?;
        Ok(Rows { greatest: Cell::new(greatest), is_there: Cell::new(true) })
    }

    /// The number of the next row; `None` where SQLite finds it.
    fn next(&self) -> Option<i64> {
        (!self.is_there.get()).then(|| self.greatest.get() + 1)
    }

    fn inserted(&self, rowid: i64) {
        self.greatest.set(rowid);
        self.is_there.set(true);
    }

    fn deleted(&self, rowid: i64) {
        if rowid == self.greatest.get() {
            self.is_there.set(false);
        }
    }

    /// A transaction was undone, and what was inserted in it is not there.
    pub(crate) fn undone(&self) {
        self.is_there.set(false);
    }
}

/// The entity that the database has under this key.
pub(crate) fn find(statements: &mut Statements<'_>, key: &Key) -> rusqlite::Result<Option<Stored>> {
    let sql =
        "SELECT rowid, owner, created_at, version, updated_at, data, event FROM entities WHERE entity = ?1 AND id = ?2";
    statements.prepare(sql)?.query_row(params![key.0.as_str(), StoredId::of(&key.1)], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        rowid: row.get(0)?,
        owner: row.get_ref(1)?.as_str()?.into(),
        created_at: row.get(2)?,
        event: row.get(6)?,
        state: State { version: row.get(3)?, updated_at: row.get(4)?, data: Data::trusted(row.get_ref(5)?.as_str()?) },
    })
}

/// The first entity that has changed since the unit touched it, with the version it has now.
pub(crate) fn changed_since(
    statements: &mut Statements<'_>,
    unit: &Unit,
) -> rusqlite::Result<Option<(Key, Option<u64>)>> {
    let statement = statements.prepare("SELECT rowid, version FROM entities WHERE entity = ?1 AND id = ?2")?;
    for (key, pending) in unit.in_order() {
        let found: Option<(i64, u64)> = statement
            .query_row(params![key.0.as_str(), StoredId::of(&key.1)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // One of the same version but in another row was deleted and created anew.
        if found != pending.base.as_ref().map(|base| (base.rowid, base.version)) {
            return Ok(Some((key.clone(), found.map(|(_, version)| version))));
        }
    }
    Ok(None)
}

/// An event that holds nothing of what its entity still has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfEntity {
    /// Where it is among the unit's events.
    pub(crate) event: usize,
    /// The row of the entity.
    pub(crate) rowid: i64,
    /// When that says that it was changed.
    pub(crate) updated_at: i64,
}

/// Writes what the unit changes, whose events get the cursors of `cursors`. The unit was found to be up to date in this
/// transaction. Gives the events that say what an entity is now, in their order.
pub(crate) fn write(
    statements: &mut Statements<'_>,
    declarations: &Declarations,
    rows: &Rows,
    unit: &Unit,
    cursors: &Cursors,
) -> rusqlite::Result<Vec<OfEntity>> {
    let mut of_entities = Vec::with_capacity(unit.changes.len());
    for ((key, pending), event) in unit.in_order().zip(unit.last_events()) {
        // One that was changed often will be again, and that costs less where the event has its copy already.
        let is_rare = pending.now.as_ref().is_some_and(|now| now.version <= VERSIONS_SHARED_MAX);
        let event = event.filter(|_| is_rare).and_then(|index| Some((index, cursors.of(index)?)));
        let rowid = write_one(statements, declarations, rows, key, pending, event.map(|(_, cursor)| cursor))?;
        if let (Some((event, _)), Some(rowid), Some(now)) = (event, rowid, &pending.now) {
            of_entities.push(OfEntity { event, rowid, updated_at: now.updated_at });
        }
    }
    of_entities.sort_unstable_by_key(|of| of.event);
    Ok(of_entities)
}

fn write_one(
    statements: &mut Statements<'_>,
    declarations: &Declarations,
    rows: &Rows,
    key: &Key,
    pending: &StagedEntity,
    event: Option<u64>,
) -> rusqlite::Result<Option<i64>> {
    let search = declarations.search(&key.0);
    if let (Some(base), Some(search)) = (&pending.base, search) {
        remove_words(statements.connection(), "", search, base.rowid)?;
    }
    let rowid = match (&pending.base, &pending.now) {
        (None, None) => return Ok(None),
        (None, Some(now)) => insert(statements, rows, key, pending, now, event)?,
        // It was deleted and created anew, or replaced by an import: another entity, in another row.
        (Some(base), Some(now)) if now.version <= base.version => {
            delete(statements, rows, base)?;
            insert(statements, rows, key, pending, now, event)?
        }
        (Some(base), Some(now)) => update(statements, base, pending, now, event)?,
        (Some(base), None) => return delete(statements, rows, base).map(|()| None),
    };
    if let (Some(search), Some(now)) = (search, &pending.now) {
        insert_words(statements.connection(), "", search, rowid, now.data.as_str())?;
    }
    Ok(Some(rowid))
}

fn insert(
    statements: &mut Statements<'_>,
    rows: &Rows,
    key: &Key,
    pending: &StagedEntity,
    now: &State,
    event: Option<u64>,
) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO entities (rowid, entity, id, version, created_at, updated_at, owner, event, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let rowid = statements.prepare(sql)?.insert(params![
        rows.next(),
        key.0.as_str(),
        StoredId::of(&key.1),
        now.version,
        pending.created_at,
        now.updated_at,
        &*pending.owner,
        event,
        now.data.as_str()
    ])?;
    rows.inserted(rowid);
    Ok(rowid)
}

fn delete(statements: &mut Statements<'_>, rows: &Rows, base: &Base) -> rusqlite::Result<()> {
    keep_event(statements, base)?;
    rows.deleted(base.rowid);
    statements.prepare("DELETE FROM entities WHERE rowid = ?1")?.execute([base.rowid]).map(|_| ())
}

fn update(
    statements: &mut Statements<'_>,
    base: &Base,
    pending: &StagedEntity,
    now: &State,
    event: Option<u64>,
) -> rusqlite::Result<i64> {
    keep_event(statements, base)?;
    let sql = "UPDATE entities SET version = ?2, created_at = ?3, updated_at = ?4, owner = ?5, event = ?6, data = ?7 WHERE rowid = ?1";
    statements.prepare(sql)?.execute(params![
        base.rowid,
        now.version,
        pending.created_at,
        now.updated_at,
        &*pending.owner,
        event,
        now.data.as_str()
    ])?;
    Ok(base.rowid)
}

/// The event of the last change of an entity gets a copy of what that has left, which is about to go, if the event is
/// kept still. Which event that is, a state of an entity says, which the unit was found to build on.
fn keep_event(statements: &mut Statements<'_>, base: &Base) -> rusqlite::Result<()> {
    if base.event.is_none() {
        return Ok(());
    }
    let sql = "INSERT INTO event_copies (cursor, id, version, time, data)
         SELECT v.cursor, e.id, e.version, e.updated_at, e.data
         FROM entities AS e CROSS JOIN events AS v ON v.cursor = e.event WHERE e.rowid = ?1";
    statements.prepare(sql)?.execute([base.rowid]).map(|_| ())
}
