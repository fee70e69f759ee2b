//! The Rust SDK of Bulkhead: a module is one `impl Module`, and [`main!`] makes it a program.
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
//! Handlers are plain synchronous functions, called one at a time and in the order of arrival. The
//! crate has no threads and no executor: while a handler asks the host something through its
//! [`Context`], the same thread reads the channel, keeps other requests for later and notices
//! cancellations. It deliberately does not restart, retry or supervise anything: that is the host's work.
//!
//! [`testing`] drives a module without a process, and a module's program without a host.

mod arguments;
mod channel;
mod context;
mod error;
pub mod log;
mod module;
mod panics;
mod run;
pub mod testing;
mod wire;

pub use arguments::{arguments, configuration, nearest};
pub use bulkhead_protocol::{Command, Init, Json};
pub use context::Context;
pub use error::Error;
pub use module::{Barrier, Description, Module};
pub use run::run;

#[doc(hidden)]
pub use serde_json;

/// The exit code that tells the host that starting again would not help: it does not try.
pub const EXIT_PERMANENT: u8 = 125;

/// Makes `main` of a type that implements [`Module`].
#[macro_export]
macro_rules! main {
    ($module:ty) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run::<$module>()
        }
    };
}

/// JSON in place, as `serde_json::json!` writes it, ready to be answered with.
#[macro_export]
macro_rules! json {
    ($($json:tt)+) => { $crate::Json::from($crate::serde_json::json!($($json)+)) };
}
