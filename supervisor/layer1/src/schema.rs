//! The tables, and how a file of an older version becomes one of this version. The layout is documented
//! at the top of the crate.

use rusqlite::Connection;

/// What tells a database of this store from any other: "BkhL" in the header of the file.
pub(crate) const APPLICATION_ID: i32 = 0x426b_684c;

/// The version of the tables that this program makes and reads.
pub const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;

/// Each step takes a file of the version that is its place in the list to the next one. Steps that were
/// released are never changed.
pub(crate) const MIGRATIONS: &[&str] = &[
    // 0 to 1: the first tables.
    "
    CREATE TABLE entities (
        rowid INTEGER PRIMARY KEY,
        entity TEXT NOT NULL,
        id TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        owner TEXT NOT NULL,
        data TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX entities_by_id ON entities (entity, id);
    CREATE TABLE keys (
        key TEXT PRIMARY KEY NOT NULL,
        fingerprint BLOB NOT NULL,
        reply TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX keys_by_expiry ON keys (expires_at);
    CREATE TABLE events (
        cursor INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        event TEXT NOT NULL,
        source TEXT NOT NULL,
        data TEXT NOT NULL
    ) STRICT;
    CREATE TABLE subscriptions (
        module TEXT PRIMARY KEY NOT NULL,
        cursor INTEGER NOT NULL,
        missed INTEGER NOT NULL DEFAULT 0,
        since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE set_aside (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        module TEXT NOT NULL,
        cursor INTEGER NOT NULL,
        time INTEGER NOT NULL,
        event TEXT NOT NULL,
        source TEXT NOT NULL,
        data TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        error TEXT NOT NULL,
        set_aside_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE usage (
        owner TEXT PRIMARY KEY NOT NULL,
        bytes INTEGER NOT NULL,
        entities INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE indexes (
        number INTEGER PRIMARY KEY,
        entity TEXT NOT NULL,
        path TEXT NOT NULL,
        UNIQUE (entity, path)
    ) STRICT;
    CREATE TABLE searches (
        number INTEGER PRIMARY KEY,
        entity TEXT NOT NULL UNIQUE,
        paths TEXT NOT NULL
    ) STRICT;
    ",
];

/// Brings the file to [`SCHEMA_VERSION`], or leaves it as it was.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for step in steps.iter().skip(version) {
        transaction.execute_batch(step)?;
    }
    if version < steps.len() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let steps = [MIGRATIONS[0], "CREATE TABLE added (x); CREATE TABLE entities (x);"];
        assert!(migrate(&mut connection, &steps).is_err());
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
        assert!(!connection.table_exists(None, "added").unwrap());
        migrate(&mut connection, &[MIGRATIONS[0], "CREATE TABLE added (x);"]).unwrap();
        assert!(connection.table_exists(None, "added").unwrap());
    }
}
