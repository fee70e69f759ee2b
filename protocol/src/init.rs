//! What the first message to a module says, and what its answer says. The core decides when they are
//! sent.

use crate::{
    Json,
    details::{Budget, Details},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;
use std::{fmt, marker::PhantomData};

/// The payload of `init`, the first message to a module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Init {
    /// Version of the wire that the host speaks.
    pub protocol: u32,
    /// Name of the module in this host.
    pub module: String,
    /// Name of this process among all that ever ran for the module, like `research-log#3`.
    pub instance: String,
    /// The manifest's `[config]`, unchanged.
    pub config: Json,
    /// What the host will accept and send.
    pub limits: Limits,
    /// What the manifest grants.
    pub capabilities: Capabilities,
    /// A folder of the module's own that outlives its processes.
    pub data_dir: String,
    /// What follows a panic in a handler; on the wire only where it is not the default.
    #[serde(default, skip_serializing_if = "OnPanic::is_restart")]
    pub on_panic: OnPanic,
}

/// What follows a panic in a handler, after its request was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnPanic {
    /// The process ends, and the host starts a fresh one.
    #[default]
    Restart,
    /// The module goes on as it is, which is for modules that keep no state that a panic could leave
    /// half done.
    Continue,
}

impl OnPanic {
    fn is_restart(&self) -> bool {
        *self == OnPanic::Restart
    }
}

/// The limits that a module gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest frame in bytes, in both directions, its length prefix not counted.
    pub frame_bytes_max: usize,
    /// How many requests the host sends ahead of the answers.
    pub window: usize,
    /// How many requests of its own the module may have unanswered.
    pub requests_max: usize,
}

/// What a module may do beyond answering. Only what is written is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Patterns of events that the module receives.
    pub event_subscribe: Vec<String>,
    /// Patterns of events that the module may send.
    pub event_emit: Vec<String>,
    /// Names of modules that the module may call, or `supervisor`.
    pub call: Vec<String>,
    /// Patterns of types of entities that the module may query; this and what follows is on the wire
    /// only where something is granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entity_read: Vec<String>,
    /// Patterns of types of entities that the module may create.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entity_create: Vec<String>,
    /// Patterns of types of entities that the module may update.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entity_write: Vec<String>,
    /// Patterns of types of entities that the module may delete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entity_delete: Vec<String>,
}

/// The `data` of the success answer to `init`: the module is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// The module's own name for itself.
    pub name: String,
    /// The module's own version.
    pub version: String,
    /// What the module is for, in a line or a few, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Version of the wire that the module speaks; another than the host's is refused for good.
    pub protocol: u32,
    /// Commands that the module knows.
    #[serde(default)]
    pub commands: Vec<Command>,
    /// Optional behaviour that the host may rely on: see [`FEATURE_CONCURRENT`] and [`FEATURE_KEYS`].
    #[serde(default)]
    pub features: Vec<String>,
}

/// The `data` of a progress of `init`: a part of a start that has a time of its own. Anything else
/// that such a progress says is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartProgress {
    /// What begins now.
    pub phase: StartPhase,
}

/// What a start does before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartPhase {
    /// The module is compiled, which does not count against the time for a start.
    Compiling,
    /// That is done, and the start goes on.
    Compiled,
}

/// Feature: the module handles several requests at once and may answer them in any order. Without
/// it, the host takes the order of the answers as proof of how far the module got.
pub const FEATURE_CONCURRENT: &str = "concurrent";

/// Feature: the module recognises a request's `key` and does the work of one key once. The host
/// then sends a keyed request again after a crash.
pub const FEATURE_KEYS: &str = "keys";

/// One command that a module knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The name that a request gives.
    pub name: String,
    /// Whether doing it twice has the same effect as once, so that the host may send it again
    /// after a crash.
    pub idempotent: bool,
    /// Whether it changes nothing. The host does nothing with it but to pass it on.
    pub read_only: bool,
    /// One line for people.
    pub description: String,
    /// What else it says of itself.
    pub details: Option<Box<Details>>,
}

impl Ready {
    /// Reads what a module answered, with what its commands say of themselves as far as it is kept: what is too
    /// long or of another type is dropped before anything is allocated for it, and noted in [`Details::dropped`].
    ///
    /// # Errors
    /// When the answer has another form.
    pub fn read_bounded(data: &Json) -> Result<Ready, serde_json::Error> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            name: String,
            version: String,
            #[serde(default)]
            description: String,
            protocol: u32,
            #[serde(borrow, default)]
            commands: Vec<Entry<&'a RawValue>>,
            #[serde(default)]
            features: Vec<String>,
        }
        let Fields { name, version, description, protocol, commands, features } = data.read()?;
        let mut budget = Budget::default();
        let commands = commands.into_iter().map(|entry| entry.into_command(|texts| budget.keep(texts))).collect();
        Ok(Ready { name, version, description, protocol, commands, features })
    }
}

