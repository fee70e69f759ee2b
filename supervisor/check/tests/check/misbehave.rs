//! The module that does everything wrong fails the right rules: each rule that a module can break is shown to fail.

use crate::support::{Folder, report, with_verdict};
use serde_json::Value;
use std::collections::BTreeSet;

/// Short times, so that a module that hangs is soon found out.
const LIMITS: &str = "[limits]\nstart_timeout = \"2s\"\nstop_timeout = \"300ms\"\nterm_timeout = \"300ms\"\n\
    cancel_grace = \"300ms\"\n";

/// The options for what is known to fail: a slow machine adds failures, and takes none away.
const SHORT: [&str; 6] = ["--timeout", "300ms", "--end-timeout", "1s", "--seed", "1"];

/// The options where what does not fail counts, too: nothing of it waits for a module, so a slow machine has time.
const EXACT: [&str; 4] = ["--timeout", "30s", "--seed", "1"];

/// What `misbehave` does from its start on, and the rules that it breaks by that and perhaps by what follows.
const STARTS: &[(&str, &[&str])] = &[
    ("exit_during_init", &["init"]),
    ("crash_during_init", &["init"]),
    ("init_error", &["init"]),
    ("init_wrong_form", &["init"]),
    ("wrong_version", &["init"]),
    ("never_answer_init", &["init", "init-time"]),
    ("init_text", &["init", "frames", "output"]),
    ("describe_wrong_types", &["described", "unknown-command", "unknown-type"]),
    ("any_version", &["other-version"]),
    ("ready_twice", &["one-answer"]),
    ("reverse", &["order"]),
    ("early_request", &["unknown-command", "unknown-type"]),
    ("answers_events", &["silent-event"]),
    ("wrong_schema", &["wrong-arguments"]),
    ("wrong_examples", &["examples"]),
    ("wrong_returns", &["returns"]),
    ("leaves_child", &["nothing-left"]),
    ("stale_lock", &["kill-idle", "kill-in-init"]),
    (
        "mute",
        &[
            "ping-idle",
            "ping-busy",
            "unknown-type",
            "unknown-command",
            "unknown-members",
            "event",
            "silent-event",
            "cancel-unknown",
            "cancel-queued",
            "one-answer",
            "long-frame",
            "shutdown",
            "shutdown-order",
            "query",
            "kill-in-request",
            "stop",
        ],
    ),
    ("deaf", &["torn-frame", "oversized-frame", "channel-end", "kill-in-shutdown"]),
];

/// Rules that no start of `misbehave` breaks, with where they are seen to fail, or why they cannot here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("manifest", "a_manifest_with_a_fault_fails_its_rule_with_its_line"),
    ("commands", "a_command_that_hangs_or_crashes_fails_its_rule_and_the_check_goes_on"),
    ("ready", "what is ready on the wire is ready under a host: the rule finds what differs between the two"),
];

fn checked(start: &str, words: &[&str]) -> Value {
    let folder = Folder::misbehave(&format!("env = {{ MISBEHAVE_AT_START = \"{start}\" }}\n{LIMITS}"));
    report(folder.path(), words)
}

/// A few at a time: they mostly wait.
#[test]
fn each_way_to_start_badly_fails_the_rules_that_it_breaks() {
    for some in STARTS.chunks(20) {
        std::thread::scope(|scope| {
            for (start, expected) in some {
                scope.spawn(move || fails(start, expected));
            }
        });
    }
}

fn fails(start: &str, expected: &[&str]) {
    let report = checked(start, &SHORT);
    let failed = with_verdict(&report, "failed");
    let missing: Vec<_> = expected.iter().filter(|rule| !failed.contains(rule)).collect();
    assert!(missing.is_empty(), "{start} should fail {missing:?}, and fails {failed:?}: {report:#}");
    for rule in report["rules"].as_array().unwrap().iter().filter(|rule| rule["verdict"] == "failed") {
        for fault in rule["faults"].as_array().unwrap() {
            let is_said = ["sent", "expected", "found"].iter().all(|part| fault[part] != "");
            assert!(is_said, "{start}: {rule:#}");
        }
    }
}

