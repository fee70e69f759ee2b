//! What an address says of itself: the commands that a module declared in its answer to `init`, with what they say of
//! their arguments and answers, and the same of the host's own addresses. Nothing is checked by it.

use crate::{
    builtin::{ANSWER_FRAME_BYTES, OWN, schemas},
    commands::{Entry, LIST_BYTES_MAX, as_many_as_fit},
    state::HostState,
};
use bulkhead_config::nearest;
use bulkhead_core::ObservedState;
use bulkhead_protocol::{
    Command, Details, ErrorCode, Failure, Json, ModuleName, limits::NAME_BYTES_MAX, name::RESERVED,
};
use serde::Serialize;
use std::ops::Range;

/// Names that are compared with one that is not known.
const COMPARED_MAX: usize = 500;

/// Commands that a refusal lists.
const LISTED_MAX: usize = 32;

/// One command, as it is described.
#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    idempotent: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    returns: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    examples: Option<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<Dropped>,
}

/// A member that is not kept.
#[derive(Serialize)]
struct Dropped {
    member: &'static str,
    reason: String,
}

/// Where descriptions come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Module(&'a [Command]),
    Supervisor,
    Layer1,
}

impl<'a> Source<'a> {
    fn len(self) -> usize {
        match self {
            Source::Module(commands) => commands.len(),
            Source::Supervisor => OWN.len(),
            Source::Layer1 => schemas::REQUESTS.len(),
        }
    }

    fn name(self, at: usize) -> &'a str {
        match self {
            Source::Module(commands) => &commands[at].name,
            Source::Supervisor => OWN[at].entry.name,
            Source::Layer1 => schemas::REQUESTS[at].name,
        }
    }

    fn describe(self, at: usize) -> Json {
        let (entry, own) = match self {
            Source::Module(commands) => return Json::of(&of_module(&commands[at])),
            Source::Supervisor => (OWN[at].entry, &schemas::COMMANDS[at]),
            Source::Layer1 => {
                let own = &schemas::REQUESTS[at];
                // A mutation is done once only where it has a key.
                (Entry { name: own.name, idempotent: own.name != "mutation", description: own.description }, own)
            }
        };
        let Entry { name, idempotent, description } = entry;
        let json = |text: &str| Some(Json::of_checked(text));
        let (args, examples) = (json(own.args), json(own.examples));
        let (read_only, returns, dropped) = (false, None, Vec::new());
        Json::of(&Described { name, idempotent, read_only, description, args, returns, examples, dropped })
    }

    /// Where the commands end, and what requests of other types may have as their payload begins.
    fn commands(self) -> usize {
        match self {
            Source::Module(_) | Source::Supervisor => self.len(),
            Source::Layer1 => schemas::COMMANDS_OF_LAYER1,
        }
    }

    /// That there is no such command.
    fn unknown(self, address: &str, command: &str) -> Failure {
        let names = || (0..self.len()).map(|at| self.name(at));
        let shown = &command[..command.floor_char_boundary(NAME_BYTES_MAX)];
        let mut reason = format!("{address} has no command {shown:?}");
        match suggestion(command, names()) {
            Some(near) => reason.push_str(&near),
            None if self.len() == 0 => reason.push_str("; it declares none"),
            None if self.len() <= LISTED_MAX && names().all(|name| name.len() <= NAME_BYTES_MAX) => {
                reason.push_str(&format!("; it has {}", names().collect::<Vec<_>>().join(", ")));
            }
            None => reason.push_str(&format!("; it has {}, which `commands` lists", self.len())),
        }
        Failure::new(ErrorCode::UnknownCommand, reason)
    }
}

fn of_module(command: &Command) -> Described<'_> {
    let (name, idempotent, description) = (&*command.name, command.idempotent, &*command.description);
    let details = command.details.as_deref();
    let member = |of: fn(&Details) -> &Option<Json>| details.and_then(|details| of(details).clone());
    let dropped = details.into_iter().flat_map(|details| &details.dropped);
    let dropped = dropped.map(|it| Dropped { member: it.detail.name(), reason: it.fault.to_string() }).collect();
    Described {
        name,
        idempotent,
        read_only: command.read_only,
        description,
        args: member(|details| &details.args),
        returns: member(|details| &details.returns),
        examples: member(|details| &details.examples),
        dropped,
    }
}

