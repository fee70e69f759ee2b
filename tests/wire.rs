//! What `PROTOCOL.md` says about requests to a host, tried on a real one with bytes that no library
//! wrote: each message is given as the text that is sent, each answer by the members it must have.

use bulkhead_protocol::{Decoder, limits::FRAME_BYTES_MAX_HIGHEST};
use bulkhead_tests::{TIMEOUT, World};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
};

/// A client without a library.
struct Raw(UnixStream);

impl Raw {
    fn connect(world: &World) -> Raw {
        let stream = UnixStream::connect(world.socket()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Raw(stream)
    }

    fn send(&mut self, content: &str) {
        self.send_content(content.as_bytes());
    }

    fn send_content(&mut self, content: &[u8]) {
        let mut frame = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(content);
        self.0.write_all(&frame).unwrap();
    }

    /// The next answer, or `None` at a clean end.
    fn receive(&mut self) -> Option<Value> {
        let mut decoder = Decoder::new(FRAME_BYTES_MAX_HIGHEST);
        loop {
            let mut byte = [0];
            if self.0.read(&mut byte).expect("an answer comes in time") == 0 {
                decoder.finish().expect("the stream ends between two frames");
                return None;
            }
            if let Some(frame) = decoder.next(&mut &byte[..]).expect("the host sends frames") {
                return Some(serde_json::from_slice(frame).expect("the host sends JSON"));
            }
        }
    }

    /// Receives an answer and checks the members that `expected` has.
    fn expect(&mut self, sent: &str, expected: Value) {
        let found = self.receive().unwrap_or_else(|| panic!("{sent}: expected {expected}, found the end"));
        for (name, value) in expected.as_object().unwrap() {
            let mut found = found[name].clone();
            // It differs in each store, and is tested elsewhere.
            if found.get("cursor").is_some() {
                let epoch = found.as_object_mut().unwrap().remove("epoch");
                assert!(epoch.is_some_and(|epoch| epoch.is_string()), "{sent}: no epoch stands beside the cursor");
            }
            assert_eq!(&found, value, "{sent}: {name} in {found}");
        }
    }
}

/// A host with one module, ready.
fn world() -> World {
    let mut world = World::new();
    world.module("minimal", "test-minimal", "").start();
    world.client().wait_ready("minimal");
    world
}

fn error(id: impl Into<Value>, code: &str) -> Value {
    json!({ "id": id.into(), "status": "error", "code": code })
}

fn success(id: u64, data: Value) -> Value {
    json!({ "id": id, "status": "success", "data": data })
}

#[test]
fn one_message_has_the_answer_that_the_page_says() {
    let mut world = world();
    let mut client = Raw::connect(&world);
    let supervisor =
        |id: u64, command: &str| format!(r#"{{"id":{id},"type":"command","to":"supervisor","payload":{command}}}"#);
    let cases = [
        (r#"{"id":0,"type":"ping"}"#.into(), success(0, json!(null))),
        (
            r#" { "type" : "ping" , "extra":[1], "id":9007199254740991 } "#.into(),
            success(9_007_199_254_740_991, json!(null)),
        ),
        (r#"{"id":1,"type":"init"}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"shutdown"}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"dance"}"#.into(), error(1, "unknown_type")),
        (r#"{"id":1,"type":"command","payload":{"name":"ping"}}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"query"}"#.into(), error(1, "bad_request")),
        (
            r#"{"id":1,"type":"query","payload":{"entity":"A"}}"#.into(),
            success(1, json!({ "entities": [], "next": null })),
        ),
        (r#"{"id":1,"type":"mutation","to":"layer1"}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"command","to":"layer1"}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"command","to":"layer1","payload":{"name":"x"}}"#.into(), error(1, "unknown_command")),
        (r#"{"id":1,"type":"command","to":"layer1","payload":{"name":"flush"}}"#.into(), success(1, json!(null))),
        (r#"{"id":1,"type":"command","to":"missing"}"#.into(), error(1, "unknown_module")),
        (r#"{"id":1,"status":"success"}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"ping","status":"success"}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"command","deadline_ms":-1}"#.into(), error(1, "bad_request")),
        (r#"{"id":"x","type":"ping"}"#.into(), error(Value::Null, "bad_request")),
        ("[1]".into(), error(Value::Null, "bad_request")),
        ("{oops".into(), error(Value::Null, "bad_request")),
        (r#"{"id":1,"type":"cancel","payload":{"id":99}}"#.into(), success(1, json!(null))),
        (r#"{"id":1,"type":"cancel"}"#.into(), error(1, "bad_request")),
        (
            r#"{"id":1,"type":"event","payload":{"event":"a.b"}}"#.into(),
            success(1, json!({ "subscribers": 0, "cursor": 1 })),
        ),
        (r#"{"id":1,"type":"event","payload":{"event":"a b"}}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"event"}"#.into(), error(1, "bad_request")),
        (r#"{"id":1,"type":"query","to":"minimal"}"#.into(), error(1, "unknown_type")),
        (r#"{"id":1,"type":"command","to":"minimal","payload":{"name":"x"}}"#.into(), error(1, "unknown_command")),
        (r#"{"id":1,"type":"query","to":"supervisor"}"#.into(), error(1, "unknown_type")),
        (supervisor(1, r#"{"name":"dance"}"#), error(1, "unknown_command")),
        (supervisor(1, r#"{"name":"status","args":{"nmae":"x"}}"#), error(1, "bad_request")),
        (supervisor(1, r#"{"name":"stop","args":{"name":"missing"}}"#), error(1, "unknown_module")),
        (supervisor(1, r#"{"name":"start","args":null}"#), error(1, "bad_request")),
        (supervisor(1, r#"{"name":"crashes"}"#), success(1, json!({ "crashes": [], "older": 0 }))),
        (supervisor(1, r#"{"name":"logs","args":{"name":"minimal"}}"#), success(1, json!(null))),
        (
            supervisor(1, r#"{"name":"wait","args":{"name":"minimal","for":"ready"}}"#),
            success(1, json!({ "name": "minimal", "state": "ready" })),
        ),
        (
            supervisor(1, r#"{"name":"stop","args":{"name":"minimal"}}"#),
            success(1, json!({ "name": "minimal", "state": "stopped" })),
        ),
        (
            r#"{"id":1,"type":"command","to":"minimal","payload":{"name":"ping"}}"#.into(),
            error(1, "module_unavailable"),
        ),
        (
            supervisor(1, r#"{"name":"start","args":{"name":"minimal"}}"#),
            success(1, json!({ "name": "minimal", "state": "ready" })),
        ),
    ];
    for (sent, expected) in cases {
        client.send(&sent);
        client.expect(&sent, expected);
    }
    client.send_content(b"\xff\xff");
    client.expect("no UTF-8", error(Value::Null, "bad_request"));
    // An event without an id has no answer: the next one is that of the ping.
    client.send(r#"{"type":"event","payload":{"event":"a b"}}"#);
    client.send(r#"{"id":2,"type":"ping"}"#);
    client.expect("ping", success(2, json!(null)));
    world.stop();
}

/// Only the host learns from a module that its process ends.
#[test]
fn no_caller_learns_that_an_answer_was_the_last_of_its_process() {
    let mut world = World::new();
    world.module("bad", "misbehave", "").start();
    world.client().wait_ready("bad");
    let mut raw = Raw::connect(&world);
    for (args, status) in [(r#""panic""#, "error"), (r#""answer_then_exit","args":{"code":3,"last":true}"#, "success")]
    {
        raw.send(&format!(r#"{{"id":1,"type":"command","to":"bad","payload":{{"name":{args}}}}}"#));
        let answer = raw.receive().unwrap();
        assert_eq!(answer["status"], status, "{answer}");
        assert!(answer.get("last").is_none(), "{answer}");
    }
    world.stop();
}

#[test]
fn bytes_that_are_no_frames_are_answered_once_and_the_connection_is_closed() {
    let mut world = world();
    let too_large = (16 * 1024 * 1024 + 1_u32).to_be_bytes();
    let cases: [(&[u8], &str); 4] = [
        (b"GET / HTTP/1.1\r\n", "protocol_error"),
        (b"\0\0\0\0", "protocol_error"),
        (b"\0\0\0\x01", "protocol_error"),
        (&too_large, "frame_too_large"),
    ];
    for (bytes, code) in cases {
        let mut client = Raw::connect(&world);
        client.0.write_all(bytes).unwrap();
        let sent = bytes.escape_ascii().to_string();
        client.expect(&sent, error(Value::Null, code));
        assert_eq!(client.receive(), None, "{sent}");
    }
    world.stop();
}

#[test]
fn a_client_learns_from_the_status_how_long_a_frame_may_be() {
    let mut world = World::new();
    world.host_file("[host]\nframe_bytes_max = \"100KiB\"\n").start();
    let mut client = Raw::connect(&world);
    client.send(r#"{"id":1,"type":"command","to":"supervisor","payload":{"name":"status"}}"#);
    let status = client.receive().unwrap();
    let most = status["data"]["host"]["frame_bytes_max"].as_u64().unwrap();
    assert_eq!(most, 102_400);
    let of_length = |length: u64| {
        let empty = r#"{"id":2,"type":"ping","more":""}"#;
        empty.replace("\"\"", &format!("\"{}\"", "x".repeat(usize::try_from(length).unwrap() - empty.len())))
    };
    client.send(&of_length(most));
    client.expect("the longest frame", success(2, json!(null)));
    client.send(&of_length(most + 1));
    client.expect("one byte more", error(Value::Null, "frame_too_large"));
    assert_eq!(client.receive(), None);
    world.stop();
}

#[test]
fn what_is_followed_ends_by_a_cancel_and_has_a_bound() {
    let mut world = world();
    let mut client = Raw::connect(&world);
    let follow = |id: u64| {
        format!(
            r#"{{"id":{id},"type":"command","to":"supervisor","payload":{{"name":"events","args":{{"pattern":"x.*"}}}}}}"#
        )
    };
    for id in 0..64 {
        client.send(&follow(id));
        client.expect("events", json!({ "id": id, "status": "progress" }));
    }
    client.send(&follow(64));
    client.expect("one more", error(64, "overloaded"));
    client.send(&follow(7));
    client.expect("a number that is taken", error(7, "bad_request"));
    for id in 1..64 {
        client.send(&format!(r#"{{"id":100,"type":"cancel","payload":{{"id":{id}}}}}"#));
        client.expect("cancel", success(id, json!(null)));
        client.expect("cancel", success(100, json!(null)));
    }
    client.send(r#"{"id":100,"type":"event","payload":{"event":"x.y","data":[1]}}"#);
    client.expect("event", success(100, json!({ "subscribers": 0, "cursor": 1 })));
    let got = client.receive().unwrap();
    assert_eq!((&got["id"], &got["data"]["event"], &got["data"]["data"]), (&json!(0), &json!("x.y"), &json!([1])));
    world.stop();
}

#[test]
fn a_client_that_has_said_all_hears_every_answer_and_then_the_end() {
    let mut world = world();
    let mut client = Raw::connect(&world);
    client.send(r#"{"id":5,"type":"command","to":"minimal","payload":{"name":"ping"}}"#);
    client.0.shutdown(Shutdown::Write).unwrap();
    client.expect("ping", success(5, json!({ "pong": true, "count": 1 })));
    assert_eq!(client.receive(), None);
    world.stop();
}
