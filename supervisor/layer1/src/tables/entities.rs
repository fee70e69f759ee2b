//! The table `entities`, and the full-text tables that follow it.
//!
//! An entity is distinguished from one that had its id before by its row: a version grows as long as an entity
//! stays in its row, and a row is given to one entity only. Times distinguish nothing, since the wall clock may
//! be set.

use crate::{
    declarations::{Declarations, insert_words, remove_words},
    staged::{Base, Key, StagedEntity, State, Stored},
    statements::Statements,
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
    let sql = "SELECT rowid, owner, created_at, version, updated_at, data FROM entities WHERE entity = ?1 AND id = ?2";
    statements.prepare(sql)?.query_row([key.0.as_str(), key.1.as_str()], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        rowid: row.get(0)?,
        owner: row.get_ref(1)?.as_str()?.into(),
        created_at: row.get(2)?,
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
        let found: Option<(i64, u64)> =
            statement.query_row([key.0.as_str(), key.1.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        // One of the same version but in another row was deleted and created anew.
        if found != pending.base.as_ref().map(|base| (base.rowid, base.version)) {
            return Ok(Some((key.clone(), found.map(|(_, version)| version))));
        }
    }
    Ok(None)
}

/// Writes what the unit changes. The unit was found to be up to date in this transaction.
pub(crate) fn write(
    statements: &mut Statements<'_>,
    declarations: &Declarations,
    rows: &Rows,
    unit: &Unit,
) -> rusqlite::Result<()> {
    for (key, pending) in unit.in_order() {
        write_one(statements, declarations, rows, key, pending)?;
    }
    Ok(())
}

fn write_one(
    statements: &mut Statements<'_>,
    declarations: &Declarations,
    rows: &Rows,
    key: &Key,
    pending: &StagedEntity,
) -> rusqlite::Result<()> {
    let search = declarations.search(&key.0);
    if let (Some(base), Some(search)) = (&pending.base, search) {
        remove_words(statements.connection(), "", search, base.rowid)?;
    }
    let rowid = match (&pending.base, &pending.now) {
        (None, None) => return Ok(()),
        (None, Some(now)) => insert(statements, rows, key, pending, now)?,
        // It was deleted and created anew, or replaced by an import: another entity, in another row.
        (Some(base), Some(now)) if now.version <= base.version => {
            delete(statements, rows, base)?;
            insert(statements, rows, key, pending, now)?
        }
        (Some(base), Some(now)) => update(statements, base, pending, now)?,
        (Some(base), None) => return delete(statements, rows, base),
    };
    match (search, &pending.now) {
        (Some(search), Some(now)) => insert_words(statements.connection(), "", search, rowid, now.data.as_str()),
        _ => Ok(()),
    }
}

fn insert(
    statements: &mut Statements<'_>,
    rows: &Rows,
    key: &Key,
    pending: &StagedEntity,
    now: &State,
) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO entities (rowid, entity, id, version, created_at, updated_at, owner, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let rowid = statements.prepare(sql)?.insert(params![
        rows.next(),
        key.0.as_str(),
        key.1.as_str(),
        now.version,
        pending.created_at,
        now.updated_at,
        &*pending.owner,
        now.data.as_str()
    ])?;
    rows.inserted(rowid);
    Ok(rowid)
}

fn delete(statements: &mut Statements<'_>, rows: &Rows, base: &Base) -> rusqlite::Result<()> {
    rows.deleted(base.rowid);
    statements.prepare("DELETE FROM entities WHERE rowid = ?1")?.execute([base.rowid]).map(|_| ())
}

fn update(statements: &mut Statements<'_>, base: &Base, pending: &StagedEntity, now: &State) -> rusqlite::Result<i64> {
    let sql =
        "UPDATE entities SET version = ?2, created_at = ?3, updated_at = ?4, owner = ?5, data = ?6 WHERE rowid = ?1";
    statements.prepare(sql)?.execute(params![
        base.rowid,
        now.version,
        pending.created_at,
        now.updated_at,
        &*pending.owner,
        now.data.as_str()
    ])?;
    Ok(base.rowid)
}
