//! A piece of JSON as the wire carries it: checked, and otherwise left alone.

use crate::HeldBytes;
use bulkhead_json::{Cursor, Raw, is_one_value};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;
use std::{
    fmt,
    sync::{Arc, LazyLock},
};

/// A piece of JSON that is kept as the text it arrived as: checked, not parsed. Clones share the text.
#[derive(Clone)]
pub struct Json {
    /// The text, or a longer one with the text in it.
    whole: Arc<String>,
    start: u32,
    end: u32,
}

// It is in every message, and in every error.
const _: () = assert!(size_of::<Option<Json>>() == size_of::<usize>() + 2 * size_of::<u32>());

impl Json {
    /// The text `null`.
    pub fn null() -> Json {
        static NULL: LazyLock<Json> = LazyLock::new(|| Json::of_checked_buffer("null".to_owned()));
        NULL.clone()
    }

    /// The JSON of `value`.
    ///
    /// # Panics
    /// When `value` has a map whose keys are no strings or takes 4 GiB, which is a fault of the program.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Json {
        Json::of_checked_buffer(serde_json::to_string(value).expect("the value can be written as JSON"))
    }

    /// As [`Json::of_checked`], of a text that the caller gives away: it is not copied.
    ///
    /// # Panics
    /// When it takes 4 GiB.
    pub fn of_checked_buffer(text: String) -> Json {
        debug_assert!(Cursor::new(&text).value() == Some(text.as_str()), "expected JSON, found {text:.64}");
        let end = u32::try_from(text.len()).expect("no frame takes 4 GiB");
        Json { whole: Arc::new(text), start: 0, end }
    }

    /// An object with these members, whose names need no escapes; their texts are copied as they are.
    pub fn object(members: &[(&str, &Json)]) -> Json {
        let bytes: usize = members.iter().map(|(name, value)| name.len() + value.as_str().len() + 4).sum();
        let mut text = String::with_capacity(bytes + 1);
        for (name, value) in members {
            debug_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name:?} has none");
            text.push_str(if text.is_empty() { "{\"" } else { ",\"" });
            text.push_str(name);
            text.push_str("\":");
            text.push_str(value.as_str());
        }
        text.push_str(if text.is_empty() { "{}" } else { "}" });
        Json::of_checked_buffer(text)
    }

    /// Checks that `text` is one JSON value.
    ///
    /// # Errors
    /// When it is not, with line and column.
    pub fn parse(text: &str) -> Result<Json, serde_json::Error> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if !is_one_value(text) {
            // Its error has the message.
            serde_json::from_str::<&RawValue>(text)?;
        }
        Ok(Json::of_checked(text))
    }

    /// Whether [`Json::parse`] would take `text`, for a caller that needs it only as a text.
    pub fn is_one_value(text: &str) -> bool {
        is_one_value(text)
    }

    /// A text that the caller knows to be one JSON value, with nothing around it: it is not checked again.
    pub fn of_checked(text: &str) -> Json {
        debug_assert!(Cursor::new(text).value() == Some(text), "expected JSON, found {text:.64}");
        if text == "null" { Json::null() } else { Json::of_checked_buffer(text.to_owned()) }
    }

    /// As [`Json::of_checked`], of a `text` that is a part of `whole`: without a copy, unless it is so
    /// small a part that keeping the rest would waste memory.
    pub(crate) fn part_of(whole: &Arc<String>, text: &str) -> Json {
        let start = text.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        let end = start.wrapping_add(text.len());
        let is_there = whole.get(start..end).is_some_and(|part| std::ptr::eq(part, text));
        let is_most = whole.capacity() - text.len().min(whole.capacity()) <= text.len() / 4;
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) if is_there && is_most => Json { whole: Arc::clone(whole), start, end },
            _ => Json::of_checked(text),
        }
    }

    /// The value whose text is `text`, a part of this one's, with nothing around it: it is not checked
    /// again, and not copied where it is most of this text.
    pub fn part(&self, text: &str) -> Json {
        Json::part_of(&self.whole, text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.whole[self.start as usize..self.end as usize]
    }

    /// What the text takes in memory, with the text that it is a part of. The text `null` is the program's own.
    pub(crate) fn held(&self) -> usize {
        if self.as_str() == "null" { 0 } else { self.whole.held_bytes() }
    }

    /// Reads the text as a value of type `T`.
    ///
    /// # Errors
    /// When it has another form.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }
}

impl Default for Json {
    fn default() -> Json {
        Json::null()
    }
}

impl Serialize for Json {
    /// The text passes as it is where the format is `serde_json`'s; it is checked once more for that.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(self.as_str()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        Ok(Json::of_checked(Box::<RawValue>::deserialize(deserializer)?.get()))
    }
}

impl<'a> From<&'a Json> for Raw<'a> {
    fn from(json: &'a Json) -> Raw<'a> {
        Raw::new(json.as_str())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Json {
        Json::of(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_part_is_shared_and_a_small_one_is_copied() {
        let mut text = format!("  [\"{0}\",\"{0}\"]", "x".repeat(498));
        text.shrink_to_fit();
        let whole = Arc::new(text);
        let large = Json::part_of(&whole, &whole[2..]);
        assert_eq!((large.as_str(), Arc::strong_count(&whole)), (&whole[2..], 2));
        let small = Json::part_of(&whole, &whole[3..503]);
        assert_eq!((small.as_str(), Arc::strong_count(&whole)), (&whole[3..503], 2));
        let elsewhere = whole[2..].to_owned();
        assert_eq!(Json::part_of(&whole, &elsewhere).as_str(), elsewhere);
        assert_eq!(Arc::strong_count(&whole), 2);
    }

    #[test]
    fn an_object_has_its_members_in_the_order_they_are_given() {
        assert_eq!(Json::object(&[]).as_str(), "{}");
        let (text, number) = (Json::of("a \"b\""), Json::parse("1.0").unwrap());
        assert_eq!(Json::object(&[("name", &text), ("args", &number)]).as_str(), r#"{"name":"a \"b\"","args":1.0}"#);
    }

    #[test]
    fn what_is_made_of_a_value_is_its_text_at_every_length() {
        for length in [0, 1, 100, 10_000] {
            let value = "x".repeat(length);
            let json = Json::of(&value);
            assert_eq!(json.as_str(), format!("\"{value}\""));
            assert_eq!(json.clone(), Json::parse(json.as_str()).unwrap());
            assert_eq!(Json::of(&json), json);
        }
        assert_eq!(Json::of(&()), Json::null());
    }
}
