//! What the program prints and writes, and its exit codes.

use crate::support::{Folder, check, command, with_verdict};
use bulkhead_tests::{marked, program, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::{Command, Stdio};

#[test]
fn the_table_has_each_rule_with_its_place_and_beneath_a_failure_what_was_found() {
    let folder = Folder::misbehave("env = { MISBEHAVE_AT_START = \"init_error\" }\n");
    let output = check(folder.path(), &["--seed", "17"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("misbehave (process), seed 17\n  ok      its manifest checks"), "{text}");
    let at = text.find("  FAILED  it answers init with what it is").unwrap_or_else(|| panic!("{text}"));
    let mut lines = text[at..].lines();
    assert!(lines.next().unwrap().ends_with("PROTOCOL.md#init"), "{text}");
    assert_eq!(lines.next(), Some("            sent      init"));
    assert_eq!(lines.next(), Some("            expected  a success with name, version and protocol, or an error"));
    assert!(lines.next().unwrap().starts_with("            found     module_error: I do not feel like it"), "{text}");
    assert!(text.contains("not applicable: the check did not get so far"), "{text}");
    assert!(text.ends_with(" not applicable\n"), "{text}");
}

#[test]
fn a_report_for_ci_has_the_same_verdicts_as_the_others() {
    let folder = Folder::misbehave("env = { MISBEHAVE_AT_START = \"ready_twice\" }\n");
    let junit = folder.path().join("report.xml");
    let output = check(folder.path(), &["--json", "--timeout", "1", "--junit", &junit.to_string_lossy()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let xml = std::fs::read_to_string(&junit).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let cases = |tag: &str| -> Vec<String> {
        let nodes = document.descendants().filter(|node| node.has_tag_name("testcase"));
        let tagged = nodes.filter(|node| node.children().any(|child| child.has_tag_name(tag)));
        tagged.map(|node| node.attribute("name").unwrap().split(':').next().unwrap().to_owned()).collect()
    };
    assert_eq!(cases("failure"), with_verdict(&report, "failed"));
    assert_eq!(cases("skipped"), with_verdict(&report, "not_applicable"));
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    let count = |name: &str| suite.attribute(name).unwrap().parse::<usize>().unwrap();
    assert_eq!(count("tests"), report["rules"].as_array().unwrap().len());
    assert_eq!((count("failures"), count("skipped")), (cases("failure").len(), cases("skipped").len()));
}

#[test]
fn usage_is_2_and_a_check_that_cannot_be_made_is_3() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-check"));
        let output = command.args(words).env("BULKHEAD_RUNTIME", "/no/such/program").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let folder = Folder::of_sample("test-minimal");
    let path = folder.path().to_string_lossy().into_owned();
    for words in [
        &[][..],
        &["--dance"],
        &["/no/such/folder"],
        &[&path, "--skip-commands", "--all-commands"],
        &[&path, "--timeout", "0"],
        &[&path, "--end-timeout", "1 s"],
    ] {
        let (code, said) = run(words);
        assert_eq!(code, Some(2), "{words:?}: {said}");
        assert!(!said.is_empty(), "{words:?}");
    }
    let trusted: Vec<String> =
        bulkhead_tests::owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")).collect();
    let words: Vec<&str> = std::iter::once(&*path).chain(trusted.iter().map(String::as_str)).collect();
    let (code, said) = run(&words);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("/no/such/program"), "{said}");
}

#[test]
fn it_is_a_command_of_bulkhead_where_it_is_beside_it() {
    let folder = Folder::of_sample("test-minimal");
    let mut command = Command::new(program("bulkhead"));
    command.arg("check").arg(folder.path()).env("BULKHEAD_RUNTIME", program("module-runtime"));
    command.args(bulkhead_tests::owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("test-minimal (process), seed "), "{text}");
}

#[test]
fn nothing_is_left_of_a_check_neither_a_process_nor_a_file() {
    let folder =
        Folder::misbehave("env = { MISBEHAVE_AT_START = \"leaves_child\", CHECK_TEST_MARK = \"nothing-is-left\" }\n");
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = command(folder.path(), &["--timeout", "1"]);
    command.env("TMPDIR", &temporary);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert!(marked("CHECK_TEST_MARK=nothing-is-left").is_empty());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

/// A check that waits for a module for long, and the folder for temporary files that it has.
fn endless(mark: &str) -> (Folder, std::path::PathBuf, std::process::Child) {
    let folder = Folder::misbehave(&format!(
        "env = {{ MISBEHAVE_AT_START = \"never_answer_init\", CHECK_TEST_MARK = \"{mark}\" }}\n\
         [limits]\nstart_timeout = \"10m\"\n"
    ));
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = command(folder.path(), &[]);
    command.env("TMPDIR", &temporary).stderr(Stdio::piped()).stdout(Stdio::null());
    let check = command.spawn().unwrap();
    until("a process of the module", || (!marked(&format!("CHECK_TEST_MARK={mark}")).is_empty()).then_some(()));
    (folder, temporary, check)
}

#[test]
fn an_interrupted_check_leaves_neither_a_process_nor_a_file_and_ends_with_the_signals_number() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let mark = format!("interrupted-{code}");
        let (_folder, temporary, check) = endless(&mark);
        kill(Pid::from_raw(check.id().cast_signed()), signal).unwrap();
        let output = check.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(said, format!("bulkhead check: interrupted by {signal}\n"));
        assert!(marked(&format!("CHECK_TEST_MARK={mark}")).is_empty());
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    }
}

#[test]
fn what_a_killed_check_has_left_is_removed_by_the_next_one_and_what_a_running_one_has_is_not() {
    let (_folder, temporary, mut killed) = endless("killed");
    let (_other, _, mut running) = endless("not-killed");
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The guardian ends the module once the check is gone; until then its files may still be written.
    until("the end of the module", || marked("CHECK_TEST_MARK=killed").is_empty().then_some(()));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 1);
    let folder = Folder::misbehave("env = { MISBEHAVE_AT_START = \"init_error\" }\n");
    let mut next = command(folder.path(), &[]);
    assert_eq!(next.env("TMPDIR", &temporary).output().unwrap().status.code(), Some(1));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    assert!(running.try_wait().unwrap().is_none());
    kill(Pid::from_raw(running.id().cast_signed()), Signal::SIGTERM).unwrap();
    running.wait().unwrap();
}

#[test]
fn a_socket_before_its_name_is_refused_with_the_reason() {
    let folder = Folder::of_sample("test-minimal");
    let output =
        Command::new(program("bulkhead")).args(["--socket", "/s", "check"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--socket has no meaning here: the module is run under a host of the check's own"), "{said}");
}
