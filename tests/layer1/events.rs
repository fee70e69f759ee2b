//! Stored events: to modules in order and at least once, to followers from any cursor on, across the end of either
//! side.

use crate::support::{ALL, add_steps, create, emit, failure, world};
use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, World, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TAKER: &str = "[capabilities]\nevent_subscribe = [\"day.*\"]\nentity_create = [\"Seen\"]";

/// The events that a module has seen since it was started, once it has so many.
fn seen(client: &mut Caller, count: usize) -> Vec<Value> {
    until("the module has seen the events", || {
        let seen = client.call("m", "do", json!([{ "seen": true }])).unwrap()[0].clone();
        seen.as_array().filter(|seen| seen.len() >= count).cloned()
    })
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["data"].as_u64().unwrap()).collect()
}

fn follow_from(client: &mut Caller, after: u64, pattern: &str) -> (u64, Value) {
    follow_with(client, json!({ "after": after, "pattern": pattern }))
}

/// Follows with these args; the epoch, another one in each store, is removed from the report where it begins.
fn follow_with(client: &mut Caller, args: Value) -> (u64, Value) {
    let id = client.send_command("supervisor", "events", args);
    let mut begin = client.progress(id);
    assert_eq!(begin["following"], true, "{begin}");
    assert!(begin.as_object_mut().unwrap().remove("epoch").unwrap().is_string());
    (id, begin)
}

/// The numbers of the next events that a follower gets.
fn reported(client: &mut Caller, following: u64, count: usize) -> Vec<(u64, u64)> {
    let event = |event: Value| (event["cursor"].as_u64().unwrap(), event["data"].as_u64().unwrap());
    (0..count).map(|_| event(client.progress(following))).collect()
}

#[test]
fn a_subscriber_that_was_down_catches_up_in_order_over_a_restart_of_the_host() {
    let Some(mut world) = world() else { return };
    add_steps(&world, "m", TAKER);
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    (0..3).for_each(|n| drop(emit(&mut client, "day.begun", json!(n))));
    assert_eq!(numbers(&seen(&mut client, 3)), [0, 1, 2]);
    client.supervisor("stop", json!({ "name": "m" }));
    (3..6).for_each(|n| drop(emit(&mut client, "day.begun", json!(n))));
    emit(&mut client, "night.begun", json!(99));
    world.end_host(Signal::SIGKILL);
    world.start();
    let mut client = world.client();
    emit(&mut client, "day.begun", json!(6));
    let caught_up = numbers(&seen(&mut client, 4));
    // Events that it had handled just before its end may come once more, never out of order.
    let rest: Vec<u64> = (caught_up[0]..=6).collect();
    assert!(caught_up[0] <= 3 && caught_up == rest, "{caught_up:?}");
    world.stop();
}

