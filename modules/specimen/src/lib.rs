//! One of everything that a module can do, each with a command of its own: the conformance suite
//! drives it in every form that a module can have. It deliberately keeps nothing, opens nothing and
//! starts no threads, so that the same code runs as a process, a shared library and WebAssembly.

#![forbid(unsafe_code)]

mod burden;
mod talk;

use bulkhead_module::{Context, Description, Error, Init, Json, Module, json};
use serde::{Deserialize, Serialize};

/// The module's value: what it remembers from its creation to its end.
#[derive(Debug, Default)]
pub struct Specimen {
    count: u64,
    events: u64,
    last_event: Option<Event>,
}

/// An event as the suite asks for it back.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    data: Json,
}

type Act = fn(&mut Specimen, &mut Context<'_>, &Json) -> Result<Json, Error>;

/// What is done for a command, and whether it is safe to do twice.
enum Kind {
    Idempotent,
    Once,
}

use Kind::{Idempotent, Once};

/// Every command: its name, its kind, what it does in a sentence, and the function that does it.
const COMMANDS: [(&str, Kind, &str, Act); 19] = [
    ("echo", Idempotent, "answers with its arguments as they came", |_, _, args| Ok(args.clone())),
    ("count", Idempotent, "how often it was asked since the module was created", Specimen::count),
    ("events", Idempotent, "how many events came, and the last of them", Specimen::events),
    ("key", Idempotent, "the request's idempotency key", talk::key),
    ("deadline", Idempotent, "how many milliseconds are left", talk::deadline),
    ("time", Idempotent, "milliseconds since 1970", burden::time),
    ("fail", Once, "answers with the error {\"code\",\"message\",\"retryable\",\"data\"}", talk::fail),
    ("ask", Once, "sends the command {\"name\",\"args\"} to the module {\"to\"}", talk::ask),
    ("ask_query", Once, "sends the query {\"payload\"} to {\"to\"}, or to the data store", talk::ask_query),
    ("ask_mutation", Once, "sends the mutation {\"payload\"} to {\"to\"}, or to the data store", talk::ask_mutation),
    ("emit", Once, "publishes the event {\"event\",\"data\"}", talk::emit),
    ("progress", Once, "reports {\"steps\"} steps", talk::progress),
    ("wait", Once, "waits for {\"ms\"}", talk::wait),
    ("log", Once, "writes {\"message\"} to the log at {\"level\"}", talk::log),
    ("crash", Once, "ends the process in the hard way", burden::crash),
    ("panic", Once, "panics", burden::panic),
    ("random", Once, "{\"bytes\"} random bytes, in hexadecimal", burden::random),
    ("spin", Once, "uses the processor for {\"ms\"}, without a call", burden::spin),
    ("grow", Once, "uses {\"bytes\"} of memory until it has answered", burden::grow),
];

impl Module for Specimen {
    fn describe() -> Description {
        let description = Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        COMMANDS.iter().fold(description, |description, (name, kind, about, _)| match kind {
            Idempotent => description.idempotent(name, about),
            Once => description.command(name, about),
        })
    }

    fn init(_: &Init) -> Result<Self, Error> {
        Ok(Specimen::default())
    }

    fn command(&mut self, ctx: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        let found = COMMANDS.iter().find(|(known, ..)| *known == name);
        let (.., act) = found.ok_or_else(|| Error::unknown_command(name))?;
        act(self, ctx, args)
    }

    fn query(&mut self, _: &mut Context<'_>, payload: &Json) -> Result<Json, Error> {
        Ok(payload.clone())
    }

    fn mutation(&mut self, _: &mut Context<'_>, payload: &Json) -> Result<Json, Error> {
        Ok(payload.clone())
    }

    fn event(&mut self, _: &mut Context<'_>, event: &str, data: &Json) -> Result<(), Error> {
        self.events += 1;
        self.last_event = Some(Event { event: event.to_owned(), data: data.clone() });
        Ok(())
    }
}

impl Specimen {
    fn count(&mut self, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
        self.count += 1;
        Ok(json!({ "count": self.count }))
    }

    fn events(&mut self, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
        #[derive(Serialize)]
        struct Events<'a> {
            count: u64,
            last: &'a Option<Event>,
        }
        Ok(Json::of(&Events { count: self.events, last: &self.last_event }))
    }
}

bulkhead_module::export!(Specimen);
