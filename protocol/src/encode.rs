//! Writes messages as frames, their members in a fixed order, so that the bytes of a message can be
//! asserted.

use crate::{
    Failure, Json, Message, Request, RequestType, Response, Status,
    frame::{self, FrameError},
};
use serde::Serialize;

impl Message {
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

impl Request {
    /// Appends the request to `out` as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>, frame_bytes_max: usize) -> Result<(), FrameError> {
        WireRequest::from(self).encode(out, frame_bytes_max)
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
    /// See [`Request::of`].
    pub of: Option<u64>,
}

impl<'a> From<&'a Request> for WireRequest<'a> {
    fn from(request: &'a Request) -> WireRequest<'a> {
        let Request { id, kind, to, payload, deadline_ms, key, of } = request;
        WireRequest {
            id: *id,
            kind,
            to: to.as_deref(),
            payload: payload.as_str(),
            deadline_ms: *deadline_ms,
            key: key.as_deref(),
            of: *of,
        }
    }
}

impl WireRequest<'_> {
    /// Appends the request to `out` as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>, frame_bytes_max: usize) -> Result<(), FrameError> {
        self.encode_around(out, Around::Nothing, frame_bytes_max).map(drop)
    }

    /// As [`WireRequest::encode`]; returns the place of the payload if that is left out.
    pub(crate) fn encode_around(
        &self,
        out: &mut Vec<u8>,
        around: Around,
        frame_bytes_max: usize,
    ) -> Result<Option<usize>, FrameError> {
        encode(out, around, self.payload, frame_bytes_max, |object| {
            if let Some(id) = self.id {
                object.member("id", &id);
            }
            match self.kind {
                RequestType::Unknown(name) => object.member("type", name),
                known => object.word("type", known.name()),
            }
            if let Some(to) = self.to {
                object.member("to", to);
            }
            if self.payload != "null" {
                object.payload("payload", self.payload);
            }
            if let Some(deadline_ms) = self.deadline_ms {
                object.member("deadline_ms", &deadline_ms);
            }
            if let Some(key) = self.key {
                object.member("key", key);
            }
            if let Some(of) = self.of {
                object.member("of", &of);
            }
        })
    }
}

impl Response {
    /// Appends the response to `out` as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>, frame_bytes_max: usize) -> Result<(), FrameError> {
        self.encode_around(out, Around::Nothing, frame_bytes_max).map(drop)
    }

    /// As [`Response::encode`]; returns the place of the data if that is left out.
    pub(crate) fn encode_around(
        &self,
        out: &mut Vec<u8>,
        around: Around,
        frame_bytes_max: usize,
    ) -> Result<Option<usize>, FrameError> {
        let data = self.status.data().map_or("", Json::as_str);
        encode(out, around, data, frame_bytes_max, |object| {
            object.member("id", &self.id);
            match &self.status {
                Status::Progress(_) => object.word("status", "progress"),
                Status::Success(_) => object.word("status", "success"),
                Status::Error(failure) => {
                    object.word("status", "error");
                    failure.write(object);
                }
            }
            if !data.is_empty() {
                object.payload("data", data);
            }
        })
    }
}

/// What is to be left out of a frame, to be put in by whoever writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    /// All of it is written.
    Nothing,
    /// Its payload, or its data.
    Payload,
}

/// Appends one frame with the object that `write` writes; returns the place of `payload` if that is left out.
fn encode(
    out: &mut Vec<u8>,
    around: Around,
    payload: &str,
    frame_bytes_max: usize,
    write: impl FnOnce(&mut ObjectWriter<'_>),
) -> Result<Option<usize>, FrameError> {
    let mut place = None;
    let left_out = if around == Around::Payload { payload.len() } else { 0 };
    frame::encode_around(out, left_out, frame_bytes_max, |out| {
        out.reserve(payload.len() - left_out + SMALL_MEMBERS_BYTES);
        let mut object = ObjectWriter::new(out, around);
        write(&mut object);
        place = object.end();
    })?;
    Ok(place)
}

/// Room for the members of a message that are not its payload, as they usually are.
const SMALL_MEMBERS_BYTES: usize = 96;

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
    }
}

/// Writes the members of one JSON object in a fixed order, so that the bytes of a message can be
/// asserted.
struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
    around: Around,
    /// Where the payload belongs that is left out.
    place: Option<usize>,
}

impl<'a> ObjectWriter<'a> {
    fn new(out: &'a mut Vec<u8>, around: Around) -> ObjectWriter<'a> {
        out.push(b'{');
        ObjectWriter { out, first: true, around, place: None }
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

    /// A text that JSON takes as it is.
    fn word(&mut self, name: &str, word: &str) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'"');
    }

    /// The payload or the data, as it is.
    fn payload(&mut self, name: &str, json: &str) {
        self.name(name);
        match self.around {
            Around::Nothing => self.out.extend_from_slice(json.as_bytes()),
            Around::Payload => self.place = Some(self.out.len()),
        }
    }

    /// Returns the place of the payload, if that is left out.
    fn end(self) -> Option<usize> {
        self.out.push(b'}');
        self.place
    }
}
