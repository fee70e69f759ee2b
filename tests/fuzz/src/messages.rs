//! Messages, beside a reader that `serde` derives: what is in one, that it is the same when it is long, and that what
//! is written of it is read again.

use bulkhead_protocol::{Delivery, Exit, Json, Message, Request, Response, Status, limits::FRAME_BYTES_MAX_DEFAULT};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The members of both kinds of message.
#[derive(Deserialize)]
struct Form<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    to: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    deadline_ms: Option<u64>,
    key: Option<String>,
    of: Option<u64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    last: Option<bool>,
    delivery: Option<Delivery>,
    exit: Option<Exit>,
    #[serde(default)]
    stderr: Vec<String>,
}

/// No refusal is longer, for any text that it repeats.
const REASON_BYTES_MAX: usize = 1000;

/// White space that makes a message a long one.
const SPACE_BYTES: usize = bulkhead_json::LONG_BYTES_MIN;

pub(crate) fn run(bytes: &[u8]) {
    let found = Message::decode(bytes);
    // A quarter of the inputs is enough, as so much white space takes most of the time.
    if bytes.len().is_multiple_of(4) {
        let long = Message::decode(&[bytes, &[b' '; SPACE_BYTES]].concat());
        assert_eq!(found.as_ref().ok(), long.as_ref().ok(), "it is another message when it is long");
        assert_eq!(found.as_ref().err().and_then(|error| error.id), long.err().and_then(|error| error.id));
    }
    let message = match found {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.reason.is_empty() && !error.reason.contains(['\n', '\r']), "{error}");
            assert!(error.reason.len() < REASON_BYTES_MAX, "{error}");
            return;
        }
    };
    let text = std::str::from_utf8(bytes).expect("a message is UTF-8");
    check_members(&message, &serde_json::from_str(text).expect("serde_json reads a message"));
    check_writing(&message);
}

fn check_members(message: &Message, form: &Form<'_>) {
    let json = |raw: Option<&RawValue>| raw.map_or_else(Json::null, |raw| Json::parse(raw.get()).expect("it is JSON"));
    match message {
        Message::Request(Request { id, kind, to, payload, deadline_ms, key, of }) => {
            assert_eq!((*id, Some(kind.name())), (form.id, form.r#type.as_deref()));
            assert_eq!((to, payload), (&form.to, &json(form.payload)));
            assert_eq!((*deadline_ms, key, *of), (form.deadline_ms, &form.key, form.of));
        }
        Message::Response(Response { id, status, last }) => {
            assert_eq!((*id, *last), (form.id, form.last.unwrap_or_default()));
            let (name, data) = match status {
                Status::Progress(data) => ("progress", data.clone()),
                Status::Success(data) => ("success", data.clone()),
                Status::Error(failure) => {
                    assert_eq!((failure.delivery, &failure.exit), (form.delivery, &form.exit));
                    assert_eq!(failure.stderr, form.stderr);
                    ("error", failure.data.clone().unwrap_or_default())
                }
            };
            assert_eq!((Some(name), data), (form.status.as_deref(), json(form.data)));
        }
    }
}

fn check_writing(message: &Message) {
    let mut frame = Vec::new();
    message.encode(&mut frame, 2 * FRAME_BYTES_MAX_DEFAULT).expect("it is not much longer than what was read");
    let again = Message::decode(&frame[4..]).expect("what is written is a message");
    assert_eq!(&again, message);
}
