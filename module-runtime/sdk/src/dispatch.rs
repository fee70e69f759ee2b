//! Which function of a module a request is for. It knows no channel and no border, so that every way
//! to run a module means the same.

use crate::arguments::{CommandPayload, EventPayload, unknown_name};
use crate::{Context, Description, Error, Json, Module};
use bulkhead_protocol::{ErrorCode, RequestType};

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
            let CommandPayload { name, args } = payload.read().map_err(|error| form("command", &error))?;
            let commands = &description.commands;
            if !commands.is_empty() && !commands.iter().any(|command| command.name == name) {
                let known: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
                let error = unknown_name("command", &name, &known);
                return Err(Error::with_code(ErrorCode::UnknownCommand, error.to_string()));
            }
            let args = args.unwrap_or_else(|| Json::of(&serde_json::Map::new()));
            module.command(ctx, &name, &args)
        }
        RequestType::Query => module.query(ctx, payload),
        RequestType::Mutation => module.mutation(ctx, payload),
        RequestType::Event => {
            let EventPayload { event, data } = payload.read().map_err(|error| form("event", &error))?;
            module.event(ctx, &event, &data).map(|()| Json::null())
        }
        RequestType::Shutdown => module.shutdown(ctx).map(|()| Json::null()),
        RequestType::Init | RequestType::Ping | RequestType::Cancel | RequestType::Unknown(_) => {
            Err(Error::unknown_type(format!("this module does not know requests of type {:?}", kind.name())))
        }
    }
}

fn form(kind: &str, error: &serde_json::Error) -> Error {
    Error::bad_request(format!("the payload of this {kind} has another form: {error}"))
}
