//! Requests that take their time: progress, cancel, deadline, shutdown.

use crate::samples::Sample;
use crate::stage::{RESTARTS, SUBJECT, Stage, ms};
use bulkhead_protocol::{Delivery, ErrorCode, Status};
use bulkhead_tests::{Caller, timeout};
use serde_json::{Value, json};

/// Longer than any test.
const LONG_MS: u64 = 3_600_000;

pub(crate) fn progress_comes_in_order_and_before_the_answer(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for steps in [0, 1, 500] {
        let mut seen: Vec<Value> = Vec::new();
        let request = Caller::command(SUBJECT, "progress", json!({ "steps": steps }));
        let response = stage.client.request_with(&request, Some(timeout()), |data| {
            seen.push(data.read().expect("it is JSON"));
        });
        let expected: Vec<Value> = (1..=steps).map(|step| json!({ "step": step })).collect();
        assert_eq!(seen, expected);
        let Status::Success(data) = response.expect("it is answered").status else { panic!("expected a success") };
        assert_eq!(data.read::<Value>().expect("it is JSON"), json!({ "steps": steps }));
    }
    stage.finish_unharmed();
}

pub(crate) fn a_running_request_is_cancelled(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let pid = stage.pid();
    let running = stage.client.send_command(SUBJECT, "wait", json!({ "ms": LONG_MS }));
    stage.until_it_has(1);
    let cancel = stage.client.cancel(running).expect("a request can be sent");
    stage.client.answer(cancel).expect("a cancel is answered");
    let cancelled = stage.client.answer(running).expect_err("it cannot have waited for so long");
    assert_eq!(cancelled.code, ErrorCode::Cancelled, "{cancelled:?}");
    stage.probe_a_fresh_one();
    assert_eq!(stage.pid(), pid);
    stage.finish_unharmed();
}

pub(crate) fn a_queued_request_is_cancelled_before_it_begins(sample: &'static Sample) {
    // Once it waits at the module, after the other one, and once in the host.
    for window in [64, 1] {
        let mut stage = Stage::of(sample, &format!("[limits]\nwindow = {window}"));
        let running = stage.client.send_command(SUBJECT, "wait", json!({ "ms": LONG_MS }));
        let queued = stage.client.send_command(SUBJECT, "count", json!({}));
        stage.until_it_has(if window == 1 { 1 } else { 2 });
        for id in [queued, running] {
            let cancel = stage.client.cancel(id).expect("a request can be sent");
            stage.client.answer(cancel).expect("a cancel is answered");
        }
        for id in [queued, running] {
            assert_eq!(stage.client.answer(id).expect_err("it was cancelled").code, ErrorCode::Cancelled);
        }
        assert_eq!(stage.call("count", json!({})), json!({ "count": 1 }), "what was cancelled never began");
        stage.finish_unharmed();
    }
}

pub(crate) fn a_deadline_is_reported_in_time_and_a_module_that_obeys_lives_on(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let pid = stage.pid();
    assert_eq!(stage.call("wait", json!({ "ms": 1 })), json!({ "waited": 1 }));
    let late = stage.client.call_within(100, SUBJECT, "wait", json!({ "ms": LONG_MS })).expect_err("it is late");
    assert_eq!(late.code, ErrorCode::DeadlineExceeded, "{late:?}");
    // The module watches the deadline too, and may be the one that reports it.
    assert!([None, Some(Delivery::Started), Some(Delivery::Unknown)].contains(&late.delivery), "{late:?}");
    stage.probe_a_fresh_one();
    assert_eq!(stage.pid(), pid);
    stage.finish_unharmed();
}

pub(crate) fn a_deadline_is_reported_in_time_also_by_a_module_that_does_not_look(sample: &'static Sample) {
    let mut stage = Stage::of(sample, &format!("{RESTARTS}[limits]\ncancel_grace = {}", ms(100)));
    let late = stage.client.call_within(100, SUBJECT, "spin", json!({ "ms": 60_000 })).expect_err("it is late");
    assert_eq!(late.code, ErrorCode::DeadlineExceeded, "{late:?}");
    // The host's timeout ends long before the minute is over.
    stage.probe_a_fresh_one();
    stage.finish();
}

pub(crate) fn a_shutdown_waits_for_what_is_under_way(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let mut other = stage.world.client();
    let first = stage.client.send_command(SUBJECT, "wait", json!({ "ms": 200 }));
    let second = stage.client.send_command(SUBJECT, "wait", json!({ "ms": 1 }));
    stage.until_it_has(2);
    assert_eq!(other.supervisor("stop", json!({ "name": SUBJECT }))["state"], "stopped");
    assert_eq!(stage.client.answer(first), Ok(json!({ "waited": 200 })));
    assert_eq!(stage.client.answer(second), Ok(json!({ "waited": 1 })));
    let status = stage.client.status(SUBJECT);
    assert!(status["last_exit"].as_str().is_none_or(|exit| exit.contains("exit code 0")), "{status:#}");
    assert_eq!(stage.client.supervisor("crashes", json!({}))["crashes"], json!([]));
    stage.finish();
}
