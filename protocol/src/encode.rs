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

    /// As [`WireRequest::encode`]; returns the position of the payload if that is left out.
    pub(crate) fn encode_around(
        &self,
        out: &mut Vec<u8>,
        around: Around,
        frame_bytes_max: usize,
    ) -> Result<Option<usize>, FrameError> {
        encode(out, around, self.payload, frame_bytes_max, |object| {
            if let Some(id) = self.id {
                object.member(r#","id":"#, &id);
            }
            match self.kind {
                RequestType::Init => object.piece(r#","type":"init""#),
                RequestType::Command => object.piece(r#","type":"command""#),
                RequestType::Query => object.piece(r#","type":"query""#),
                RequestType::Mutation => object.piece(r#","type":"mutation""#),
                RequestType::Event => object.piece(r#","type":"event""#),
                RequestType::Ping => object.piece(r#","type":"ping""#),
                RequestType::Cancel => object.piece(r#","type":"cancel""#),
                RequestType::Shutdown => object.piece(r#","type":"shutdown""#),
                RequestType::Unknown(name) => object.member(r#","type":"#, name),
            }
            if let Some(to) = self.to {
                object.member(r#","to":"#, to);
            }
            if self.payload != "null" {
                object.payload(r#","payload":"#, self.payload);
            }
            if let Some(deadline_ms) = self.deadline_ms {
                object.member(r#","deadline_ms":"#, &deadline_ms);
            }
            if let Some(key) = self.key {
                object.member(r#","key":"#, key);
            }
            if let Some(of) = self.of {
                object.member(r#","of":"#, &of);
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

    /// As [`Response::encode`]; returns the position of the data if that is left out.
    pub(crate) fn encode_around(
        &self,
        out: &mut Vec<u8>,
        around: Around,
        frame_bytes_max: usize,
    ) -> Result<Option<usize>, FrameError> {
        let data = self.status.data().map_or("", Json::as_str);
        encode(out, around, data, frame_bytes_max, |object| {
            object.member(r#","id":"#, &self.id);
            match &self.status {
                Status::Progress(_) => object.piece(r#","status":"progress""#),
                Status::Success(_) => object.piece(r#","status":"success""#),
                Status::Error(failure) => {
                    object.piece(r#","status":"error""#);
                    failure.write(object);
                }
            }
            if self.last {
                object.piece(r#","last":true"#);
            }
            if !data.is_empty() {
                object.payload(r#","data":"#, data);
            }
        })
    }
}

/// What is to be left out of a frame, to be inserted by its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    /// All of it is written.
    Nothing,
    /// Its payload, or its data.
    Payload,
}

/// Appends one frame with the object that `write` writes; returns the position of `payload` if that is left out.
#[inline(always)]
fn encode(
    out: &mut Vec<u8>,
    around: Around,
    payload: &str,
    frame_bytes_max: usize,
    write: impl FnOnce(&mut ObjectWriter<'_>),
) -> Result<Option<usize>, FrameError> {
    let mut position = None;
    let left_out = if around == Around::Payload { payload.len() } else { 0 };
    out.reserve(payload.len() - left_out + SMALL_MEMBERS_BYTES);
    frame::encode_around(out, left_out, frame_bytes_max, |out| {
        let start = out.len();
        let mut object = ObjectWriter { out, around, position: None };
        write(&mut object);
        position = object.position;
        // Each member begins with a comma, the first one too.
        out[start] = b'{';
        out.push(b'}');
    })?;
    Ok(position)
}

/// Room for the members of a message that are not its payload, as they usually are, and its length.
const SMALL_MEMBERS_BYTES: usize = 100;

impl Failure {
    fn write(&self, object: &mut ObjectWriter<'_>) {
        object.member(r#","error":"#, &self.error);
        object.word(r#","code":"#, self.code.name());
        if let Some(delivery) = self.delivery {
            object.word(r#","delivery":"#, delivery.name());
        }
        object.member(r#","retryable":"#, &self.retryable);
        if let Some(exit) = &self.exit {
            object.member(r#","exit":"#, exit);
        }
        if !self.stderr.is_empty() {
            object.member(r#","stderr":"#, &self.stderr);
        }
        if let Some(module_code) = &self.module_code {
            object.member(r#","module_code":"#, module_code);
        }
    }
}

/// Writes the members of one JSON object in a fixed order, so that the bytes of a message can be
/// asserted.
///
/// The name of a member comes with all that is around it, with a comma before it. As a constant in
/// functions that are always inlined, it is stored in a few instructions, without a call.
struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    around: Around,
    /// The position of the payload that is left out.
    position: Option<usize>,
}

impl ObjectWriter<'_> {
    #[inline(always)]
    fn piece(&mut self, piece: &str) {
        self.out.extend_from_slice(piece.as_bytes());
    }

    #[inline(always)]
    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.piece(name);
        serde_json::to_writer(&mut *self.out, value).expect("a plain value can be written to memory");
    }

    /// A text that JSON takes as it is.
    #[inline(always)]
    fn word(&mut self, name: &str, word: &str) {
        self.piece(name);
        self.piece("\"");
        self.piece(word);
        self.piece("\"");
    }

    /// The payload or the data, as it is.
    #[inline(always)]
    fn payload(&mut self, name: &str, json: &str) {
        self.piece(name);
        match self.around {
            Around::Nothing => self.piece(json),
            Around::Payload => self.position = Some(self.out.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `serde_json` writes for the same value.
    fn json(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }

    fn content(message: &Message) -> String {
        let mut out = Vec::new();
        message.encode(&mut out, 1 << 20).unwrap();
        String::from_utf8(out.split_off(crate::limits::LENGTH_PREFIX_BYTES)).unwrap()
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z]{0,20}", "[a-z\"\\\\\n]{0,20}", any::<String>()]
    }

    fn number() -> impl Strategy<Value = u64> {
        // As many of each length.
        (any::<u64>(), 0..u64::BITS).prop_map(|(number, bits)| number >> bits)
    }

    proptest! {
        #[test]
        fn texts_and_numbers_are_written_as_serde_json_writes_them(
            (kind, to, key, error) in (text(), text(), text(), text()),
            (id, deadline_ms, of) in (number(), number(), number()),
        ) {
            let request = Request {
                to: Some(to.clone()),
                deadline_ms: Some(deadline_ms),
                key: Some(key.clone()),
                of: Some(of),
                ..Request::new(id, RequestType::Unknown(kind.clone()), Json::of(&[1]))
            };
            prop_assert_eq!(
                content(&Message::Request(request)),
                format!(
                    r#"{{"id":{},"type":{},"to":{},"payload":[1],"deadline_ms":{},"key":{},"of":{}}}"#,
                    json(id), json(kind), json(to), json(deadline_ms), json(&key), json(of),
                )
            );
            let mut failure = Failure::new(crate::ErrorCode::ModuleError, error.clone());
            failure.module_code = Some(key.clone());
            prop_assert_eq!(
                content(&Message::Response(Response::new(id, failure))),
                format!(
                    r#"{{"id":{},"status":"error","error":{},"code":"module_error","retryable":false,"module_code":{}}}"#,
                    json(id), json(error), json(&key),
                )
            );
        }
    }

    #[test]
    fn the_first_member_has_no_comma_whichever_it_is() {
        let event = Request::new(None, RequestType::Event, Json::null());
        assert_eq!(content(&Message::Request(event)), r#"{"type":"event"}"#);
        let progress = Response::new(None, Status::Progress(Json::of(&1)));
        assert_eq!(content(&Message::Response(progress)), r#"{"id":null,"status":"progress","data":1}"#);
    }
}
