//! Messages: requests and responses, read from and written to the bytes of one frame. Routing and
//! the meaning of a payload are not here.

use crate::error_code::{Delivery, ErrorCode};
use crate::frame::{self, FrameError, quote};
use crate::limits::{DEADLINE_MS_MAX, ERROR_TEXT_BYTES_MAX, KEY_BYTES_MAX, REQUEST_ID_MAX};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// A piece of JSON that is kept as the text it arrived as: checked, not parsed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The text `null`.
    pub fn null() -> Json {
        Json(RawValue::NULL.to_owned())
    }

    /// The JSON of `value`.
    ///
    /// # Panics
    /// When `value` has a map whose keys are no strings, which is a fault of the program.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Json {
        Json(serde_json::value::to_raw_value(value).expect("the value can be written as JSON"))
    }

    /// Checks that `text` is one JSON value.
    ///
    /// # Errors
    /// When it is not, with line and column.
    pub fn parse(text: &str) -> Result<Json, serde_json::Error> {
        serde_json::from_str(text.trim_matches([' ', '\t', '\r', '\n'])).map(Json)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads the text as a value of type `T`.
    ///
    /// # Errors
    /// When it has another form.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

impl Default for Json {
    fn default() -> Json {
        Json::null()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Json {
        Json::of(&value)
    }
}

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
    /// Are you there?
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
}

impl Request {
    /// A request of this type with nothing else set.
    pub fn new(id: impl Into<Option<u64>>, kind: RequestType, payload: Json) -> Request {
        Request { id: id.into(), kind, to: None, payload, deadline_ms: None, key: None }
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
    /// The number of the request; `None` (on the wire `null`) when the request could not be read so far.
    pub id: Option<u64>,
    /// How it went.
    pub status: Status,
}

/// How a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not finished; there may be any number of these.
    Progress(Json),
    /// Done.
    Success(Json),
    /// Failed.
    Error(Box<Failure>),
}

/// A failed request, told to its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason, from the closed list.
    pub code: ErrorCode,
    /// A sentence for a person.
    pub error: String,
    /// How far the request got, where that is known to matter.
    pub delivery: Option<Delivery>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// How the process ended, for a crash.
    pub exit: Option<Exit>,
    /// The last lines of standard error, for a crash.
    pub stderr: Vec<String>,
    /// The module's own code, where it is none of the list.
    pub module_code: Option<String>,
    /// What the module added.
    pub data: Option<Json>,
}

impl Failure {
    /// A failure with this reason, and with the code's own word on whether to try again.
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

/// The members of both kinds of message; unknown ones are ignored.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Envelope<'a> {
    #[serde(default, deserialize_with = "present")]
    id: Option<Option<u64>>,
    #[serde(borrow, rename = "type")]
    kind: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<std::borrow::Cow<'a, str>>,
    to: Option<String>,
    payload: Option<Box<RawValue>>,
    deadline_ms: Option<u64>,
    key: Option<String>,
    data: Option<Box<RawValue>>,
    error: Option<String>,
    code: Option<String>,
    delivery: Option<Delivery>,
    retryable: Option<bool>,
    exit: Option<Exit>,
    #[serde(default)]
    stderr: Vec<String>,
    module_code: Option<String>,
}

/// Tells a member that is `null` from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(deserializer).map(Some)
}

impl Message {
    /// Reads the content of one frame.
    ///
    /// # Errors
    /// When it is not UTF-8, not one JSON object, or breaks a rule of the message.
    pub fn decode(frame: &[u8]) -> Result<Message, MessageError> {
        let fail = |id, reason: String| MessageError { id, reason };
        let text = std::str::from_utf8(frame).map_err(|error| {
            let at = error.valid_up_to();
            fail(None, format!("expected UTF-8, found the byte 0x{:02x} at offset {at}", frame[at]))
        })?;
        // An array of the right values in the right order would be read as an object without names.
        if text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[') {
            return Err(fail(None, format!("expected one JSON object, found {}", quote(frame))));
        }
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| {
            let what = if error.is_data() { "a message" } else { "one JSON object" };
            fail(readable_id(text), format!("expected {what}: {error}; found {}", quote(frame)))
        })?;
        let id = envelope.id.flatten();
        if let Some(id) = id.filter(|id| *id > REQUEST_ID_MAX) {
            return Err(fail(None, format!("expected an id of at most {REQUEST_ID_MAX}, found {id}")));
        }
        match (&envelope.kind, &envelope.status) {
            (Some(_), None) => envelope.into_request(id).map(Message::Request),
            (None, Some(_)) => envelope.into_response(id).map(Message::Response),
            (Some(_), Some(_)) => {
                Err(fail(id, "expected either \"type\" (a request) or \"status\" (a response), found both".into()))
            }
            (None, None) => {
                Err(fail(id, "expected \"type\" (a request) or \"status\" (a response), found neither".into()))
            }
        }
    }

    /// Appends the message to `out` as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>, frame_bytes_max: usize) -> Result<(), FrameError> {
        match self {
            Message::Request(request) => request.encode(out, frame_bytes_max),
            Message::Response(response) => response.encode(out, frame_bytes_max),
        }
    }
}

