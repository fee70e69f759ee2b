//! What a test does with a module.

use crate::support::Place;
use bulkhead_module::testing::{Request, RequestType, TestHost};
use bulkhead_protocol::{Delivery, ErrorCode, Exit, Json};
use bulkhead_tests::{RESEARCH_LOG, program, until};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// A folder with the manifest of `research-log`, under another name if wanted.
fn research_log(place: &Place, name: &str, rest: &str) -> std::path::PathBuf {
    let folder = place.path().with_extension(name);
    fs::create_dir_all(&folder).unwrap();
    let command = program("research-log");
    let text = format!("[module]\nname = {name:?}\ncommand = [{command:?}]\n{rest}");
    fs::write(folder.join("module.toml"), text).unwrap();
    folder
}

#[test]
fn a_command_without_a_manifest_is_a_module_that_answers_and_publishes() {
    let place = Place::new();
    let host = place.misbehave(&[]).start().unwrap();
    assert_eq!(host.module(), "misbehave");
    assert_eq!(host.call("echo", json!({ "a": [1, "x"] })).unwrap(), json!({ "a": [1, "x"] }));
    host.call("emit", json!({ "event": "misbehave.done", "data": 7, "times": 3 })).unwrap();
    let events = host.events("misbehave.*").unwrap();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event["data"] == 7 && event["source"] == "misbehave"), "{events:?}");
    assert_eq!(host.wait_event("misbehave.done", |_| true).unwrap()["cursor"], events[0]["cursor"]);
    let call = host.begin("slow_progress", json!({ "steps": 3, "ms": 1 })).unwrap();
    assert_eq!(call.wait_progress(3, Duration::from_secs(20)).unwrap().len(), 3);
    call.result().unwrap();
    host.call("print", json!({ "line": "as printed", "stream": "stderr" })).unwrap();
    // The module announces what it does in a line of its own.
    assert!(host.wait_log("as printed").unwrap().starts_with("misbehave: about to print"));
    until("the line", || host.logs().unwrap().iter().any(|line| line == "as printed").then_some(()));
    drop(host);
    place.wait_until_empty();
}

#[test]
fn a_folder_runs_by_its_manifest_with_its_permissions_indexes_and_entities() {
    let place = Place::new();
    let folder = research_log(&place, "notes", RESEARCH_LOG);
    let host = place.host(TestHost::of_folder(&folder)).start().unwrap();
    assert_eq!(host.module(), "notes");
    let id = host.create("ResearchBook", json!({ "title": "seed" })).unwrap();
    assert_eq!(host.entity("ResearchBook", &id).unwrap()["data"]["title"], "seed");
    assert_eq!(host.entities("ResearchBook").unwrap().len(), 1);
    assert_eq!(host.events("ResearchBook.created").unwrap().len(), 1);
    let missing = host.entity("ResearchBook", "01980000-0000-7000-8000-000000000000").unwrap_err();
    assert_eq!(missing.code(), ErrorCode::NotFound);
    let status = host.call_to("supervisor", "config", Value::Null).unwrap_err();
    assert_eq!(status.code(), ErrorCode::UnknownCommand);
    drop(host);
    fs::remove_dir_all(folder).unwrap();
    place.wait_until_empty();
}

#[test]
fn what_is_created_before_the_start_is_there_when_the_module_begins() {
    let place = Place::new();
    let host = place.misbehave(&[]).no_start().start().unwrap();
    host.create("Thing", json!({ "n": 1 })).unwrap();
    assert!(host.host_events("module.ready").unwrap().is_empty(), "it was not to be started");
    assert_eq!(host.status().unwrap()["state"], "stopped");
    host.start().unwrap();
    host.call("read", json!({})).unwrap();
    assert_eq!(host.host_events("module.ready").unwrap().len(), 1);
}

#[test]
fn events_are_followed_from_before_the_first_process_on() {
    let place = Place::new();
    for _ in 0..10 {
        let host = place.misbehave(&["--at-start", "early_request"]).start().unwrap();
        let ready = host.host_events("module.ready").unwrap();
        assert_eq!(ready.len(), 1, "{ready:?}");
        assert_eq!(ready[0]["data"]["instance"], "misbehave#1");
    }
}

