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
};
use bulkhead_protocol::{ErrorCode, Failure, Json};
use rusqlite::{Connection, OptionalExtension, params};

/// The texts of a key that is kept, in bytes: those that name it are in the table and in its index.
macro_rules! texts {
    () => {
        "2 * (octet_length(caller) + octet_length(target) + octet_length(key)) + octet_length(reply)"
    };
}

/// What is kept under each caller's keys.
pub(crate) const RECOUNT: &str =
    concat!("SELECT caller, sum(", texts!(), " + 192), count(*) FROM keys GROUP BY caller");

const _: () = assert!(KEY_OVERHEAD_BYTES == 192, "as the recount and the schema have it");

/// What is kept under a key at this age of the store. A key without a target is one of a client, from before
/// targets were kept: it stands for every target, and its fingerprint shows which it was.
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

/// Keeps a reply under a key that is vacant, and says how much more is kept under keys by that.
pub(crate) fn store(
    statements: &mut Statements<'_>,
    keyed: &Keyed,
    reply: &Json,
    now: Moment,
    ttl: i64,
) -> rusqlite::Result<Amount> {
    let sql = "INSERT OR IGNORE INTO keys (caller, target, key, fingerprint, reply, created_at, expires_age)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let Keyed { caller, target, key, fingerprint } = keyed;
    let expires = now.age.saturating_add(ttl);
    let row = params![caller, target, key, fingerprint.bytes(), reply.as_str(), now.wall, expires];
    let named = caller.len() + target.len() + key.len();
    let more = Amount { bytes: (2 * named + reply.as_str().len()) as i64 + KEY_OVERHEAD_BYTES, rows: 1 };
    if statements.prepare(sql)?.execute(row)? == 1 {
        return Ok(more);
    }
    // One that has expired may still be in the table.
    let expired = concat!("DELETE FROM keys WHERE caller = ?1 AND target = ?2 AND key = ?3 RETURNING ", texts!());
    let old = statements.connection().query_row(expired, params![caller, target, key], |row| row.get::<_, i64>(0))?;
    statements.prepare(sql)?.execute(row)?;
    Ok(more.minus(Amount { bytes: old + KEY_OVERHEAD_BYTES, rows: 1 }))
}

/// Removes a few keys that have expired, and says how much of which callers.
pub(crate) fn clear(connection: &Connection, age: i64) -> rusqlite::Result<Held> {
    let mut statement = connection.prepare_cached(concat!(
        "DELETE FROM keys WHERE rowid IN (SELECT rowid FROM keys WHERE expires_age <= ?1 LIMIT ?2)
         RETURNING caller, ",
        texts!()
    ))?;
    let mut rows = statement.query(params![age, CLEARED_ROWS_MAX])?;
    let mut removed = Held::default();
    while let Some(row) = rows.next()? {
        let bytes = row.get::<_, i64>(1)? + KEY_OVERHEAD_BYTES;
        removed.add(&row.get_ref(0)?.as_str()?.into(), Amount { bytes, rows: 1 });
    }
    Ok(removed)
}

/// The refusal of a request under a key of another one.
pub fn other_payload(key: &str) -> Failure {
    refusal(ErrorCode::Conflict, format!("the key {key:?} belongs to another request; a key is for one request only"))
}
