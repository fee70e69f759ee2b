//! The requests of a handler to the host while it works. The answers are checked as the handler gets them: `ask`
//! answers with what it got.

use crate::samples::Sample;
use crate::stage::{SUBJECT, Stage};
use bulkhead_protocol::ErrorCode;
use bulkhead_tests::until;
use serde_json::{Value, json};

const FRIEND: &str = "friend";

/// The subject, which may call its friend.
fn friends(sample: &'static Sample) -> Stage {
    Stage::with(sample, "", &[(SUBJECT, "[capabilities]\ncall = [\"friend\"]"), (FRIEND, "")])
}

pub(crate) fn a_handler_asks_another_module_and_sees_its_answer(sample: &'static Sample) {
    let mut stage = friends(sample);
    let args = json!({ "text": "é \u{1F30A} \"\\", "list": [1, [2, {}]], "null": null });
    let asked = stage.call("ask", json!({ "to": FRIEND, "name": "echo", "args": args }));
    assert_eq!(asked, json!({ "data": args }));
    for n in 1..=3 {
        let asked = stage.call("ask", json!({ "to": FRIEND, "name": "count", "args": {} }));
        assert_eq!(asked, json!({ "data": { "count": n } }));
    }
    let refused = stage.call("ask", json!({ "to": FRIEND, "name": "dance", "args": {} }));
    assert_eq!(refused["code"], "unknown_command", "{refused}");
    let fail = json!({ "code": "not_found", "message": "it is \u{1F573}" });
    let refused = stage.call("ask", json!({ "to": FRIEND, "name": "fail", "args": fail }));
    assert_eq!(refused, json!({ "code": "not_found", "error": "it is \u{1F573}" }));
    let own = json!({ "code": "out_of_ink", "message": "refill" });
    let refused = stage.call("ask", json!({ "to": FRIEND, "name": "fail", "args": own }));
    assert_eq!(refused, json!({ "code": "module_error", "error": "refill" }));
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

pub(crate) fn a_call_may_lead_to_another_three_deep(sample: &'static Sample) {
    let call = |to: &str| format!("[capabilities]\ncall = [\"{to}\"]");
    let modules =
        [(SUBJECT, call("second")), ("second", call("third")), ("third", call("fourth")), ("fourth", String::new())];
    let modules = modules.each_ref().map(|(name, rest)| (*name, &**rest));
    let mut stage = Stage::with(sample, "", &modules);
    let last = json!({ "to": "fourth", "name": "echo", "args": { "deep": "\u{1F573}" } });
    let middle = json!({ "to": "third", "name": "ask", "args": last });
    let asked = stage.call("ask", json!({ "to": "second", "name": "ask", "args": middle }));
    assert_eq!(asked, json!({ "data": { "data": { "data": { "deep": "\u{1F573}" } } } }));
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

/// The call waits after the request that makes it, so it cannot be answered in time.
pub(crate) fn a_call_to_itself_ends_with_the_deadline(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "[capabilities]\ncall = [\"subject\"]");
    let pid = stage.pid();
    let answer = stage.client.call_within(200, SUBJECT, "ask", json!({ "to": SUBJECT, "name": "echo", "args": {} }));
    match answer {
        Ok(got) => assert_eq!(got["code"], "deadline_exceeded", "{got}"),
        Err(failure) => assert_eq!(failure.code, ErrorCode::DeadlineExceeded, "{failure:?}"),
    }
    stage.probe_a_fresh_one();
    assert_eq!(stage.pid(), pid);
    stage.finish_unharmed();
}

pub(crate) fn a_call_that_the_manifest_does_not_grant_is_refused(sample: &'static Sample) {
    let mut stage = Stage::with(sample, "", &[(SUBJECT, ""), (FRIEND, "")]);
    for to in [FRIEND, SUBJECT, "supervisor", "missing"] {
        let refused = stage.call("ask", json!({ "to": to, "name": "count", "args": {} }));
        assert_eq!(refused["code"], "permission_denied", "{to}: {refused}");
        assert!(refused["error"].as_str().is_some_and(|error| error.contains(to)), "{refused}");
    }
    assert_eq!(stage.client.call(FRIEND, "count", json!({})), Ok(json!({ "count": 1 })));
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

pub(crate) fn a_handler_that_asks_a_crashing_module_is_informed(sample: &'static Sample) {
    let mut stage = friends(sample);
    let pid = stage.pid();
    let got = stage.call("ask", json!({ "to": FRIEND, "name": "crash", "args": {} }));
    // The crash of another module is not its own, so an SDK may word it differently.
    assert!(["module_error", "module_crashed"].map(Value::from).contains(&got["code"]), "{got}");
    assert!(got["error"].as_str().is_some_and(|error| !error.is_empty()), "{got}");
    stage.probe_a_fresh_one();
    assert_eq!(stage.pid(), pid);
    stage.finish_unharmed();
}

pub(crate) fn a_handler_may_ask_the_supervisor(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "[capabilities]\ncall = [\"supervisor\"]");
    let asked = stage.call("ask", json!({ "to": "supervisor", "name": "status", "args": { "name": SUBJECT } }));
    assert_eq!((&asked["data"]["name"], &asked["data"]["in_flight"]), (&json!(SUBJECT), &json!(1)), "{asked:#}");
    stage.finish_unharmed();
}

/// Nothing of the data store is granted, and the error for the handler names the line that would grant it.
pub(crate) fn a_query_and_a_mutation_to_the_data_store_are_answered(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let mutation = json!({ "entity": "Book", "operation": "create", "data": {} });
    for (command, payload, line) in
        [("ask_query", json!({ "entity": "Book" }), "entity_read"), ("ask_mutation", mutation, "entity_create")]
    {
        let got = stage.call(command, json!({ "to": null, "payload": payload }));
        assert_eq!(got["code"], "permission_denied", "{command}: {got}");
        assert!(got["error"].as_str().is_some_and(|error| error.contains(&format!("{line} = [\"Book\"]"))), "{got}");
    }
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

pub(crate) fn an_event_reaches_subscribers_and_followers(sample: &'static Sample) {
    let modules = [
        (SUBJECT, "[capabilities]\nevent_emit = [\"specimen.*\"]"),
        ("taker", "[capabilities]\nevent_subscribe = [\"specimen.*\"]"),
    ];
    let mut stage = Stage::with(sample, "", &modules);
    let following = stage.client.follow("specimen.*");
    for n in 1..=3 {
        let event = json!({ "event": format!("specimen.done.{n}"), "data": { "n": n, "text": "\u{1F30A}" } });
        stage.call("emit", event.clone());
        let followed = stage.client.progress(following);
        assert_eq!((&followed["event"], &followed["data"]), (&event["event"], &event["data"]));
        // A follower may get a stored event before a subscriber does.
        let taken = until("the subscriber has the event", || {
            let taken = stage.client.call("taker", "events", json!({})).expect("it is a specimen");
            (taken["count"] == n).then_some(taken)
        });
        let found = (&taken["last"]["event"], &taken["last"]["data"]);
        assert_eq!(found, (&event["event"], &event["data"]), "{taken}");
    }
    stage.finish_unharmed();
}

pub(crate) fn an_event_that_the_manifest_does_not_grant_is_not_published(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "[capabilities]\nevent_emit = [\"specimen.done\"]");
    let following = stage.client.follow("specimen.*");
    // Whether the handler gets an error is up to its runtime; the log has it in any case.
    let refused = stage.client.call(SUBJECT, "emit", json!({ "event": "specimen.begun", "data": 1 }));
    if let Err(failure) = refused {
        assert_eq!(failure.code, ErrorCode::PermissionDenied, "{failure:?}");
    } else {
        until("a line of the log that says so", || {
            let tail = stage.client.status(SUBJECT)["log_tail"].to_string();
            (tail.contains("refused") && tail.contains("specimen.begun")).then_some(())
        });
    }
    stage.call("emit", json!({ "event": "specimen.done", "data": 2 }));
    let followed = stage.client.progress(following);
    assert_eq!((&followed["event"], &followed["data"]), (&json!("specimen.done"), &json!(2)));
    stage.finish_unharmed();
}
