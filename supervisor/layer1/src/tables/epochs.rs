//! The tables `epochs`, which histories the cursors of events may belong to, and `opening`, by which opening the
//! database was written last.

use crate::limits::EPOCHS_MAX;
use rusqlite::{Connection, params};

/// One history of the stream of events. It continues where the one before it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Random digits.
    pub name: String,
    /// The newest event when it began.
    pub since: u64,
}

/// All that are known, oldest first.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<Epoch>> {
    let mut statement = connection.prepare("SELECT epoch, since FROM epochs ORDER BY number")?;
    let epochs = statement.query_map([], |row| Ok(Epoch { name: row.get(0)?, since: row.get(1)? }))?;
    epochs.collect()
}

/// Begins another one, and forgets the oldest beyond what is kept.
pub(crate) fn begin(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO epochs (epoch, since) VALUES (?1, ?2)", params![epoch.name, epoch.since])?;
    let least = "SELECT number FROM epochs ORDER BY number DESC LIMIT 1 OFFSET ?1";
    connection.execute(&format!("DELETE FROM epochs WHERE number <= ({least})"), [EPOCHS_MAX]).map(|_| ())
}

/// The mark of the last opening, and that of the one whose end it found.
pub(crate) fn opening(connection: &Connection) -> rusqlite::Result<(String, String)> {
    connection.query_row("SELECT mark, previous FROM opening", [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Notes another opening.
pub(crate) fn note_opening(connection: &Connection, mark: &str, previous: &str) -> rusqlite::Result<()> {
    connection.execute("UPDATE opening SET mark = ?1, previous = ?2", [mark, previous]).map(|_| ())
}
