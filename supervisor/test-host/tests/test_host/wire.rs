//! The wire of the test, in any language.

use crate::support::Place;
use bulkhead_tests::program;
use serde_json::json;
use std::process::Command;

fn misbehave() -> String {
    program("misbehave").to_string_lossy().into_owned()
}

#[test]
fn a_test_speaks_the_wire_of_a_client_and_answers_the_requests_to_its_fakes() {
    let place = Place::new();
    let mut raw = place.raw(&["--fake", "mailer", "--", &misbehave()]);
    let ready = raw.ready();
    assert_eq!((&ready["module"], &ready["fakes"]), (&json!("misbehave"), &json!(["mailer"])));
    let call = json!({ "name": "call", "args": { "to": "mailer", "command": "send", "args": { "to": "ada" } } });
    raw.send(&json!({ "id": 1, "type": "command", "to": "misbehave", "payload": call }));
    let asked = raw.message(|message| message["type"] == "command");
    assert_eq!(asked["to"], "mailer");
    assert_eq!(asked["payload"], json!({ "name": "send", "args": { "to": "ada" } }));
    // Ids of one side have nothing to do with those of the other.
    raw.send(&json!({ "id": asked["id"], "status": "success", "data": "done" }));
    assert_eq!(raw.answer(1)["data"], "done");
    raw.send(&json!({ "id": asked["id"], "status": "success", "data": "twice" }));
    raw.send(&json!({ "id": 99, "status": "success", "data": "for no request" }));
    assert_eq!(raw.ask(2, "misbehave", "echo", &json!("after"))["data"], "after");
    raw.send(&json!({ "type": "event", "payload": { "event": "a.b", "data": 3 } }));
    let event = raw.message(|message| message["payload"]["event"] == "a.b");
    assert!(event.get("id").is_none() && event["payload"]["cursor"].is_u64(), "{event}");
    assert!(raw.end().success());
}

#[test]
fn what_is_no_message_is_answered_and_what_is_no_frame_ends_it_with_the_reason() {
    let place = Place::new();
    let mut raw = place.raw(&["--", &misbehave()]);
    raw.ready();
    raw.send(&json!({ "id": 1, "type": 7 }));
    assert_eq!(raw.answer(1)["code"], "bad_request");
    let own = 9_007_199_254_740_991u64;
    assert_eq!(raw.ask(own, "misbehave", "echo", &json!(1))["code"], "bad_request");
    assert_eq!(raw.ask(3, "misbehave", "echo", &json!(1))["data"], 1);
    raw.send_bytes(b"hello, this is text");
    let last = raw.message(|message| message["status"] == "error" && message["id"].is_null());
    assert_eq!(last["code"], "protocol_error");
    assert!(last["error"].as_str().unwrap().contains("found text"), "{last}");
    assert_eq!(raw.wait().code(), Some(1));
    place.wait_until_empty();
}

#[test]
fn the_command_can_look_at_the_host_of_a_test() {
    let place = Place::new();
    let socket = place.path().with_extension("sock");
    let mut raw = place.raw(&["--listen", socket.to_str().unwrap(), "--", &misbehave()]);
    raw.ready();
    let output = Command::new(program("bulkhead"))
        .args(["--socket", socket.to_str().unwrap(), "call", "misbehave", "echo", "[1]"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[1]\n");
    // The program is found beside the command.
    let help = Command::new(program("bulkhead")).args(["test-host", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).starts_with("Runs a module for a test"));
    assert!(raw.end().success());
    assert!(!socket.exists());
}
