//! A unit's changes as a temporary table of a connection that reads, so that a query of the unit sees them
//! by the same SQL as everything else. The table is brought up to the unit before each of its queries,
//! and holds one unit at a time.

use crate::{
    declarations::{Declarations, create_search, insert_words, remove_words},
    staged::Key,
    stored_id::StoredId,
    unit::Unit,
};
use bulkhead_protocol::layer1::EntityName;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashSet;

/// What the temporary table of one connection holds.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// The serial number of the unit, and how many of its changes are in the table.
    held: Option<(u64, usize)>,
    /// The full-text tables that were made.
    searches: HashSet<String>,
    made: bool,
}

impl Overlay {
    /// The state of a table of which nothing is known: the next unit begins by making it anew.
    pub(crate) fn unknown() -> Overlay {
        Overlay::default()
    }

    /// Brings the table up to the unit, for a query of the type `searched`.
    pub(crate) fn follow(
        &mut self,
        connection: &Connection,
        declarations: &Declarations,
        unit: &Unit,
        searched: &EntityName,
    ) -> rusqlite::Result<()> {
        self.make(connection)?;
        self.make_search(connection, declarations, searched)?;
        let known = match self.held.take() {
            Some((held, known)) if held == unit.serial && known <= unit.touched.len() => known,
            _ => {
                self.clear(connection)?;
                0
            }
        };
        let news: HashSet<&Key> = unit.touched[known..].iter().collect();
        for key in news {
            self.put(connection, declarations, key, unit)?;
        }
        self.held = Some((unit.serial, unit.touched.len()));
        Ok(())
    }

    fn make(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if std::mem::replace(&mut self.made, true) {
            return Ok(());
        }
        // Tables that an earlier attempt left cannot be used.
        let mut statement = connection.prepare("SELECT name FROM temp.sqlite_schema WHERE type = 'table' AND name LIKE 'search\\_%' ESCAPE '\\' AND sql LIKE 'CREATE VIRTUAL%'")?;
        let left: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for name in left {
            connection.execute_batch(&format!("DROP TABLE temp.{name}"))?;
        }
        connection.execute_batch(
            "DROP TABLE IF EXISTS temp.overlay;
             CREATE TEMP TABLE overlay (
                rowid INTEGER PRIMARY KEY, entity TEXT NOT NULL, id BLOB NOT NULL, version INTEGER,
                created_at INTEGER, updated_at INTEGER, data TEXT, gone INTEGER NOT NULL, UNIQUE (entity, id)
            )",
        )
    }

    fn make_search(
        &mut self,
        connection: &Connection,
        declarations: &Declarations,
        entity: &EntityName,
    ) -> rusqlite::Result<()> {
        let Some(table) = declarations.search(entity).filter(|table| !self.searches.contains(&table.name)) else {
            return Ok(());
        };
        create_search(connection, "temp.", table)?;
        self.searches.insert(table.name.clone());
        Ok(())
    }

    fn clear(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute("DELETE FROM temp.overlay", [])?;
        for name in &self.searches {
            connection.execute_batch(&format!("INSERT INTO temp.{name} ({name}) VALUES ('delete-all')"))?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        connection: &Connection,
        declarations: &Declarations,
        key: &Key,
        unit: &Unit,
    ) -> rusqlite::Result<()> {
        let Some(pending) = unit.changes.get(key) else { return Ok(()) };
        self.make_search(connection, declarations, &key.0)?;
        let search = declarations.search(&key.0);
        let old: Option<i64> = connection
            .prepare_cached("SELECT rowid FROM temp.overlay WHERE entity = ?1 AND id = ?2")?
            .query_row(params![key.0.as_str(), StoredId::of(&key.1)], |row| row.get(0))
            .optional()?;
        if let (Some(rowid), Some(table)) = (old, search) {
            remove_words(connection, "temp.", table, rowid)?;
        }
        let now = pending.now.as_ref();
        let rowid = connection
            .prepare_cached(
                "INSERT OR REPLACE INTO temp.overlay (rowid, entity, id, version, created_at, updated_at, data, gone)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .insert(params![
                old,
                key.0.as_str(),
                StoredId::of(&key.1),
                now.map(|now| now.version),
                pending.created_at,
                now.map(|now| now.updated_at),
                now.map(|now| now.data.as_str()),
                now.is_none()
            ])?;
        match (now, search) {
            (Some(now), Some(table)) => insert_words(connection, "temp.", table, rowid, now.data.as_str()),
            _ => Ok(()),
        }
    }
}
