//! A connection to Bulkhead's host for programs and modules that run tokio. Both ends have the same connection: a
//! program reaches the control socket with [`Connection::connect`], a module uses the socket that the host gave it with
//! [`Starting::open`].
//!
//! - Many calls at once over one connection, from any task: a [`Connection`] is cloned.
//! - A call whose future is dropped is cancelled at the host.
//! - Progress and events come as a stream ([`Answers`], [`Events`]). One that is not read holds up no other request.
//! - With [`Options::reconnect`], the host is reached again when it was restarted. The callers of requests that were
//!   sent and not answered learn how far these may have got, requests that were not sent go to the next stream, and a
//!   stream of events resumes after its last one.
//!
//! It deliberately sends nothing again that the host may have read, and interprets no payload. Programs without tokio,
//! and commands that must start fast, have the blocking `bulkhead-client`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use bulkhead_client_async::Connection;
//! use bulkhead_protocol::Json;
//! use std::time::Duration;
//!
//! let connection = Connection::connect("/run/bulkhead/control.sock").await?;
//! let timeout = Some(Duration::from_secs(5));
//! let (one, two) = tokio::try_join!(
//!     connection.call("test-minimal", "ping", Json::null(), timeout),
//!     connection.call("test-minimal", "ping", Json::null(), timeout),
//! )?;
//! println!("{} {}", one.as_str(), two.as_str());
//! # Ok(())
//! # }
//! ```
//!
//! The streams are `interprocess` local sockets, cut into frames by tokio-util's length-delimited codec with its limit
//! set to the largest that a host can be configured to.

#![forbid(unsafe_code)]

mod answers;
mod connection;
mod error;
mod events;
mod link;
mod module;
mod options;
mod table;
mod taken;

pub use answers::Answers;
pub use bulkhead_client::{ConnectError, command_payload};
pub use connection::{Connection, State};
pub use error::{CallError, EndReason, Error};
pub use events::{Event, EventItem, Events, EventsError};
pub use module::{Incoming, Requests, StartError, Starting};
pub use options::Options;
