//! The tables, and how a file of an older version becomes one of this version. The layout is documented
//! at the top of the crate.

use crate::schema_5;
use rusqlite::Connection;

/// What distinguishes a database of this store from any other: "BkhL" in the header of the file.
pub(crate) const APPLICATION_ID: i32 = 0x426b_684c;

/// The version of the tables that this program makes and reads.
pub const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;

/// Each step brings a file of the version that is its index in the list to the next one. Steps that were
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
    // 1 to 2: what is kept for a time is measured by the age of the store, not by the wall clock, and a key is its
    // caller's, for one target. The age begins here, so that everything is kept for its whole time once more.
    // Earlier keys are the clients'; their targets are not known, and an empty one stands for any. Which of
    // the ids were made by the store is not known either: all of version 7 up to the year 6429 count. Where
    // a change has a time before the creation, since the clock had been set back, it gets that of the creation.
    "
    CREATE TABLE clock (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        age INTEGER NOT NULL,
        ids_upto INTEGER NOT NULL
    ) STRICT;
    WITH RECURSIVE
        greatest(id) AS (SELECT max(id) FROM entities WHERE substr(id, 15, 1) = '7' AND id < '8'),
        hex(digits, at, value) AS (
            SELECT substr(id, 1, 8) || substr(id, 10, 4), 1, 0 FROM greatest
            UNION ALL
            SELECT digits, at + 1, value * 16 + instr('0123456789abcdef', substr(digits, at, 1)) - 1
            FROM hex WHERE at <= 12
        )
    INSERT INTO clock SELECT 1, 0, ifnull(max(value), 0) FROM hex;
    UPDATE entities SET updated_at = created_at WHERE updated_at < created_at;
    ALTER TABLE events ADD COLUMN age INTEGER NOT NULL DEFAULT 0;
    DROP INDEX keys_by_expiry;
    ALTER TABLE keys RENAME TO keys_of_before;
    CREATE TABLE keys (
        caller TEXT NOT NULL,
        target TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint BLOB NOT NULL,
        reply TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_age INTEGER NOT NULL,
        PRIMARY KEY (caller, target, key)
    ) STRICT;
    CREATE INDEX keys_by_expiry ON keys (expires_age);
    INSERT INTO keys SELECT '', '', key, fingerprint, reply, created_at, max(expires_at - created_at, 0)
        FROM keys_of_before;
    DROP TABLE keys_of_before;
    ",
    // 2 to 3: what events and keys take of each owner, as it is counted since.
    "
    ALTER TABLE usage ADD COLUMN event_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE usage ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE usage ADD COLUMN key_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE usage ADD COLUMN keys INTEGER NOT NULL DEFAULT 0;
    INSERT INTO usage (owner, bytes, entities, event_bytes, events)
        SELECT source, 0, 0, sum(octet_length(event) + octet_length(source) + octet_length(data) + 64), count(*)
        FROM events WHERE true GROUP BY source
        ON CONFLICT (owner) DO UPDATE SET event_bytes = excluded.event_bytes, events = excluded.events;
    INSERT INTO usage (owner, bytes, entities, key_bytes, keys)
        SELECT caller, 0, 0, sum(2 * (octet_length(caller) + octet_length(target) + octet_length(key)) + octet_length(reply) + 192), count(*)
        FROM keys WHERE true GROUP BY caller
        ON CONFLICT (owner) DO UPDATE SET key_bytes = excluded.key_bytes, keys = excluded.keys;
    ",
    // 3 to 4: which history a cursor belongs to.
    "
    CREATE TABLE epochs (
        number INTEGER PRIMARY KEY,
        epoch TEXT NOT NULL UNIQUE,
        since INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE opening (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        mark TEXT NOT NULL,
        previous TEXT NOT NULL
    ) STRICT;
    INSERT INTO opening VALUES (1, '', '');
    ",
    schema_5::STEP,
];

