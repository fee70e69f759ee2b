//! The table `entities`, and the full-text tables that follow it.

use crate::{
    declarations::{Declarations, insert_words, remove_words},
    pending::{Base, Key, Pending, State, Stored},
    statements::Statements,
    unit::Unit,
};
use bulkhead_protocol::layer1::Data;
use rusqlite::{OptionalExtension, Row, params};

/// What stands in the database under this key.
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
    let statement = statements.prepare("SELECT version, created_at FROM entities WHERE entity = ?1 AND id = ?2")?;
    for (key, pending) in unit.in_order() {
        let found: Option<(u64, i64)> =
            statement.query_row([key.0.as_str(), key.1.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        // One of the same version but of another time was deleted and created anew.
        if found != pending.base.as_ref().map(|base| (base.version, base.created_at)) {
            return Ok(Some((key.clone(), found.map(|(version, _)| version))));
        }
    }
    Ok(None)
}

/// Writes what the unit changes. The unit was found to be up to date in this transaction.
pub(crate) fn write(statements: &mut Statements<'_>, declarations: &Declarations, unit: &Unit) -> rusqlite::Result<()> {
    for (key, pending) in unit.in_order() {
        write_one(statements, declarations, key, pending)?;
    }
    Ok(())
}

fn write_one(
    statements: &mut Statements<'_>,
    declarations: &Declarations,
    key: &Key,
    pending: &Pending,
) -> rusqlite::Result<()> {
    let search = declarations.search(&key.0);
    if let (Some(base), Some(search)) = (&pending.base, search) {
        remove_words(statements.connection(), "", search, base.rowid)?;
    }
    let rowid = match (&pending.base, &pending.now) {
        (None, None) => return Ok(()),
        (None, Some(now)) => insert(statements, key, pending, now)?,
        (Some(base), Some(now)) => update(statements, base, pending, now)?,
        (Some(base), None) => {
            let statement = statements.prepare("DELETE FROM entities WHERE rowid = ?1")?;
            return statement.execute([base.rowid]).map(|_| ());
        }
    };
    match (search, &pending.now) {
        (Some(search), Some(now)) => insert_words(statements.connection(), "", search, rowid, now.data.as_str()),
        _ => Ok(()),
    }
}

fn insert(statements: &mut Statements<'_>, key: &Key, pending: &Pending, now: &State) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO entities (entity, id, version, created_at, updated_at, owner, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    statements.prepare(sql)?.insert(params![
        key.0.as_str(),
        key.1.as_str(),
        now.version,
        pending.created_at,
        now.updated_at,
        &*pending.owner,
        now.data.as_str()
    ])
}

fn update(statements: &mut Statements<'_>, base: &Base, pending: &Pending, now: &State) -> rusqlite::Result<i64> {
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
