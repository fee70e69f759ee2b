//! A piece of JSON as the wire carries it: checked, and otherwise left alone.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// A piece of JSON that is kept as the text it arrived as: checked, not parsed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub(crate) Box<RawValue>);

impl Json {
    /// The text `null`.
    pub fn null() -> Json {
        Json(RawValue::NULL.to_owned())
    }

    /// The JSON of `value`.
    ///
    /// # Panics
    /// When `value` has a map whose keys are no strings, which is a fault of the program.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Json {
        Json(serde_json::value::to_raw_value(value).expect("the value can be written as JSON"))
    }

    /// Checks that `text` is one JSON value.
    ///
    /// # Errors
    /// When it is not, with line and column.
    pub fn parse(text: &str) -> Result<Json, serde_json::Error> {
        serde_json::from_str(text.trim_matches([' ', '\t', '\r', '\n'])).map(Json)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads the text as a value of type `T`.
    ///
    /// # Errors
    /// When it has another form.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

impl Default for Json {
    fn default() -> Json {
        Json::null()
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
