//! The module `@NAME@`: its commands.

use bulkhead_module::module;
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Default)]
struct Greeter;

#[derive(Serialize, JsonSchema)]
struct Greeting {
    greeting: String,
}

#[module]
impl Greeter {
    /// Greets by name.
    #[command(idempotent)]
    #[example(args = {"name": "Ada"}, returns = {"greeting": "hello, Ada"})]
    fn greet(
        &self,
        /// Who is greeted.
        name: &str,
    ) -> Greeting {
        Greeting { greeting: format!("hello, {name}") }
    }
}

bulkhead_module::@MACRO@!(Greeter);

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_module::{json, testing::Harness};

    #[test]
    fn a_greeting_has_the_name() {
        let mut greeter = Harness::<Greeter>::start(json!({})).unwrap();
        let answer = greeter.command("greet", json!({ "name": "Ada" })).unwrap();
        assert_eq!(answer["greeting"], "hello, Ada");
    }

    #[test]
    fn a_greeting_needs_a_name() {
        let mut greeter = Harness::<Greeter>::start(json!({})).unwrap();
        let error = greeter.command("greet", json!({})).unwrap_err();
        assert_eq!(error.to_string(), "missing argument `name`; expected a text");
    }
}