/// The report of a failure has the arguments.
#[test]
fn a_seed_makes_the_same_arguments_again_and_another_one_others() {
    let folder = Folder::misbehave("env = { MISBEHAVE_AT_START = \"wrong_schema\" }\n");
    let faults_with = |seed: u32| {
        let report = report(folder.path(), &["--seed", &seed.to_string()]);
        let rule = report["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "wrong-arguments").unwrap();
        rule["faults"].clone()
    };
    let first = faults_with(0);
    assert_eq!(first, faults_with(0));
    assert!((1..5).any(|seed| faults_with(seed) != first), "{first}");
}

#[test]
fn a_module_with_one_fault_fails_no_other_rules() {
    for (start, expected) in [
        ("answers_events", &["silent-event"][..]),
        ("wrong_schema", &["wrong-arguments"]),
        ("wrong_examples", &["examples"]),
        ("wrong_returns", &["returns"]),
    ] {
        let report = checked(start, &EXACT);
        // It answers whatever it is asked with a success.
        let others = ["unknown-type", "unknown-command"];
        let failed: Vec<&str> =
            with_verdict(&report, "failed").into_iter().filter(|rule| !others.contains(rule)).collect();
        assert_eq!(failed, expected, "{start}: {report:#}");
    }
}

#[test]
fn each_rule_is_seen_to_fail() {
    let shown: BTreeSet<&str> = STARTS.iter().flat_map(|(_, rules)| rules.iter().copied()).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(rule, _)| *rule).collect();
    let report = report(Folder::new("").path(), &[]);
    let all = report["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap());
    let missing: Vec<&str> = all.filter(|rule| !shown.contains(rule) && !elsewhere.contains(rule)).collect();
    assert!(missing.is_empty(), "no module is shown to break {missing:?}");
}

#[test]
fn a_manifest_with_a_fault_fails_its_rule_with_its_line() {
    let folder = Folder::new("[module]\nname = \"a\"\nversion = \"1\"\ncomand = [\"x\"]\n");
    let report = report(folder.path(), &[]);
    assert_eq!(with_verdict(&report, "failed"), ["manifest"], "{report:#}");
    assert!(report["rules"][0]["faults"].to_string().contains("module.toml:4:1"), "{report:#}");
}

/// A handler that panics is answered, and ends its process afterwards.
#[test]
fn a_command_that_is_answered_and_ends_its_process_is_named_and_the_next_one_is_not() {
    let report = report(Folder::of_sample("specimen").path(), &["--seed", "1", "--all-commands"]);
    let rule = report["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "commands").unwrap();
    let faults = rule["faults"].as_array().unwrap();
    let of = |name: &str| -> Vec<&Value> {
        faults.iter().filter(|fault| fault["sent"].as_str().unwrap().contains(&format!("\"{name}\""))).collect()
    };
    let [panic] = of("panic")[..] else { panic!("expected one fault of panic in {rule:#}") };
    assert!(panic["found"].as_str().unwrap().contains("it was answered, and the process ended"), "{rule:#}");
    assert_eq!((of("crash").len(), of("random").len(), of("echo").len()), (1, 0, 0), "{rule:#}");
}

/// Some of its commands say that they are idempotent, and end or block every process that is given one.
#[test]
fn a_command_that_hangs_or_crashes_fails_its_rule_and_the_check_goes_on() {
    let report = report(Folder::misbehave(LIMITS).path(), &["--timeout", "1s", "--seed", "1"]);
    assert_eq!(with_verdict(&report, "failed"), ["commands"], "{report:#}");
    let rule = report["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "commands").unwrap();
    let faults = rule["faults"].to_string();
    assert!(!faults.contains("whoami"), "what behaves is not blamed: {rule:#}");
    for found in ["abort_read", "quarantined", "hang_read", "deadline_exceeded"] {
        assert!(faults.contains(found), "expected {found} in {rule:#}");
    }
}
