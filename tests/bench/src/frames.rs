//! The frames that are measured. They are written by hand, with numbers of one width, so that
//! numbering a request costs the caller ten bytes and no encoding.

use bulkhead_protocol::init::{Capabilities, Limits};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{Init, Json, Message, PROTOCOL_VERSION, Request, RequestType};

/// The bytes of a measured request's payload.
pub const PAYLOAD_BYTES: usize = 128;

/// The first number of a request: all that follow have as many digits.
pub const FIRST_ID: u64 = 1_000_000_000;

/// Where the number begins in a frame: after the length and `{"id":`.
pub const ID_AT: usize = 4 + 6;

/// The digits of a number.
pub const ID_DIGITS: usize = 10;

/// A command to `to`, under the number [`FIRST_ID`], its payload [`PAYLOAD_BYTES`] long.
pub fn command(to: &str, name: &str) -> Vec<u8> {
    let head = format!(r#"{{"name":"{name}","args":"#);
    let args = args_of(PAYLOAD_BYTES - head.len() - 1);
    frame(&format!(r#"{{"id":{FIRST_ID},"type":"command","to":"{to}","payload":{head}{args}}}}}"#))
}

/// A command to `to` with these arguments, which are JSON.
pub fn command_with(to: &str, name: &str, args: &str) -> Vec<u8> {
    frame(&format!(r#"{{"id":{FIRST_ID},"type":"command","to":"{to}","payload":{{"name":"{name}","args":{args}}}}}"#))
}

/// JSON as programs write it, this many bytes long: numbers, short keys, nested objects, short texts.
pub fn ordinary_json(bytes: usize) -> String {
    const END: &str = r#"],"pad":""}"#;
    let mut out = String::with_capacity(bytes);
    out.push_str(r#"{"rows":["#);
    for number in 0_u64.. {
        let row = format!(
            r#"{{"id":{number},"at":[{}.5,-{},{}e-3],"user":{{"name":"user {number}","active":{},"tags":["a","bc"],"note":null}}}}"#,
            number % 1000,
            number % 97,
            number % 13,
            number % 2 == 0,
        );
        if out.len() + 1 + row.len() + END.len() > bytes {
            break;
        }
        if number > 0 {
            out.push(',');
        }
        out.push_str(&row);
    }
    let pad = bytes - out.len() - END.len();
    out.push_str(r#"],"pad":""#);
    out.extend(std::iter::repeat_n('x', pad));
    out.push_str(r#""}"#);
    out
}

/// An event with this name and a little data.
pub fn event(name: &str) -> Vec<u8> {
    frame(&format!(r#"{{"id":{FIRST_ID},"type":"event","payload":{{"event":"{name}","data":{{"number":1}}}}}}"#))
}

/// A request to follow the host's events about modules.
pub fn follow_modules() -> Vec<u8> {
    command_with("supervisor", "events", r#"{"pattern":"module.*"}"#)
}

/// A request for the host's own state.
pub fn status() -> Vec<u8> {
    frame(&format!(r#"{{"id":{FIRST_ID},"type":"command","to":"supervisor","payload":{{"name":"status"}}}}"#))
}

/// A change of the data store that creates an entity, its payload [`PAYLOAD_BYTES`] long.
pub fn create(entity: &str) -> Vec<u8> {
    let head = format!(r#"{{"entity":"{entity}","operation":"create","data":"#);
    let data = args_of(PAYLOAD_BYTES - head.len() - 1);
    frame(&format!(r#"{{"id":{FIRST_ID},"type":"mutation","to":"layer1","payload":{head}{data}}}}}"#))
}

/// Arguments of a command that are this many bytes long, as a line for `bulkhead pipe`.
pub fn args_of(bytes: usize) -> String {
    let (head, tail) = (r#"{"text":""#, r#""}"#);
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

/// The first message to a module, for tests without a host.
pub fn init() -> Vec<u8> {
    let init = Init {
        protocol: PROTOCOL_VERSION,
        module: "echo".into(),
        instance: "echo#1".into(),
        config: Json::of(&serde_json::json!({})),
        limits: Limits { frame_bytes_max: FRAME_BYTES_MAX_DEFAULT, window: 64, requests_max: 64 },
        capabilities: Capabilities::default(),
        data_dir: std::env::temp_dir().display().to_string(),
        on_panic: bulkhead_protocol::OnPanic::Restart,
    };
    let mut out = Vec::new();
    let request = Message::Request(Request::new(FIRST_ID, RequestType::Init, Json::of(&init)));
    request.encode(&mut out, FRAME_BYTES_MAX_DEFAULT).expect("a greeting is short");
    out
}

/// One frame with this content.
pub fn frame(content: &str) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, content.as_bytes());
    out
}

/// Appends one frame to `out`.
pub fn push(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(&u32::try_from(content.len()).expect("a measured frame is short").to_be_bytes());
    out.extend_from_slice(content);
}

/// The content of the first frame in `bytes` and how many bytes it took, if it is whole.
pub fn first(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
    Some((bytes.get(4..4 + length)?, 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_both_shapes_are_json_of_the_length_that_is_promised() {
        for bytes in [100, 1024, 65_536] {
            for args in [args_of(bytes), ordinary_json(bytes)] {
                assert_eq!(args.len(), bytes);
                assert!(serde_json::from_str::<serde_json::Value>(&args).unwrap().is_object());
            }
        }
    }

    #[test]
    fn a_measured_request_is_a_message_with_a_payload_of_the_length_that_is_promised() {
        for (to, bytes) in [("echo", command("echo", "hold")), ("layer1", create("Note"))] {
            let (content, used) = first(&bytes).unwrap();
            assert_eq!(used, bytes.len());
            let Message::Request(request) = Message::decode(content).unwrap() else { panic!("it is a request") };
            assert_eq!((request.id, request.to.as_deref()), (Some(FIRST_ID), Some(to)));
            assert_eq!(request.payload.as_str().len(), PAYLOAD_BYTES);
            assert_eq!(&bytes[ID_AT..ID_AT + ID_DIGITS], FIRST_ID.to_string().as_bytes());
        }
    }
}
