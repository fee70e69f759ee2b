//! The table `keys`: the replies of idempotency keys, each its caller's for one target. How long one is kept
//! goes by the age of the store.

use crate::{
    clock::Moment, failure::refusal, job::Keyed, limits::CLEARED_ROWS_MAX, outcome::KeyState, statements::Statements,
};
use bulkhead_protocol::{ErrorCode, Failure, Json};
use rusqlite::{Connection, OptionalExtension, params};

/// What is kept under a key at this age of the store. A key without a target is one of a client, and of before
/// targets were kept: it stands for every target, and its fingerprint tells which it was.
pub(crate) fn find(statements: &mut Statements<'_>, keyed: &Keyed, age: i64) -> rusqlite::Result<KeyState> {
    let found: Option<(Vec<u8>, String)> = statements
        .prepare(
            "SELECT fingerprint, reply FROM keys
             WHERE caller = ?1 AND target IN (?2, '') AND key = ?3 AND expires_age > ?4",
        )?
        .query_row(params![keyed.caller, keyed.target, keyed.key, age], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        None => KeyState::Vacant,
        Some((fingerprint, _)) if fingerprint != keyed.fingerprint.bytes() => KeyState::OtherPayload,
        Some((_, reply)) => KeyState::Stored(Json::parse(&reply).unwrap_or_default()),
    })
}

/// Keeps a reply under a key that is vacant.
pub(crate) fn store(
    statements: &mut Statements<'_>,
    keyed: &Keyed,
    reply: &Json,
    now: Moment,
    ttl: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO keys (caller, target, key, fingerprint, reply, created_at, expires_age)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let Keyed { caller, target, key, fingerprint } = keyed;
    let expires = now.age.saturating_add(ttl);
    statements
        .prepare(sql)?
        .execute(params![caller, target, key, fingerprint.bytes(), reply.as_str(), now.wall, expires])
        .map(|_| ())
}

/// Removes a few keys that have expired, and says how many.
pub(crate) fn clear(connection: &Connection, age: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM keys WHERE rowid IN (SELECT rowid FROM keys WHERE expires_age <= ?1 LIMIT ?2)")?
        .execute(params![age, CLEARED_ROWS_MAX])
}

/// The refusal of a request under a key of another one.
pub fn other_payload(key: &str) -> Failure {
    refusal(ErrorCode::Conflict, format!("the key {key:?} belongs to another request; a key is for one request only"))
}
