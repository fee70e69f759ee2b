//! The seam between the ways to run a module: what a handler may request of its host. It knows no clock and no channel;
//! its implementations have both.

use crate::Error;
use bulkhead_protocol::event::check_event_name;
use bulkhead_protocol::{Json, RequestType};
use std::time::Duration;

/// The host as a handler sees it: over the wire in a process, a table of functions behind a C
/// border, a script in a test. Everything is about the one request that is being handled.
pub trait Host {
    /// Sends a request and waits for its answer, at most until the deadline of the request that is
    /// being handled.
    ///
    /// # Errors
    /// What was answered, `deadline_exceeded`, or `cancelled` as soon as the request that is being
    /// handled is cancelled.
    fn ask(&mut self, ask: Ask<'_>) -> Result<Json, Error>;

    /// Publishes an event, without waiting.
    ///
    /// # Errors
    /// When the name is not one, the event is longer than a frame, or the host is gone.
    fn emit(&mut self, event: &str, data: &Json) -> Result<(), Error>;

    /// Reports to the caller how far the work is. An event without an id has no caller, and no progress.
    ///
    /// # Errors
    /// When the data is longer than a frame, or the host is gone.
    fn progress(&mut self, data: &Json) -> Result<(), Error>;

    /// Waits for so long, and says whether the request was cancelled or the host is gone; at once
    /// when it was.
    fn wait(&mut self, duration: Duration) -> bool;

    /// The time that is left, zero when it is over; `None` without a deadline.
    fn deadline(&self) -> Option<Duration>;

    /// The host's number for the request; an event may have none.
    fn id(&self) -> Option<u64>;

    /// The idempotency key of the request.
    fn key(&self) -> Option<&str>;
}

/// A request of the module's own to the host.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The module it is for; what none means depends on the type.
    pub to: Option<&'a str>,
    /// What it asks for.
    pub what: RequestBody<'a>,
    /// How long its answer is waited for, where that is less than the deadline.
    pub timeout: Option<Duration>,
}

/// What a request of the module's own is for.
#[derive(Clone, Copy, Debug)]
pub enum RequestBody<'a> {
    /// A command of the recipient.
    Command {
        /// The command.
        name: &'a str,
        /// Its arguments.
        args: &'a Json,
    },
    /// Read data.
    Query(&'a Json),
    /// Change data.
    Mutation(&'a Json),
}

impl RequestBody<'_> {
    /// The type of the request.
    pub fn kind(&self) -> RequestType {
        match self {
            RequestBody::Command { .. } => RequestType::Command,
            RequestBody::Query(_) => RequestType::Query,
            RequestBody::Mutation(_) => RequestType::Mutation,
        }
    }

    /// The payload of the request.
    pub fn payload(&self) -> Json {
        match *self {
            RequestBody::Command { name, args } => Json::object(&[("name", &Json::of(name)), ("args", args)]),
            RequestBody::Query(payload) | RequestBody::Mutation(payload) => payload.clone(),
        }
    }
}

/// The payload of an event.
///
/// # Errors
/// `bad_request` when the name is none that an event may have.
pub fn event_payload(event: &str, data: &Json) -> Result<Json, Error> {
    check_event_name(event).map_err(|error| Error::bad_request(error.to_string()))?;
    Ok(Json::object(&[("event", &Json::of(event)), ("data", data)]))
}
