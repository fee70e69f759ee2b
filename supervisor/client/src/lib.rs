//! A client of the host's control socket: it sends requests and reads responses, many at a time if the caller wants.
//!
//! It is blocking and built on the standard library alone, so that a shell command starts at once and a program of any
//! runtime can use it; a program with an event loop of its own makes it non-blocking and polls its descriptor. A host
//! that closes a connection on which nothing is in flight is reached again with the next request. Otherwise it
//! deliberately does not reconnect, sends nothing again that the host may have read, and interprets no payload: the
//! caller decides what to do after a failure.
//!
//! ```no_run
//! use bulkhead_client::Client;
//! use bulkhead_protocol::Json;
//! use std::{path::Path, time::Duration};
//!
//! let mut client = Client::connect(Path::new("/run/bulkhead/control.sock"))?;
//! let data = client.call("test-minimal", "ping", Json::null(), Some(Duration::from_secs(5)))?;
//! println!("{}", data.as_str());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod again;
mod client;
mod connect;
mod error;
mod receiver;
mod sender;

pub use client::{Client, command_payload};
pub use connect::{check_owner, check_path};
pub use error::{CallError, ClientError, ConnectError};
pub use receiver::Receiver;
pub use sender::Sender;
