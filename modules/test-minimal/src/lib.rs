//! The smallest correct module: it answers `ping`, and `status` says how much it has seen. Copy it
//! to begin one of your own. It keeps nothing: after a crash it counts from zero.
//!
//! The same code is a program, by `main.rs`, and a shared library, by the last line here.

#![forbid(unsafe_code)]

use bulkhead_module::{Json, module};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Instant;

/// The module's value: what it remembers.
#[derive(Debug)]
pub struct Minimal {
    started: Instant,
    messages: u64,
}

#[derive(Serialize, JsonSchema)]
struct Pong {
    count: u64,
    pong: bool,
}

#[derive(Serialize, JsonSchema)]
struct Status {
    messages: u64,
    uptime_ms: u64,
}

/// Answers, and counts what it was sent.
#[module]
impl Minimal {
    #[init]
    fn start() -> Minimal {
        Minimal { started: Instant::now(), messages: 0 }
    }

    /// Counts and answers, whatever it is sent.
    #[command]
    fn ping(&mut self, #[arguments] _args: Json) -> Pong {
        self.messages += 1;
        Pong { count: self.messages, pong: true }
    }

    /// How many messages came, and for how long the module runs.
    #[command(idempotent)]
    fn status(&mut self) -> Status {
        self.messages += 1;
        Status { messages: self.messages, uptime_ms: self.started.elapsed().as_millis() as u64 }
    }

    #[event("*")]
    fn count(&mut self) {
        self.messages += 1;
    }
}

bulkhead_module::export!(Minimal);
