//! From the first message to the exit code: the greeting, the loop, the end. The table of exit
//! codes is the documentation of [`run`].

use crate::channel::{Channel, NO_HOST};
use crate::copies::end_copy;
use crate::guest::read_init_payload;
use crate::wire::{End, QueuedRequest, Wire};
use crate::{EXIT_FAILURE, EXIT_PERMANENT, EXIT_USAGE, Error, Greeting, Guest, Outcome, log};
use bulkhead_protocol::event::command_name;
use bulkhead_protocol::init::FEATURE_KEYS;
use bulkhead_protocol::{Init, Json, Named, Ready, Request, RequestType};
use std::process::ExitCode;

/// Serves the guest over the channel that the host gave this process, until the host says
/// `shutdown` or is gone.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | shut down, or the host is gone |
/// | 1 | `init` or `shutdown` failed, or the channel broke |
/// | 2 | there is no host: a person started the program |
/// | 125 | starting again would not help: another version of the wire, or `init` said so |
/// | other | what the guest ended with, see [`Outcome::Last`]; 101 is a panic |
pub fn run(guest: impl Guest) -> ExitCode {
    match Channel::open() {
        Ok(channel) => ExitCode::from(serve(guest, channel)),
        Err(reason) => {
            eprintln!("{}: {reason}", guest.name());
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// As [`run`], over a channel that is open already; returns the exit code.
pub fn serve(mut guest: impl Guest, channel: Channel) -> u8 {
    let mut wire = Wire::new(channel);
    let promises = match greet(&mut wire, &mut guest) {
        Ok(promises) => promises,
        Err(code) => return code,
    };
    loop {
        let pending = match wire.next() {
            Ok(pending) => pending,
            Err(end) => return exit_code(end),
        };
        if let Some(code) = handle_next(&mut wire, &promises, &mut guest, &pending) {
            return code;
        }
    }
}

/// What the guest reported about itself; it decides when answers leave.
struct Promises {
    ready: Ready,
    batch_answers: bool,
}

/// Handles one request; an exit code is the end.
///
/// Invariant: a request that is not safe to repeat begins only when every earlier answer has left, and its own answer
/// leaves before the next request begins. The host takes the first unanswered request as the only one that may have
/// begun; if an answer that was given were held back, the host would send its request a second time.
fn handle_next(wire: &mut Wire, promises: &Promises, guest: &mut impl Guest, pending: &QueuedRequest) -> Option<u8> {
    let request = &pending.request;
    let held = promises.batch_answers && promises.is_repeatable(request);
    if !held {
        wire.flush();
    }
    let mut last = None;
    if let Some(error) = pending.unwanted() {
        wire.answer(request.id, Err(error));
    } else {
        let outcome = handle(wire, guest, pending);
        // Before anything is written about it: another thread may have held the lock of standard error.
        end_copy();
        let (Outcome::Answer(result) | Outcome::Last(result, _)) = &outcome;
        if let Err(error) = result
            && request.kind == RequestType::Event
        {
            log!(error, "an event was not handled: {error}");
        }
        match outcome {
            Outcome::Answer(result) => {
                if request.kind == RequestType::Shutdown {
                    last = Some(u8::from(result.is_err()));
                }
                wire.answer(request.id, result);
            }
            Outcome::Last(result, code) => {
                last = Some(code);
                wire.answer_last(request.id, result);
            }
        }
    }
    if !held || last.is_some() {
        wire.flush();
    }
    // The loop reports it when it takes the next request and finds the end.
    if let Some(reason) = last.and_then(|_| wire.broken()) {
        log!(error, "{reason}");
    }
    last
}

/// What the loop answers by itself, and what the guest answers.
fn handle(wire: &mut Wire, guest: &mut impl Guest, pending: &QueuedRequest) -> Outcome {
    let kind = &pending.request.kind;
    match kind {
        RequestType::Command
        | RequestType::Query
        | RequestType::Mutation
        | RequestType::Event
        | RequestType::Shutdown => guest.handle(&mut wire.begin(pending), kind, &pending.request.payload),
        RequestType::Ping => Outcome::Answer(Ok(Json::null())),
        RequestType::Init => Outcome::Answer(Err(Error::bad_request("the module is initialised already"))),
        RequestType::Cancel | RequestType::Unknown(_) => {
            let sentence = format!("this module does not know requests of type {:?}", kind.name());
            Outcome::Answer(Err(Error::unknown_type(sentence)))
        }
    }
}

/// Reads `init`, gets the guest ready, answers. The error is the exit code.
fn greet(wire: &mut Wire, guest: &mut impl Guest) -> Result<Promises, u8> {
    let pending = wire.next().map_err(|end| match end {
        End::Closed => {
            eprintln!("{}: the channel ended before a first message; {NO_HOST}", guest.name());
            2
        }
        broken => exit_code(broken),
    })?;
    let request = &pending.request;
    let result = read_init(request).and_then(|init| {
        wire.limit(init.limits.frame_bytes_max);
        guest.prepare(&mut wire.begin(&pending), &init)?;
        guest.init(&init, &request.payload)
    });
    end_copy();
    match result {
        Ok(Greeting { ready, batch_answers, barrier }) => {
            wire.answer(request.id, Ok(Json::of(&ready)));
            wire.flush();
            wire.set_barrier(barrier);
            Ok(Promises { ready, batch_answers })
        }
        Err(error) => {
            log!(error, "{} cannot start: {error}", guest.name());
            let code = if error.is_permanent() { EXIT_PERMANENT } else { EXIT_FAILURE };
            wire.answer(request.id, Err(error));
            wire.flush();
            Err(code)
        }
    }
}

/// Reads the first message, for callers that serve a [`Wire`] in their own loop.
///
/// # Errors
/// When it is another message, or the host speaks another version of the wire; that is permanent.
pub fn read_init(request: &Request) -> Result<Init, Error> {
    match request.kind {
        RequestType::Init => read_init_payload(&request.payload),
        _ => Err(Error::bad_request(format!("expected \"init\" first, found {:?}", request.kind.name()))),
    }
}

impl Promises {
    /// Whether the host may send the request a second time, so that its answer may wait for others.
    fn is_repeatable(&self, request: &Request) -> bool {
        let keyed = request.key.is_some() && self.ready.features.iter().any(|feature| feature == FEATURE_KEYS);
        match request.kind {
            RequestType::Query | RequestType::Ping => true,
            RequestType::Command if !keyed => {
                let is_idempotent =
                    |name: &str| self.ready.commands.iter().any(|command| command.idempotent && command.name == name);
                match Named::command(&request.payload) {
                    Some(plain) => is_idempotent(plain.name),
                    None => command_name(&request.payload).is_some_and(|name| is_idempotent(&name)),
                }
            }
            RequestType::Command | RequestType::Mutation => keyed,
            _ => false,
        }
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
mod tests {
    use super::*;
    use bulkhead_protocol::{Command, PROTOCOL_VERSION};

    fn promises(features: &[&str]) -> Promises {
        let commands = vec![Command { name: "read".into(), idempotent: true, ..Command::default() }];
        let features = features.iter().map(|&feature| feature.to_owned()).collect();
        let (name, version, description) = ("x".into(), "1".into(), String::new());
        let ready = Ready { name, version, description, protocol: PROTOCOL_VERSION, commands, features };
        Promises { ready, batch_answers: true }
    }

    fn command(name: &str) -> Request {
        Request::new(None, RequestType::Command, Json::of(&serde_json::json!({ "name": name })))
    }

    #[test]
    fn a_key_makes_a_request_repeatable_where_the_module_knows_keys() {
        let mut keyed = command("write");
        assert!(!promises(&[FEATURE_KEYS]).is_repeatable(&keyed));
        keyed.key = Some("k".into());
        assert!(promises(&[FEATURE_KEYS]).is_repeatable(&keyed));
        assert!(!promises(&[]).is_repeatable(&keyed));
    }

    #[test]
    fn an_idempotent_command_and_a_query_are_repeatable_and_an_event_is_not() {
        assert!(promises(&[]).is_repeatable(&command("read")));
        assert!(promises(&[]).is_repeatable(&Request::new(None, RequestType::Query, Json::null())));
        assert!(!promises(&[]).is_repeatable(&Request::new(None, RequestType::Event, Json::null())));
    }
}
