//! A module that counts in the host's data store, in the plain way: it reads the number, adds one and writes it. It
//! knows nothing of keys, of other copies or of kills: the host ensures that its count is right, which
//! `tests/exactly_once.rs` tests.

#![forbid(unsafe_code)]

use bulkhead_module::{Context, Description, Error, Init, Json, Module, arguments, json};
use serde::Deserialize;

struct Counter;

/// The counter: an entity that exists already.
#[derive(Deserialize)]
struct Increment {
    id: String,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

impl Module for Counter {
    fn describe() -> Description {
        Description::new("counter", env!("CARGO_PKG_VERSION")).command("increment", "counts the counter {\"id\"} up")
    }

    fn init(_: &Init) -> Result<Counter, Error> {
        Ok(Counter)
    }

    fn command(&mut self, ctx: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        match name {
            "increment" => {
                let Increment { id } = arguments(args)?;
                let count = ctx.entity::<Count>("Counter", &id)?.data.count + 1;
                ctx.update("Counter", &id, &json!({ "count": count }))?;
                Ok(json!({ "count": count }))
            }
            other => Err(Error::unknown_command(other)),
        }
    }
}

bulkhead_module::main!(Counter);
