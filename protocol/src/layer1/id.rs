//! What names an entity: its type and its id.

use super::{Fault, limits::ENTITY_NAME_BYTES_MAX};
use bulkhead_json::Raw;
use std::{fmt, sync::Arc};

/// The name of an entity type: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`, beginning with a letter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityName(Arc<str>);

impl EntityName {
    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// When a rule of the type is broken.
    pub fn new(text: &str) -> Result<EntityName, Fault> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if text.is_empty() || text.len() > ENTITY_NAME_BYTES_MAX {
            let found = text.len();
            return Err(Fault::new(format!("an entity type has 1 to {ENTITY_NAME_BYTES_MAX} bytes, found {found}")));
        }
        if let Some(found) = text.chars().find(|c| !good(*c)) {
            return Err(Fault::new(format!("an entity type is made of letters, digits, '_' and '-', found {found:?}")));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(Fault::new(format!("an entity type begins with a letter, found {text:?}")));
        }
        Ok(EntityName(text.into()))
    }

    pub(super) fn read(raw: Raw<'_>) -> Result<EntityName, Fault> {
        match raw.text() {
            Some(text) => EntityName::new(&text),
            None => Err(Fault::new(format!("expected an entity type, a text, found {}", raw.quote()))),
        }
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of an entity: a UUID of any version, as 36 characters. Capital letters become lower case, since
/// the two write the same number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId([u8; EntityId::BYTES]);

impl EntityId {
    const BYTES: usize = 36;

    /// Where the two digits of each byte are.
    const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

    /// Checks `text` and makes it an id.
    ///
    /// # Errors
    /// When it is no UUID of the form `01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f`.
    pub fn new(text: &str) -> Result<EntityId, Fault> {
        let bytes: Option<[u8; EntityId::BYTES]> = text.as_bytes().try_into().ok();
        let form = |(at, byte): (usize, &u8)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        match bytes {
            Some(mut bytes) if bytes.iter().enumerate().all(form) => {
                bytes.make_ascii_lowercase();
                Ok(EntityId(bytes))
            }
            _ => Err(Fault::new(format!(
                "expected an id, a UUID of 36 characters, found {}",
                Raw::new(&format!("{text:?}")).quote()
            ))),
        }
    }

    /// The id that is this UUID.
    pub fn from_uuid(uuid: u128) -> EntityId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [b'-'; EntityId::BYTES];
        for (byte, at) in uuid.to_be_bytes().into_iter().zip(EntityId::PAIRS) {
            bytes[at] = DIGITS[usize::from(byte >> 4)];
            bytes[at + 1] = DIGITS[usize::from(byte & 0xf)];
        }
        EntityId(bytes)
    }

    /// The UUID that the id is.
    pub fn uuid(&self) -> u128 {
        // Of a digit, the lower half is its worth; of a letter, nine less than that.
        let worth = |digit: u8| (digit & 0xf) + 9 * (digit >> 6);
        u128::from_be_bytes(EntityId::PAIRS.map(|at| worth(self.0[at]) << 4 | worth(self.0[at + 1])))
    }

    pub(super) fn read(raw: Raw<'_>) -> Result<EntityId, Fault> {
        match raw.text() {
            Some(text) => EntityId::new(&text),
            None => Err(Fault::new(format!("expected an id, a text, found {}", raw.quote()))),
        }
    }

    /// The 36 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is made of ASCII characters")
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(EntityName::new("Research_Log-2").is_ok());
        for bad in ["", "2x", "_x", "a.b", "é", "a b", &"a".repeat(65)] {
            assert!(EntityName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_a_uuid_in_small_letters() {
        let id = EntityId::new("01981F6E-2C1A-7E3B-9F00-5D2C8A4B6E7F").unwrap();
        assert_eq!(id.as_str(), "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f");
        assert_eq!(EntityId::from_uuid(0x0198_1f6e_2c1a_7e3b_9f00_5d2c_8a4b_6e7f), id);
        assert_eq!(id.uuid(), 0x0198_1f6e_2c1a_7e3b_9f00_5d2c_8a4b_6e7f);
        assert_eq!(EntityId::from_uuid(u128::MAX).uuid(), u128::MAX);
        for bad in ["", "1", "01981f6e2c1a7e3b9f005d2c8a4b6e7f", "g1981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f"] {
            assert!(EntityId::new(bad).is_err(), "{bad}");
        }
    }
}
