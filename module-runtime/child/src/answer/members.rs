//! The members of one JSON object, in the order in which they came and as the texts that they are.
//! What a member means is not known here.

use bulkhead_protocol::Json;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The members, borrowed from the text of the object.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

/// A name, which is only copied where it has escapes.
#[derive(Debug, serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Members<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Members<'a>, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The last member of this name, as most readers of JSON have it.
    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(found, _)| found.0 == name).map(|(_, value)| *value)
    }

    pub(super) fn json(&self, name: &str) -> Option<Json> {
        self.raw(name).map(Json::of)
    }

    /// The member, where it has this form.
    pub(super) fn read<T: serde::Deserialize<'a>>(&self, name: &str) -> Option<T> {
        self.raw(name).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// The member, where it is a text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        // A large member is not looked through to find that it is no text.
        self.raw(name).filter(|value| value.get().starts_with('"'))?;
        self.read(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// An object of the members that have other names.
    pub(super) fn without(&self, names: &[&str]) -> Json {
        struct Rest<'a>(&'a Members<'a>, &'a [&'a str]);
        impl serde::Serialize for Rest<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Rest(Members(members), names) = self;
                let rest = members.iter().filter(|(name, _)| !names.contains(&name.0.as_ref()));
                serializer.collect_map(rest.map(|(name, value)| (name.0.as_ref(), value)))
            }
        }
        Json::of(&Rest(self, names))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        struct Listen;
        impl<'de> Visitor<'de> for Listen {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Listen)
    }
}