#[test]
fn an_event_that_keeps_failing_is_set_aside_replayed_and_dropped() {
    let Some(mut world) = world() else { return };
    for name in ["m", "n"] {
        add_steps(&world, name, &format!("{TAKER}\n[config]\npoison = true"));
    }
    world.start();
    let mut client = world.client();
    let poisoned = ["m", "n"].map(|name| world.path(&format!("modules/{name}/poisoned")));
    for (name, poisoned) in ["m", "n"].iter().zip(&poisoned) {
        client.wait_ready(name);
        std::fs::write(poisoned, "").unwrap();
    }
    let following = client.follow("module.event_set_aside");
    // Both wait through the same delays.
    emit(&mut client, "day.begun", json!(1));
    client.event(following, "module.event_set_aside");
    client.event(following, "module.event_set_aside");
    let of_one = client.supervisor("set_aside", json!({ "name": "n" }));
    assert_eq!(of_one["set_aside"].as_array().unwrap().len(), 1, "{of_one}");
    let listed = client.supervisor("set_aside", json!({ "limit": 1 }));
    let first = &listed["set_aside"][0];
    assert_eq!((&first["cursor"], &first["data"], &first["attempts"]), (&json!(1), &json!(1), &json!(5)), "{listed}");
    let rest = client.supervisor("set_aside", json!({ "after": listed["next"] }));
    assert_eq!((rest["set_aside"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null), "{rest}");
    let second = &rest["set_aside"][0];
    let (id, other) = (first["id"].clone(), second["id"].clone());
    let failed = failure(client.call("supervisor", "replay", json!({ "id": id })));
    assert_eq!((failed.code, &*failed.error), (ErrorCode::ModuleError, "as asked"));
    for poisoned in &poisoned {
        std::fs::remove_file(poisoned).unwrap();
    }
    let replayed = client.supervisor("replay", json!({ "id": id }));
    assert_eq!(replayed, json!({ "id": id, "module": first["module"] }));
    let dropped = client.supervisor("drop", json!({ "id": other }));
    assert_eq!(dropped, json!({ "id": other, "module": second["module"] }));
    assert_eq!(client.supervisor("set_aside", Value::Null)["set_aside"], json!([]));
    for command in ["replay", "drop"] {
        let gone = failure(client.call("supervisor", command, json!({ "id": id })));
        assert_eq!(gone.code, ErrorCode::NotFound, "{command}: {}", gone.error);
    }
    world.stop();
}

#[test]
fn what_a_module_does_for_an_event_is_committed_with_its_position() {
    let Some(mut world) = world() else { return };
    let once = world.path("crashed").display().to_string();
    let on_event = format!(
        "on_event = [{{ mutation = {{ entity = \"Seen\", operation = \"create\", data = {{}} }} }}, {{ crash_once = {once:?} }}]"
    );
    add_steps(&world, "m", &format!("{TAKER}\n[config]\n{on_event}"));
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    (0..5).for_each(|n| drop(emit(&mut client, "day.begun", json!(n))));
    until("all of it is committed", || (crate::support::count(&mut client, "Seen") == 5).then_some(()));
    world.end_host(Signal::SIGKILL);
    world.start();
    let mut client = world.client();
    emit(&mut client, "day.begun", json!(5));
    until("the next is committed", || (crate::support::count(&mut client, "Seen") == 6).then_some(()));
    world.stop();
}

#[test]
fn a_follower_from_a_cursor_gets_everything_once_also_after_a_restart_of_the_host() {
    let mut world = World::new();
    world.start();
    let mut client = world.client();
    for n in 1..=700 {
        let sent = client.send(&bulkhead_protocol::Request::new(
            None,
            bulkhead_protocol::RequestType::Event,
            json!({ "event": if n % 2 == 0 { "even.one" } else { "odd.one" }, "data": n }).into(),
        ));
        if n % 100 == 0 {
            client.answer(sent.unwrap()).unwrap();
        }
    }
    let all: Vec<(u64, u64)> = (1..=700).map(|n| (n, n)).collect();
    let (following, begin) = follow_from(&mut client, 0, "*");
    assert_eq!(begin, json!({ "following": true, "cursor": 700, "lost": 0 }));
    assert_eq!(reported(&mut client, following, 700), all);
    emit(&mut client, "even.one", json!(701));
    assert_eq!(reported(&mut client, following, 1), [(701, 701)]);
    world.end_host(Signal::SIGKILL);
    world.start();
    let mut client = world.client();
    let (following, begin) = follow_from(&mut client, 690, "even.*");
    assert_eq!(begin["cursor"], 701);
    let expected: Vec<(u64, u64)> = [692, 694, 696, 698, 700, 701].map(|n| (n, n)).into();
    assert_eq!(reported(&mut client, following, 6), expected);
    emit(&mut client, "odd.one", json!(702));
    emit(&mut client, "even.one", json!(703));
    assert_eq!(reported(&mut client, following, 1), [(703, 703)]);
    // A cursor that no event has had yet belongs to another history: all events of this one are sent.
    let (following, begin) = follow_from(&mut client, 1703, "*");
    assert_eq!(begin, json!({ "following": true, "cursor": 703, "lost": 1703 }));
    assert_eq!(reported(&mut client, following, 703)[702], (703, 703));
    world.stop();
}

#[test]
fn the_hosts_own_events_carry_the_cursor_that_a_follower_is_past() {
    let Some(mut world) = world() else { return };
    add_steps(&world, "m", "autostart = false");
    world.start();
    let mut client = world.client();
    emit(&mut client, "day.begun", json!(1));
    let (following, _) = follow_from(&mut client, 0, "*");
    assert_eq!(client.progress(following)["cursor"], 1);
    client.supervisor("start", json!({ "name": "m" }));
    let ready = client.event(following, "module.ready");
    assert_eq!((&ready["cursor"], &ready["live"], &ready["data"]["module"]), (&json!(1), &json!(true), &json!("m")));
    world.stop();
}

#[test]
fn a_follower_that_does_not_read_gets_from_the_store_what_it_has_not_read() {
    let mut world = World::new();
    world.start();
    let (mut slow, mut client) = (world.client(), world.client());
    let following = slow.follow("big.*");
    let text = "x".repeat(100_000);
    // Far more than the host would queue for it.
    for n in 0..700 {
        let cursor = emit(&mut client, "big.one", json!({ "n": n, "text": text }))["cursor"].clone();
        assert_eq!(cursor, n + 1);
    }
    let memory = client.supervisor("status", Value::Null)["host"]["memory_bytes"].as_u64().unwrap();
    assert!(memory < 100_000_000, "{memory} bytes");
    for n in 0..700 {
        let event = slow.progress(following);
        assert_eq!((&event["cursor"], &event["data"]["n"]), (&json!(n + 1), &json!(n)));
    }
    emit(&mut client, "big.one", json!({ "n": 700 }));
    assert_eq!(slow.progress(following)["cursor"], 701);
    world.stop();
}

#[test]
fn changes_are_events_for_those_who_subscribe_to_them() {
    let Some(mut world) = world() else { return };
    add_steps(&world, "m", "[capabilities]\nevent_subscribe = [\"Note.*\"]");
    add_steps(&world, "other", ALL);
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    let id = create(&mut client, "Note", json!({ "n": 1 }))["id"].clone();
    let change = json!({ "entity": "Note", "operation": "update", "id": id, "data": { "n": 2 } });
    client.call("other", "do", json!([{ "mutation": change }])).unwrap();
    let seen = seen(&mut client, 2);
    assert_eq!((&seen[0]["event"], &seen[0]["data"]["data"]), (&json!("Note.created"), &json!({ "n": 1 })));
    assert_eq!((&seen[1]["event"], &seen[1]["data"]["version"]), (&json!("Note.updated"), &json!(2)));
    world.stop();
}

#[test]
fn an_event_that_a_shorter_frame_does_not_hold_is_sent_without_its_data_and_nothing_else_is_lost() {
    let mut world = World::new();
    world.start();
    let mut client = world.client();
    emit(&mut client, "day.begun", json!("x".repeat(100_000)));
    emit(&mut client, "day.begun", json!(2));
    world.stop();
    world.host_file("[host]\nframe_bytes_max = \"64KiB\"");
    world.start();
    let mut client = world.client();
    let (following, _) = follow_from(&mut client, 0, "day.*");
    let first = client.progress(following);
    assert_eq!((&first["cursor"], &first["data"], &first["omitted"]), (&json!(1), &Value::Null, &json!(100_002)));
    assert_eq!(reported(&mut client, following, 1), [(2, 2)]);
    world.stop();
}
