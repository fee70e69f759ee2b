//! A JSON value as a piece of its text, whose members and elements are found without building a tree. The text is
//! known to be valid, so nothing of it is checked again; on any other text members end early, and nothing panics.

use crate::unescape::unescape;
use std::borrow::Cow;

/// One JSON value as the text it was written as.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a>(&'a str);

/// What a JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A list.
    List,
    /// An object.
    Object,
}

impl Kind {
    /// The kind with its article, for a message.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "true or false",
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::List => "a list",
            Kind::Object => "an object",
        }
    }
}

impl<'a> Raw<'a> {
    /// The value that `text` is.
    pub fn new(text: &'a str) -> Raw<'a> {
        Raw(text.trim_matches([' ', '\t', '\r', '\n']))
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// What the value is.
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b'"') => Kind::Text,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Null,
        }
    }

    /// The text that a JSON text stands for; `None` for another kind, and for a lone surrogate.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        match inner.contains('\\') {
            false => Some(Cow::Borrowed(inner)),
            true => unescape(inner).map(Cow::Owned),
        }
    }

    /// The members of an object, none for another kind.
    pub fn members(self) -> Members<'a> {
        Members { rest: if self.kind() == Kind::Object { &self.0[1..] } else { "" } }
    }

    /// The elements of a list, none for another kind.
    pub fn elements(self) -> Elements<'a> {
        Elements { rest: if self.kind() == Kind::List { &self.0[1..] } else { "" } }
    }

    /// A few characters of the text, for a message.
    pub fn quote(self) -> String {
        const CHARACTERS: usize = 60;
        match self.0.char_indices().nth(CHARACTERS) {
            None => self.0.to_owned(),
            Some((end, _)) => format!("{}…", &self.0[..end]),
        }
    }
}

/// The members of an object: the name as it is written, with its quotation marks, and the value.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Raw<'a>, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = take(&mut self.rest)?;
        let value = take(&mut self.rest)?;
        Some((Raw(name), Raw(value)))
    }
}

/// The elements of a list.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        take(&mut self.rest).map(Raw)
    }
}

/// Takes the next value from the inside of a list or an object, and leaves what follows it.
fn take<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start_matches([' ', '\t', '\r', '\n', ',', ':']);
    if text.is_empty() || text.starts_with([']', '}']) {
        return None;
    }
    let end = value_end(text.as_bytes());
    *rest = text.get(end..)?;
    text.get(..end)
}

/// Where the value that `bytes` begins with ends.
fn value_end(bytes: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = text_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                // An end that this value did not begin belongs to its list or its object.
                let Some(outer) = depth.checked_sub(1) else { return at };
                depth = outer;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The position after the text that begins at `at` of a valid text; after the last byte, or one further, where it
/// does not end.
#[inline]
pub fn text_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_the_texts_they_were_written_as() {
        let raw = Raw::new(r#" { "a" : [1.0, {"b":"]}"} ,-2e9] , "b\"c":null,"d":{}} "#);
        let members: Vec<_> = raw.members().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(members, [(r#""a""#, r#"[1.0, {"b":"]}"} ,-2e9]"#), (r#""b\"c""#, "null"), (r#""d""#, "{}")]);
        let elements: Vec<_> = Raw::new(members[0].1).elements().map(Raw::as_str).collect();
        assert_eq!(elements, ["1.0", r#"{"b":"]}"}"#, "-2e9"]);
        assert_eq!(Raw::new("[ ]").elements().count(), 0);
        assert_eq!(Raw::new("{\n}").members().count(), 0);
        assert_eq!(Raw::new("7").elements().count(), 0);
    }

    #[test]
    fn texts_are_decoded_and_lone_surrogates_are_none() {
        assert_eq!(Raw::new(r#""a\u0000\n\ud83d\ude00""#).text().unwrap(), "a\0\n😀");
        assert_eq!(Raw::new(r#""\ud83d""#).text(), None);
        assert_eq!(Raw::new("1").text(), None);
    }

    #[test]
    fn members_and_elements_of_a_text_that_is_no_json_end() {
        for broken in ["{\"a", "{\"a\":", "[1,", "[\"\\", "{]", "[}", "{\"a\":[}", "", "["] {
            assert!(Raw::new(broken).members().take(10).count() < 10);
            assert!(Raw::new(broken).elements().take(10).count() < 10);
        }
    }
}
