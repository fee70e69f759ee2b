//! A piece of JSON as the wire carries it: checked, and otherwise left alone.

use crate::walk::Walk;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;
use std::{fmt, sync::Arc};

/// A piece of JSON that is kept as the text it arrived as: checked, not parsed. Clones share the text.
#[derive(Clone, Default)]
pub struct Json(Text);

#[derive(Clone, Default)]
enum Text {
    #[default]
    Null,
    Whole(Arc<str>),
    /// A piece of a longer text that is kept for it.
    Part {
        whole: Arc<String>,
        start: usize,
        end: usize,
    },
}

/// From this length on, a text that has a buffer of its own already stays in it.
const BUFFER_BYTES_MIN: usize = 4096;

impl Json {
    /// The text `null`.
    pub fn null() -> Json {
        Json(Text::Null)
    }

    /// The JSON of `value`.
    ///
    /// # Panics
    /// When `value` has a map whose keys are no strings, which is a fault of the program.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Json {
        let text = serde_json::to_string(value).expect("the value can be written as JSON");
        if text.len() < BUFFER_BYTES_MIN {
            return Json::of_checked(&text);
        }
        Json(Text::Part { start: 0, end: text.len(), whole: Arc::new(text) })
    }

    /// Checks that `text` is one JSON value.
    ///
    /// # Errors
    /// When it is not, with line and column.
    pub fn parse(text: &str) -> Result<Json, serde_json::Error> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if !Walk::is_one_value(text) {
            // It has the sentence.
            serde_json::from_str::<&RawValue>(text)?;
        }
        Ok(Json::of_checked(text))
    }

    /// A text that is known to be one JSON value, with nothing around it.
    pub fn of_checked(text: &str) -> Json {
        if text == "null" { Json::null() } else { Json(Text::Whole(text.into())) }
    }

    /// As [`Json::of_checked`], of a `text` that is a part of `whole`: without a copy, unless it is so
    /// small a part that keeping the rest would waste memory.
    pub(crate) fn part_of(whole: &Arc<String>, text: &str) -> Json {
        let start = text.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        let end = start.wrapping_add(text.len());
        let is_there = whole.get(start..end).is_some_and(|part| std::ptr::eq(part, text));
        if !is_there || whole.capacity() - text.len() > text.len() / 4 {
            return Json::of_checked(text);
        }
        Json(Text::Part { whole: Arc::clone(whole), start, end })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Null => "null",
            Text::Whole(text) => text,
            Text::Part { whole, start, end } => &whole[*start..*end],
        }
    }

    /// Reads the text as a value of type `T`.
    ///
    /// # Errors
    /// When it has another form.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
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
        let mut text = format!("  [\"{}\"]", "x".repeat(1000));
        text.shrink_to_fit();
        let whole = Arc::new(text);
        let large = Json::part_of(&whole, &whole[2..]);
        assert_eq!((large.as_str(), Arc::strong_count(&whole)), (&whole[2..], 2));
        let small = Json::part_of(&whole, &whole[3..503]);
        assert_eq!((small.as_str(), Arc::strong_count(&whole)), (&whole[3..503], 2));
        let elsewhere = whole.to_string();
        assert_eq!(Json::part_of(&whole, &elsewhere).as_str(), elsewhere);
        assert_eq!(Arc::strong_count(&whole), 2);
    }

    #[test]
    fn what_is_made_of_a_value_is_its_text_at_every_length() {
        for length in [0, 1, BUFFER_BYTES_MIN - 3, BUFFER_BYTES_MIN - 2, BUFFER_BYTES_MIN, 3 * BUFFER_BYTES_MIN] {
            let value = "x".repeat(length);
            let json = Json::of(&value);
            assert_eq!(json.as_str(), format!("\"{value}\""));
            assert_eq!(json.clone(), Json::parse(json.as_str()).unwrap());
            assert_eq!(Json::of(&json), json);
        }
        assert_eq!(Json::of(&()), Json::null());
    }
}