#[test]
fn a_crash_has_its_verdict_and_its_record_and_the_next_process_comes_at_once() {
    let place = Place::new();
    let host = place.misbehave(&[]).start().unwrap();
    let begin = Instant::now();
    for number in 1..=5 {
        let error = host.call("abort", json!({})).unwrap_err();
        assert_eq!((error.code(), error.delivery()), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
        assert_eq!(error.failure().exit, Some(Exit::Signal("SIGABRT".into())));
        assert!(error.failure().stderr.iter().any(|line| line.contains("about to abort")), "{error:?}");
        assert_eq!(host.call("echo", json!(number)).unwrap(), number);
        let crashes = host.crashes().unwrap();
        assert_eq!(crashes.len(), number);
        assert_eq!(crashes[number - 1]["reason"], "SIGABRT");
        assert_eq!(crashes[number - 1]["in_flight"][0]["payload"]["name"], "abort");
    }
    // With the waits of production, the last restarts alone would take longer.
    assert!(begin.elapsed() < Duration::from_millis(100 + 200 + 400 + 800).mul_f32(4.0), "{:?}", begin.elapsed());
    let killed = host.kill().unwrap();
    host.call("echo", json!(1)).unwrap();
    assert_ne!(host.kill().unwrap(), killed);
    host.call("echo", json!(2)).unwrap();
    assert_eq!(host.host_events("module.crashed").unwrap().len(), 7);
}

#[test]
fn a_module_that_hangs_is_killed_soon_after_the_deadline_and_the_test_ends_as_soon() {
    let place = Place::new();
    let host = place.misbehave(&[]).start().unwrap();
    let payload = Json::of(&json!({ "name": "hang" }));
    let mut request = Request::new(None, RequestType::Command, payload).to("misbehave");
    request.deadline_ms = Some(50);
    let error = host.send(request).unwrap().result().unwrap_err();
    assert_eq!((error.code(), error.delivery()), (ErrorCode::DeadlineExceeded, Some(Delivery::Started)));
    assert_eq!(host.call("echo", json!(1)).unwrap(), 1);
    let reason = host.crashes().unwrap()[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("hung"), "{reason}");
    // One that ignores everything does not hold up the end.
    host.call("ignore_shutdown", json!({})).unwrap();
    let begin = Instant::now();
    drop(host);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    place.wait_until_empty();
}

#[test]
fn configuration_and_settings_replace_those_of_the_manifest_and_the_others_stay() {
    let place = Place::new();
    let folder = place.path().with_extension("config");
    fs::create_dir_all(&folder).unwrap();
    let command = program("misbehave");
    let manifest = format!(
        "[module]\nname = \"bad\"\ncommand = [{command:?}]\n[limits]\ndeadline_default = \"7s\"\nstop_timeout = \"9s\"\n\
         [config]\nkept = 1\nother = {{ a = 1, b = 2 }}\n"
    );
    fs::write(folder.join("module.toml"), manifest).unwrap();
    let builder = place.host(TestHost::of_folder(&folder)).config(json!({ "other": "x", "new": [1.5, true] }));
    let host = builder.set("limits.deadline_default", "60ms").set("env.LEVEL", "7").start().unwrap();
    let config = host.call("whoami", json!({})).unwrap()["config"].clone();
    assert_eq!(config, json!({ "kept": 1, "other": "x", "new": [1.5, true] }));
    let payload = Json::of(&json!({ "name": "sleep", "args": { "ms": 30_000 } }));
    let request = Request::new(None, RequestType::Command, payload).to("bad");
    let error = host.send(request).unwrap().result().unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeadlineExceeded, "the default deadline is 60 ms: {error:?}");
    drop(host);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn other_modules_run_beside_it_and_it_may_call_them() {
    let place = Place::new();
    let folder = research_log(&place, "beside", RESEARCH_LOG);
    let host = place.misbehave(&[]).with(&folder).start().unwrap();
    let through = host.call("call", json!({ "to": "beside", "command": "no_such", "args": {} })).unwrap_err();
    assert!(through.to_string().contains("no_such"), "{through}");
    assert_eq!(host.call_to("supervisor", "status", json!({ "name": "beside" })).unwrap()["state"], "ready");
    drop(host);
    fs::remove_dir_all(folder).unwrap();
    place.wait_until_empty();
}

#[test]
fn an_event_that_is_delivered_was_handled_when_the_delivery_returns() {
    let place = Place::new();
    let host = place.misbehave(&[]).capability("event_subscribe", &["weather.*"]).start().unwrap();
    for number in 0..5 {
        host.deliver("weather.rain", json!({ "mm": number })).unwrap();
        let seen = host.call("events_seen", json!({})).unwrap();
        assert_eq!(seen["events"].as_array().map(Vec::len), Some(number + 1), "{seen}");
    }
}

#[test]
fn twenty_hosts_at_once_do_not_disturb_each_other() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for number in 0..20 {
            let place = &place;
            scope.spawn(move || {
                let host = place.misbehave(&[]).config(json!({ "number": number })).start().unwrap();
                host.create("Thing", json!({ "number": number })).unwrap();
                assert_eq!(host.call("whoami", json!({})).unwrap()["config"]["number"], number);
                host.call("segfault", json!({})).unwrap_err();
                assert_eq!(host.call("echo", json!(number)).unwrap(), number);
                let things = host.entities("Thing").unwrap();
                assert!(things.len() == 1 && things[0]["data"]["number"] == number, "{things:?}");
                assert_eq!(host.crashes().unwrap().len(), 1);
            });
        }
    });
    place.wait_until_empty();
}