/// The id of a message that is broken elsewhere, so that its sender still gets an answer with it.
fn readable_id(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: Option<u64>,
    }
    serde_json::from_str::<OnlyId>(text).ok().and_then(|only| only.id).filter(|id| *id <= REQUEST_ID_MAX)
}

impl Envelope<'_> {
    fn into_request(self, id: Option<u64>) -> Result<Request, MessageError> {
        let kind = RequestType::from_name(&self.kind.expect("the caller saw it"));
        let fail = |reason: String| Err(MessageError { id, reason });
        if id.is_none() && kind != RequestType::Event {
            return fail(format!("expected an \"id\" in a request of type {:?}, found none", kind.name()));
        }
        if let Some(ms) = self.deadline_ms.filter(|ms| *ms > DEADLINE_MS_MAX) {
            return fail(format!("expected a \"deadline_ms\" of at most {DEADLINE_MS_MAX}, found {ms}"));
        }
        if let Some(key) = self.key.as_ref().filter(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
            return fail(format!("expected a \"key\" of 1 to {KEY_BYTES_MAX} bytes, found {}", key.len()));
        }
        Ok(Request {
            id,
            kind,
            to: self.to,
            payload: self.payload.map_or_else(Json::null, Json),
            deadline_ms: self.deadline_ms,
            key: self.key,
        })
    }

    fn into_response(self, id: Option<u64>) -> Result<Response, MessageError> {
        let data = self.data.map(Json);
        let status = match self.status.as_deref() {
            Some("progress") => Status::Progress(data.unwrap_or_default()),
            Some("success") => Status::Success(data.unwrap_or_default()),
            Some("error") => {
                let known = self.code.as_deref().and_then(ErrorCode::from_name);
                let code = known.unwrap_or(ErrorCode::ModuleError);
                let mut error = self.error.unwrap_or_else(|| "the answer is an error without a sentence".into());
                if error.len() > ERROR_TEXT_BYTES_MAX {
                    error.truncate(error.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
                    error.push('…');
                }
                Status::Error(Box::new(Failure {
                    code,
                    error,
                    delivery: self.delivery,
                    retryable: self.retryable.unwrap_or(code.retryable()),
                    exit: self.exit,
                    stderr: self.stderr,
                    module_code: if known.is_none() { self.code } else { self.module_code },
                    data,
                }))
            }
            other => {
                return Err(MessageError {
                    id,
                    reason: format!(
                        "expected a \"status\" of \"progress\", \"success\" or \"error\", found {:?}",
                        other.unwrap_or_default()
                    ),
                });
            }
        };
        Ok(Response { id, status })
    }
}

impl Request {
    /// Appends the request to `out` as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>, frame_bytes_max: usize) -> Result<(), FrameError> {
        let Request { id, kind, to, payload, deadline_ms, key } = self;
        let wire = WireRequest {
            id: *id,
            kind,
            to: to.as_deref(),
            payload: payload.as_str(),
            deadline_ms: *deadline_ms,
            key: key.as_deref(),
        };
        wire.encode(out, frame_bytes_max)
    }
}

/// A request whose parts are borrowed: what the host sends on without copying it first.
#[derive(Clone, Copy, Debug)]
pub struct WireRequest<'a> {
    /// See [`Request::id`].
    pub id: Option<u64>,
    /// See [`Request::kind`].
    pub kind: &'a RequestType,
    /// See [`Request::to`].
    pub to: Option<&'a str>,
    /// See [`Request::payload`]: the text of one JSON value.
    pub payload: &'a str,
    /// See [`Request::deadline_ms`].
    pub deadline_ms: Option<u64>,
    /// See [`Request::key`].
    pub key: Option<&'a str>,
}

impl WireRequest<'_> {
    /// Appends the request to `out` as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>, frame_bytes_max: usize) -> Result<(), FrameError> {
        frame::encode(out, frame_bytes_max, |out| {
            let mut object = ObjectWriter::new(out);
            if let Some(id) = self.id {
                object.member("id", &id);
            }
            object.member("type", self.kind.name());
            if let Some(to) = self.to {
                object.member("to", to);
            }
            if self.payload != "null" {
                object.raw("payload", self.payload);
            }
            if let Some(deadline_ms) = self.deadline_ms {
                object.member("deadline_ms", &deadline_ms);
            }
            if let Some(key) = self.key {
                object.member("key", key);
            }
            object.end();
        })
    }
}

impl Response {
    /// A success with this data.
    pub fn success(id: u64, data: Json) -> Response {
        Response { id: Some(id), status: Status::Success(data) }
    }

