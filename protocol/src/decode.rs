//! Reads a message from the content of one frame, and says what is wrong with one that is none.

use crate::{
    Decoder, ErrorCode, Failure, FrameError, Json, Message, MessageError, Request, RequestType, Response, Status,
    frame::{Arriving, Cut, quote},
    limits::{DEADLINE_MS_MAX, ERROR_TEXT_BYTES_MAX, KEY_BYTES_MAX, LENGTH_PREFIX_BYTES, REQUEST_ID_MAX},
    members::{FailureMembers, Members, Outline},
    refusal,
};
use bulkhead_json::NotJson;
use std::{borrow::Cow, sync::Arc};

impl Message {
    /// Reads the content of one frame.
    ///
    /// # Errors
    /// When it is not UTF-8, not one JSON object, or breaks a rule of the message.
    pub fn decode(frame: &[u8]) -> Result<Message, MessageError> {
        let text =
            std::str::from_utf8(frame).map_err(|error| not_utf8(frame[error.valid_up_to()], error.valid_up_to()))?;
        Message::read(text, Payload::Copied, None).unwrap_or_else(|| Err(refusal::of(text)))
    }

    /// Reads a text, which has been checked if there is an outline of it. `None` if it is no message, and
    /// [`refusal`] has to say why.
    fn read(text: &str, payload: Payload<'_>, outline: Option<&Outline>) -> Option<Result<Message, MessageError>> {
        let fail = |id, reason: String| MessageError { id, reason };
        let mut members = Members::default();
        let read = match outline {
            Some(outline) => members.read_outlined(text, outline),
            None => members.read(text),
        };
        read?;
        let id = members.id;
        if let Some(id) = id.filter(|id| *id > REQUEST_ID_MAX) {
            return Some(Err(fail(None, format!("expected an id of at most {REQUEST_ID_MAX}, found {id}"))));
        }
        Some(match (&members.kind, &members.status) {
            (Some(_), None) => members.into_request(payload).map(Message::Request),
            (None, Some(_)) => members.into_response(payload).map(Message::Response),
            (Some(_), Some(_)) => {
                Err(fail(id, "expected either \"type\" (a request) or \"status\" (a response), found both".into()))
            }
            (None, None) => {
                Err(fail(id, "expected \"type\" (a request) or \"status\" (a response), found neither".into()))
            }
        })
    }

    /// The message of which everything has come; a text that is no message is given back.
    pub(crate) fn of_arrived(arriving: Arriving) -> Result<Result<Message, MessageError>, Arc<String>> {
        let (text, outline) = match arriving.finish() {
            Ok((text, outline)) => (Arc::new(text), outline),
            Err(NotJson::Bytes { byte, offset }) => return Ok(Err(not_utf8(byte, offset))),
            Err(NotJson::Text(text)) => return Err(Arc::new(text)),
        };
        Message::read(&text, Payload::PartOf(&text), Some(&outline)).ok_or(text)
    }
}

impl Decoder {
    /// The next message; `None` when `input` is used up. It is what [`Decoder::next`] and
    /// [`Message::decode`] find, but a long message is read as it comes: with its last piece, little is left
    /// to do, and its payload is not copied.
    ///
    /// # Errors
    /// When what comes is no frame; the decoder is then of no further use.
    pub fn next_message(&mut self, input: &mut &[u8]) -> Result<Option<Result<Message, MessageError>>, FrameError> {
        if let Some(mut arriving) = self.arriving.take() {
            if arriving.take(input) {
                return Ok(Some(Message::of_arrived(*arriving).unwrap_or_else(|text| Err(self.refuse(text)))));
            }
            self.arriving = Some(arriving);
            return Ok(None);
        }
        let message = match self.cut(input)? {
            Some(Cut::Whole(content)) => Message::decode(content),
            Some(Cut::Finished(frame)) => Message::decode(&frame[LENGTH_PREFIX_BYTES..]),
            None => {
                self.read_as_it_comes();
                return Ok(None);
            }
        };
        Ok(Some(message))
    }

    /// From now on the caller finds out why a long message is refused, which takes as long as to read it
    /// once more. The text is returned by [`Decoder::take_refused`] then, and its error has no reason.
    pub fn leave_refusals(&mut self) {
        self.leaves_refusals = true;
    }

    /// The text that was refused with the last error, if the caller is to find out why: see
    /// [`MessageError::of_refused`].
    pub fn take_refused(&mut self) -> Option<Arc<String>> {
        self.refused.take()
    }

    #[cold]
    fn refuse(&mut self, text: Arc<String>) -> MessageError {
        if !self.leaves_refusals {
            return refusal::of(&text);
        }
        self.refused = Some(text);
        MessageError { id: None, reason: String::new() }
    }
}

fn not_utf8(byte: u8, offset: usize) -> MessageError {
    MessageError { id: None, reason: format!("expected UTF-8, found the byte 0x{byte:02x} at offset {offset}") }
}

/// How a payload leaves the frame that it came in.
#[derive(Clone, Copy)]
enum Payload<'a> {
    Copied,
    PartOf(&'a Arc<String>),
}

impl Payload<'_> {
    fn json(self, text: &str) -> Json {
        match self {
            Payload::Copied => Json::of_checked(text),
            Payload::PartOf(whole) => Json::part_of(whole, text),
        }
    }
}