/// What stands before the commands of an answer.
struct Head<'a> {
    name: &'a str,
    version: &'a str,
    state: &'static str,
    description: &'a str,
}

impl HostState {
    /// Describes a module or an address of the host's own: all its commands, or one of them.
    pub(crate) fn describe(&self, name: &str, command: Option<&str>) -> Result<Json, Failure> {
        let own = |description| Head {
            name,
            version: env!("CARGO_PKG_VERSION"),
            state: ObservedState::Ready.name(),
            description,
        };
        let frame_bytes_max = self.config.frame_bytes_max;
        match name {
            "supervisor" => answer(&own(schemas::SUPERVISOR), Source::Supervisor, command, frame_bytes_max),
            "layer1" => answer(&own(schemas::LAYER1), Source::Layer1, command, frame_bytes_max),
            _ => {
                let known = self.core.known_name(name).cloned().ok_or_else(|| self.unknown_near(name))?;
                let declared = self.core.declared(&known).ok_or_else(|| never_ready(name))?;
                let state = self.core.view(self.now, &known).map_or("stopped", |view| view.state.name());
                let head = Head { name, version: &declared.version, state, description: &declared.description };
                answer(&head, Source::Module(&declared.commands), command, frame_bytes_max)
            }
        }
    }

    /// That there is no such module, with the one that was probably meant.
    fn unknown_near(&self, name: &str) -> Failure {
        let mut failure = self.unknown(name);
        // Where the files say why it is not loaded, that is the reason.
        if self.is_strange(name) {
            let names = self.core.module_names();
            let near = suggestion(name, names.iter().map(ModuleName::as_str).chain(RESERVED.iter().copied()));
            failure.error.extend(near);
        }
        failure
    }
}

fn never_ready(name: &str) -> Failure {
    let reason =
        format!("{name} has not been ready yet, so its commands are not known: start it, or wait until it is ready");
    Failure::new(ErrorCode::ModuleUnavailable, reason)
}

/// The end of a sentence about a name that is not known: which one was probably meant.
fn suggestion<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    if found.len() > NAME_BYTES_MAX {
        return None;
    }
    let near = nearest(found, known.filter(|name| name.len() <= NAME_BYTES_MAX).take(COMPARED_MAX))?;
    Some(format!("; did you mean {near:?}?"))
}

/// The answer: one command whole, or as many of all as have room.
fn answer(head: &Head<'_>, source: Source<'_>, command: Option<&str>, frame_bytes_max: usize) -> Result<Json, Failure> {
    let room = frame_bytes_max.saturating_sub(ANSWER_FRAME_BYTES + head.description.len() + head.version.len());
    let wanted = match command {
        Some(name) => {
            let at = (0..source.len()).find(|at| source.name(*at) == name);
            Some(at.ok_or_else(|| source.unknown(head.name, name))?)
        }
        None => None,
    };
    let list = |range: Range<usize>| match wanted {
        None => Ok(as_many_as_fit(range.map(|at| source.describe(at)), LIST_BYTES_MAX.min(room))),
        Some(at) if range.contains(&at) => one(head.name, source, at, room).map(|one| (Json::of(&[one]), 0)),
        Some(_) => Ok((Json::of_checked("[]"), 0)),
    };
    let (commands, left_out) = list(0..source.commands())?;
    let (requests, _) = list(source.commands()..source.len())?;
    let (name, version, state) = (Json::of(head.name), Json::of(head.version), Json::of(head.state));
    let (description, left_out_json) = (Json::of(head.description), Json::of(&left_out));
    let mut members = vec![("name", &name), ("version", &version), ("state", &state)];
    if !head.description.is_empty() {
        members.push(("description", &description));
    }
    members.push(("commands", &commands));
    if source.commands() < source.len() {
        members.push(("requests", &requests));
    }
    if left_out > 0 {
        members.push(("left_out", &left_out_json));
    }
    Ok(Json::object(&members))
}

