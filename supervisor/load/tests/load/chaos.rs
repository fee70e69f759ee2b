//! `bulkhead chaos`: modules that keep what they promise while their processes are killed, and modules that do not.

use crate::support::{Ended, UNDAUNTED, chaos, ended, with_ledger, with_misbehave, world};
use bulkhead_tests::{RESEARCH_LOG, World, kill, stat, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::process::Command;

fn count(json: &Value) -> u64 {
    json.as_u64().unwrap_or_else(|| panic!("expected a number, found {json}"))
}

fn with_research_log() -> World {
    let mut world = world();
    world.module("research-log", "research-log", &format!("{RESEARCH_LOG}{UNDAUNTED}"));
    world.module("misbehave", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("research-log");
    client.wait_ready("misbehave");
    client.call("research-log", "create_log", json!({ "title": "chaos" })).unwrap();
    world
}

#[test]
fn a_durable_module_that_is_called_with_keys_loses_and_doubles_nothing_while_it_is_killed() {
    let world = with_research_log();
    let words = ["research-log", "add_entry", "text={id}", "--kill-every", "150ms", "--for", "3s", "--json"];
    let observed = ["--observe-events", "ResearchEntry.created", "--seed", "7"];
    let done = ended(chaos(&world, &[&words[..], &observed].concat()));
    assert_eq!((done.code, &*done.errors), (Some(0), ""), "{}", done.out);
    let report = done.json();
    assert!(count(&report["disturbed"]["hits"]["kill"]) >= 5, "{report:#}");
    assert!(count(&report["succeeded"]) > 20, "{report:#}");
    assert_eq!(count(&report["effects"]), count(&report["succeeded"]) + count(&report["perhaps_done"]));
    assert_eq!((&report["twice"], &report["seed"], &report["faults"]), (&json!("keyed"), &json!(7), &json!({})));
    // What it says is what is there.
    let mut client = world.client();
    let activity = client.call("research-log", "analyze_activity", json!({})).unwrap();
    assert_eq!(count(&activity["entries"]), count(&report["effects"]));
    assert_eq!(client.status("misbehave")["restarts"], 0, "no other module is disturbed");
}

#[test]
fn a_module_that_forgets_what_it_has_answered_is_found_out_and_the_calls_are_named() {
    let world = with_ledger("memory");
    let words = ["ledger", "add", "id={id}", "--kill-every", "300ms", "--for", "1500ms", "--observe", "list"];
    let done = ended(chaos(&world, &words));
    assert_eq!(done.code, Some(1), "{done:?}");
    let lost = done.out.lines().find(|line| line.starts_with("LOST ")).unwrap_or_else(|| panic!("{done:?}"));
    assert!(lost.contains("-0: sent at 0.0") && lost.ends_with("; no effect was found"), "{lost}");
    assert!(!done.out.contains("nothing was lost"), "{done:?}");
    let report = ended(chaos(&world, &[&words[..], &["--json"]].concat())).json();
    let faulty = report["faulty"].as_array().unwrap();
    assert_eq!(faulty.len() as u64, count(&report["faults"]["lost"]).min(1000));
    assert!(faulty.iter().all(|it| it["fault"] == "lost" && it["answer"] == "success" && it["effects"] == 0));
}

#[test]
fn a_module_that_does_again_what_it_has_done_is_found_out_and_the_calls_are_named() {
    let world = with_ledger("file");
    let words = ["ledger", "add", "id={id}", "--kill-every", "500ms", "--for", "4s", "--observe", "list", "--json"];
    let done = ended(chaos(&world, &words));
    assert_eq!(done.code, Some(1), "{done:?}");
    let report = done.json();
    assert!(count(&report["faults"]["doubled"]) > 0, "{report:#}");
    let doubled = report["faulty"].as_array().unwrap().iter().find(|it| it["fault"] == "doubled").unwrap();
    let listed = world.client().call("ledger", "list", json!(null)).unwrap();
    let times = listed.as_array().unwrap().iter().filter(|id| **id == doubled["id"]).count();
    assert_eq!(times as u64, count(&doubled["effects"]), "{doubled:#}");
}

#[test]
fn without_keys_the_same_module_does_nothing_twice_and_says_what_it_may_have_done() {
    let world = with_ledger("file");
    let words = ["ledger", "add", "id={id}", "--kill-every", "500ms", "--for", "4s", "--observe", "list", "--json"];
    let done = ended(chaos(&world, &[&words[..], &["--keys", "never"]].concat()));
    assert_eq!(done.code, Some(0), "{done:?}");
    let report = done.json();
    assert!(count(&report["perhaps"]) > 0 && report["failures"]["module_crashed"].is_u64(), "{report:#}");
    assert_eq!(count(&report["effects"]), count(&report["succeeded"]) + count(&report["perhaps_done"]));
}

#[test]
fn a_module_that_is_stopped_and_slowed_answers_all_the_same_and_runs_at_the_end() {
    let world = with_misbehave(UNDAUNTED);
    let pid = world.client().pid("misbehave");
    let words = ["misbehave", "read", "--for", "2s", "--json", "--rate", "200", "--stop-every", "300ms"];
    let slowed = ["--stop-for", "100ms", "--slow-every", "400ms", "--slow-for", "200ms"];
    let done = ended(chaos(&world, &[&words[..], &slowed].concat()));
    assert_eq!((done.code, &*done.errors), (Some(0), ""), "{}", done.out);
    let report = done.json();
    let hits = &report["disturbed"]["hits"];
    assert!(count(&hits["stop"]) > 0 && count(&hits["slow"]) > 0, "{report:#}");
    assert_eq!((&report["twice"], &report["effects"]), (&json!("idempotent"), &Value::Null));
    assert_eq!(world.client().pid("misbehave"), pid);
    assert_ne!(stat(pid).unwrap().state, 'T');
}

#[test]
fn a_process_that_is_stopped_when_the_run_is_interrupted_is_continued_and_what_was_done_is_judged() {
    let world = with_misbehave(UNDAUNTED);
    let pid = world.client().pid("misbehave");
    let words = ["misbehave", "read", "--for", "1m", "--stop-every", "50ms", "--stop-for", "8s", "--json"];
    let child = chaos(&world, &words).spawn().expect("the program can be started");
    until("the process is stopped", || (stat(pid)?.state == 'T').then_some(()));
    kill(child.id().into(), Signal::SIGINT);
    let done = Ended::of(child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(130), "{done:?}");
    let report = done.json();
    assert_eq!(report["interrupted"], "SIGINT");
    assert!(count(&report["succeeded"]) > 0, "{report:#}");
    assert_ne!(stat(pid).unwrap().state, 'T');
}

#[test]
fn a_module_that_the_daemon_would_leave_down_is_started_and_that_is_said() {
    let world = with_misbehave("[restart]\nat_once_after = \"1h\"\ndelay_initial = \"1h\"\ndelay_max = \"1h\"\n");
    let words = ["misbehave", "read", "--for", "2s", "--kill-every", "200ms", "--json"];
    let done = ended(chaos(&world, &words));
    assert_eq!((done.code, &*done.errors), (Some(0), ""), "{}", done.out);
    assert!(count(&done.json()["disturbed"]["starts"]) > 0, "{}", done.out);
}

#[test]
fn what_cannot_be_judged_is_refused_before_anything_is_disturbed() {
    let world = with_misbehave("");
    let pid = world.client().pid("misbehave");
    for (words, code, expected) in [
        (&["misbehave", "read", "--observe", "read"][..], 2, "expected {id} in them"),
        (&["misbehave", "no_such"], 1, "no_such"),
        (&["no-such", "read"], 4, "unknown_module"),
        (&["misbehave", "read", "--for", "1s", "--kill-every", "900ms"], 2, "two thirds of --for"),
    ] {
        let every = if words.contains(&"--kill-every") { &[][..] } else { &["--kill-every", "100ms"] };
        let done = ended(chaos(&world, &[words, every].concat()));
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(done.errors.contains(expected), "{done:?}");
    }
    let mut client = world.client();
    assert_eq!(client.pid("misbehave"), pid);
    client.supervisor("stop", json!({ "name": "misbehave" }));
    let done =
        ended(chaos(&world, &["misbehave", "read", "--kill-every", "100ms", "--for", "1s", "--timeout", "200ms"]));
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.errors.contains("`bulkhead start misbehave` starts it"), "{done:?}");
}

#[test]
fn a_daemon_in_another_pid_namespace_is_refused_with_the_remedy() {
    let isolated = ["--pid", "--fork", "--mount-proc"];
    if !Command::new("unshare").args(isolated).arg("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: no PID namespace can be made here");
        return;
    }
    let world = with_misbehave("");
    let inside = chaos(&world, &["misbehave", "read", "--kill-every", "100ms", "--for", "1s"]);
    let mut command = Command::new("unshare");
    command.args(isolated).arg(inside.get_program()).args(inside.get_args()).env("BULKHEAD_SOCKET", world.socket());
    let done = Ended::of(command.output().unwrap());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.errors.contains("run bulkhead chaos in the PID namespace of the daemon"), "{done:?}");
}

