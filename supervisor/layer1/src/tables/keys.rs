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
    stored_id::{of_text, text_of},
    tables::names::{self, Kind, Numbers, Texts, text_of},
};
use bulkhead_protocol::{ErrorCode, Failure, Json};
use rusqlite::{Connection, OptionalExtension, params, types::Value as Sql};

/// What is around the id and the version in an answer of the store.
const REPLY_HEAD: &str = "{\"id\":\"";
const REPLY_MIDDLE: &str = "\",\"version\":";

/// How long an id is, as a text and in bytes.
const ID_DIGITS: usize = 36;
const ID_BYTES: usize = 16;

/// What is kept under each caller's keys.
pub(crate) const RECOUNT: &str =
    concat!("SELECT ", text_of!("caller"), ", sum(bytes), count(*) FROM keys GROUP BY caller");

const _: () = assert!(KEY_OVERHEAD_BYTES == 192, "as the schema has it");

/// What is kept under a key at this age of the store. A key without a target is one of a client, from before
/// targets were kept: it stands for every target, and its fingerprint shows which it was.
pub(crate) fn find(statements: &mut Statements<'_>, keyed: &Keyed, age: i64) -> rusqlite::Result<KeyState> {
    let connection = statements.connection();
    let (caller, target) = (names::find(connection, &keyed.caller)?, names::find(connection, &keyed.target)?);
    let found: Option<(Vec<u8>, Sql)> = statements
        .prepare(
            "SELECT fingerprint, reply FROM keys
             WHERE caller = ?1 AND target IN (?2, '') AND key = ?3 AND expires_age > ?4",
        )?
        .query_row(params![caller, target, of_text(&keyed.key), age], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        None => KeyState::Vacant,
        Some((fingerprint, _)) if fingerprint != keyed.fingerprint.bytes() => KeyState::OtherPayload,
        Some((_, reply)) => KeyState::Stored(Json::parse(&reply_of(&reply)).unwrap_or_default()),
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
    let reply = stored_reply(reply.as_str());
    let row = params![caller, target, key, fingerprint.bytes(), reply, now.wall, expires, more.bytes];
    if statements.prepare(sql)?.execute(row)? == 1 {
        return Ok(more);
    }
    // One that has expired may still be in the table.
    let expired = "DELETE FROM keys WHERE caller = ?1 AND target = ?2 AND key = ?3 RETURNING bytes";
    let old = connection.query_row(expired, params![caller, target, key], |row| row.get::<_, i64>(0))?;
    statements.prepare(sql)?.execute(row)?;
    Ok(more.minus(Amount { bytes: old, rows: 1 }))
}

/// A reply as the table has it. The answer of the store itself to one operation, which has the id and the version of an
/// entity, is the bytes of the id and the digits of the version; any other one is its text.
fn stored_reply(text: &str) -> Sql {
    let short = || {
        let (id, rest) = text.strip_prefix(REPLY_HEAD)?.split_at_checked(ID_DIGITS)?;
        let version = rest.strip_prefix(REPLY_MIDDLE)?.strip_suffix('}')?;
        match of_text(id) {
            Sql::Blob(bytes) if version.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Sql::Blob([&bytes, version.as_bytes()].concat()))
            }
            _ => None,
        }
    };
    short().unwrap_or_else(|| Sql::Text(text.to_owned()))
}

/// The text of a reply.
fn reply_of(stored: &Sql) -> String {
    match stored {
        Sql::Text(text) => text.clone(),
        Sql::Blob(bytes) => {
            let (id, version) = bytes.split_at_checked(ID_BYTES).unwrap_or_default();
            let id = text_of(&Sql::Blob(id.to_vec())).unwrap_or_default();
            [REPLY_HEAD, &id, REPLY_MIDDLE, &String::from_utf8_lossy(version), "}"].concat()
        }
        _ => String::new(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_comes_back_and_the_stores_own_are_short() {
        let id = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";
        let own = |version: &str| format!(r#"{{"id":"{id}","version":{version}}}"#);
        for text in [own("1"), own("18446744073709551615")] {
            assert!(matches!(stored_reply(&text), Sql::Blob(bytes) if bytes.len() <= 36), "{text}");
            assert_eq!(reply_of(&stored_reply(&text)), text);
        }
        let others =
            [own("1.5"), own("-1"), own("1,\"more\":2"), own("1").to_uppercase(), own("1 "), "{\"id\":\"é".into()];
        for text in others.iter().map(String::as_str).chain(["null", "{}", "\"\"", "7"]) {
            assert!(matches!(stored_reply(text), Sql::Text(_)), "{text}");
            assert_eq!(reply_of(&stored_reply(text)), text);
        }
    }
}
