//! The step from version 4 of the tables to version 5: ids as bytes, names once, and events of entities that hold
//! nothing of what the entity still has.

/// The new tables.
macro_rules! tables {
    () => {
        "
    CREATE TABLE names (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE entities (
        rowid INTEGER PRIMARY KEY,
        entity TEXT NOT NULL,
        id BLOB NOT NULL,
        version INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        owner TEXT NOT NULL,
        event INTEGER,
        data TEXT NOT NULL
    ) STRICT;
    CREATE TABLE keys (
        number INTEGER PRIMARY KEY,
        caller ANY NOT NULL,
        target ANY NOT NULL,
        key ANY NOT NULL,
        fingerprint BLOB NOT NULL,
        reply ANY NOT NULL,
        created_at INTEGER NOT NULL,
        expires_age INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE events (
        cursor INTEGER PRIMARY KEY,
        age INTEGER NOT NULL,
        time INTEGER,
        event ANY NOT NULL,
        source ANY NOT NULL,
        bytes INTEGER NOT NULL,
        of_row INTEGER,
        data TEXT
    ) STRICT;
    CREATE TABLE event_copies (
        cursor INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        version INTEGER NOT NULL,
        time INTEGER NOT NULL,
        data TEXT NOT NULL
    ) STRICT;
    "
    };
}

/// What fills them from tables with these names. An event that is word for word what the last change of an entity
/// says is one of that entity; of several, the last one.
macro_rules! filling {
    () => {
        "
    INSERT OR IGNORE INTO names (name)
        SELECT source FROM events_of_4 WHERE source <> ''
        UNION SELECT caller FROM keys_of_4 WHERE caller <> '' UNION SELECT target FROM keys_of_4 WHERE target <> '';
    INSERT OR IGNORE INTO names (name) SELECT DISTINCT event FROM events_of_4 LIMIT 4000;
    CREATE TABLE changes_of_4 (of_row INTEGER PRIMARY KEY, cursor INTEGER NOT NULL UNIQUE ON CONFLICT REPLACE);
    INSERT OR REPLACE INTO changes_of_4
        SELECT x.rowid, v.cursor FROM events_of_4 AS v
        CROSS JOIN entities_of_4 AS x ON x.entity = substr(v.event, 1, instr(v.event, '.') - 1) AND x.id = substr(v.data, 8, 36)
        WHERE octet_length(x.data) <= 4096
            AND v.data = '{\"id\":\"' || x.id || '\",\"version\":' || x.version || ',\"data\":' || x.data || '}'
        ORDER BY v.cursor;
    INSERT INTO entities
        SELECT x.rowid, x.entity, unhex(replace(x.id, '-', '')), x.version, x.created_at, x.updated_at, x.owner,
            (SELECT cursor FROM changes_of_4 WHERE of_row = x.rowid), x.data
        FROM entities_of_4 AS x ORDER BY x.rowid;
    INSERT INTO events
        SELECT v.cursor, v.age,
            CASE WHEN c.of_row IS NULL OR v.time <> (SELECT updated_at FROM entities WHERE rowid = c.of_row) THEN v.time END,
            ifnull((SELECT number FROM names WHERE name = v.event), v.event),
            ifnull((SELECT number FROM names WHERE name = v.source), v.source),
            octet_length(v.event) + octet_length(v.source) + octet_length(v.data) + 64,
            c.of_row, CASE WHEN c.of_row IS NULL THEN v.data END
        FROM events_of_4 AS v LEFT JOIN changes_of_4 AS c ON c.cursor = v.cursor ORDER BY v.cursor;
    DROP TABLE changes_of_4;
    INSERT INTO keys (caller, target, key, fingerprint, reply, created_at, expires_age, bytes)
        SELECT ifnull((SELECT number FROM names WHERE name = k.caller), k.caller),
            ifnull((SELECT number FROM names WHERE name = k.target), k.target),
            CASE WHEN octet_length(k.key) = 36 AND substr(k.key, 9, 1) || substr(k.key, 14, 1) || substr(k.key, 19, 1) || substr(k.key, 24, 1) = '----'
                AND length(replace(k.key, '-', '')) = 32 AND replace(k.key, '-', '') NOT GLOB '*[^0-9a-f]*'
                THEN unhex(replace(k.key, '-', '')) ELSE k.key END,
            k.fingerprint,
            k.reply,
            k.created_at, k.expires_age,
            2 * (octet_length(k.caller) + octet_length(k.target) + octet_length(k.key)) + octet_length(k.reply) + 192
        FROM keys_of_4 AS k ORDER BY k.rowid;
    "
    };
}

/// What is made when they are full: the indexes, and how people read the tables, with ids, names and events as texts.
macro_rules! ends {
    () => {
        "
    CREATE UNIQUE INDEX entities_by_id ON entities (entity, id);
    CREATE UNIQUE INDEX keys_by_name ON keys (caller, target, key);
    CREATE INDEX keys_by_expiry ON keys (expires_age);
    CREATE VIEW entities_as_text AS
        SELECT rowid, entity, lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4)
            || '-' || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) AS id, version, created_at, updated_at,
            owner, data
        FROM entities;
    CREATE VIEW events_as_text AS
        SELECT v.cursor, ifnull(v.time, ifnull(c.time, x.updated_at)) AS time,
            CASE typeof(v.event) WHEN 'integer' THEN (SELECT name FROM names WHERE number = v.event) ELSE v.event END AS event,
            CASE typeof(v.source) WHEN 'integer' THEN (SELECT name FROM names WHERE number = v.source) ELSE v.source END AS source,
            ifnull(v.data, '{\"id\":\"' || lower(substr(hex(ifnull(c.id, x.id)), 1, 8) || '-'
                || substr(hex(ifnull(c.id, x.id)), 9, 4) || '-' || substr(hex(ifnull(c.id, x.id)), 13, 4) || '-'
                || substr(hex(ifnull(c.id, x.id)), 17, 4) || '-' || substr(hex(ifnull(c.id, x.id)), 21))
                || '\",\"version\":' || ifnull(c.version, x.version) || ',\"data\":' || ifnull(c.data, x.data) || '}') AS data
        FROM events AS v LEFT JOIN event_copies AS c ON c.cursor = v.cursor
            LEFT JOIN entities AS x ON x.rowid = v.of_row AND x.event = v.cursor;
    CREATE VIEW keys_as_text AS
        SELECT CASE typeof(caller) WHEN 'integer' THEN (SELECT name FROM names WHERE number = caller) ELSE caller END AS caller,
            CASE typeof(target) WHEN 'integer' THEN (SELECT name FROM names WHERE number = target) ELSE target END AS target,
            CASE typeof(key) WHEN 'blob' THEN lower(substr(hex(key), 1, 8) || '-' || substr(hex(key), 9, 4) || '-'
                || substr(hex(key), 13, 4) || '-' || substr(hex(key), 17, 4) || '-' || substr(hex(key), 21)) ELSE key END AS key,
            CASE typeof(reply) WHEN 'blob' THEN '{\"id\":\"' || lower(substr(hex(reply), 1, 8) || '-' || substr(hex(reply), 9, 4)
                || '-' || substr(hex(reply), 13, 4) || '-' || substr(hex(reply), 17, 4) || '-' || substr(hex(reply), 21, 12))
                || '\",\"version\":' || CAST(substr(reply, 17) AS TEXT) || '}' ELSE reply END AS reply, created_at, expires_age
        FROM keys;
    "
    };
}

/// The step.
pub(crate) const STEP: &str = concat!(
    "
    ALTER TABLE entities RENAME TO entities_of_4;
    ALTER TABLE events RENAME TO events_of_4;
    ALTER TABLE keys RENAME TO keys_of_4;
    DROP INDEX keys_by_expiry;
    ",
    tables!(),
    filling!(),
    "
    DROP TABLE entities_of_4;
    DROP TABLE events_of_4;
    DROP TABLE keys_of_4;
    ",
    ends!()
);
