//! The table `keys`: the replies of idempotency keys.

use crate::{failure::refusal, job::Keyed, limits::CLEARED_ROWS_MAX, outcome::KeyState, statements::Statements};
use bulkhead_protocol::{ErrorCode, Failure, Json};
use rusqlite::{Connection, OptionalExtension, params};

/// What is kept under a key at this time.
pub(crate) fn find(statements: &mut Statements<'_>, keyed: &Keyed, now: i64) -> rusqlite::Result<KeyState> {
    let found: Option<(Vec<u8>, String)> = statements
        .prepare("SELECT fingerprint, reply FROM keys WHERE key = ?1 AND expires_at > ?2")?
        .query_row(params![keyed.key, now], |row| Ok((row.get(0)?, row.get(1)?)))
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
    now: i64,
    ttl: i64,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT OR REPLACE INTO keys (key, fingerprint, reply, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    statements
        .prepare(sql)?
        .execute(params![keyed.key, keyed.fingerprint.bytes(), reply.as_str(), now, now.saturating_add(ttl)])
        .map(|_| ())
}

/// Removes a few keys that have expired, and says how many.
pub(crate) fn clear(connection: &Connection, now: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM keys WHERE rowid IN (SELECT rowid FROM keys WHERE expires_at <= ?1 LIMIT ?2)")?
        .execute(params![now, CLEARED_ROWS_MAX])
}

/// The refusal of a request under a key of another one.
pub fn other_payload(key: &str) -> Failure {
    refusal(ErrorCode::Conflict, format!("the key {key:?} belongs to another request; a key is for one request only"))
}
