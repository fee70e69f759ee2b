//! Ids as the tables have them. The id of an entity is 16 bytes, which are in the same order as its text. Any other
//! name that a caller has given, as a key, is 16 bytes where it is the text of an id, letter by letter, and else stays
//! the text that it is.

use bulkhead_protocol::layer1::{Comparison, EntityId};
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Value as Sql, ValueRef},
};

/// How many bytes an id has.
const BYTES: usize = 16;

/// The id of an entity, in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredId([u8; BYTES]);

impl StoredId {
    pub(crate) fn of(id: &EntityId) -> StoredId {
        StoredId(id.uuid().to_be_bytes())
    }

    pub(crate) fn id(self) -> EntityId {
        EntityId::from_uuid(u128::from_be_bytes(self.0))
    }

    /// The same, for the values of a statement that is put together.
    pub(crate) fn to_value(self) -> Sql {
        Sql::Blob(self.0.to_vec())
    }
}

impl ToSql for StoredId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for StoredId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<StoredId> {
        let blob = value.as_blob()?;
        let bytes: [u8; BYTES] = blob
            .try_into()
            .map_err(|_| FromSqlError::InvalidBlobSize { expected_size: BYTES, blob_size: blob.len() })?;
        Ok(StoredId(bytes))
    }
}

/// A text that may be that of an id, in the tables.
pub(crate) fn of_text(text: &str) -> Sql {
    match EntityId::new(text) {
        Ok(id) if id.as_str() == text => StoredId::of(&id).to_value(),
        Ok(_) | Err(_) => Sql::Text(text.to_owned()),
    }
}

/// The text that the tables have as this value, if it is one.
pub(crate) fn text_of(value: &Sql) -> Option<String> {
    match value {
        Sql::Text(text) => Some(text.clone()),
        Sql::Blob(bytes) => {
            let bytes: [u8; BYTES] = bytes.as_slice().try_into().ok()?;
            Some(StoredId(bytes).id().to_string())
        }
        _ => None,
    }
}

/// The comparison of an id's bytes that holds where this comparison of its text does, which may be any text.
pub(crate) fn bound(comparison: Comparison, text: &str) -> (&'static str, Sql) {
    let exact = EntityId::new(text).is_ok_and(|id| id.as_str() == text);
    let operator = match (comparison, exact) {
        (Comparison::Less, _) | (Comparison::LessOrEqual, false) => "<",
        (Comparison::GreaterOrEqual, _) | (Comparison::Greater, false) => ">=",
        (Comparison::LessOrEqual, true) => "<=",
        (Comparison::Greater, true) => ">",
    };
    (operator, Sql::Blob(least_from(text)))
}

/// The bytes of the least id whose text is not less than `text`; bytes beyond all ids, where there is none.
fn least_from(text: &str) -> Vec<u8> {
    const DIGITS: u32 = 32;
    let mut uuid: u128 = 0;
    let mut digits = 0;
    // All ids that begin as the text did so far are less than it, so the least is after these.
    let after = |uuid: u128, digits: u32| match (digits, uuid.checked_add(1)) {
        (0, _) | (_, None) => vec![0xff; BYTES + 1],
        (DIGITS, Some(next)) => next.to_be_bytes().to_vec(),
        (_, Some(next)) if next >> (4 * digits) == 0 => (next << (4 * (DIGITS - digits))).to_be_bytes().to_vec(),
        (_, Some(_)) => vec![0xff; BYTES + 1],
    };
    let from = |uuid: u128, digits: u32| match digits {
        0 => 0_u128,
        digits => uuid << (4 * (DIGITS - digits)),
    };
    for (at, byte) in text.bytes().enumerate() {
        if at == 36 {
            return after(uuid, digits);
        }
        let allowed: &[u8] = if matches!(at, 8 | 13 | 18 | 23) { b"-" } else { b"0123456789abcdef" };
        match allowed.iter().position(|allowed| *allowed >= byte) {
            None => return after(uuid, digits),
            Some(0) if allowed.len() == 1 && byte == b'-' => {}
            Some(_) if allowed.len() == 1 => return from(uuid, digits).to_be_bytes().to_vec(),
            Some(digit) => {
                (uuid, digits) = (uuid << 4 | digit as u128, digits + 1);
                if allowed[digit] != byte {
                    return from(uuid, digits).to_be_bytes().to_vec();
                }
            }
        }
    }
    from(uuid, digits).to_be_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_text_of_an_id_is_bytes_and_each_text_comes_back() {
        let id = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";
        assert!(matches!(of_text(id), Sql::Blob(bytes) if bytes.len() == 16));
        for text in [id, &id.to_uppercase(), &id.replace('-', ""), &id[1..], "", "é", &"\0".repeat(16)] {
            assert_eq!(text_of(&of_text(text)).as_deref(), Some(text));
            assert_eq!(matches!(of_text(text), Sql::Blob(_)), text == id, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_compare_by_their_bytes_as_their_texts_do(
            uuid in prop_oneof![any::<u128>(), Just(0), Just(u128::MAX), (0..300_u128).prop_map(|low| u128::MAX - low)],
            other in prop_oneof![any::<u128>(), Just(0), Just(u128::MAX)],
            own in any::<bool>(),
            length in 0..37_usize,
            end in prop_oneof![Just(String::new()), "[0-9a-fA-F:/`g!-]{1,3}", "\\PC{0,2}"],
        ) {
            let id = EntityId::from_uuid(uuid);
            let from = if own { id } else { EntityId::from_uuid(other) };
            let text = from.as_str()[..length].to_owned() + &end;
            let bytes = StoredId::of(&id).0.to_vec();
            for (comparison, expected) in [
                (Comparison::Less, id.as_str() < text.as_str()),
                (Comparison::LessOrEqual, id.as_str() <= text.as_str()),
                (Comparison::Greater, id.as_str() > text.as_str()),
                (Comparison::GreaterOrEqual, id.as_str() >= text.as_str()),
            ] {
                let (operator, Sql::Blob(bound)) = bound(comparison, &text) else { panic!("an id has bytes") };
                let found = match operator {
                    "<" => bytes < bound,
                    "<=" => bytes <= bound,
                    ">" => bytes > bound,
                    _ => bytes >= bound,
                };
                prop_assert_eq!(found, expected, "{} {:?} {:?}", id, comparison, text);
            }
        }
    }
}
