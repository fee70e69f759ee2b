//! From the first message to the exit code: the greeting, the loop, the end. The table of exit
//! codes is the documentation of [`run`].

use crate::arguments::{CommandPayload, EventPayload, unknown_name};
use crate::channel::{Channel, NO_HOST};
use crate::context::Context;
use crate::wire::{End, Pending, Wire};
use crate::{Description, EXIT_PERMANENT, Error, Module, log, panics};
use bulkhead_protocol::{ErrorCode, Init, Json, PROTOCOL_VERSION, Request, RequestType};
use std::process::ExitCode;

/// Runs the module until the host says `shutdown` or is gone.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | shut down, or the host is gone |
/// | 1 | `init` or `shutdown` failed, or the channel broke |
/// | 2 | there is no host: a person started the program |
/// | 101 | a handler panicked |
/// | 125 | starting again would not help: another version of the wire, or `init` said so |
pub fn run<M: Module>() -> ExitCode {
    match Channel::open() {
        Ok(channel) => ExitCode::from(serve::<M>(channel)),
        Err(reason) => {
            eprintln!("{}: {reason}", M::describe().name);
            ExitCode::from(2)
        }
    }
}

/// As [`run`], over a channel that is open already.
pub(crate) fn serve<M: Module>(channel: Channel) -> u8 {
    panics::install_hook();
    let mut wire = Wire::new(channel);
    let description = M::describe();
    let mut module = match greet::<M>(&mut wire, &description) {
        Ok(module) => module,
        Err(code) => return code,
    };
    loop {
        let pending = match wire.next() {
            Ok(pending) => pending,
            Err(end) => return exit_code(end),
        };
        match turn(&mut wire, &description, &mut module, pending) {
            Turn::Next => {}
            Turn::Exit(code) => return code,
            Turn::Panicked => {
                // Its destructors would run on a state that is in doubt.
                std::mem::forget(module);
                return 101;
            }
        }
    }
}

enum Turn {
    Next,
    Exit(u8),
    Panicked,
}

/// Handles one request.
///
/// Invariant: a request that is not safe to repeat begins only when every earlier answer has left,
/// and its own answer leaves before the next request begins. The host takes the first unanswered
/// request as the only one that may have begun; an answer that was given but held back would be a
/// request that it sends a second time.
fn turn<M: Module>(wire: &mut Wire, description: &Description, module: &mut M, pending: Pending) -> Turn {
    let Pending { request, deadline, cancelled } = pending;
    let held = description.batches && is_repeatable(description, &request);
    if !held {
        wire.flush();
    }
    if cancelled {
        wire.answer(request.id, Err(Error::cancelled("cancelled before the module began with it").not_started()));
    } else if deadline.is_some_and(|deadline| deadline <= std::time::Instant::now()) {
        let error = Error::deadline_exceeded("the deadline passed before the module began with it");
        wire.answer(request.id, Err(error.not_started()));
    } else {
        wire.begin(request.id);
        let mut ctx = Context { host: wire, id: request.id, deadline, key: request.key.as_deref() };
        let result = panics::catch(|| handle(module, description, &mut ctx, &request.kind, &request.payload));
        match result {
            Ok(result) => {
                let failed = result.is_err();
                if let Err(error) = result.as_ref()
                    && request.kind == RequestType::Event
                {
                    log!(error, "an event was not handled: {error}");
                }
                wire.answer(request.id, result);
                if request.kind == RequestType::Shutdown {
                    wire.flush();
                    return Turn::Exit(u8::from(failed));
                }
            }
            Err(panic) => {
                wire.answer(request.id, Err(Error::failed(panic)));
                wire.flush();
                return Turn::Panicked;
            }
        }
    }
    if !held {
        wire.flush();
    }
    Turn::Next
}

/// Reads `init`, makes the module, answers. The error is the exit code.
fn greet<M: Module>(wire: &mut Wire, description: &Description) -> Result<M, u8> {
    let Pending { request, .. } = wire.next().map_err(|end| match end {
        End::Closed => {
            eprintln!("{}: the channel ended before a first message; {NO_HOST}", description.name);
            2
        }
        broken => exit_code(broken),
    })?;
    let result = read_init(&request).and_then(|init| {
        wire.limit(init.limits.frame_bytes_max);
        let made = panics::catch(|| {
            let module = M::init(&init)?;
            Ok((module.barrier(), module))
        });
        made.unwrap_or_else(|panic| Err(Error::failed(panic)))
    });
    match result {
        Ok((barrier, module)) => {
            wire.answer(request.id, Ok(Json::of(&description.ready())));
            wire.flush();
            wire.barrier = barrier;
            Ok(module)
        }
        Err(error) => {
            log!(error, "{} cannot start: {error}", description.name);
            let code = if error.is_permanent() { EXIT_PERMANENT } else { 1 };
            wire.answer(request.id, Err(error));
            wire.flush();
            Err(code)
        }
    }
}

fn read_init(request: &Request) -> Result<Init, Error> {
    if request.kind != RequestType::Init {
        return Err(Error::bad_request(format!("expected \"init\" first, found {:?}", request.kind.name())));
    }
    #[derive(serde::Deserialize)]
    struct Version {
        protocol: u32,
    }
    // The version first: another one may have another form of everything else.
    let Version { protocol } = request.payload.read()?;
    if protocol != PROTOCOL_VERSION {
        let sentence = format!("this module speaks version {PROTOCOL_VERSION} of the wire, the host speaks {protocol}");
        return Err(Error::bad_request(sentence).permanent());
    }
    Ok(request.payload.read()?)
}

/// Calls the handler that a request is for. It knows no channel, so that every way to run a module
/// means the same.
pub(crate) fn handle<M: Module>(
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
        RequestType::Ping => Ok(Json::null()),
        RequestType::Shutdown => module.shutdown(ctx).map(|()| Json::null()),
        RequestType::Init => Err(Error::bad_request("the module is initialised already")),
        RequestType::Cancel | RequestType::Unknown(_) => {
            Err(Error::unknown_type(format!("this module does not know requests of type {:?}", kind.name())))
        }
    }
}

fn form(kind: &str, error: &serde_json::Error) -> Error {
    Error::bad_request(format!("the payload of this {kind} has another form: {error}"))
}

/// Whether the host may send the request a second time, so that its answer may wait for others.
fn is_repeatable(description: &Description, request: &Request) -> bool {
    let keyed = request.key.is_some() && description.has_keys();
    match request.kind {
        RequestType::Query | RequestType::Ping => true,
        RequestType::Command if !keyed => request.payload.read::<CommandPayload<'_>>().is_ok_and(|payload| {
            description.commands.iter().any(|command| command.idempotent && command.name == payload.name)
        }),
        RequestType::Command | RequestType::Mutation => keyed,
        _ => false,
    }
}

fn exit_code(end: End) -> u8 {
    match end {
        End::Closed => 0,
        End::Broken(reason) => {
            log!(error, "{reason}");
            1
        }
    }
}

#[cfg(test)]
mod tests;