/// A command as it is written: its name alone, or an object. What it says of itself is read as an `R`.
struct Entry<R> {
    name: String,
    idempotent: bool,
    read_only: bool,
    description: String,
    details: [Option<R>; 3],
}

impl<R> Entry<R> {
    fn into_command(self, keep: impl FnOnce([Option<R>; 3]) -> Details) -> Command {
        let Entry { name, idempotent, read_only, description, details } = self;
        let has_any = details.iter().any(Option::is_some);
        let details = has_any.then(|| keep(details)).filter(|details| !details.is_empty()).map(Box::new);
        Command { name, idempotent, read_only, description, details }
    }
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Entry<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry<R>, D::Error> {
        deserializer.deserialize_any(EntryVisitor(PhantomData))
    }
}

struct EntryVisitor<R>(PhantomData<R>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Name,
    Idempotent,
    ReadOnly,
    Description,
    Args,
    Returns,
    Examples,
    #[serde(other)]
    Unknown,
}

impl<'de, R: Deserialize<'de>> Visitor<'de> for EntryVisitor<R> {
    type Value = Entry<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command, which is a name or an object with a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Entry<R>, E> {
        Ok(Entry {
            name: name.to_owned(),
            idempotent: false,
            read_only: false,
            description: String::new(),
            details: [None, None, None],
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<R>, A::Error> {
        fn put<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
            slot: &mut Option<T>,
            member: &'static str,
            map: &mut A,
        ) -> Result<(), A::Error> {
            match slot.replace(map.next_value()?) {
                Some(_) => Err(de::Error::duplicate_field(member)),
                None => Ok(()),
            }
        }
        let (mut name, mut idempotent, mut read_only, mut description) = (None, None, None, None);
        let (mut args, mut returns, mut examples): (Option<Option<R>>, _, _) = (None, None, None);
        while let Some(member) = map.next_key()? {
            match member {
                Member::Name => put(&mut name, "name", &mut map)?,
                Member::Idempotent => put(&mut idempotent, "idempotent", &mut map)?,
                Member::ReadOnly => put(&mut read_only, "read_only", &mut map)?,
                Member::Description => put(&mut description, "description", &mut map)?,
                Member::Args => put(&mut args, "args", &mut map)?,
                Member::Returns => put(&mut returns, "returns", &mut map)?,
                Member::Examples => put(&mut examples, "examples", &mut map)?,
                Member::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Entry {
            name: name.ok_or_else(|| de::Error::missing_field("name"))?,
            idempotent: idempotent.unwrap_or_default(),
            read_only: read_only.unwrap_or_default(),
            description: description.unwrap_or_default(),
            // A null is none.
            details: [args, returns, examples].map(Option::flatten),
        })
    }
}

impl<'de> Deserialize<'de> for Command {
    /// What the command says of itself is taken as it is, however long.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Command, D::Error> {
        Ok(Entry::<Json>::deserialize(deserializer)?.into_command(Details::of))
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("idempotent", &self.idempotent)?;
        if self.read_only {
            map.serialize_entry("read_only", &true)?;
        }
        if !self.description.is_empty() {
            map.serialize_entry("description", &self.description)?;
        }
        for (detail, json) in self.details.iter().flat_map(|details| details.kept()) {
            map.serialize_entry(detail.name(), json)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_restarts_unless_init_says_otherwise() {
        let text = r#"{"protocol":1,"module":"x","instance":"x#1","config":{},"limits":{"frame_bytes_max":65536,
            "window":1,"requests_max":1},"capabilities":{},"data_dir":""ON_PANIC}"#;
        let read = |on_panic: &str| serde_json::from_str::<Init>(&text.replace("ON_PANIC", on_panic));
        for (written, expected) in [
            ("", OnPanic::Restart),
            (r#","on_panic":"restart""#, OnPanic::Restart),
            (r#","on_panic":"continue""#, OnPanic::Continue),
        ] {
            let init = read(written).unwrap();
            assert_eq!(init.on_panic, expected);
            let again = serde_json::to_string(&init).unwrap();
            assert_eq!(again.contains(r#""on_panic":"continue""#), expected == OnPanic::Continue);
        }
        assert!(read(r#","on_panic":"ignore""#).is_err());
    }

    #[test]
    fn a_command_may_be_a_bare_name() {
        let ready: Ready = serde_json::from_str(
            r#"{"name":"x","version":"1","protocol":1,"commands":["ping",{"name":"read","idempotent":true}]}"#,
        )
        .unwrap();
        assert_eq!(ready.commands[0].name, "ping");
        assert!(!ready.commands[0].idempotent);
        assert!(ready.commands[1].idempotent);
        assert!(!ready.commands[1].read_only);
        let text = r#"{"name":"see","idempotent":false,"read_only":true}"#;
        let command: Command = serde_json::from_str(text).unwrap();
        assert!(command.read_only);
        assert_eq!(serde_json::to_string(&command).unwrap(), text);
        assert!(ready.features.is_empty());
    }
}
