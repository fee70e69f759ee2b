//! The Rust SDK of Bulkhead: a module is one `impl Module`, and [`main!`] makes it a program,
//! [`export!`] a shared library or WebAssembly.
//!
//! ```no_run
//! use bulkhead_module::{Context, Description, Error, Init, Json, Module, json};
//!
//! struct Greeter;
//!
//! impl Module for Greeter {
//!     fn describe() -> Description {
//!         Description::new("greeter", "1.0.0").idempotent("greet", "says hello to {\"name\"}")
//!     }
//!
//!     fn init(_: &Init) -> Result<Self, Error> {
//!         Ok(Greeter)
//!     }
//!
//!     fn command(&mut self, _: &mut Context<'_>, _name: &str, args: &Json) -> Result<Json, Error> {
//!         #[derive(serde::Deserialize)]
//!         struct Greet {
//!             name: String,
//!         }
//!         let greet: Greet = bulkhead_module::arguments(args)?;
//!         Ok(json!({ "hello": greet.name }))
//!     }
//! }
//!
//! bulkhead_module::main!(Greeter);
//! ```
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
mod dispatch;
#[doc(hidden)]
pub mod in_place;
pub mod layer1;
mod module;
mod panics;
#[cfg(unix)]
mod run;
#[cfg(not(unix))]
#[path = "run/nowhere.rs"]
mod run;
#[cfg(unix)]
pub mod testing;

pub use arguments::{arguments, configuration, nearest};
pub use bulkhead_child::{Barrier, EXIT_PERMANENT, Error, log};
pub use bulkhead_protocol::{Command, Init, Json};
pub use context::Context;
pub use module::{Description, Module};
pub use run::run;

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
