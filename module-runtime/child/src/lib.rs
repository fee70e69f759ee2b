//! What every child of the host needs, whatever its module is made of: the [`Error`] of an answer,
//! log lines, the [`Host`] as a handler sees it, and, where there is a process, the channel, the
//! [`Wire`] and the loop that serves it to a [`Guest`].
//!
//! A guest is the handler of the requests: the SDK's `impl Module`, a shared library, a WebAssembly
//! module, a filter. The crate deliberately does not know which; it loads nothing and starts
//! nothing. Module authors use `bulkhead-module`, which has all of this that they need.
//!
//! The parts that need no process (errors, log lines, the seam, the [answer rules](answer) and the
//! [numbers](border) of a C border) also build for WebAssembly.

pub mod answer;
pub mod border;
#[cfg(unix)]
mod channel;
#[cfg(unix)]
mod copies;
mod error;
pub mod frames;
mod guest;
mod host;
pub mod log;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod wire;

pub use bulkhead_protocol::exit_code::{
    EXIT_FAILURE, EXIT_LIMIT, EXIT_PANICKED, EXIT_PERMANENT, EXIT_TRAP, EXIT_USAGE,
};
#[cfg(unix)]
pub use channel::{Channel, ChannelError};
#[cfg(unix)]
pub use copies::end_copy;
pub use error::Error;
pub use guest::{Barrier, Greeting, Guest, Outcome, read_init_payload};
pub use host::{Ask, Host, RequestBody, event_payload};
#[cfg(unix)]
pub use run::{read_init, run, serve};
#[cfg(unix)]
pub use wire::{End, InProgress, QueuedRequest, Wire};
