//! `inspect`: a line for each message of modules, for clients that follow them; messages do not wait for it.

use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, World};
use serde_json::{Value, json};

/// A host with two modules, ready, and a client that inspects.
fn inspecting(args: Value) -> (World, Caller, Caller, u64) {
    let mut world = World::new();
    world
        .module("a", "misbehave", "[capabilities]\ncall = [\"b\", \"supervisor\"]\n")
        .module("b", "misbehave", "")
        .start();
    let mut client = world.client();
    ["a", "b"].iter().for_each(|name| client.wait_ready(name));
    let mut follower = world.client();
    let id = follower.send_command("supervisor", "inspect", args);
    assert_eq!(follower.progress(id), json!({ "following": true }));
    (world, client, follower, id)
}

/// What does not differ from one time to the next.
fn shown(line: &Value) -> [&Value; 6] {
    ["way", "module", "message", "type", "name", "to"].map(|member| &line[member])
}

fn expected(way: &str, module: &str, message: &str, name: &str, to: Option<&str>) -> [Value; 6] {
    [json!(way), json!(module), json!(message), json!("command"), json!(name), json!(to)]
}

#[test]
fn a_request_and_what_follows_from_it_are_shown_with_their_answers() {
    let (mut world, mut client, mut follower, id) = inspecting(json!({ "types": ["command"] }));
    let args = json!({ "to": "b", "command": "echo", "args": { "secret": 1 } });
    client.call("a", "call", args).unwrap();
    client.call("b", "error", json!({ "code": "no_ink", "sentence": "no ink" })).unwrap_err();
    let lines: Vec<Value> = (0..8).map(|_| follower.progress(id)).collect();
    let found: Vec<[Value; 6]> = lines.iter().map(|line| shown(line).map(Clone::clone)).collect();
    assert_eq!(
        found,
        [
            expected("to_module", "a", "request", "call", None),
            expected("from_module", "a", "request", "echo", Some("b")),
            expected("to_module", "b", "request", "echo", None),
            expected("from_module", "b", "success", "echo", None),
            expected("to_module", "a", "success", "echo", None),
            expected("from_module", "a", "success", "call", None),
            expected("to_module", "b", "request", "error", None),
            expected("from_module", "b", "error", "error", None),
        ]
    );
    assert_eq!(lines[0]["id"], lines[5]["id"]);
    assert!(
        lines[0].get("duration_us").is_none() && lines[5]["duration_us"].as_u64() >= lines[3]["duration_us"].as_u64()
    );
    assert_eq!((&lines[3]["bytes"], &lines[7]["code"]), (&json!("{\"secret\":1}".len()), &json!("module_error")));
    assert!(
        lines.iter().all(|line| line.get("payload").is_none() && !line.to_string().contains("secret")),
        "{lines:?}"
    );
    let cancelled = follower.0.cancel(id);
    cancelled.unwrap();
    assert_eq!(follower.answer(id).unwrap(), Value::Null);
    world.stop();
}

#[test]
fn only_the_modules_that_are_named_are_shown_and_payloads_if_they_are_asked_for() {
    let (mut world, mut client, mut follower, id) = inspecting(json!({ "names": ["b"], "payloads": true }));
    client.call("a", "echo", json!(1)).unwrap();
    client.call("b", "echo", json!(2)).unwrap();
    let asked = follower.progress(id);
    assert_eq!((&asked["module"], &asked["payload"]), (&json!("b"), &json!({ "name": "echo", "args": 2 })));
    assert_eq!(follower.progress(id)["payload"], json!(2));
    client.call("b", "echo", json!("x".repeat(70_000))).unwrap();
    assert!(follower.progress(id).get("payload").is_none(), "it is too long");
    world.stop();
}

#[test]
fn a_follower_that_does_not_read_is_left_out_and_learns_how_much() {
    let (mut world, mut client, mut follower, id) = inspecting(json!({ "payloads": true, "types": ["command"] }));
    let long = json!("x".repeat(60_000));
    for _ in 0..400 {
        client.call("b", "echo", long.clone()).unwrap();
    }
    let (mut lines, mut left_out) = (0, 0);
    while lines + left_out < 800 {
        let line = follower.progress(id);
        match line.get("left_out") {
            Some(count) => left_out += count.as_u64().unwrap(),
            None => lines += 1,
        }
    }
    assert!(left_out > 0 && lines > 100, "{lines} lines, {left_out} left out");
    assert_eq!(lines + left_out, 800);
    client.call("b", "echo", json!(3)).unwrap();
    assert_eq!(follower.progress(id)["name"], json!("echo"), "it goes on");
    world.stop();
}

#[test]
fn modules_and_wrong_arguments_are_refused() {
    let (mut world, mut client, _follower, _) = inspecting(Value::Null);
    let by_module =
        client.call("a", "call", json!({ "to": "supervisor", "command": "inspect", "args": {} })).unwrap_err();
    assert!(by_module.error.contains("a module gets no messages of others"), "{by_module:?}");
    let many: Vec<String> = (0..65).map(|number| format!("m{number}")).collect();
    for args in [
        json!({ "names": ["A b"] }),
        json!({ "names": many }),
        json!({ "types": ["dance"] }),
        json!({ "type": "command" }),
    ] {
        let failure = client.call("supervisor", "inspect", args.clone()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::BadRequest, "{args}: {failure:?}");
    }
    world.stop();
}