fn one(address: &str, source: Source<'_>, at: usize, room: usize) -> Result<Json, Failure> {
    let (one, name) = (source.describe(at), source.name(at));
    if one.as_str().len() <= room {
        return Ok(one);
    }
    let (found, name) = (one.as_str().len(), &name[..name.floor_char_boundary(NAME_BYTES_MAX)]);
    let reason = format!(
        "the description of the command {name:?} of {address} has {found} bytes, and a frame has room for {room}: \
         raise host.frame_bytes_max"
    );
    Err(Failure::new(ErrorCode::FrameTooLarge, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Ready;

    fn commands(list: &str) -> Vec<Command> {
        let data = format!(r#"{{"name":"m","version":"1","protocol":1,"commands":{list}}}"#);
        Ready::read_bounded(&Json::parse(&data).unwrap()).unwrap().commands
    }

    fn described(list: &str, command: Option<&str>, frame_bytes_max: usize) -> Result<String, Failure> {
        let head = Head { name: "m", version: "1", state: "ready", description: "" };
        answer(&head, Source::Module(&commands(list)), command, frame_bytes_max).map(|json| json.as_str().to_owned())
    }

    #[test]
    fn the_answer_has_what_the_module_said_and_what_is_not_kept() {
        let list = r#"["a",{"name":"b","idempotent":true,"read_only":true,"args":{ "z":1,"a":2.0 },"returns":7}]"#;
        let b = r#"{"name":"b","idempotent":true,"read_only":true,"args":{ "z":1,"a":2.0 },"dropped":[{"member":"returns","reason":"expected an object or a boolean, found a number"}]}"#;
        let head = r#"{"name":"m","version":"1","state":"ready","commands":["#;
        let whole = format!(r#"{head}{{"name":"a","idempotent":false}},{b}]}}"#);
        assert_eq!(described(list, None, 65_536).unwrap(), whole);
        assert_eq!(described(list, Some("b"), 65_536).unwrap(), format!("{head}{b}]}}"));
    }

    #[test]
    fn of_more_than_has_room_the_rest_is_counted_and_one_alone_says_how_long_it_is() {
        let long = format!(r#"{{"name":"long","args":{{"title":"{}"}}}}"#, "x".repeat(60_000));
        let list = format!(r#"["a",{long},{long},"b"]"#);
        let part = described(&list, None, 65_536).unwrap();
        assert!(part.ends_with(r#"],"left_out":2}"#), "{}", &part[part.len() - 40..]);
        assert!(described(&list, Some("long"), 65_536).is_ok());
        let refused = described(&list, Some("long"), 60_000).unwrap_err();
        assert_eq!(refused.code, ErrorCode::FrameTooLarge);
        assert!(refused.error.contains("has 60054 bytes, and a frame has room for 58975"), "{refused:?}");
    }

    #[test]
    fn an_unknown_command_is_answered_with_the_nearest_one_or_with_all_if_they_are_few() {
        let error = |list: &str, command| described(list, Some(command), 65_536).unwrap_err().error;
        assert_eq!(error(r#"["add","get"]"#, "ad"), r#"m has no command "ad"; did you mean "add"?"#);
        assert_eq!(error(r#"["add","get"]"#, "dance"), r#"m has no command "dance"; it has add, get"#);
        assert_eq!(error("[]", "dance"), r#"m has no command "dance"; it declares none"#);
        let many: Vec<String> = (0..10_000).map(|n| format!(r#""command_{n}""#)).collect();
        let found = error(&format!("[{}]", many.join(",")), "dance");
        assert_eq!(found, r#"m has no command "dance"; it has 10000, which `commands` lists"#);
        assert!(error("[]", &"x".repeat(100_000)).len() < 200);
    }

    #[test]
    fn each_of_the_hosts_own_is_described_by_an_object_schema_and_a_list_of_examples() {
        let names: Vec<&str> = OWN.iter().map(|own| own.entry.name).collect();
        assert_eq!(names, schemas::COMMANDS.each_ref().map(|own| own.name));
        for own in schemas::COMMANDS.iter().chain(&schemas::REQUESTS) {
            let schema: serde_json::Value = serde_json::from_str(own.args).expect(own.name);
            assert!(schema["type"] == "object" && schema["properties"].is_object(), "{}", own.name);
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(schema["properties"].get(required.as_str().unwrap()).is_some(), "{}: {required}", own.name);
            }
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{} {name}", own.name);
            }
            let examples: Vec<serde_json::Value> = serde_json::from_str(own.examples).expect(own.name);
            for argument in examples.iter().filter_map(|example| example["args"].as_object()).flatten() {
                assert!(schema["properties"].get(argument.0).is_some(), "{}: {argument:?}", own.name);
            }
        }
    }
}
