//! The table `clock`, of one row: how old the store is, and up to where ids were given out. It is written
//! along with other things, now and then, so that it costs no flush of its own; it is never greater than the
//! age, and never less than the ids that are stored.

use rusqlite::{Connection, params};

/// What the row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The age of the store, in microseconds.
    pub(crate) age: i64,
    /// No id that the store has made and keeps, or has imported, has a later time, in milliseconds since 1970.
    pub(crate) ids_upto: i64,
}

pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Written> {
    connection
        .query_row("SELECT age, ids_upto FROM clock", [], |row| Ok(Written { age: row.get(0)?, ids_upto: row.get(1)? }))
}

pub(crate) fn write(connection: &Connection, written: Written) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE clock SET age = ?1, ids_upto = ?2")?;
    statement.execute(params![written.age, written.ids_upto]).map(|_| ())
}
