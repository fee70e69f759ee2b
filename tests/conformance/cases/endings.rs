//! Crashes: reported truthfully, survived, and nothing is left of them.

use crate::samples::{Ability, Sample};
use crate::stage::{RESTARTS, SUBJECT, Stage};
use bulkhead_protocol::{Delivery, ErrorCode, Exit, Failure};
use bulkhead_tests::{kill, until, wait_until_gone};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

pub(crate) fn a_kill_is_followed_by_a_fresh_process(sample: &'static Sample) {
    let mut stage = Stage::of(sample, RESTARTS);
    stage.probe();
    let pid = stage.pid();
    kill(pid, Signal::SIGKILL);
    stage.wait_for_another_than(pid);
    stage.probe_a_fresh_one();
    let status = stage.client.status(SUBJECT);
    assert_eq!((&status["restarts"], &status["last_exit"]), (&json!(1), &json!("SIGKILL")), "{status:#}");
    wait_until_gone(&[pid]);
    stage.finish();
}

/// Each request gets one answer. With a module that handles one message at a time, only the caller of the one that had
/// begun can learn of the crash, and only if it cannot be sent again. With a module that gets several ahead, it is
/// unknown which those are.
pub(crate) fn a_kill_amid_many_requests_is_reported_truthfully(sample: &'static Sample) {
    let mut stage = Stage::of(sample, RESTARTS);
    let is_one_at_a_time = stage.can(Ability::OneAtATime);
    let delivery = if is_one_at_a_time { Delivery::Started } else { Delivery::Unknown };
    let pid = stage.pid();
    let ids: Vec<u64> = (0..200.min(sample.many)).map(|_| stage.send_probe()).collect();
    kill(pid, Signal::SIGKILL);
    let mut failures = 0;
    for id in ids {
        match stage.client.answer(id) {
            Ok(answer) => drop(stage.check_probe(&answer)),
            Err(failure) => {
                let how = (failure.code, failure.delivery);
                assert_eq!(how, (ErrorCode::ModuleCrashed, Some(delivery)), "{failure:?}");
                failures += 1;
            }
        }
    }
    assert!(failures <= 1 || !is_one_at_a_time, "{failures} were reported for one kill");
    stage.wait_for_another_than(pid);
    stage.probe();
    stage.finish();
}

pub(crate) fn after_ten_kills_nothing_is_left_behind(sample: &'static Sample) {
    let mut stage = Stage::of(sample, RESTARTS);
    stage.probe();
    let before = stage.pids().len();
    for n in 1..=10 {
        let pid = stage.pid();
        kill(pid, Signal::SIGKILL);
        stage.wait_for_another_than(pid);
        stage.probe_a_fresh_one();
        assert_eq!(stage.client.status(SUBJECT)["restarts"], n);
    }
    // Processes that the last killed one had started may still be ending.
    until("as many processes as in the beginning", || (stage.pids().len() == before).then_some(()));
    stage.finish();
}

pub(crate) fn a_crash_is_reported_truthfully_and_the_next_process_begins_anew(sample: &'static Sample) {
    let mut stage = Stage::of(sample, RESTARTS);
    stage.probe();
    let pid = stage.pid();
    let failure = stage.fail("crash", json!({}));
    let traps = (sample.cannot)(Ability::Trap).is_none();
    if traps {
        assert_eq!(failure.code, ErrorCode::ModuleError, "a trap is answered: {failure:?}");
        assert!(failure.error.contains("trap") || failure.error.contains("unreachable"), "{failure:?}");
    } else {
        assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
        assert!(matches!(&failure.exit, Some(Exit::Signal(_))), "{failure:?}");
    }
    stage.wait_for_another_than(pid);
    stage.probe_a_fresh_one();
    let crashes = stage.client.supervisor("crashes", json!({ "name": SUBJECT }));
    assert_eq!(crashes["crashes"].as_array().map(Vec::len), Some(1), "{crashes:#}");
    if traps {
        check_record(&mut stage, "crash", &failure);
    }
    stage.finish();
}

pub(crate) fn a_panic_is_answered_and_the_next_process_begins_anew(sample: &'static Sample) {
    let mut stage = Stage::of(sample, &format!("{RESTARTS}on_panic = \"restart\""));
    stage.probe();
    let pid = stage.pid();
    let panic = stage.client.send_command(SUBJECT, "panic", json!({}));
    let later = stage.send_probe();
    let failure = stage.client.answer(panic).expect_err("a panic is no success");
    check_panic(&stage, &failure);
    // It has not begun, so the next process gets it, also where it cannot be done twice.
    let answer = stage.client.answer(later).unwrap_or_else(|failure| panic!("after the panic: {failure:?}"));
    assert_eq!(stage.check_probe(&answer), Some(1));
    stage.wait_for_another_than(pid);
    assert_eq!(stage.client.status(SUBJECT)["restarts"], 1);
    check_record(&mut stage, "panic", &failure);
    stage.finish();
}

pub(crate) fn a_panic_is_answered_and_the_process_goes_on_where_the_manifest_says_so(sample: &'static Sample) {
    let mut stage = Stage::of(sample, &format!("{RESTARTS}on_panic = \"continue\""));
    let pid = stage.pid();
    for _ in 0..3 {
        panic_once(&mut stage);
        stage.probe();
    }
    assert_eq!(stage.pid(), pid);
    stage.finish_unharmed();
}

/// Makes it panic; the caller gets the position and the message.
fn panic_once(stage: &mut Stage) {
    let failure = stage.fail("panic", json!({}));
    check_panic(stage, &failure);
}

/// The record of the one crash names what was answered, and begins with the answer.
fn check_record(stage: &mut Stage, command: &str, failure: &Failure) {
    let crashes = stage.client.supervisor("crashes", json!({ "name": SUBJECT }));
    let [crash] = crashes["crashes"].as_array().expect("a list").as_slice() else { panic!("{crashes:#}") };
    let [lost] = crash["in_flight"].as_array().expect("a list").as_slice() else { panic!("{crash:#}") };
    assert_eq!((&lost["payload"]["name"], &lost["answered"]), (&json!(command), &json!(failure.error)), "{crash:#}");
    assert_eq!(crash["stderr"][0], json!(failure.error.lines().next()), "{crash:#}");
}

fn check_panic(stage: &Stage, failure: &Failure) {
    assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleError, None), "{failure:?}");
    assert!(failure.error.contains("the specimen panicked on request"), "{}", failure.error);
    let has_all = |parts: &&[&str]| parts.iter().all(|part| failure.error.contains(part));
    let has_place = [&["panicked", ".rs:"][..], &["specimen.py:"], &["specimen.js:"]].iter().any(has_all);
    assert!(has_place || !stage.can(Ability::PanicPlace), "expected a file and a line in {}", failure.error);
}

pub(crate) fn a_trap_costs_only_its_message_where_the_manifest_says_so(sample: &'static Sample) {
    let mut stage = Stage::of(sample, &format!("{RESTARTS}on_panic = \"continue\""));
    let pid = stage.pid();
    for _ in 0..3 {
        stage.probe_a_fresh_one();
        let failure = stage.fail("crash", json!({}));
        assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleError, None), "{failure:?}");
    }
    // The state after a trap is in doubt, so the module is created anew, in the same process.
    stage.probe_a_fresh_one();
    assert_eq!(stage.pid(), pid);
    assert_eq!(stage.client.supervisor("crashes", json!({ "name": SUBJECT }))["crashes"], Value::Array(Vec::new()));
    stage.finish_unharmed();
}
