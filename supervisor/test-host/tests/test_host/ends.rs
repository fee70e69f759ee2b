//! Nothing is left, however a test host ends: no process and no file.

use crate::support::{Place, Raw, end_by, processes};
use bulkhead_tests::{program, until, wait_until_gone};
use nix::sys::signal::Signal;
use serde_json::json;
use std::process::{Command, Stdio};

fn misbehave() -> String {
    program("misbehave").to_string_lossy().into_owned()
}

#[test]
fn the_end_of_standard_input_ends_it_and_all_that_the_module_has_started() {
    let place = Place::new();
    let mut raw = place.raw(&["--", &misbehave()]);
    raw.ready();
    let family = raw.ask(1, "misbehave", "family", &json!({ "count": 3, "ignore_term": true }));
    let pids: Vec<i64> = family["data"]["pids"].as_array().unwrap().iter().map(|pid| pid.as_i64().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    assert_eq!(place.folders(), 1);
    assert!(raw.end().success());
    wait_until_gone(&pids);
    place.wait_until_empty();
}

#[test]
fn a_test_that_is_killed_takes_it_along() {
    let place = Place::new();
    // The process at the other end of its standard input is the test.
    let mut test = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn().unwrap();
    let stdin = Stdio::from(test.stdout.take().unwrap());
    let mut raw = Raw::start(&place, &["--", &misbehave()], stdin);
    raw.ready();
    test.kill().unwrap();
    test.wait().unwrap();
    assert!(raw.wait().success());
    place.wait_until_empty();
}

#[test]
fn a_test_that_reads_no_more_takes_it_along_too() {
    let place = Place::new();
    let mut test = Command::new("sleep").arg("60").stdin(Stdio::piped()).spawn().unwrap();
    let stdout = Stdio::from(test.stdin.take().unwrap());
    let mark = place.path().to_str().unwrap();
    let mut command = Command::new(program("bulkhead-test-host"));
    command.args(["--state", mark, "--set", &format!("env.TEST_MARK={mark}"), "--", &misbehave()]);
    let mut host = command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
    // The command keeps a descriptor of the pipe's end otherwise.
    drop(command);
    until("its folder", || (place.folders() == 1).then_some(()));
    test.kill().unwrap();
    test.wait().unwrap();
    until("the end of the test host", || host.try_wait().unwrap());
    place.wait_until_empty();
}

#[test]
fn a_signal_ends_it_as_the_test_would() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let place = Place::new();
        let mut raw = place.raw(&["--", &misbehave()]);
        raw.ready();
        end_by(raw.child.id(), signal);
        assert!(raw.wait().success(), "{signal}");
        place.wait_until_empty();
    }
}

/// The signal comes as early as there is something to leave.
#[test]
fn a_signal_before_the_host_runs_leaves_nothing_either() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let place = Place::new();
        let mut raw = place.raw(&["--", &misbehave(), "--at-start", "never_answer_init"]);
        until("its folder", || (place.folders() == 1).then_some(()));
        end_by(raw.child.id(), signal);
        assert!(raw.wait().success(), "{signal}");
        place.wait_until_empty();
    }
}

#[test]
fn a_socket_before_its_name_is_refused_with_the_reason() {
    let mut command = Command::new(program("bulkhead"));
    command.args(["--socket", "/s", "test-host", "--", &misbehave()]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--socket has no meaning here: this host is the test's own"), "{said}");
}

#[test]
fn a_module_that_is_still_starting_does_not_hold_up_the_end() {
    let place = Place::new();
    let mut raw = place.raw(&["--", &misbehave(), "--at-start", "never_answer_init"]);
    until("its folder", || (place.folders() == 1).then_some(()));
    assert!(raw.end().success());
    place.wait_until_empty();
}

#[test]
fn a_host_that_is_killed_leaves_no_process_and_the_next_one_removes_its_folder() {
    let place = Place::new();
    let host = place.misbehave(&[]).start().unwrap();
    let pids = processes(&host);
    // One that lives beside it keeps its folder.
    let other = place.misbehave(&[]).start().unwrap();
    end_by(host.pid(), Signal::SIGKILL);
    wait_until_gone(&pids);
    assert!(host.call("echo", json!(1)).is_err());
    drop(host);
    assert_eq!(place.folders(), 2);
    let next = place.misbehave(&[]).start().unwrap();
    assert_eq!(place.folders(), 2, "that of the killed one is gone, and those of two that live are there");
    assert_eq!(other.call("echo", json!(1)).unwrap(), 1);
    drop((next, other));
    place.wait_until_empty();
}