    /// Appends the response to `out` as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>, frame_bytes_max: usize) -> Result<(), FrameError> {
        frame::encode(out, frame_bytes_max, |out| {
            let mut object = ObjectWriter::new(out);
            object.member("id", &self.id);
            match &self.status {
                Status::Progress(data) => {
                    object.member("status", "progress");
                    object.raw("data", data.as_str());
                }
                Status::Success(data) => {
                    object.member("status", "success");
                    object.raw("data", data.as_str());
                }
                Status::Error(failure) => {
                    object.member("status", "error");
                    failure.write(&mut object);
                }
            }
            object.end();
        })
    }
}

impl Failure {
    fn write(&self, object: &mut ObjectWriter<'_>) {
        object.member("error", &self.error);
        object.member("code", self.code.name());
        if let Some(delivery) = self.delivery {
            object.member("delivery", delivery.name());
        }
        object.member("retryable", &self.retryable);
        if let Some(exit) = &self.exit {
            object.member("exit", exit);
        }
        if !self.stderr.is_empty() {
            object.member("stderr", &self.stderr);
        }
        if let Some(module_code) = &self.module_code {
            object.member("module_code", module_code);
        }
        if let Some(data) = &self.data {
            object.raw("data", data.as_str());
        }
    }
}

/// Writes the members of one JSON object in a fixed order, so that the bytes of a message can be
/// asserted.
struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> ObjectWriter<'a> {
    fn new(out: &'a mut Vec<u8>) -> ObjectWriter<'a> {
        out.push(b'{');
        ObjectWriter { out, first: true }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.name(name);
        serde_json::to_writer(&mut *self.out, value).expect("a plain value can be written to memory");
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> MessageError {
        Message::decode(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn both_or_neither_of_type_and_status_is_an_error() {
        let both = error(r#"{"id":7,"type":"ping","status":"success"}"#);
        assert_eq!(both.id, Some(7));
        assert!(both.reason.ends_with("found both"), "{both}");
        assert!(error(r#"{"id":7}"#).reason.ends_with("found neither"));
    }

    #[test]
    fn a_broken_member_still_tells_whose_answer_it_is() {
        let broken = error(r#"{"id":9,"type":"command","deadline_ms":"soon"}"#);
        assert_eq!(broken.id, Some(9));
        assert!(broken.reason.contains("invalid type: string \"soon\""), "{broken}");
    }

    #[test]
    fn only_an_event_goes_without_an_id() {
        assert!(error(r#"{"type":"command"}"#).reason.contains("expected an \"id\""));
        assert!(Message::decode(br#"{"type":"event","payload":{"event":"a"}}"#).is_ok());
    }

    #[test]
    fn limits_are_named() {
        assert!(error(r#"{"id":9007199254740992,"type":"ping"}"#).reason.contains("at most 9007199254740991"));
        assert!(error(r#"{"id":1,"type":"ping","deadline_ms":86400001}"#).reason.contains("86400000"));
        assert!(error(r#"{"id":1,"type":"ping","key":""}"#).reason.contains("1 to 128"));
    }

    #[test]
    fn what_is_no_json_is_quoted() {
        let not_utf8 = Message::decode(b"{\"id\":\xff}").unwrap_err();
        assert_eq!(not_utf8.reason, "expected UTF-8, found the byte 0xff at offset 6");
        assert!(error("{oops").reason.contains("found \"{oops\""));
        assert!(error(r#"{"id":1,"type":"ping"} trailing"#).reason.contains("trailing"));
        assert!(error("[1]").reason.contains("expected"));
    }

    #[test]
    fn unknown_members_are_ignored_and_unknown_types_are_kept() {
        let message = Message::decode(br#"{"id":1,"type":"dance","steps":[1,2]}"#).unwrap();
        let Message::Request(request) = message else { panic!("a type makes a request") };
        assert_eq!(request.kind, RequestType::Unknown("dance".into()));
    }

    #[test]
    fn a_payload_passes_as_the_text_that_it_is() {
        let text = r#"{"id":1,"type":"command","payload":{"b":1.0,  "a":"\ud800","a":12345678901234567890123}}"#;
        let Message::Request(request) = Message::decode(text.as_bytes()).unwrap() else { panic!() };
        assert_eq!(request.payload.as_str(), r#"{"b":1.0,  "a":"\ud800","a":12345678901234567890123}"#);
    }

    #[test]
    fn deep_nesting_passes_without_a_deep_stack() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let text = format!(r#"{{"id":1,"type":"command","payload":{deep}}}"#);
        let Message::Request(request) = Message::decode(text.as_bytes()).unwrap() else { panic!() };
        assert_eq!(request.payload.as_str().len(), 2_000_000);
    }

    #[test]
    fn a_code_of_the_modules_own_is_kept_beside_module_error() {
        let text = r#"{"id":1,"status":"error","error":"no ink","code":"out_of_ink"}"#;
        let Message::Response(response) = Message::decode(text.as_bytes()).unwrap() else { panic!() };
        let Status::Error(failure) = response.status else { panic!() };
        assert_eq!(failure.code, ErrorCode::ModuleError);
        assert_eq!(failure.module_code.as_deref(), Some("out_of_ink"));
    }
}
