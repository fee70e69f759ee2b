//! Which function of a module a request is for. It knows no channel and no border, so that requests mean the same in
//! every kind of module.

use crate::arguments::{CommandPayload, EventPayload};
use crate::names::unknown_name;
use crate::{Context, Description, Error, Json, Module};
use bulkhead_protocol::{ErrorCode, Named, RequestType};
use std::sync::LazyLock;

/// The arguments of a command without any.
static NO_ARGUMENTS: LazyLock<Json> = LazyLock::new(|| Json::object(&[]));

/// Calls the handler that a request is for.
pub(crate) fn dispatch<M: Module>(
    module: &mut M,
    description: &Description,
    ctx: &mut Context<'_>,
    kind: &RequestType,
    payload: &Json,
) -> Result<Json, Error> {
    match kind {
        RequestType::Command => {
            if let Some(Named { name, value }) = Named::command(payload) {
                return command(module, description, ctx, name, value.map(|args| payload.part(args)));
            }
            let CommandPayload { name, args } = payload.read().map_err(|error| form("command", &error))?;
            command(module, description, ctx, &name, args)
        }
        RequestType::Query => module.query(ctx, payload),
        RequestType::Mutation => module.mutation(ctx, payload),
        RequestType::Event => {
            if let Some(Named { name, value }) = Named::event(payload) {
                let data = value.map_or_else(Json::null, |data| payload.part(data));
                return module.event(ctx, name, &data).map(|()| Json::null());
            }
            let EventPayload { event, data } = payload.read().map_err(|error| form("event", &error))?;
            module.event(ctx, &event, &data).map(|()| Json::null())
        }
        RequestType::Shutdown => module.shutdown(ctx).map(|()| Json::null()),
        RequestType::Init | RequestType::Ping | RequestType::Cancel | RequestType::Unknown(_) => {
            Err(Error::unknown_type(format!("this module does not know requests of type {:?}", kind.name())))
        }
    }
}

fn command<M: Module>(
    module: &mut M,
    description: &Description,
    ctx: &mut Context<'_>,
    name: &str,
    args: Option<Json>,
) -> Result<Json, Error> {
    let commands = &description.commands;
    if !commands.is_empty() && !commands.iter().any(|command| command.name == name) {
        return Err(unknown_command(description, name));
    }
    module.command(ctx, name, args.as_ref().unwrap_or(&NO_ARGUMENTS))
}

/// The error for a command that is not in the description.
#[cold]
pub(crate) fn unknown_command(description: &Description, name: &str) -> Error {
    let known: Vec<&str> = description.commands.iter().map(|command| command.name.as_str()).collect();
    let error = unknown_name("command", name, &known, "this module has none");
    Error::with_code(ErrorCode::UnknownCommand, error.to_string())
}

fn form(kind: &str, error: &serde_json::Error) -> Error {
    Error::bad_request(format!("the payload of this {kind} has another form: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Init, json};
    use bulkhead_child::{Ask, Host};
    use std::time::Duration;

    struct NoHost;

    impl Host for NoHost {
        fn ask(&mut self, _: Ask<'_>) -> Result<Json, Error> {
            Err(Error::failed("there is no host"))
        }

        fn emit(&mut self, _: &str, _: &Json) -> Result<(), Error> {
            Ok(())
        }

        fn progress(&mut self, _: &Json) -> Result<(), Error> {
            Ok(())
        }

        fn wait(&mut self, _: Duration) -> bool {
            false
        }

        fn deadline(&self) -> Option<Duration> {
            None
        }

        fn id(&self) -> Option<u64> {
            None
        }

        fn key(&self) -> Option<&str> {
            None
        }
    }

    /// Records its commands and its events.
    #[derive(Default)]
    struct Recorder(Vec<String>);

    impl Module for Recorder {
        fn describe() -> Description {
            Description::new("recorder", "1").command("do", "")
        }

        fn init(_: &Init) -> Result<Self, Error> {
            Ok(Recorder::default())
        }

        fn command(&mut self, _: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
            self.0.push(format!("{name} {}", args.as_str()));
            Ok(json!(null))
        }

        fn event(&mut self, _: &mut Context<'_>, event: &str, data: &Json) -> Result<(), Error> {
            self.0.push(format!("{event} {}", data.as_str()));
            Ok(())
        }
    }

    fn dispatched(kind: &RequestType, payload: &str) -> Result<String, ErrorCode> {
        let mut module = Recorder::default();
        let payload = Json::parse(payload).unwrap();
        dispatch(&mut module, &Recorder::describe(), &mut Context { host: &mut NoHost }, kind, &payload)
            .map(|_| module.0.join("\n"))
            .map_err(|error| error.code())
    }

    #[test]
    fn a_command_means_the_same_however_its_payload_is_written() {
        for payload in [
            r#"{"name":"do","args":{"a":"}"}}"#,
            r#"{ "args" : {"a":"}"} , "name" : "do" }"#,
            r#"{"name":"d\u006f","args":{"a":"}"}}"#,
            r#"{"name":"do","\u0061rgs":{"a":"}"},"more":[{}]}"#,
        ] {
            assert_eq!(dispatched(&RequestType::Command, payload), Ok(r#"do {"a":"}"}"#.into()), "{payload}");
        }
        for payload in [r#"{"name":"do"}"#, r#"{"name":"do","args":null}"#, r#"{"n\u0061me":"do","args":null}"#] {
            assert_eq!(dispatched(&RequestType::Command, payload), Ok("do {}".into()), "{payload}");
        }
        for payload in
            ["{}", "null", r#"{"name":1}"#, r#"{"name":"do","args":1,"args":2}"#, r#"{"name":"do","name":"do"}"#]
        {
            assert_eq!(dispatched(&RequestType::Command, payload), Err(ErrorCode::BadRequest), "{payload}");
        }
        assert_eq!(dispatched(&RequestType::Command, r#"{"name":"did"}"#), Err(ErrorCode::UnknownCommand));
    }

    #[test]
    fn an_event_means_the_same_however_its_payload_is_written() {
        for payload in [
            r#"{"event":"a.b","data":{"c":1}}"#,
            r#"{"data":{"c":1},"event":"a.b"}"#,
            r#"{"event":"a\u002eb","data":{"c":1}}"#,
        ] {
            assert_eq!(dispatched(&RequestType::Event, payload), Ok(r#"a.b {"c":1}"#.into()), "{payload}");
        }
        assert_eq!(dispatched(&RequestType::Event, r#"{"event":"a"}"#), Ok("a null".into()));
        assert_eq!(dispatched(&RequestType::Event, r#"{"data":1}"#), Err(ErrorCode::BadRequest));
    }
}
