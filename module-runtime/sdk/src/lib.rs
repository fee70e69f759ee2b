//! The Rust SDK of Bulkhead: a module is a type, and its commands are methods. The attribute `module` makes a
//! [`Module`] of them, [`main!`] a program of that, [`export!`] a shared library or WebAssembly.
//!
//! ```no_run
//! use bulkhead_module::{Context, Error, Init, JsonSchema, json, module};
//! use serde::{Deserialize, Serialize};
//!
//! struct Greeter {
//!     config: Config,
//! }
//!
//! /// The keys of the manifest's `[config]`.
//! #[derive(Deserialize, JsonSchema)]
//! struct Config {
//!     #[serde(default)]
//!     is_polite: bool,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Greeting {
//!     greeting: String,
//! }
//!
//! /// Greets people.
//! #[module(name = "greeter", version = "1.0.0")]
//! impl Greeter {
//!     #[init]
//!     fn start(_: &Init, config: Config) -> Result<Greeter, Error> {
//!         Ok(Greeter { config })
//!     }
//!
//!     /// Greets a person.
//!     #[command(idempotent)]
//!     #[example(args = {"name": "Ada"}, returns = {"greeting": "hello Ada"})]
//!     fn greet(
//!         &mut self,
//!         ctx: &mut Context<'_>,
//!         /// Who is greeted.
//!         name: &str,
//!         #[default(1)] times: u32,
//!         title: Option<String>,
//!     ) -> Result<Greeting, Error> {
//!         if times > 3 {
//!             return Err(Error::custom("too_often", "that is too often"));
//!         }
//!         ctx.emit("greeter.greeted", json!({ "name": name }))?;
//!         let title = title.filter(|_| self.config.is_polite).map_or_else(String::new, |title| title + " ");
//!         let greetings = vec![format!("hello {title}{name}"); times as usize];
//!         Ok(Greeting { greeting: greetings.join(", ") })
//!     }
//!
//!     /// A person left.
//!     #[event("people.left")]
//!     fn left(&mut self, ctx: &mut Context<'_>) -> Result<(), Error> {
//!         ctx.emit("greeter.idle", json!(null))
//!     }
//! }
//!
//! bulkhead_module::main!(Greeter);
//! ```
//!
//! The host learns of each command what it takes and answers with, as JSON Schema 2020-12, which is made of the types.
//! What a schema allows is what a method gets; anything else is refused before it is called, with the place, what was
//! expected and what was found. Numbers keep all their digits. Types of your own derive `JsonSchema`, for which the
//! module depends on `schemars` 1.
//!
//! | attribute | of a method that |
//! |---|---|
//! | `#[command]`, `#[command(idempotent, read_only, name = "…")]` | does a command; its parameters are the arguments |
//! | `#[example(args = {…}, returns = …, description = "…")]` | does a command, of which this is a call |
//! | `#[query]`, `#[mutation]` | answers these; one parameter takes the payload |
//! | `#[event("people.*")]` | is called for events; it may take `&str`, the name, and one parameter for the data |
//! | `#[init]` | makes the module; it may take [`&Init`](Init) and one parameter for `[config]`. Without it, `Default` makes it |
//! | `#[shutdown]`, `#[barrier]` | is called at the end; returns an `Option<`[`Barrier`]`>` |
//!
//! | attribute | of a parameter of a command |
//! |---|---|
//! | `#[default]`, `#[default(…)]` | it may be left out, and is this then; an `Option` may be left out in any case |
//! | `#[name("…")]` | its argument has another name |
//! | `#[arguments]` | it takes all arguments, as one struct, or as [`Json`] whatever they are |
//!
//! Without the feature `macros` there is the trait alone, and a module is written as [`Module`] shows it.
//!
//! Handlers are plain synchronous functions, called one at a time and in the order of arrival. The crate has no threads
//! and no executor: while a handler waits for the host through its [`Context`], the same thread reads the channel,
//! keeps other requests for later and notices cancellations. It deliberately does not restart, retry or supervise
//! anything: that is the host's work.
//!
//! The same `impl` is a shared library or WebAssembly where `lib.rs` has [`export!`]: the manifest decides which of
//! them runs, and the module's code does not know. [`export!`] shows the `Cargo.toml` for that.
//!
//! [`layer1`] has the host's data store: entities that survive the module's crash, changed together
//! with the answer.
//!
//! [`testing`] drives a module without a process, and a module's program without a host.

#![deny(unsafe_code)]

mod arguments;
#[doc(hidden)]
pub mod border;
mod context;
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod described;
mod dispatch;
#[doc(hidden)]
pub mod in_place;
pub mod layer1;
mod module;
mod names;
mod panics;
#[cfg(unix)]
mod run;
#[cfg(not(unix))]
#[path = "run/nowhere.rs"]
mod run;
#[cfg(unix)]
pub mod testing;

pub use arguments::{arguments, configuration};
pub use bulkhead_child::{Barrier, EXIT_PERMANENT, Error, log};
pub use bulkhead_protocol::{Command, Init, Json};
pub use context::Context;
pub use module::{Description, Module};
pub use names::nearest;
pub use run::run;

#[cfg(feature = "macros")]
pub use bulkhead_module_macros::module;
#[cfg(feature = "macros")]
pub use schemars::{self, JsonSchema};

#[doc(hidden)]
pub use serde_json;

/// Makes `main` of a type that implements [`Module`].
#[macro_export]
macro_rules! main {
    ($module:ty) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run::<$module>()
        }
    };
}
