//! What a command says of itself for those who call it: the schemas of its arguments and of its answer, and
//! examples. Each is kept as the text that it is, within bounds. What a schema means is deliberately not known here,
//! and no argument is ever checked by one.

use crate::{
    HeldBytes, Json, allocation,
    limits::{DETAIL_BYTES_MAX, DETAILS_BYTES_MAX},
};
use serde_json::value::RawValue;
use std::fmt;

/// What a command says of itself, beside its name and its description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The JSON Schema (2020-12) of its arguments.
    pub args: Option<Json>,
    /// The JSON Schema (2020-12) of the data of its answer.
    pub returns: Option<Json>,
    /// A list of examples.
    pub examples: Option<Json>,
    /// What it has said besides and is not kept. Never on the wire of a module.
    pub dropped: Vec<Dropped>,
}

/// One of the members by which a command describes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The schema of the arguments.
    Args,
    /// The schema of the answer's data.
    Returns,
    /// Examples.
    Examples,
}

/// A member that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Which.
    pub detail: Detail,
    /// Why.
    pub fault: DetailFault,
}

/// Why a member is not kept. It says in words what was expected and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailFault {
    /// It has a type that it may not have.
    Type {
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// It has so many bytes, more than one member may have.
    TooLong(usize),
    /// With it, the members of all commands of the module would have so many bytes, more than they may have.
    NoRoom(usize),
}

impl Detail {
    const ALL: [Detail; 3] = [Detail::Args, Detail::Returns, Detail::Examples];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Detail::Args => "args",
            Detail::Returns => "returns",
            Detail::Examples => "examples",
        }
    }

    /// What is wrong with the type of a text that is one JSON value.
    fn check_type(self, text: &str) -> Result<(), DetailFault> {
        let found = json_type(text);
        let (is_right, expected) = match self {
            Detail::Args | Detail::Returns => (matches!(found, "an object" | "a boolean"), "an object or a boolean"),
            Detail::Examples => (found == "a list", "a list"),
        };
        if is_right { Ok(()) } else { Err(DetailFault::Type { expected, found }) }
    }
}

/// The type of a text that is one JSON value.
fn json_type(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) | None => "a number",
    }
}

impl fmt::Display for DetailFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DetailFault::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            DetailFault::TooLong(found) => write!(f, "expected at most {DETAIL_BYTES_MAX} bytes, found {found}"),
            DetailFault::NoRoom(found) => write!(
                f,
                "expected at most {DETAILS_BYTES_MAX} bytes for all commands of the module together, found {found}"
            ),
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.detail.name(), self.fault)
    }
}

impl Details {
    /// All of it, as it was said.
    pub(crate) fn of([args, returns, examples]: [Option<Json>; 3]) -> Details {
        Details { args, returns, examples, dropped: Vec::new() }
    }

    /// The members that are there, in the order in which they are listed.
    pub fn kept(&self) -> impl Iterator<Item = (Detail, &Json)> {
        let members = [&self.args, &self.returns, &self.examples];
        Detail::ALL.into_iter().zip(members).filter_map(|(detail, json)| Some((detail, json.as_ref()?)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept().next().is_none() && self.dropped.is_empty()
    }
}

/// What the commands of one module may still say of themselves, in bytes of their texts.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    taken: usize,
}

impl Budget {
    /// Keeps what there is room for. A later member that is shorter may still have room.
    pub(crate) fn keep(&mut self, texts: [Option<&RawValue>; 3]) -> Details {
        let mut details = Details::default();
        for (detail, text) in Detail::ALL.into_iter().zip(texts) {
            let Some(text) = text.map(RawValue::get) else { continue };
            match self.take(detail, text) {
                Ok(()) => {
                    let slot = match detail {
                        Detail::Args => &mut details.args,
                        Detail::Returns => &mut details.returns,
                        Detail::Examples => &mut details.examples,
                    };
                    *slot = Some(Json::of_checked(text));
                }
                Err(fault) => details.dropped.push(Dropped { detail, fault }),
            }
        }
        details.dropped.shrink_to_fit();
        details
    }

