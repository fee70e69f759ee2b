//! The module of the README, whole.

use bulkhead_module::{Context, Description, Error, Init, Json, Module, arguments, json};

struct Greeter;

#[derive(serde::Deserialize)]
struct Greet {
    name: String,
}

impl Module for Greeter {
    fn describe() -> Description {
        Description::new("greeter", "0.1.0").idempotent("greet", "{name}: a greeting")
    }

    fn init(_: &Init) -> Result<Self, Error> {
        Ok(Greeter)
    }

    fn command(&mut self, _: &mut Context, name: &str, args: &Json) -> Result<Json, Error> {
        match name {
            "greet" => {
                let Greet { name } = arguments(args)?;
                Ok(json!({ "greeting": format!("hello, {name}") }))
            }
            other => Err(Error::unknown_command(other)),
        }
    }
}

bulkhead_module::main!(Greeter);
