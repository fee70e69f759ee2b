//! The program's command line, and its end where there is no host. What it does with a server is tested with a real
//! host.

use std::process::{Command, Output, Stdio};

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_module-runtime-mcp"));
    command.args(words).env_remove("BULKHEAD_FD").stdin(Stdio::null()).output().expect("it can be started")
}

#[test]
fn a_wrong_command_line_is_named_and_help_is_not_wrong() {
    let output = run(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.starts_with("module-runtime-mcp: run needs '--' and a program\nUsage: "), "{said}");
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("Usage: module-runtime-mcp run -- "));
}

#[test]
fn without_a_host_it_says_so_and_starts_nothing() {
    let output = run(&["run", "--", "/bin/false"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("module-runtime-mcp: ") && said.contains("BULKHEAD_FD"), "{said}");
}
