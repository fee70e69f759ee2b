//! Reading a command's arguments: a misspelt name is refused with the nearest known one, and never
//! silently ignored.

use crate::Error;
use crate::names::{cut, unknown_name};
use bulkhead_protocol::{Init, Json};
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, IgnoredAny, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Reads `args` as the struct `T`, whose fields are the arguments.
///
/// # Errors
/// `bad_request` when `args` is no object, has a name that `T` has no field for (the nearest is
/// named), misses one, or has a value of another type.
pub fn arguments<T: DeserializeOwned>(args: &Json) -> Result<T, Error> {
    read("argument", args)
}

/// Reads the manifest's `[config]` as the struct `T`, whose fields are the keys.
///
/// # Errors
/// As [`arguments`], and permanent: the manifest stays as it is until its author corrects it.
pub fn configuration<T: DeserializeOwned>(init: &Init) -> Result<T, Error> {
    read("key", &init.config).map_err(|error| Error::bad_request(format!("[config]: {error}")).permanent())
}

fn read<T: DeserializeOwned>(what: &str, args: &Json) -> Result<T, Error> {
    let names = field_names::<T>();
    if !names.is_empty() {
        let given: BTreeMap<String, IgnoredAny> = args.read().map_err(|_| {
            Error::bad_request(format!("expected an object of arguments, found {}", cut(args.as_str())))
        })?;
        if let Some(unknown) = given.keys().find(|name| !names.contains(&name.as_str())) {
            return Err(unknown_name(what, unknown, names, "expected none"));
        }
    }
    args.read().map_err(|error| Error::bad_request(sentence::<T>(what, args, names, &error)))
}

/// Reads what an entity holds as a `T`. Members that `T` has no field for are no fault: an entity may
/// be written by a later version of its module.
pub(crate) fn stored<T: DeserializeOwned>(data: &Json) -> Result<T, String> {
    data.read().map_err(|error| sentence::<T>("member", data, field_names::<T>(), &error))
}

/// What is wrong with `given`, and with which member of it.
fn sentence<T: DeserializeOwned>(
    what: &str,
    given: &Json,
    names: &[&'static str],
    error: &serde_json::Error,
) -> String {
    // Line and column count in text that the caller may never have seen in that form.
    let sentence = error.to_string();
    let sentence = sentence.split(" at line ").next().unwrap_or(&sentence).replace("field", what);
    let sentence: String = sentence.chars().take(500).collect();
    match culprit::<T>(given, names) {
        Some(name) if !sentence.contains(&format!("`{name}`")) => format!("{what} `{name}`: {sentence}"),
        _ => sentence,
    }
}

/// The argument that is wrong: the one whose removal alone changes the error. The second reading costs little, as only
/// requests that fail need it.
fn culprit<T: DeserializeOwned>(args: &Json, names: &[&'static str]) -> Option<&'static str> {
    let given: BTreeMap<String, Json> = args.read().ok()?;
    let complaint =
        |members: &BTreeMap<&str, &Json>| Json::of(members).read::<T>().err().map(|error| error.to_string());
    let whole: BTreeMap<&str, &Json> = given.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let found = complaint(&whole);
    let strip = |text: Option<String>| text.map(|text| text.split(" at line ").next().unwrap_or_default().to_owned());
    let found = strip(found);
    let is_missing = |name: &str| !given.contains_key(name) && found == Some(format!("missing field `{name}`"));
    if names.iter().any(|name| is_missing(name)) {
        // None of the given arguments is at fault.
        return None;
    }
    names.iter().copied().find(|name| {
        let mut without = whole.clone();
        without.remove(name).is_some() && strip(complaint(&without)) != found
    })
}

/// The names of the fields of a struct that derives `Deserialize`; none for any other type.
pub(crate) fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    match T::deserialize(Names) {
        Err(Asked(names)) => names,
        Ok(_) => &[],
    }
}

/// A deserializer without data, which only records the names that are requested.
struct Names;

#[derive(Debug)]
struct Asked(&'static [&'static str]);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the fields are {:?}", self.0)
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<T: fmt::Display>(_: T) -> Asked {
        Asked(&[])
    }
}

impl<'de> Deserializer<'de> for Names {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked(fields))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The payload of a command as it is on the wire.
#[derive(Deserialize)]
pub(crate) struct CommandPayload<'a> {
    #[serde(borrow)]
    pub(crate) name: std::borrow::Cow<'a, str>,
    #[serde(default)]
    pub(crate) args: Option<Json>,
}

/// The payload of an event as it is on the wire.
#[derive(Deserialize)]
pub(crate) struct EventPayload<'a> {
    #[serde(borrow)]
    pub(crate) event: std::borrow::Cow<'a, str>,
    #[serde(default)]
    pub(crate) data: Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug)]
    #[allow(dead_code, reason = "the test is about reading, not about what was read")]
    struct Example {
        title: String,
        #[serde(default)]
        tags: Vec<String>,
        limit: Option<u32>,
    }

    fn complaint(args: &str) -> String {
        arguments::<Example>(&Json::parse(args).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_argument_is_refused_with_the_nearest_known_one() {
        assert_eq!(complaint(r#"{"titel":"x"}"#), "unknown argument `titel`; did you mean `title`?");
        assert_eq!(
            complaint(r#"{"title":"x","colour":1}"#),
            "unknown argument `colour`; known are `title`, `tags`, `limit`"
        );
    }

    #[test]
    fn a_wrong_value_is_named() {
        assert_eq!(complaint("{}"), "missing argument `title`");
        assert_eq!(complaint(r#"{"tags":[]}"#), "missing argument `title`");
        assert_eq!(complaint("[]"), "expected an object of arguments, found []");
        assert_eq!(
            complaint(r#"{"title":"x","limit":-1}"#),
            "argument `limit`: invalid value: integer `-1`, expected u32"
        );
        assert_eq!(
            complaint(r#"{"title":"x","tags":"a"}"#),
            "argument `tags`: invalid type: string \"a\", expected a sequence"
        );
    }

    #[test]
    fn of_two_missing_arguments_the_one_that_was_given_is_not_blamed() {
        #[derive(Deserialize, Debug)]
        #[allow(dead_code, reason = "the test is about reading, not about what was read")]
        struct Both {
            item: String,
            count: u64,
        }
        let args = Json::parse(r#"{"item":"screw"}"#).unwrap();
        assert_eq!(arguments::<Both>(&args).unwrap_err().to_string(), "missing argument `count`");
    }

    #[test]
    fn arguments_of_any_other_type_are_read_as_they_are() {
        assert_eq!(arguments::<Vec<u8>>(&Json::parse("[1,2]").unwrap()).unwrap(), [1, 2]);
    }
}
