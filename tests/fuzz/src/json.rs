//! JSON text, beside `serde_json`: which text is JSON, where its members and elements are, and what comes of one that
//! comes in pieces.

use bulkhead_json::{Cursor, Incremental, NotJson, Raw, Validator, is_one_value};
use serde::{
    Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// The members of an object or the elements of a list, as `serde_json` finds them: the latter without names.
struct Parts<'a>(Vec<(Option<&'a str>, &'a str)>);

impl<'de> Visitor<'de> for Parts<'de> {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            self.0.push((Some(name.get()), value.get()));
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(value) = list.next_element::<&RawValue>()? {
            self.0.push((None, value.get()));
        }
        Ok(self)
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let expected = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
    assert_eq!(is_one_value(text), expected.is_some(), "the reader of this length");
    assert_eq!(Validator::new().finish(text, &mut ()).is_some(), expected.is_some(), "the validator");
    assert_eq!(Validator::portable().finish(text, &mut ()).is_some(), expected.is_some(), "the portable validator");
    let mut cursor = Cursor::new(text);
    let found = cursor.value().filter(|_| cursor.is_at_end());
    assert_eq!(found, expected, "the cursor");
    check_string(text);
    // For text that is not JSON, any result is allowed, and no panic.
    let raw = Raw::new(text);
    let members: Vec<_> = raw.members().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let elements: Vec<_> = raw.elements().map(Raw::as_str).collect();
    raw.text();
    raw.quote();
    if expected.is_none() {
        return;
    }
    let parts = serde_json::Deserializer::from_str(text).deserialize_any(Parts(Vec::new())).map_or(Vec::new(), |p| p.0);
    let named: Vec<_> = parts.iter().filter_map(|(name, value)| Some(((*name)?, *value))).collect();
    assert_eq!(members, named, "members");
    let unnamed: Vec<_> = parts.iter().filter(|(name, _)| name.is_none()).map(|(_, value)| *value).collect();
    assert_eq!(elements, unnamed, "elements");
}

/// The string at the beginning of a text, if there is one.
fn check_string(text: &str) {
    let Some(raw) = Cursor::new(text).string() else { return };
    let (bulkhead_json::RawString::Plain(inner) | bulkhead_json::RawString::Escaped(inner)) = raw;
    let quoted = if inner.starts_with('"') { inner.to_owned() } else { format!("\"{inner}\"") };
    assert_eq!(raw.unescaped().map(String::from), serde_json::from_str::<String>(&quoted).ok(), "{raw:?}");
}

pub(crate) fn run_in_pieces(bytes: &[u8]) {
    let Some((cuts, content)) = bytes.split_first_chunk::<4>() else { return };
    if content.is_empty() {
        return;
    }
    let expected = match std::str::from_utf8(content) {
        Err(error) => Err(NotJson::Bytes { byte: content[error.valid_up_to()], offset: error.valid_up_to() }),
        Ok(text) => match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Ok((text.to_owned(), ())),
            Err(_) => Err(NotJson::Text(text.to_owned())),
        },
    };
    let mut incremental = Incremental::new(content.len(), ());
    let mut rest = content;
    for length in cuts.iter().cycle() {
        let (mut piece, after) = rest.split_at((usize::from(*length) + 1).min(rest.len()));
        rest = after;
        assert_eq!(incremental.take(&mut piece), rest.is_empty());
        assert_eq!((piece, incremental.held_bytes()), (&b""[..], content.len() - rest.len()));
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(incremental.finish(), expected);
}