    fn take(&mut self, detail: Detail, text: &str) -> Result<(), DetailFault> {
        detail.check_type(text)?;
        if text.len() > DETAIL_BYTES_MAX {
            return Err(DetailFault::TooLong(text.len()));
        }
        let all = self.taken + text.len();
        if all > DETAILS_BYTES_MAX {
            return Err(DetailFault::NoRoom(all));
        }
        self.taken = all;
        Ok(())
    }
}

impl HeldBytes for Details {
    fn held_bytes(&self) -> usize {
        let texts: usize = self.kept().map(|(_, json)| json.held_bytes()).sum();
        texts + allocation(self.dropped.capacity() * size_of::<Dropped>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Ready};

    fn ready(commands: &str) -> Vec<Command> {
        let data = format!(r#"{{"name":"m","version":"1","protocol":1,"commands":{commands}}}"#);
        Ready::read_bounded(&Json::parse(&data).unwrap()).unwrap().commands
    }

    fn dropped(command: &Command) -> Vec<String> {
        let details = command.details.iter();
        details.flat_map(|details| &details.dropped).map(ToString::to_string).collect()
    }

    /// A schema of exactly so many bytes.
    fn schema(bytes: usize) -> String {
        let frame = r#"{"title":""}"#.len();
        format!(r#"{{"title":"{}"}}"#, "x".repeat(bytes - frame))
    }

    #[test]
    fn what_a_command_says_of_itself_is_kept_as_it_was_written() {
        let args = "{ \"type\": \"object\",\n \"properties\": {\"n\": {\"default\": 1.0}} }";
        let commands =
            ready(&format!(r#"["a",{{"name":"b","args":{args},"returns":true,"examples":[{{"args":{{}}}}]}}]"#));
        assert_eq!(commands[0].details, None);
        let details = commands[1].details.as_ref().unwrap();
        let texts: Vec<_> = details.kept().map(|(detail, json)| (detail.name(), json.as_str())).collect();
        assert_eq!(texts, [("args", args), ("returns", "true"), ("examples", r#"[{"args":{}}]"#)]);
        assert!(details.dropped.is_empty());
    }

    #[test]
    fn a_member_of_another_type_is_dropped_and_a_null_is_none() {
        let commands = ready(
            r#"[{"name":"a","args":5,"returns":"text","examples":{}},{"name":"b","args":[],"returns":-1,"examples":false},
                {"name":"c","args":null,"returns":null,"examples":null}]"#,
        );
        let schema = "expected an object or a boolean, found";
        let expected = [
            format!("args: {schema} a number"),
            format!("returns: {schema} a text"),
            "examples: expected a list, found an object".to_owned(),
        ];
        assert_eq!(dropped(&commands[0]), expected);
        let expected = [
            format!("args: {schema} a list"),
            format!("returns: {schema} a number"),
            "examples: expected a list, found a boolean".to_owned(),
        ];
        assert_eq!(dropped(&commands[1]), expected);
        assert_eq!(commands[2].details, None);
    }

    #[test]
    fn a_member_has_at_most_64_kib() {
        let (longest, longer) = (schema(DETAIL_BYTES_MAX), schema(DETAIL_BYTES_MAX + 1));
        let commands = ready(&format!(r#"[{{"name":"a","args":{longest},"returns":{longer}}}]"#));
        assert_eq!(commands[0].details.as_ref().unwrap().args.as_ref().unwrap().as_str(), longest);
        assert_eq!(dropped(&commands[0]), ["returns: expected at most 65536 bytes, found 65537"]);
    }

    #[test]
    fn a_module_has_at_most_256_kib_and_what_is_short_enough_still_has_room() {
        let whole = schema(DETAIL_BYTES_MAX);
        let entry = |name: &str, args: &str| format!(r#"{{"name":"{name}","args":{args}}}"#);
        let mut entries: Vec<String> = ["a", "b", "c"].iter().map(|name| entry(name, &whole)).collect();
        entries.push(entry("d", &schema(DETAIL_BYTES_MAX - 2)));
        entries.push(entry("e", &schema(1000)));
        entries.push(entry("f", "{}"));
        entries.push(entry("g", "{}"));
        let commands = ready(&format!("[{}]", entries.join(",")));
        let kept: Vec<bool> = commands.iter().map(|command| command.details.as_ref().unwrap().args.is_some()).collect();
        assert_eq!(kept, [true, true, true, true, false, true, false]);
        let expected = "args: expected at most 262144 bytes for all commands of the module together, found 263142";
        assert_eq!(dropped(&commands[4]), [expected]);
        assert_eq!(dropped(&commands[6]).len(), 1, "it is full to the byte");
    }

    #[test]
    fn a_member_twice_is_refused_as_any_other_member_is() {
        for commands in [r#"[{"name":"a","args":{},"args":{}}]"#, r#"[{"name":"a","name":"b"}]"#, r#"[{}]"#, "[5]"] {
            let data = format!(r#"{{"name":"m","version":"1","protocol":1,"commands":{commands}}}"#);
            assert!(Ready::read_bounded(&Json::parse(&data).unwrap()).is_err(), "{commands}");
            assert!(serde_json::from_str::<Ready>(&data).is_err(), "{commands}");
        }
    }

    #[test]
    fn a_module_sends_what_it_says_of_itself_whole_and_never_what_was_dropped() {
        let long = schema(DETAIL_BYTES_MAX + 1);
        let text = format!(r#"{{"name":"a","idempotent":true,"description":"d","args":{long},"examples":5}}"#);
        let command: Command = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&command).unwrap(), text);
        let [command] = &ready(&format!("[{text}]"))[..] else { panic!("there is one") };
        let expected = r#"{"name":"a","idempotent":true,"description":"d"}"#;
        assert_eq!(serde_json::to_string(command).unwrap(), expected);
        assert_eq!(dropped(command).len(), 2);
    }
}