/// Brings the file to [`SCHEMA_VERSION`], or leaves it as it was. Declared indexes of a table that a step has made anew
/// are made again.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let declared = if version < steps.len() { declared_indexes(&transaction, "main")? } else { Vec::new() };
    for step in steps.iter().skip(version) {
        transaction.execute_batch(step)?;
    }
    let left = declared_indexes(&transaction, "main")?;
    for index in declared.iter().filter(|index| !left.contains(index)) {
        transaction.execute_batch(index)?;
    }
    if version < steps.len() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    }
    transaction.commit()
}

/// The statements that make the declared indexes of a schema.
pub(crate) fn declared_indexes(connection: &Connection, schema: &str) -> rusqlite::Result<Vec<String>> {
    let sql = format!("SELECT sql FROM {schema}.sqlite_schema WHERE type = 'index' AND name GLOB 'index_[0-9]*'");
    connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
        let steps = [MIGRATIONS[0], "CREATE TABLE added (x); CREATE TABLE entities (x);"];
        assert!(migrate(&mut connection, &steps).is_err());
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
        assert!(!connection.table_exists(None, "added").unwrap());
        migrate(&mut connection, &[MIGRATIONS[0], "CREATE TABLE added (x);"]).unwrap();
        assert!(connection.table_exists(None, "added").unwrap());
    }

    /// A file of version 1 with an index and a search, as this program made them, and these ids and keys.
    fn of_version_1(ids: &[&str]) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::functions::register(&connection).unwrap();
        migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO indexes VALUES (1, 'A', 'n');
                 CREATE INDEX index_1 ON entities (layer1_value(data, 'n'), id) WHERE entity = 'A';
                 CREATE VIRTUAL TABLE search_1 USING fts5(words);
                 INSERT INTO events (time, event, source, data) VALUES (5, 'a', '', '1');
                 INSERT INTO keys VALUES ('k', x'01', '7', 1000, 1700), ('odd', x'02', '8', 1000, 900);",
            )
            .unwrap();
        for id in ids {
            let sql = "INSERT INTO entities (entity, id, version, created_at, updated_at, owner, data)
                 VALUES ('A', ?1, 1, 5, 1, '', '{\"n\":1}')";
            connection.execute(sql, [id]).unwrap();
        }
        connection
    }

    #[test]
    fn keys_of_version_1_are_the_clients_for_any_target_and_are_kept_for_their_whole_time_again() {
        let mut connection = of_version_1(&[]);
        migrate(&mut connection, MIGRATIONS).unwrap();
        let mut statement = connection
            .prepare("SELECT caller, target, key, reply, created_at, expires_age FROM keys ORDER BY key")
            .unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            let names: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            Ok((names, row.get::<_, i64>(4)?, row.get::<_, i64>(5)?))
        };
        let found: Vec<_> = statement.query_map([], read).unwrap().map(Result::unwrap).collect();
        let names = |key: &str, reply: &str| ["", "", key, reply].map(str::to_owned);
        assert_eq!(found, [(names("k", "7"), 1000, 700), (names("odd", "8"), 1000, 0)]);
        let age: i64 = connection.query_row("SELECT age FROM events", [], |row| row.get(0)).unwrap();
        assert_eq!(age, 0);
        assert!(!connection.table_exists(None, "keys_of_before").unwrap());
    }

    #[test]
    fn the_ids_of_a_file_of_version_1_count_but_not_those_that_are_none_of_a_clock() {
        for (ids, upto) in [
            (&[][..], 0),
            (&["01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f", "01981f6e-2c19-7fff-bfff-ffffffffffff"], 0x0198_1f6e_2c1a),
            // One of another version, and one of the greatest time that there is.
            (&["f47ac10b-58cc-4372-a567-0e02b2c3d479"], 0),
            (&["00000000-0abc-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"], 0xabc),
            (&["7fffffff-ffff-7fff-bfff-ffffffffffff", "80000000-0000-7000-8000-000000000000"], (1 << 47) - 1),
        ] {
            let mut connection = of_version_1(ids);
            migrate(&mut connection, MIGRATIONS).unwrap();
            let written = crate::tables::clock::read(&connection).unwrap();
            assert_eq!((written.age, written.ids_upto), (0, upto), "{ids:?}");
            let sql = "SELECT count(*) FROM entities WHERE updated_at <> 5 OR created_at <> 5";
            assert_eq!(connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        }
    }
}