impl Members<'_> {
    fn into_request(self, payload: Payload<'_>) -> Result<Request, MessageError> {
        let id = self.id;
        let kind = RequestType::from_name(&self.kind.expect("the caller saw it"));
        let fail = |reason: String| Err(MessageError { id, reason });
        if id.is_none() && kind != RequestType::Event {
            return fail(format!(
                "expected an \"id\" in a request of type {}, found none",
                quote(kind.name().as_bytes())
            ));
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
            to: self.to.map(Cow::into_owned),
            payload: self.payload.map_or_else(Json::null, |text| payload.json(text)),
            deadline_ms: self.deadline_ms,
            key: self.key.map(Cow::into_owned),
            of: self.of,
        })
    }

    fn into_response(self, payload: Payload<'_>) -> Result<Response, MessageError> {
        let id = self.id;
        let data = self.data.map(|text| payload.json(text));
        let status = match self.status.as_deref() {
            Some("progress") => Status::Progress(data.unwrap_or_default()),
            Some("success") => Status::Success(data.unwrap_or_default()),
            Some("error") => Status::Error(Box::new(failure(self.of_failure.map(|members| *members), data))),
            other => {
                return Err(MessageError {
                    id,
                    reason: format!(
                        "expected a \"status\" of \"progress\", \"success\" or \"error\", found {}",
                        quote(other.unwrap_or_default().as_bytes())
                    ),
                });
            }
        };
        let last = self.last.unwrap_or_default();
        if last && matches!(status, Status::Progress(_)) {
            let reason = "expected \"last\" with a \"success\" or an \"error\", found it with a \"progress\", which is no answer";
            return Err(MessageError { id, reason: reason.into() });
        }
        Ok(Response { id, status, last })
    }
}

fn failure(members: Option<FailureMembers>, data: Option<Json>) -> Failure {
    let members = members.unwrap_or_default();
    let known = members.code.as_deref().and_then(ErrorCode::from_name);
    let code = known.unwrap_or(ErrorCode::ModuleError);
    let mut error = members.error.unwrap_or_else(|| "the answer is an error without a sentence".into());
    if error.len() > ERROR_TEXT_BYTES_MAX {
        error.truncate(error.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
        error.push('…');
    }
    Failure {
        code,
        error,
        delivery: members.delivery,
        retryable: members.retryable.unwrap_or(code.retryable()),
        exit: members.exit,
        stderr: members.stderr,
        module_code: if known.is_none() { members.code } else { members.module_code },
        data,
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
    fn a_broken_member_still_leaves_the_id_readable() {
        let broken = error(r#"{"id":9,"type":"command","deadline_ms":"soon"}"#);
        assert_eq!(broken.id, Some(9));
        assert!(broken.reason.contains("invalid type: string \"soon\""), "{broken}");
    }

    #[test]
    fn what_a_refusal_repeats_is_one_line_and_has_a_limit() {
        for text in ["x".repeat(1 << 20), "é\n".repeat(10_000), "\u{9b}\u{202e}".repeat(3)] {
            let text = serde_json::to_string(&text).unwrap();
            for other in [format!(r#"{{"id":9,"status":{text}}}"#), format!(r#"{{"type":{text}}}"#)] {
                let reason = error(&other).reason;
                assert!(reason.len() < 500 && !reason.contains(char::is_control), "{reason:?}");
            }
            for member in [format!(r#""exit":{{{text}:1}}"#), format!(r#""deadline_ms":{text}"#)] {
                let reason = error(&format!(r#"{{"id":9,"type":"command",{member}}}"#)).reason;
                assert!(reason.len() < 700 && !reason.contains(char::is_control), "{reason:?}");
                assert!(reason.contains(" at line 1 column "), "{reason}");
            }
        }
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
    /// What a decoder finds that gets this content in pieces, as one frame.
    fn in_pieces(content: &[u8], piece_bytes: usize) -> Result<Message, MessageError> {
        let mut bytes = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(content);
        let mut decoder = Decoder::new(1 << 24);
        for mut piece in bytes.chunks(piece_bytes) {
            if let Some(message) = decoder.next_message(&mut piece).unwrap() {
                assert_eq!((piece, decoder.finish()), (&b""[..], Ok(())));
                return message;
            }
        }
        panic!("the frame is whole");
    }

    #[test]
    fn a_message_in_pieces_is_the_message_in_one_piece() {
        let payload = format!("[{:?},\"é\"]", "x".repeat(200_000));
        let texts = [
            format!(r#"{{"id":1,"type":"command","to":"a","payload":{payload}}}"#),
            format!(r#" {{"payload": {payload} ,"id":1,"type":"command","key":{:?}}} "#, "k".repeat(100)),
            format!(r#"{{"id":1,"status":"success","data":{payload}}}"#),
            format!(r#"{{"id":1,"status":"error","error":{:?},"data":{payload}}}"#, "e".repeat(60_000)),
            format!(r#"{{"id":1,"type":"command","other":{payload},"payload":[1,2]}}"#),
            format!(r#"{{"id":1,"type":"command","payload":{payload},}}"#),
            format!(r#"{{"id":1,"type":"command","payload":{payload}"#),
            format!(r#"[{payload}]"#),
            r#"{"id":1,"type":"ping"}"#.to_owned(),
        ];
        for text in texts {
            for piece_bytes in [text.len() + 4, text.len() + 3, 65_536, 1000] {
                assert_eq!(in_pieces(text.as_bytes(), piece_bytes), Message::decode(text.as_bytes()));
            }
        }
    }

    #[test]
    fn the_byte_that_is_no_utf8_is_named_in_a_message_in_pieces_too() {
        let mut content = format!(r#"{{"id":1,"type":"command","payload":{:?}}}"#, "x".repeat(200_000)).into_bytes();
        content[100_000] = 0xff;
        let reason = in_pieces(&content, 65_536).unwrap_err().reason;
        assert_eq!(reason, "expected UTF-8, found the byte 0xff at offset 100000");
    }
}
