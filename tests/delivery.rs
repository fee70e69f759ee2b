//! Every request gets exactly one answer, and the answer reports truthfully how far it got.

use bulkhead_protocol::{Delivery, ErrorCode, Exit, Failure, Json, Request, RequestType, Status};
use bulkhead_tests::{Answer, Caller, RESEARCH_LOG, TIMEOUT, World, kill, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A host with one `misbehave` called `bad`, ready.
fn bad(rest: &str) -> (World, Caller) {
    let mut world = World::new();
    world.module("bad", "misbehave", rest).start();
    let mut client = world.client();
    client.wait_ready("bad");
    (world, client)
}

fn failure(answer: Answer) -> Box<Failure> {
    match answer {
        Ok(data) => panic!("expected a failure, found {data}"),
        Err(failure) => failure,
    }
}

#[test]
fn after_kill_9_amid_pipelined_calls_only_the_one_that_had_begun_gets_an_error() {
    let (mut world, mut client) = bad("");
    let progress = client.follow("module.crashed");
    let pid = client.pid("bad");
    let first: Vec<u64> = (0..20).map(|n| client.send_command("bad", "echo", json!({ "n": n }))).collect();
    let begun = client.send_command("bad", "nap", json!({ "ms": 10_000 }));
    // More than the window, so that some are in flight and others still in the host's queue.
    let rest: Vec<u64> = (20..200).map(|n| client.send_command("bad", "echo", json!({ "n": n }))).collect();
    for (n, id) in first.iter().enumerate() {
        assert_eq!(client.answer(*id).unwrap(), json!({ "n": n }));
    }
    client.until_status("bad", "it has begun to nap", |status| status["log_tail"].to_string().contains("about to nap"));
    kill(pid, Signal::SIGKILL);
    let lost = failure(client.answer(begun));
    assert_eq!((lost.code, lost.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    assert_eq!(lost.exit, Some(Exit::Signal("SIGKILL".into())));
    assert!(lost.stderr.iter().any(|line| line.contains("about to nap")), "{:?}", lost.stderr);
    for (n, id) in rest.iter().enumerate() {
        assert_eq!(client.answer(*id).unwrap(), json!({ "n": n + 20 }));
    }
    client.event(progress, "module.crashed");
    assert_ne!(client.pid("bad"), pid);
    world.stop();
}

#[test]
fn each_of_many_requests_gets_exactly_one_answer_while_the_module_keeps_crashing() {
    let (mut world, mut client) = bad(
        "[restart]\ndelay_initial = \"1ms\"\ndelay_max = \"5ms\"\nbreaker_failures = 1000\n[config]\ncrash_on = 50",
    );
    let ids: Vec<u64> = (0..500).map(|n| client.send_command("bad", "echo", json!({ "n": n }))).collect();
    let (mut done, mut crashed) = (0, 0);
    for id in &ids {
        match client.answer(*id) {
            Ok(_) => done += 1,
            Err(failure) => {
                assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
                crashed += 1;
            }
        }
    }
    // Each process answers 49 and crashes on the fiftieth, which is not sent again.
    assert_eq!((done, crashed), (490, 10));
    // Nothing is answered twice: the next message is the answer to the next request.
    let after = client.send_command("supervisor", "status", Value::Null);
    assert_eq!(client.receive(Some(TIMEOUT)).unwrap().id, Some(after));
    world.stop();
}

#[test]
fn what_is_safe_to_repeat_is_sent_again_unseen() {
    let (mut world, mut client) = bad("");
    assert_eq!(
        client.call("bad", "crash_once_read", json!({ "marker": "a" })).unwrap(),
        json!({ "crashed_before": true })
    );
    let lost = failure(client.call("bad", "crash_once", json!({ "marker": "b" })));
    assert_eq!((lost.code, lost.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    world.stop();
}

#[test]
fn a_keyed_command_of_a_module_that_knows_keys_is_done_once_whatever_crashes() {
    let mut world = World::new();
    world.module("research-log", "research-log", RESEARCH_LOG).start();
    let mut client = world.client();
    client.wait_ready("research-log");
    let mut create = Caller::command("research-log", "create_log", json!({ "title": "Monday" }));
    create.key = Some("create".into());
    let log = client.ask(&create).unwrap();
    let ids: Vec<u64> = (0..200)
        .map(|n| {
            let args = json!({ "type": "note", "text": format!("entry {n}") });
            let mut entry = Caller::command("research-log", "add_entry", args);
            entry.key = Some(format!("entry-{n}"));
            if n == 60 || n == 120 {
                let pid =
                    client.until_status("research-log", "it is ready", |status| status["pid"].is_i64())["pid"].as_i64();
                kill(pid.unwrap(), Signal::SIGKILL);
            }
            client.send(&entry).unwrap()
        })
        .collect();
    for id in ids {
        client.answer(id).unwrap();
    }
    assert_eq!(client.ask(&create).unwrap(), log, "the same key is the same work");
    let found = client.call("research-log", "query_logs", json!({ "limit": 1000 })).unwrap();
    let texts: Vec<&str> =
        found["entries"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    assert_eq!(texts, (0..200).map(|n| format!("entry {n}")).collect::<Vec<_>>());
    world.stop();
}

#[test]
fn what_was_in_flight_at_two_crashes_is_set_aside_and_the_module_lives_on() {
    let (mut world, mut client) = bad("");
    let events = client.follow("module.quarantined");
    let set_aside = failure(client.call("bad", "abort_read", json!({ "poison": 17 })));
    assert_eq!(set_aside.code, ErrorCode::Quarantined);
    assert!(!set_aside.retryable);
    client.event(events, "module.quarantined");
    let file = until("the file of what was set aside", || {
        let entry = std::fs::read_dir(world.state().join("quarantine")).unwrap().next()?.unwrap().path();
        let is_whole = entry.extension().is_some_and(|extension| extension == "json");
        is_whole.then(|| std::fs::read_to_string(entry).unwrap())
    });
    assert!(file.contains("abort_read") && file.contains("17"), "{file}");
    client.wait_ready("bad");
    assert_eq!(client.call("bad", "echo", json!(1)).unwrap(), 1);
    let crashes = client.supervisor("crashes", json!({ "name": "bad" }));
    assert_eq!(crashes["crashes"].as_array().map(Vec::len), Some(2), "{crashes:#}");
    world.stop();
}

#[test]
fn a_deadline_is_answered_at_once_and_a_module_that_stops_working_lives_on() {
    let (mut world, mut client) = bad("");
    let pid = client.pid("bad");
    let late = failure(client.call_within(50, "bad", "sleep", json!({ "ms": 60_000 })));
    assert_eq!(late.code, ErrorCode::DeadlineExceeded);
    // The module watches the deadline, too, and may be the one that reports it; then no other answer follows.
    assert!([None, Some(Delivery::Started), Some(Delivery::Unknown)].contains(&late.delivery), "{late:?}");
    assert_eq!(client.call("bad", "echo", json!("free again")).unwrap(), "free again");
    assert_eq!(client.pid("bad"), pid);
    world.stop();
}

#[test]
fn a_deadline_that_passes_in_the_queue_says_that_nothing_began() {
    // What was sent ahead to a busy module may begin at any moment; what waits in the host has not begun.
    for (window, delivery) in [(1, Delivery::NotStarted), (64, Delivery::Unknown)] {
        let (mut world, mut client) = bad(&format!("[limits]\nwindow = {window}"));
        let blocking = client.send_command("bad", "nap", json!({ "ms": 300 }));
        let late = failure(client.call_within(50, "bad", "count", json!({})));
        assert_eq!((late.code, late.delivery), (ErrorCode::DeadlineExceeded, Some(delivery)));
        client.answer(blocking).unwrap();
        assert_eq!(client.call("bad", "read", json!({})).unwrap(), json!({ "count": 0 }));
        world.stop();
    }
}

#[test]
fn a_cancelled_request_still_gets_its_one_answer() {
    let (mut world, mut client) = bad("");
    let asleep = client.send_command("bad", "sleep", json!({ "ms": 60_000 }));
    let queued = client.send_command("bad", "count", json!({}));
    for id in [queued, asleep].map(|id| (id, client.cancel(id).unwrap())) {
        let (cancelled, cancel) = id;
        assert_eq!(failure(client.answer(cancelled)).code, ErrorCode::Cancelled);
        client.answer(cancel).unwrap();
    }
    assert_eq!(client.call("bad", "read", json!({})).unwrap(), json!({ "count": 0 }));
    // Its answer may have crossed the cancel on the way, which is no error.
    let late = client.cancel(asleep).unwrap();
    client.answer(late).unwrap();
    world.stop();
}

#[test]
fn what_is_beyond_the_queue_is_refused_at_once() {
    let (mut world, mut client) = bad("[limits]\nqueue = 5\nwindow = 2");
    let ids: Vec<u64> = (0..10).map(|_| client.send_command("bad", "sleep", json!({ "ms": 100 }))).collect();
    let answers: Vec<Answer> = ids.into_iter().map(|id| client.answer(id)).collect();
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 3);
    for failure in refused {
        assert_eq!((failure.code, failure.delivery), (ErrorCode::Overloaded, Some(Delivery::NotStarted)));
        assert!(failure.retryable);
    }
    world.stop();
}

#[test]
fn progress_reaches_the_caller_in_order_before_the_answer() {
    let (mut world, mut client) = bad("");
    let mut seen = Vec::new();
    let request = Caller::command("bad", "slow_progress", json!({ "steps": 5, "ms": 1 }));
    let response =
        client.request_with(&request, Some(TIMEOUT), |data| seen.push(data.read::<Value>().unwrap()["done"].clone()));
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    assert!(matches!(response.unwrap().status, Status::Success(_)));
    world.stop();
}

#[test]
fn requests_that_make_no_sense_are_refused_with_a_code_and_a_sentence() {
    let (mut world, mut client) = bad("");
    let command = |to: Option<&str>, payload: Value| {
        let mut request = Request::new(None, RequestType::Command, payload.into());
        request.to = to.map(str::to_owned);
        request
    };
    let kind = |name: &str| Request::new(None, RequestType::from_name(name), Json::null()).to("bad");
    let ping = json!({ "name": "echo", "args": 1 });
    for (request, code) in [
        (command(Some("missing"), ping.clone()), ErrorCode::UnknownModule),
        (command(None, ping), ErrorCode::BadRequest),
        (command(Some("bad"), json!({ "name": "dance" })), ErrorCode::UnknownCommand),
        (command(Some("supervisor"), json!({ "name": "dance", "args": {} })), ErrorCode::UnknownCommand),
        (command(Some("supervisor"), json!({ "name": "stop", "args": {} })), ErrorCode::BadRequest),
        (
            command(Some("supervisor"), json!({ "name": "stop", "args": { "name": "missing" } })),
            ErrorCode::UnknownModule,
        ),
        (command(Some("supervisor"), json!("stop")), ErrorCode::BadRequest),
        (command(Some("layer1"), json!({})), ErrorCode::BadRequest),
        (command(Some("layer1"), json!({ "name": "vacuum" })), ErrorCode::UnknownCommand),
        (kind("query"), ErrorCode::UnknownType),
        (kind("mutation"), ErrorCode::UnknownType),
        (kind("init"), ErrorCode::BadRequest),
        (kind("shutdown"), ErrorCode::BadRequest),
        (kind("somersault"), ErrorCode::UnknownType),
        (kind("cancel"), ErrorCode::BadRequest),
        (kind("event"), ErrorCode::BadRequest),
    ] {
        let refused = failure(client.ask(&request));
        assert_eq!(refused.code, code, "{request:?}: {}", refused.error);
        assert!(!refused.error.is_empty());
    }
    client.ask(&kind("ping")).unwrap();
    world.stop();
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answers() {
    let (mut world, _client) = bad("");
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut bytes = Vec::new();
    for id in 1..=3 {
        let mut request = Caller::command("bad", "sleep", json!({ "ms": 30 }));
        request.id = Some(id);
        request.encode(&mut bytes, 1 << 20).unwrap();
    }
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    let text = String::from_utf8_lossy(&answers);
    assert_eq!(text.matches("\"status\":\"success\"").count(), 3, "{text}");
    world.stop();
}

#[test]
fn the_requests_of_a_client_that_goes_away_are_cancelled() {
    let (mut world, mut client) = bad("");
    let pid = client.pid("bad");
    let mut leaver = world.client();
    leaver.send_command("bad", "sleep", json!({ "ms": 60_000 }));
    leaver.send_command("bad", "count", json!({}));
    client.until_status("bad", "two requests are under way", |status| status["in_flight"] == 2);
    drop(leaver);
    assert_eq!(client.call("bad", "read", json!({})).unwrap(), json!({ "count": 0 }));
    assert_eq!(client.pid("bad"), pid);
    world.stop();
}

#[test]
fn a_half_closed_client_that_goes_away_later_is_noticed_too() {
    let (mut world, mut client) = bad("");
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    let mut bytes = Vec::new();
    let mut request = Caller::command("bad", "sleep", json!({ "ms": 60_000 }));
    request.id = Some(1);
    request.encode(&mut bytes, 1 << 20).unwrap();
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    client.until_status("bad", "the request is under way", |status| status["in_flight"] == 1);
    drop(stream);
    // Long before the request's own deadline would free the module.
    assert_eq!(client.call_within(10_000, "bad", "echo", json!(1)).unwrap(), 1);
    world.stop();
}

#[test]
fn modules_call_each_other_as_far_as_their_manifests_allow() {
    let mut world = World::new();
    world.module("bad", "misbehave", "[capabilities]\ncall = [\"friend\", \"supervisor\"]");
    world.module("friend", "test-minimal", "").module("stranger", "test-minimal", "").start();
    let mut client = world.client();
    ["bad", "friend", "stranger"].iter().for_each(|name| client.wait_ready(name));
    let mut through =
        |to: &str, command: &str| client.call("bad", "call", json!({ "to": to, "command": command, "args": {} }));
    assert_eq!(through("friend", "ping").unwrap()["pong"], true);
    assert_eq!(through("supervisor", "status").unwrap()["schema"], 1);
    let refused = failure(through("stranger", "ping"));
    assert_eq!(refused.code, ErrorCode::PermissionDenied);
    assert!(refused.error.contains("call = [\"stranger\"]"), "{}", refused.error);
    assert_eq!(failure(through("friend", "dance")).code, ErrorCode::UnknownCommand);
    world.stop();
}

#[test]
fn a_module_that_calls_a_crashing_one_gets_what_a_client_gets() {
    let mut world = World::new();
    world.module("caller", "misbehave", "[capabilities]\ncall = [\"bad\"]").module("bad", "misbehave", "").start();
    let mut client = world.client();
    ["caller", "bad"].iter().for_each(|name| client.wait_ready(name));
    let pid = client.pid("caller");
    let lost = failure(client.call("caller", "call", json!({ "to": "bad", "command": "abort", "args": {} })));
    assert!(lost.error.contains("bad crashed"), "{lost:?}");
    assert_eq!(client.pid("caller"), pid);
    world.stop();
}

#[test]
fn events_reach_those_modules_and_followers_that_asked_for_them() {
    let mut world = World::new();
    world.module("giver", "misbehave", "[capabilities]\nevent_emit = [\"misbehave.*\"]");
    world.module("taker", "misbehave", "[capabilities]\nevent_subscribe = [\"misbehave.*\", \"day.begun\"]");
    world.module("deaf", "misbehave", "").start();
    let mut client = world.client();
    ["giver", "taker", "deaf"].iter().for_each(|name| client.wait_ready(name));
    let following = client.follow("misbehave.*");
    client.call("giver", "emit", json!({ "event": "misbehave.done", "data": { "n": 1 }, "times": 3 })).unwrap();
    for _ in 0..3 {
        let event = client.event(following, "misbehave.done");
        assert_eq!(event["data"], json!({ "n": 1 }));
    }
    // What the manifest does not grant is not published, and the log reports that.
    client.call("giver", "emit", json!({ "event": "other.done" })).unwrap();
    let event = Request::new(None, RequestType::Event, json!({ "event": "day.begun", "data": "sunny" }).into());
    let answer = client.ask(&event).unwrap();
    assert_eq!((&answer["subscribers"], &answer["cursor"]), (&json!(1), &json!(4)), "{answer}");
    let seen = until("the last event has reached the module", || {
        let seen = client.call("taker", "events_seen", json!({})).unwrap();
        (seen["events"].as_array().unwrap().len() >= 4).then_some(seen)
    });
    let names: Vec<&str> =
        seen["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["misbehave.done", "misbehave.done", "misbehave.done", "day.begun"]);
    assert_eq!(client.call("deaf", "events_seen", json!({})).unwrap(), json!({ "events": [] }));
    let tail = client.status("giver")["log_tail"].to_string();
    assert!(tail.contains("an event was refused"), "{tail}");
    world.stop();
}

#[test]
fn fifteen_mebibytes_go_through_and_back() {
    for transport in ["socket", "stdio"] {
        let (mut world, mut client) = bad(&format!("transport = \"{transport}\""));
        let text = "x".repeat(15 << 20);
        let answer = client.call("bad", "echo", json!(text)).unwrap();
        assert_eq!(answer.as_str().map(str::len), Some(15 << 20));
        assert_eq!(client.call("bad", "echo", json!(1)).unwrap(), 1);
        world.stop();
    }
}

#[test]
fn a_frame_that_is_too_large_is_refused_before_it_is_read() {
    let (mut world, mut client) = bad("");
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(&(17u32 << 20).to_be_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("frame_too_large") && text.contains("\"id\":null"), "{text}");
    assert_eq!(client.call("bad", "echo", json!(1)).unwrap(), 1);
    world.stop();
}

#[test]
fn a_module_that_is_stopped_or_failed_is_said_to_be_unavailable() {
    let (mut world, mut client) = bad("");
    client.supervisor("stop", json!({ "name": "bad" }));
    let refused = failure(client.call("bad", "echo", json!(1)));
    assert_eq!((refused.code, refused.delivery), (ErrorCode::ModuleUnavailable, Some(Delivery::NotStarted)));
    world.stop();
}

#[test]
fn a_request_to_a_module_that_is_starting_waits_with_it() {
    let mut world = World::new();
    world.module("bad", "misbehave", "[config]\ninit_ms = 200").start();
    let mut client = world.client();
    assert_eq!(client.call("bad", "echo", json!("waited")).unwrap(), "waited");
    world.stop();
}

#[test]
fn requests_in_flight_at_a_commanded_stop_are_finished_or_answered_truthfully() {
    let (mut world, mut client) = bad("[limits]\nstop_timeout = \"200ms\"\nterm_timeout = \"100ms\"");
    let quick = client.send_command("bad", "nap", json!({ "ms": 50 }));
    let mut other = world.client();
    client.until_status("bad", "the request is under way", |status| status["in_flight"] == 1);
    other.supervisor("stop", json!({ "name": "bad" }));
    assert_eq!(client.answer(quick).unwrap(), json!({ "slept_ms": 50 }));

    other.supervisor("start", json!({ "name": "bad" }));
    let slow = client.send_command("bad", "hang", json!({}));
    client.until_status("bad", "the request is under way", |status| status["in_flight"] == 1);
    other.supervisor("stop", json!({ "name": "bad" }));
    let failures = failure(client.answer(slow));
    assert_eq!((failures.code, failures.delivery), (ErrorCode::ModuleUnavailable, Some(Delivery::Started)));
    world.stop();
}

#[test]
fn at_each_of_many_kills_amid_many_callers_at_most_one_of_them_gets_an_error() {
    const KILLS: usize = 15;
    let restart =
        "[restart]\ndelay_initial = \"1ms\"\ndelay_max = \"5ms\"\nbreaker_failures = 1000\n[limits]\nqueue = 10000";
    let (mut world, mut client) = bad(restart);
    let is_over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (mut caller, is_over) = (world.client(), is_over.clone());
            std::thread::spawn(move || {
                let mut failures = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let ids: Vec<u64> = (0..100).map(|n| caller.send_command("bad", "echo", json!(n))).collect();
                    for (n, id) in ids.into_iter().enumerate() {
                        match caller.answer(id) {
                            Ok(data) => assert_eq!(data, n),
                            Err(failure) => {
                                let how = (failure.code, failure.delivery);
                                assert_eq!(how, (ErrorCode::ModuleCrashed, Some(Delivery::Started)), "{failure:?}");
                                failures += 1;
                            }
                        }
                    }
                }
                failures
            })
        })
        .collect();
    for _ in 0..KILLS {
        let pid = client.pid("bad");
        kill(pid, Signal::SIGKILL);
        client.until_status("bad", "it is back", |status| {
            status["state"] == "ready" && status["pid"].is_i64() && status["pid"] != pid
        });
    }
    is_over.store(true, Ordering::Relaxed);
    let failures: usize =
        callers.into_iter().map(|caller| caller.join().expect("each caller got all of its answers")).sum();
    assert!(failures <= KILLS, "{failures} were reported for {KILLS} kills");
    world.stop();
}