#[test]
fn a_run_in_which_no_call_succeeds_shows_nothing_and_says_so() {
    let world = with_misbehave(UNDAUNTED);
    let words = ["misbehave", "error", "code=out_of_ink", "--kill-every", "200ms", "--for", "1s"];
    let done = ended(chaos(&world, &words));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.errors.contains("no call succeeded, so the run shows nothing ("), "{done:?}");
}

#[test]
fn a_daemon_that_goes_away_ends_the_run_and_the_calls_are_accounted_for() {
    let mut world = with_misbehave(UNDAUNTED);
    let words = ["misbehave", "count", "--for", "1m", "--kill-every", "10s", "--json"];
    let child = chaos(&world, &words).spawn().expect("the program can be started");
    let mut client = world.client();
    until("calls", || (client.call("misbehave", "read", json!({})).ok()?["count"].as_u64()? > 20).then_some(()));
    world.end_host(Signal::SIGKILL);
    let done = Ended::of(child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(125), "{done:?}");
    assert!(done.errors.contains("the run cannot be judged whole: the "), "{done:?}");
    let report = done.json();
    assert!(count(&report["succeeded"]) > 10 && count(&report["cut_off"]) > 0, "{report:#}");
    assert_eq!(report["faults"], json!({}), "what the daemon took along is no fault");
}
