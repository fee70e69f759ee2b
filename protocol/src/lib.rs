//! The wire of Bulkhead, version 1: what a message is, how it is framed, how large it may be, and
//! which errors there are.
//!
//! This crate is types and bytes. It deliberately does no I/O, knows no clock and no process, and
//! does not parse what passes through it: a `payload` and a `data` stay the text they arrived as.
//! `PROTOCOL.md` at the root of the repository is the same contract for people.

#![forbid(unsafe_code)]

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod agreement_in_pieces;
mod decode;
pub mod details;
mod encode;
pub mod error_code;
mod escape;
pub mod event;
pub mod exit_code;
pub mod frame;
// A module that is WebAssembly has no processes, and a path there is no text of bytes.
#[cfg(unix)]
pub mod guardian;
mod held;
pub mod init;
mod json;
pub mod layer1;
pub mod limits;
mod members;
pub mod message;
pub mod name;
mod named;
mod output;
mod process_stat;
mod refusal;
#[cfg(test)]
#[path = "../json/tests/texts/mod.rs"]
mod texts;
pub mod time;

pub use details::Details;
pub use encode::WireRequest;
pub use error_code::{Delivery, ErrorCode};
pub use escape::{escape, escape_json};
pub use event::Pattern;
pub use frame::{Decoder, FrameError};
pub use held::{HeldBytes, allocation};
pub use init::{Capabilities, Command, Init, Limits, OnPanic, Ready, StartPhase, StartProgress};
pub use json::Json;
pub use message::{Exit, Failure, Message, MessageError, Request, RequestType, Response, Status};
pub use name::ModuleName;
pub use named::Named;
pub use output::Output;
pub use process_stat::ProcessStat;

/// The version of the wire that this crate speaks. A module that answers `init` with another one is
/// refused for good.
pub const PROTOCOL_VERSION: u32 = 1;

/// The environment variable with the number of a module's channel descriptor.
pub const CHANNEL_VARIABLE: &str = "BULKHEAD_FD";

/// The environment variable in which the runtime of WebAssembly gets the variables of its module,
/// as a JSON object of texts. They are never variables of the runtime's own process, where the dynamic
/// loader and the C library would obey some of them.
pub const GUEST_ENVIRONMENT_VARIABLE: &str = "BULKHEAD_GUEST_ENV";
