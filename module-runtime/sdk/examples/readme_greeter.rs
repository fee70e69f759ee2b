//! The module of the README, whole.

use bulkhead_module::module;
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Default)]
struct Greeter;

#[derive(Serialize, JsonSchema)]
struct Greeting {
    greeting: String,
}

#[module(name = "greeter", version = "0.1.0")]
impl Greeter {
    /// Greets a person.
    #[command(idempotent)]
    fn greet(&self, name: &str) -> Greeting {
        Greeting { greeting: format!("hello, {name}") }
    }
}

bulkhead_module::main!(Greeter);
