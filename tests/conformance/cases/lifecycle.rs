//! From a start to a stop, and from one process to the next.

use crate::samples::Sample;
use crate::stage::{SUBJECT, Stage};
use bulkhead_protocol::{Delivery, ErrorCode};
use bulkhead_tests::{is_alive, wait_until_gone};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

pub(crate) fn a_module_that_is_ready_says_what_it_is(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let status = stage.client.until_status(SUBJECT, "it has a process", |status| status["pid"].is_i64());
    let expected = json!({
        "name": SUBJECT, "type": sample.kind, "version": "1.2.3", "desired": "running", "state": "ready",
        "restarts": 0, "last_exit": null, "in_flight": 0, "queue": 0, "strange_answers": 0, "events_dropped": 0,
    });
    for (member, value) in expected.as_object().expect("it is one") {
        assert_eq!(&status[member], value, "{member}: {status:#}");
    }
    assert!(is_alive(status["pid"].as_i64().expect("it was just seen")));
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

pub(crate) fn a_stop_leaves_nothing_and_a_start_begins_anew(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "autostart = false");
    let before = stage.pids();
    for _ in 0..2 {
        stage.client.supervisor("start", json!({ "name": SUBJECT }));
        stage.probe_a_fresh_one();
        let answer = stage.client.supervisor("stop", json!({ "name": SUBJECT }));
        assert_eq!(answer, json!({ "name": SUBJECT, "state": "stopped" }));
        assert_eq!(stage.pids(), before, "what was started is gone");
        let id = stage.send_probe();
        let refused = stage.client.answer(id).expect_err("no process is there to answer");
        assert_eq!((refused.code, refused.delivery), (ErrorCode::ModuleUnavailable, Some(Delivery::NotStarted)));
    }
    let status = stage.client.status(SUBJECT);
    assert_eq!((&status["restarts"], &status["pid"]), (&json!(0), &Value::Null), "{status:#}");
    assert_eq!(stage.client.supervisor("crashes", json!({}))["crashes"], json!([]));
    stage.finish();
}

pub(crate) fn a_restart_and_a_reload_give_a_new_process_that_answers(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for order in ["restart", "reload"] {
        stage.probe();
        let old = stage.pid();
        let answer = stage.client.supervisor(order, json!({ "name": SUBJECT }));
        assert_eq!(answer, json!({ "name": SUBJECT, "state": "ready" }), "{order}");
        stage.probe_a_fresh_one();
        assert_ne!(stage.pid(), old, "{order}");
        wait_until_gone(&[old]);
    }
    assert_eq!(stage.client.supervisor("crashes", json!({}))["crashes"], json!([]));
    assert_eq!(stage.client.status(SUBJECT)["restarts"], 0);
    stage.finish();
}

pub(crate) fn two_instances_share_the_work(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "instances = 2");
    let both_are_ready = |status: &Value| {
        let instances = status["instances"].as_array();
        instances.is_some_and(|all| all.iter().filter(|one| one["state"] == "ready").count() == 2)
    };
    stage.client.until_status(SUBJECT, "both are ready", both_are_ready);
    let ids: Vec<u64> = (0..100).map(|_| stage.send_probe()).collect();
    for id in ids {
        let answer = stage.client.answer(id).expect("a probe is answered");
        stage.check_probe(&answer);
    }
    stage.finish_unharmed();
}

pub(crate) fn the_end_of_the_host_is_the_end_of_all(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    stage.probe();
    stage.world.end_host(Signal::SIGKILL);
    stage.world.wait_until_empty();
}
