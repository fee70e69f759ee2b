//! Reads a message from the content of one frame, and says what is wrong with one that is none.

use crate::{
    Delivery, ErrorCode, Exit, Failure, Json, Message, MessageError, Request, RequestType, Response, Status,
    frame::quote,
    limits::{DEADLINE_MS_MAX, ERROR_TEXT_BYTES_MAX, KEY_BYTES_MAX, REQUEST_ID_MAX},
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

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
    of: Option<u64>,
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
        if let Some(of) = self.of.filter(|of| *of > REQUEST_ID_MAX) {
            return fail(format!("expected an \"of\" of at most {REQUEST_ID_MAX}, found {of}"));
        }
        Ok(Request {
            id,
            kind,
            to: self.to,
            payload: self.payload.map_or_else(Json::null, Json),
            deadline_ms: self.deadline_ms,
            key: self.key,
            of: self.of,
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
