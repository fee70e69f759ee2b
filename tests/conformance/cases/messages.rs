//! Every type of message.

use crate::samples::Sample;
use crate::stage::{SUBJECT, Stage, ms};
use bulkhead_protocol::{ErrorCode, Json, Request, RequestType};
use bulkhead_tests::{World, until};
use serde_json::{Value, json};

pub(crate) fn a_ping_is_answered_by_an_idle_module_as_often_as_it_comes(sample: &'static Sample) {
    let pings = |interval, timeout, misses| {
        format!("[limits]\nping_interval = {}\nping_timeout = {}\nping_misses = {misses}", ms(interval), ms(timeout))
    };
    let mut world = World::new();
    let rest = pings(20, 2000, 1);
    sample.install(&world, SUBJECT, &rest);
    // Another one hears pings less often, and never answers. When that is noticed, the subject has had more than one
    // ping.
    let mute = format!("env = {{ MISBEHAVE_AT_START = \"mute\" }}\n{}", pings(50, 50, 2));
    world.module("mute", "misbehave", &mute);
    let mut stage = Stage::start(world, sample, &[(SUBJECT, &rest)]);
    let pid = stage.pid();
    let status = stage.client.until_status("mute", "it is found out", |status| status["last_exit"].is_string());
    assert!(status["last_exit"].as_str().is_some_and(|exit| exit.starts_with("hung")), "{status:#}");
    stage.client.ask(&Stage::request(RequestType::Ping, Json::null())).expect("a ping is answered");
    stage.probe_a_fresh_one();
    assert_eq!(stage.pid(), pid);
    stage.finish_unharmed();
}

pub(crate) fn an_unknown_type_is_answered_with_unknown_type(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let request = Stage::request(RequestType::Unknown("somersault".into()), json!({ "height": 2 }).into());
    let refused = stage.client.ask(&request).expect_err("this type is unknown");
    assert_eq!(refused.code, ErrorCode::UnknownType, "{refused:?}");
    assert!(refused.error.contains("somersault"), "{}", refused.error);
    stage.probe();
    stage.finish_unharmed();
}

pub(crate) fn what_only_the_host_may_say_is_refused(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for kind in [RequestType::Init, RequestType::Shutdown] {
        let refused = stage.client.ask(&Stage::request(kind, Json::null())).expect_err("only the host may say it");
        assert_eq!(refused.code, ErrorCode::BadRequest);
    }
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

pub(crate) fn an_event_does_not_get_in_the_way(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "[capabilities]\nevent_subscribe = [\"*\"]");
    for data in [json!(null), json!({ "weather": "sunny" }), json!("x".repeat(70_000))] {
        let event = Request::new(None, RequestType::Event, json!({ "event": "day.begun", "data": data }).into());
        let answer = stage.client.ask(&event).expect("it is published");
        assert_eq!(answer["subscribers"], 1, "{answer}");
        stage.probe();
    }
    stage.client.until_status(SUBJECT, "all is answered", |status| status["in_flight"] == 0 && status["queue"] == 0);
    stage.finish_unharmed();
}

pub(crate) fn a_cancel_that_comes_too_late_is_no_fault(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let id = stage.send_probe();
    stage.client.answer(id).expect("the probe is answered");
    for id in [id, 1_000_000] {
        let cancel = stage.client.cancel(id).expect("a request can be sent");
        stage.client.answer(cancel).expect("a cancel is answered");
    }
    stage.probe();
    stage.finish_unharmed();
}

pub(crate) fn an_unknown_command_is_answered_with_unknown_command(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for name in ["dance", "", "é\u{1F30A}\"\\", "count "] {
        let refused = stage.fail(name, json!({}));
        assert_eq!(refused.code, ErrorCode::UnknownCommand, "{name:?}: {refused:?}");
        assert!(!refused.error.is_empty());
    }
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

pub(crate) fn arguments_of_another_form_are_refused(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for args in [json!({ "ms": "soon" }), json!({}), json!("soon"), json!([1]), json!(null)] {
        let refused = stage.fail("wait", args.clone());
        assert_eq!(refused.code, ErrorCode::BadRequest, "{args}: {refused:?}");
        assert!(!refused.error.is_empty());
    }
    stage.probe();
    stage.finish_unharmed();
}

pub(crate) fn a_query_and_a_mutation_carry_any_payload(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for kind in [RequestType::Query, RequestType::Mutation] {
        for payload in [json!(null), json!(7), json!("é\u{1F30A}"), json!([]), json!({ "a": { "b": [1, "c"] } })] {
            let request = Stage::request(kind.clone(), payload.clone().into());
            assert_eq!(stage.client.ask(&request), Ok(payload), "{}", kind.name());
        }
    }
    stage.finish_unharmed();
}

pub(crate) fn a_query_and_a_mutation_are_refused_by_a_module_without_them(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for kind in [RequestType::Query, RequestType::Mutation] {
        let refused = stage.client.ask(&Stage::request(kind, json!({ "a": 1 }).into()));
        assert_eq!(refused.expect_err("it has none").code, ErrorCode::UnknownType);
    }
    stage.probe();
    stage.finish_unharmed();
}

pub(crate) fn an_event_is_received_by_those_who_subscribed(sample: &'static Sample) {
    let subscribed = "[capabilities]\nevent_subscribe = [\"day.*\", \"night\"]";
    let mut stage = Stage::with(sample, "", &[(SUBJECT, subscribed), ("deaf", "")]);
    assert_eq!(stage.call("events", json!({})), json!({ "count": 0, "last": null }));
    let mut seen = 0;
    for (event, subscribers) in [("day.begun", 1), ("nightly", 0), ("night", 1), ("day.ended", 1)] {
        let data = json!({ "n": seen, "text": "\u{1F319} \u{5e9}" });
        let request = Request::new(None, RequestType::Event, json!({ "event": event, "data": data }).into());
        let answer = stage.client.ask(&request).expect("it is published");
        assert_eq!(answer["subscribers"], subscribers, "{event}: {answer}");
        if subscribers == 1 {
            seen += 1;
            // A stored event comes after its request was answered.
            let taken = until("the event is taken", || {
                let taken = stage.call("events", json!({}));
                (taken["count"] == seen).then_some(taken)
            });
            let found = (&taken["last"]["event"], &taken["last"]["data"]);
            assert_eq!(found, (&json!(event), &data), "{taken}");
        }
    }
    let nothing: Value = json!({ "count": 0, "last": null });
    assert_eq!(stage.client.call("deaf", "events", json!({})), Ok(nothing));
    stage.finish_unharmed();
}
