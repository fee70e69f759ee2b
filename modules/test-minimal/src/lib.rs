//! The smallest correct module: it answers `ping`, and `status` says how much it has seen. Copy it
//! to begin one of your own. It keeps nothing: after a crash it counts from zero.
//!
//! The same code is a program, by `main.rs`, and a shared library, by the last line here.

#![forbid(unsafe_code)]

use bulkhead_module::{Context, Description, Error, Init, Json, Module, json};
use std::time::Instant;

/// The module's value: what it remembers.
#[derive(Debug)]
pub struct Minimal {
    started: Instant,
    messages: u64,
}

impl Module for Minimal {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .command("ping", "counts and answers")
            .idempotent("status", "how many messages came, and for how long the module runs")
    }

    fn init(_: &Init) -> Result<Self, Error> {
        Ok(Minimal { started: Instant::now(), messages: 0 })
    }

    fn command(&mut self, _: &mut Context<'_>, name: &str, _args: &Json) -> Result<Json, Error> {
        self.messages += 1;
        match name {
            "ping" => Ok(json!({ "pong": true, "count": self.messages })),
            "status" => {
                Ok(json!({ "messages": self.messages, "uptime_ms": self.started.elapsed().as_millis() as u64 }))
            }
            other => Err(Error::unknown_command(other)),
        }
    }

    fn event(&mut self, _: &mut Context<'_>, _event: &str, _data: &Json) -> Result<(), Error> {
        self.messages += 1;
        Ok(())
    }
}

bulkhead_module::export!(Minimal);
