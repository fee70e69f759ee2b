//! The table `subscriptions`: how far each subscribing module has handled its events.

use crate::outcome::{Cursor, Subscription};
use rusqlite::{Connection, OptionalExtension, Row, params};

fn read(row: &Row<'_>) -> rusqlite::Result<Subscription> {
    Ok(Subscription { module: row.get(0)?, cursor: Cursor(row.get(1)?), missed: row.get(2)? })
}

/// The module's subscription, if it has one.
pub(crate) fn find(connection: &Connection, module: &str) -> rusqlite::Result<Option<Subscription>> {
    connection
        .prepare_cached("SELECT module, cursor, missed FROM subscriptions WHERE module = ?1")?
        .query_row([module], read)
        .optional()
}

/// Every module's subscription.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<Subscription>> {
    let mut statement =
        connection.prepare_cached("SELECT module, cursor, missed FROM subscriptions ORDER BY module")?;
    statement.query_map([], read)?.collect()
}

/// The module's subscription; a new one begins after the newest event.
pub(crate) fn find_or_begin(connection: &Connection, module: &str, now: i64) -> rusqlite::Result<Subscription> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO subscriptions (module, cursor, since)
             VALUES (?1, ifnull((SELECT max(cursor) FROM events), 0), ?2)",
        )?
        .execute(params![module, now])?;
    Ok(find(connection, module)?.expect("the row was inserted if it was not there"))
}

/// Brings the module forward, never back and never past the newest event. A module without one gets none.
pub(crate) fn advance(connection: &Connection, module: &str, cursor: Cursor) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE subscriptions SET cursor = max(cursor, min(?2, ifnull((SELECT max(cursor) FROM events), 0)))
             WHERE module = ?1",
        )?
        .execute(params![module, cursor.0])
        .map(|_| ())
}

/// A module's reading has passed by events that are no longer kept.
pub(crate) fn missed(connection: &Connection, module: &str, events: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE subscriptions SET missed = missed + ?2 WHERE module = ?1")?
        .execute(params![module, events])
        .map(|_| ())
}

/// No module is further than the newest event: what it had seen after that is gone, and counts as missed.
pub(crate) fn bring_back(connection: &Connection, newest: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE subscriptions SET missed = missed + cursor - ?1, cursor = ?1 WHERE cursor > ?1";
    connection.execute(sql, [newest]).map(|_| ())
}

/// Ends the module's subscription, and says how far it was.
pub(crate) fn remove(connection: &Connection, module: &str) -> rusqlite::Result<Option<Subscription>> {
    connection
        .prepare_cached("DELETE FROM subscriptions WHERE module = ?1 RETURNING module, cursor, missed")?
        .query_row([module], read)
        .optional()
}
