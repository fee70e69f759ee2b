//! What the program prints and writes, and its exit codes.

use crate::support::{Folder, check, with_verdict};
use bulkhead_tests::{marked, program};
use serde_json::Value;
use std::process::Command;

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
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-check"));
    command.arg(folder.path()).args(["--timeout", "1"]).env("BULKHEAD_RUNTIME", program("module-runtime"));
    command.args(bulkhead_tests::owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")));
    command.env("TMPDIR", &temporary);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert!(marked("CHECK_TEST_MARK=nothing-is-left").is_empty());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}
