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
    Other(Arc<str>),
}

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
        Json::of_checked(&serde_json::to_string(value).expect("the value can be written as JSON"))
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
        if text == "null" { Json::null() } else { Json(Text::Other(text.into())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Null => "null",
            Text::Other(text) => text,
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
