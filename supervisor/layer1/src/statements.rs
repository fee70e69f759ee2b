//! The statements of one transaction. A connection keeps prepared statements by their text; here each is
//! looked up there once for everything that the transaction does with it.

use rusqlite::{CachedStatement, Connection};

/// Statements that were asked for, of one connection.
pub(crate) struct Statements<'c> {
    connection: &'c Connection,
    /// Few enough that looking through them is cheaper than a map.
    found: Vec<(&'static str, CachedStatement<'c>)>,
}

impl<'c> Statements<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Statements<'c> {
        Statements { connection, found: Vec::new() }
    }

    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// The statement with this text, which must be in the source once: it is identified by its address.
    pub(crate) fn prepare(&mut self, sql: &'static str) -> rusqlite::Result<&mut CachedStatement<'c>> {
        let index = match self.found.iter().position(|(known, _)| std::ptr::eq(*known, sql)) {
            Some(index) => index,
            None => {
                self.found.push((sql, self.connection.prepare_cached(sql)?));
                self.found.len() - 1
            }
        };
        Ok(&mut self.found[index].1)
    }
}
