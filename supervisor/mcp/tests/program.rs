//! The program's command line. What it serves is tested with a real host.

use std::process::{Command, Output, Stdio};

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-mcp"));
    command.args(words).stdin(Stdio::null()).output().expect("it can be started")
}

#[test]
fn a_wrong_name_of_a_module_is_refused_before_anything_is_served() {
    let output = run(&["--module", "No Module"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("bulkhead mcp: --module: a module's name"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_client_that_closes_standard_input_ends_it_well() {
    let output = run(&["--socket", "/nowhere/control.sock"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
}

#[test]
fn an_installation_gets_its_page_and_its_completions() {
    for (words, expected) in [(&["__man"][..], ".TH"), (&["__completions", "bash"], "bulkhead-mcp")] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected));
    }
}
