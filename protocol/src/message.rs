//! Messages: requests and responses, as values. How they are read is in `decode`, how they
//! are written in `encode`; routing and the meaning of a payload are not here.

use crate::{
    Json,
    error_code::{Delivery, ErrorCode},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestType {
    /// The first message to a module; see [`crate::Init`].
    Init,
    /// Do something that the receiver knows: `{"name","args"}`.
    Command,
    /// Read data.
    Query,
    /// Change data.
    Mutation,
    /// Something happened: `{"event","data"}`.
    Event,
    /// A request for a sign of life.
    Ping,
    /// Stop working on a request: `{"id"}`.
    Cancel,
    /// Finish what you have, answer, exit.
    Shutdown,
    /// A type that this version does not know; it is answered with `unknown_type`.
    Unknown(String),
}

impl RequestType {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            RequestType::Init => "init",
            RequestType::Command => "command",
            RequestType::Query => "query",
            RequestType::Mutation => "mutation",
            RequestType::Event => "event",
            RequestType::Ping => "ping",
            RequestType::Cancel => "cancel",
            RequestType::Shutdown => "shutdown",
            RequestType::Unknown(name) => name,
        }
    }

    /// The type with this name.
    pub fn from_name(name: &str) -> RequestType {
        match name {
            "init" => RequestType::Init,
            "command" => RequestType::Command,
            "query" => RequestType::Query,
            "mutation" => RequestType::Mutation,
            "event" => RequestType::Event,
            "ping" => RequestType::Ping,
            "cancel" => RequestType::Cancel,
            "shutdown" => RequestType::Shutdown,
            other => RequestType::Unknown(other.to_owned()),
        }
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The sender's number for it; without one (events only) there is no answer.
    pub id: Option<u64>,
    /// What it asks for.
    pub kind: RequestType,
    /// The module it is for; what none means depends on the type.
    pub to: Option<String>,
    /// What the type needs; absent is `null`.
    pub payload: Json,
    /// Milliseconds after which the sender wants no answer but `deadline_exceeded`.
    pub deadline_ms: Option<u64>,
    /// Idempotency key: the same key is the same work.
    pub key: Option<String>,
    /// In a module's own request: the host's number of the request that it belongs to.
    pub of: Option<u64>,
}

impl Request {
    /// A request of this type with nothing else set.
    pub fn new(id: impl Into<Option<u64>>, kind: RequestType, payload: Json) -> Request {
        Request { id: id.into(), kind, to: None, payload, deadline_ms: None, key: None, of: None }
    }

    /// The same request for the module `to`.
    pub fn to(mut self, to: impl Into<String>) -> Request {
        self.to = Some(to.into());
        self
    }
}

/// One response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The number of the request; `None` (on the wire `null`) when it could not be read from the request.
    pub id: Option<u64>,
    /// The outcome.
    pub status: Status,
    /// In a module's answer: the process ends on purpose after it, and has begun with no other request that
    /// it was sent. Never with progress, and never to a caller.
    pub last: bool,
}

impl Response {
    /// A success with this data.
    pub fn success(id: u64, data: Json) -> Response {
        Response::new(id, Status::Success(data))
    }

    /// A response with this status.
    pub fn new(id: impl Into<Option<u64>>, status: impl Into<Status>) -> Response {
        Response { id: id.into(), status: status.into(), last: false }
    }
}

/// The outcome of a request, or its progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not finished; there may be any number of these.
    Progress(Json),
    /// Done.
    Success(Json),
    /// Failed.
    Error(Box<Failure>),
}

/// A failed request, as reported to its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason, from the closed list.
    pub code: ErrorCode,
    /// A message for a person.
    pub error: String,
    /// How far the request got, where that is known to matter.
    pub delivery: Option<Delivery>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// How the process ended, for a crash.
    pub exit: Option<Exit>,
    /// The last lines of standard error, for a crash.
    pub stderr: Vec<String>,
    /// The module's own code, where it is not in the list.
    pub module_code: Option<String>,
    /// What the module added.
    pub data: Option<Json>,
}

impl Failure {
    /// A failure with this reason, and with the code's default on whether to try again.
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Failure {
        Failure {
            code,
            error: error.into(),
            delivery: None,
            retryable: code.retryable(),
            exit: None,
            stderr: Vec::new(),
            module_code: None,
            data: None,
        }
    }

    /// The same failure with how far the request got.
    pub fn delivery(mut self, delivery: Delivery) -> Failure {
        self.delivery = Some(delivery);
        self
    }
}

impl Status {
    /// The data that comes with it, if any.
    pub(crate) fn data(&self) -> Option<&Json> {
        match self {
            Status::Progress(data) | Status::Success(data) => Some(data),
            Status::Error(failure) => failure.data.as_ref(),
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        Status::Error(Box::new(failure))
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal, like `SIGSEGV`.
    Signal(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(name) => f.write_str(name),
        }
    }
}

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// It has a `type`.
    Request(Request),
    /// It has a `status`.
    Response(Response),
}

/// Why the bytes of a frame are no message. The stream itself is intact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MessageError {
    /// The request's number, where it could still be read.
    pub id: Option<u64>,
    /// What was expected and what was found.
    pub reason: String,
}

impl MessageError {
    /// Why a text is no message, where a decoder left that to the caller ([`crate::Decoder::leave_refusals`]). The time
    /// is in proportion to the length of the text.
    pub fn of_refused(text: &str) -> MessageError {
        crate::refusal::of(text)
    }
}
