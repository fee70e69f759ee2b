//! The idempotency key of each line: by its number, or from a member of it. The meaning of a key is up to the host.

use bulkhead_protocol::limits::KEY_BYTES_MAX;
use bulkhead_protocol::{ErrorCode, Failure};
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// Decimal digits of the highest line number.
const LINE_NUMBER_BYTES_MAX: usize = 20;

/// Which member of a line its key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// As it was given.
    text: String,
    /// The names of the path to it, from the outermost.
    names: Vec<String>,
}

/// Reads the name of a member, or a JSON Pointer (RFC 6901), which begins with a slash.
///
/// # Errors
/// When it is neither.
pub(crate) fn parse_field(text: &str) -> Result<Field, String> {
    let names = match text.strip_prefix('/') {
        None if text.is_empty() => return Err("expected the name of a member, or a JSON Pointer such as /a/b".into()),
        None => vec![text.to_owned()],
        Some(pointer) => pointer.split('/').map(unescaped).collect::<Result<_, _>>()?,
    };
    Ok(Field { text: text.to_owned(), names })
}

/// A part of a JSON Pointer, in which `~1` is a slash and `~0` is a tilde.
fn unescaped(part: &str) -> Result<String, String> {
    let mut name = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(at) = rest.find('~') {
        name.push_str(&rest[..at]);
        name.push(match rest.as_bytes().get(at + 1) {
            Some(b'0') => '~',
            Some(b'1') => '/',
            _ => {
                return Err(format!(
                    "expected ~0 (a tilde) or ~1 (a slash) in a JSON Pointer, found {:?}",
                    &rest[at..]
                ));
            }
        });
        rest = &rest[at + 2..];
    }
    name.push_str(rest);
    Ok(name)
}

/// How the lines of a pipe get their keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys<'a> {
    prefix: Option<&'a str>,
    field: Option<&'a Field>,
}

impl<'a> Keys<'a> {
    /// Keys of lines, from the member `field` where there is one, else by number, after `prefix` and a hyphen.
    ///
    /// # Errors
    /// When the prefix leaves no room for the rest.
    pub(super) fn new(prefix: Option<&'a str>, field: Option<&'a Field>) -> Result<Keys<'a>, String> {
        let rest = if field.is_some() { 1 } else { LINE_NUMBER_BYTES_MAX };
        let most = KEY_BYTES_MAX - 1 - rest;
        match prefix.filter(|prefix| prefix.len() > most) {
            Some(prefix) => Err(format!("--key-prefix: expected at most {most} bytes, found {}", prefix.len())),
            None => Ok(Keys { prefix, field }),
        }
    }

    /// Writes the key of a line over `key`; without keys, it leaves that empty.
    ///
    /// # Errors
    /// The answer that the line gets instead.
    pub(super) fn write(&self, number: u64, json: &str, key: &mut String) -> Result<(), Failure> {
        key.clear();
        if let Some(prefix) = self.prefix {
            key.extend([prefix, "-"]);
        }
        match (self.field, self.prefix) {
            (None, None) => {}
            (None, Some(_)) => drop(write!(key, "{number}")),
            (Some(field), _) => {
                let before = key.len();
                let failed = |sentence| Failure::new(ErrorCode::BadRequest, sentence);
                let value = field.find(json).map_err(failed)?;
                key.push_str(&field.key(value).map_err(failed)?);
                let (found, most) = (key.len() - before, KEY_BYTES_MAX - before);
                if found == 0 || found > most {
                    return Err(failed(field.fault(format_args!("expected 1 to {most} bytes, found {found}"))));
                }
            }
        }
        Ok(())
    }
}

impl Field {
    /// The JSON text of the member in `json`, which is one JSON value.
    fn find<'j>(&self, json: &'j str) -> Result<&'j str, String> {
        let mut value = json;
        for name in &self.names {
            if !value.starts_with(['{', '[']) {
                return Err(self.fault(format_args!("expected an object with {name:?}, found {}", kind(value))));
            }
            let found = serde_json::Deserializer::from_str(value).deserialize_any(Member(name));
            value = match found.map_err(|error| self.fault(error))? {
                Found::One(member) => member.get(),
                Found::Nothing => return Err(self.fault(format_args!("found no {name:?} in the line"))),
                Found::Several => return Err(self.fault(format_args!("expected one {name:?}, found several"))),
            };
        }
        Ok(value)
    }

    /// What a value is as a key: a text is itself, and an integer its digits.
    fn key<'v>(&self, value: &'v str) -> Result<Cow<'v, str>, String> {
        let unusable = |found| Err(self.fault(format_args!("expected a text or an integer, found {found}")));
        match value.as_bytes()[0] {
            b'"' => match serde_json::from_str::<Text<'_>>(value) {
                Ok(Text(text)) => Ok(text),
                Err(_) => unusable("a text with half a surrogate pair"),
            },
            b'-' | b'0'..=b'9' if !value.contains(['.', 'e', 'E']) => Ok(Cow::Borrowed(value)),
            _ => unusable(kind(value)),
        }
    }

    fn fault(&self, what: impl fmt::Display) -> String {
        format!("--key-from {}: {what}", self.text)
    }
}

/// What kind of value a JSON text is.
fn kind(json: &str) -> &'static str {
    match json.as_bytes()[0] {
        b'{' => "an object",
        b'[' => "a list",
        b'"' => "a text",
        b't' | b'f' => "true or false",
        b'n' => "null",
        _ if json.contains(['.', 'e', 'E']) => "a number that is no integer",
        _ => "an integer",
    }
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Looks for one member of an object, or for one element of a list.
struct Member<'a>(&'a str);

