//! The module `@NAME@`: what it says of itself, and its commands.

use bulkhead_module::{Context, Description, Error, Init, Json, Module, arguments, json};
use serde::Deserialize;

struct Greeter;

/// The arguments of `greet`.
#[derive(Deserialize)]
struct Greet {
    name: String,
}

impl Module for Greeter {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .idempotent("greet", "greets by name")
            .args(json!({
                "type": "object",
                "properties": { "name": { "type": "string", "description": "who is greeted" } },
                "required": ["name"]
            }))
            .examples(json!([{ "args": { "name": "Ada" }, "returns": { "greeting": "hello, Ada" } }]))
    }

    fn init(_: &Init) -> Result<Self, Error> {
        Ok(Greeter)
    }

    fn command(&mut self, _: &mut Context<'_>, command: &str, args: &Json) -> Result<Json, Error> {
        match command {
            "greet" => {
                let Greet { name } = arguments(args)?;
                Ok(json!({ "greeting": format!("hello, {name}") }))
            }
            other => Err(Error::unknown_command(other)),
        }
    }
}

bulkhead_module::@MACRO@!(Greeter);

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_module::testing::Harness;

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
        assert!(error.to_string().contains("name"), "{error}");
    }
}
