//! The table `keys`: the replies of idempotency keys, each its caller's for one target. How long one is kept
//! is measured by the age of the store.

use crate::{
    clock::Moment,
    failure::refusal,
    held::{Amount, Held},
    job::Keyed,
    limits::{CLEARED_ROWS_MAX, KEY_OVERHEAD_BYTES},
    outcome::KeyState,
    statements::Statements,
    stored_id::of_text,
    tables::names::{self, Kind, Numbers, Texts, text_of},
};
use bulkhead_protocol::{ErrorCode, Failure, Json};
use rusqlite::{Connection, OptionalExtension, params};

/// What is kept under each caller's keys.
pub(crate) const RECOUNT: &str =
    concat!("SELECT ", text_of!("caller"), ", sum(bytes), count(*) FROM keys GROUP BY caller");

const _: () = assert!(KEY_OVERHEAD_BYTES == 192, "as the schema has it");

/// What is kept under a key at this age of the store. A key without a target is one of a client, from before
/// targets were kept: it stands for every target, and its fingerprint shows which it was.
pub(crate) fn find(statements: &mut Statements<'_>, keyed: &Keyed, age: i64) -> rusqlite::Result<KeyState> {
    let connection = statements.connection();
    let (caller, target) = (names::find(connection, &keyed.caller)?, names::find(connection, &keyed.target)?);
    let found: Option<(Vec<u8>, String)> = statements
        .prepare(
            "SELECT fingerprint, reply FROM keys
             WHERE caller = ?1 AND target IN (?2, '') AND key = ?3 AND expires_age > ?4",
        )?
        .query_row(params![caller, target, of_text(&keyed.key), age], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        None => KeyState::Vacant,
        Some((fingerprint, _)) if fingerprint != keyed.fingerprint.bytes() => KeyState::OtherPayload,
        Some((_, reply)) => KeyState::Stored(Json::parse(&reply).unwrap_or_default()),
    })
}

/// Keeps a reply under a key that is vacant, and says how much more is kept under keys by that.
pub(crate) fn store(
    statements: &mut Statements<'_>,
    names: &mut Numbers,
    keyed: &Keyed,
    reply: &Json,
    now: Moment,
    ttl: i64,
) -> rusqlite::Result<Amount> {
    let sql = "INSERT OR IGNORE INTO keys (caller, target, key, fingerprint, reply, created_at, expires_age, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let Keyed { caller, target, key, fingerprint } = keyed;
    let expires = now.age.saturating_add(ttl);
    let named = caller.len() + target.len() + key.len();
    let more = Amount { bytes: (2 * named + reply.as_str().len()) as i64 + KEY_OVERHEAD_BYTES, rows: 1 };
    let connection = statements.connection();
    let caller = names.of(connection, caller, Kind::Module)?;
    let target = names.of(connection, target, Kind::Module)?;
    let key = of_text(key);
    let row = params![caller, target, key, fingerprint.bytes(), reply.as_str(), now.wall, expires, more.bytes];
    if statements.prepare(sql)?.execute(row)? == 1 {
        return Ok(more);
    }
    // One that has expired may still be in the table.
    let expired = "DELETE FROM keys WHERE caller = ?1 AND target = ?2 AND key = ?3 RETURNING bytes";
    let old = connection.query_row(expired, params![caller, target, key], |row| row.get::<_, i64>(0))?;
    statements.prepare(sql)?.execute(row)?;
    Ok(more.minus(Amount { bytes: old, rows: 1 }))
}

/// Removes a few keys that have expired, and says how much of which callers.
pub(crate) fn clear(connection: &Connection, age: i64) -> rusqlite::Result<Held> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM keys WHERE number IN (SELECT number FROM keys WHERE expires_age <= ?1 LIMIT ?2)
         RETURNING caller, bytes",
    )?;
    let mut names = Texts::new(connection);
    let mut rows = statement.query(params![age, CLEARED_ROWS_MAX])?;
    let mut removed = Held::default();
    while let Some(row) = rows.next()? {
        removed.add(&names.of(row.get_ref(0)?)?, Amount { bytes: row.get(1)?, rows: 1 });
    }
    Ok(removed)
}

/// The refusal of a request under a key of another one.
pub fn other_payload(key: &str) -> Failure {
    refusal(ErrorCode::Conflict, format!("the key {key:?} belongs to another request; a key is for one request only"))
}