/// The member of a name.
enum Found<'j> {
    One(&'j RawValue),
    Nothing,
    Several,
}

impl<'j> Visitor<'j> for Member<'_> {
    type Value = Found<'j>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Found<'j>, A::Error> {
        let mut found = Found::Nothing;
        while let Some(Text(name)) = map.next_key()? {
            if name != self.0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value()?;
            found = if matches!(found, Found::Nothing) { Found::One(value) } else { Found::Several };
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut list: A) -> Result<Found<'j>, A::Error> {
        // No sign and no leading zero, as RFC 6901 has it.
        let is_index = self.0 == "0" || self.0.starts_with(|first| matches!(first, '1'..='9'));
        let wanted = self.0.parse::<usize>().ok().filter(|_| is_index);
        let mut found = Found::Nothing;
        for at in 0.. {
            if Some(at) == wanted {
                let Some(value) = list.next_element()? else { break };
                found = Found::One(value);
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(prefix: Option<&str>, field: Option<&str>, json: &str) -> Result<String, String> {
        let field = field.map(|field| parse_field(field).unwrap());
        let keys = Keys::new(prefix, field.as_ref())?;
        let mut key = "what was there".to_owned();
        keys.write(7, json, &mut key).map_err(|failure| failure.error).map(|()| key)
    }

    fn from(field: &str, json: &str) -> Result<String, String> {
        written(None, Some(field), json)
    }

    #[test]
    fn a_key_is_the_prefix_and_the_number_of_the_line_or_what_a_member_says() {
        let key = |text: &str| Ok(text.to_owned());
        assert_eq!(written(None, None, "1"), key(""));
        assert_eq!(written(Some("a"), None, "1"), key("a-7"));
        assert_eq!(written(Some("a"), Some("id"), r#"{"id":"x"}"#), key("a-x"));
        assert_eq!(from("id", r#" {"n":[1,{"id":3}], "\u0069d" : "\u00e9x"} "#.trim()), key("éx"));
        assert_eq!(from("id", r#"{"id":-12345678901234567890123}"#), key("-12345678901234567890123"));
        assert_eq!(from("a.b", r#"{"a":{"b":1},"a.b":2}"#), key("2"), "a dot is part of the name");
    }

    #[test]
    fn a_pointer_leads_through_objects_and_lists() {
        let json = r#"{"order":{"ids":["x",{"a/b":4}],"~":5},"":{"":6}}"#;
        for (pointer, expected) in [("/order/ids/0", "x"), ("/order/ids/1/a~1b", "4"), ("/order/~0", "5"), ("//", "6")]
        {
            assert_eq!(from(pointer, json), Ok(expected.to_owned()), "{pointer}");
        }
        for pointer in ["/order/ids/2", "/order/ids/00", "/order/ids/+1", "/order/ids/-", "/order/none", "/none/x"] {
            let name = pointer.split('/').skip(1).find(|name| !["order", "ids"].contains(name)).unwrap();
            assert_eq!(from(pointer, json), Err(format!("--key-from {pointer}: found no {name:?} in the line")));
        }
        for (bad, expected) in [("", "expected the name"), ("/a~", "found \"~\""), ("/a~2b", "found \"~2b\"")] {
            let refused = parse_field(bad).unwrap_err();
            assert!(refused.contains(expected), "{bad}: {refused}");
        }
    }

    #[test]
    fn a_line_without_a_usable_key_says_what_was_found() {
        for (json, expected) in [
            (r#"{"x":1}"#, "found no \"id\" in the line"),
            (r#"{"id":null}"#, "expected a text or an integer, found null"),
            (r#"{"id":true}"#, "expected a text or an integer, found true or false"),
            (r#"{"id":1.0}"#, "expected a text or an integer, found a number that is no integer"),
            (r#"{"id":1e3}"#, "expected a text or an integer, found a number that is no integer"),
            (r#"{"id":[1]}"#, "expected a text or an integer, found a list"),
            (r#"{"id":{}}"#, "expected a text or an integer, found an object"),
            (r#"{"id":"\ud800"}"#, "expected a text or an integer, found a text with half a surrogate pair"),
            (r#"{"id":""}"#, "expected 1 to 128 bytes, found 0"),
            (r#"{"id":1,"id":1}"#, "expected one \"id\", found several"),
            ("17", "expected an object with \"id\", found an integer"),
            ("null", "expected an object with \"id\", found null"),
        ] {
            assert_eq!(from("id", json), Err(format!("--key-from id: {expected}")), "{json}");
        }
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(127));
        assert!(from("id", &long).is_ok());
        let refused = written(Some("a"), Some("id"), &long).unwrap_err();
        assert_eq!(refused, "--key-from id: expected 1 to 126 bytes, found 127");
    }

    #[test]
    fn a_prefix_leaves_room_for_what_follows() {
        let long = "x".repeat(108);
        assert!(written(Some(&long), Some("id"), r#"{"id":1}"#).is_ok());
        let refused = written(Some(&long), None, "1").unwrap_err();
        assert_eq!(refused, "--key-prefix: expected at most 107 bytes, found 108");
    }

    #[test]
    fn deep_nesting_is_looked_through_without_a_deep_stack() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let json = format!(r#"{{"deep":{deep},"id":{deep},"n":1}}"#);
        assert_eq!(from("n", &json), Ok("1".to_owned()));
        assert_eq!(from("id", &json), Err("--key-from id: expected a text or an integer, found a list".to_owned()));
    }
}
