//! The payloads that have a name and what belongs to it, read without a copy: `{"name","args"}` of a
//! command, `{"event","data"}` of an event.
//!
//! It deliberately reads only what is written plainly, which is nearly everything that is sent. Serde decides
//! whether the rest is accepted, and what is wrong with it, so that there is one set of rules.

use crate::Json;
use bulkhead_json::{Cursor, RawString};

/// A name and what belongs to it, as they are in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// The name.
    pub name: &'a str,
    /// The text of the other member; `None` where it is absent or `null`.
    pub value: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// Reads the payload of a command; `None` where it is anything but plain.
    pub fn command(payload: &'a Json) -> Option<Named<'a>> {
        let text = payload.as_str();
        Named::flat(text, "{\"name\":\"", "\",\"args\":{").or_else(|| Named::read(text, "name", "args"))
    }

    /// Reads the payload of an event; `None` where it is anything but plain.
    pub fn event(payload: &'a Json) -> Option<Named<'a>> {
        let text = payload.as_str();
        Named::flat(text, "{\"event\":\"", "\",\"data\":{").or_else(|| Named::read(text, "event", "data"))
    }

    /// Reads what most payloads are: both members and nothing else, without white space around them, and
    /// an object without further objects as the value. In a text that is known to be JSON, that is seen
    /// without a look at what is between: an object ends at a brace, and the only braces after its beginning are the
    /// last two bytes.
    fn flat(text: &'a str, before_name: &str, before_value: &str) -> Option<Named<'a>> {
        let rest = text.strip_prefix(before_name)?;
        let name_end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let inside = rest[name_end..].strip_prefix(before_value)?.strip_suffix("}}")?;
        // Without an early end, the compiler makes vector instructions of it.
        if inside.bytes().fold(false, |found, byte| found | (byte == b'}')) {
            return None;
        }
        let value = &text[text.len() - inside.len() - "{}}".len()..text.len() - "}".len()];
        Some(Named { name: &rest[..name_end], value: Some(value) })
    }

    fn read(text: &'a str, of_name: &str, of_value: &str) -> Option<Named<'a>> {
        let mut cursor = Cursor::new(text);
        let (mut name, mut value) = (None, None);
        cursor.take(b'{')?;
        loop {
            let RawString::Plain(member) = cursor.string()? else { return None };
            cursor.take(b':')?;
            if member == of_name {
                let RawString::Plain(found) = cursor.string()? else { return None };
                if name.replace(found).is_some() {
                    return None;
                }
            } else if member == of_value {
                if value.replace(cursor.value()?).is_some() {
                    return None;
                }
            } else {
                cursor.value()?;
            }
            if cursor.take(b',').is_none() {
                cursor.take(b'}')?;
                break;
            }
        }
        Some(Named { name: name?, value: value.filter(|text| *text != "null") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(text: &str) -> Option<(String, Option<String>)> {
        let payload = Json::parse(text).unwrap();
        Named::command(&payload).map(|named| (named.name.to_owned(), named.value.map(str::to_owned)))
    }

    #[test]
    fn a_name_and_its_value_are_found_in_any_order_and_among_others() {
        let found = |value: Option<&str>| Some(("do".to_owned(), value.map(str::to_owned)));
        assert_eq!(command(r#"{"name":"do","args":{"a":[1]}}"#), found(Some(r#"{"a":[1]}"#)));
        assert_eq!(command(r#" { "args" : 1.50 , "x":{"name":"no"}, "name" : "do" } "#), found(Some("1.50")));
        assert_eq!(command(r#"{"name":"do","args":{}}"#), found(Some("{}")));
        assert_eq!(command(r#"{"name":"do","args":{"a":"{[,"}}"#), found(Some(r#"{"a":"{[,"}"#)));
        assert_eq!(command(r#"{"name":"do","args":{"a":"}"}}"#), found(Some(r#"{"a":"}"}"#)));
        assert_eq!(command(r#"{"name":"do","args":{"a":1},"x":{}}"#), found(Some(r#"{"a":1}"#)));
        assert_eq!(command(r#"{"name":"do","args":{"a":{}}}"#), found(Some(r#"{"a":{}}"#)));
        assert_eq!(command(r#"{"args":{"name":"no"},"name":"do"}"#), found(Some(r#"{"name":"no"}"#)));
        assert_eq!(command(r#"{"name":"do"}"#), found(None));
        assert_eq!(command(r#"{"name":"do","args":null}"#), found(None));
    }

    #[test]
    fn what_is_not_plain_is_left_to_serde() {
        for text in [
            "{}",
            "[\"do\"]",
            "\"do\"",
            "null",
            r#"{"args":1}"#,
            r#"{"args":{"name":"do"}}"#,
            r#"{"name":"do","args":1,"args":{}}"#,
            r#"{"name":7}"#,
            r#"{"name":null}"#,
            r#"{"name":"d\u006f"}"#,
            r#"{"n\u0061me":"do"}"#,
            r#"{"name":"do","name":"do"}"#,
            r#"{"name":"do","args":null,"args":1}"#,
        ] {
            assert_eq!(command(text), None, "{text}");
        }
    }

    #[derive(serde::Deserialize)]
    struct Slowly {
        name: String,
        args: Option<Json>,
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_serde_finds(
            members in prop::collection::vec((
                prop::sample::select(vec!["name", "args", "n\\u0061me", "x"]),
                prop::sample::select(vec![
                    "\"do\"", "\"d\\u006f\"", "\"}\"", "null", "1", "{}", "[]", r#"{"a":1}"#, r#"{"a":"}"}"#,
                    r#"{"a":{"b":[{}]}}"#, r#"[{"a":1},{"name":"no"}]"#, "{ }",
                ]),
            ), 0..4),
            space in prop::sample::select(vec!["", " "]),
        ) {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}")).collect();
            let payload = Json::parse(&format!("{{{}}}", members.join(","))).unwrap();
            if let Some(Named { name, value }) = Named::command(&payload) {
                let slowly: Slowly = payload.read().unwrap();
                prop_assert_eq!(name, slowly.name);
                prop_assert_eq!(value, slowly.args.as_ref().map(Json::as_str));
            }
        }
    }
}
