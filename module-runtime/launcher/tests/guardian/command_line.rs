//! What a person sees who runs the program by hand.

use crate::support::files;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(&files().runtime).args(arguments).stdin(Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (code, stdout, stderr) = run(&["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("Usage: module-runtime guardian\n"));
    let (code, stdout, _) = run(&["--version"]);
    assert_eq!((code, stdout), (Some(0), format!("module-runtime {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_names_the_mistake_and_exits_with_2() {
    for (arguments, expected) in [
        (&[][..], "module-runtime: a subcommand is missing\n"),
        (&["gardian"], "module-runtime: unknown subcommand 'gardian', expected guardian, native or filter\n"),
        (&["guardian", "now"], "module-runtime: guardian takes no arguments, found 'now'\n"),
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.starts_with(expected) && stderr.contains("Usage:"), "{stderr}");
    }
}

#[test]
fn a_guardian_without_a_host_refuses_to_start() {
    let (code, _, stderr) = run(&["guardian"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("descriptor 3 must be a SOCK_SEQPACKET socket, found none"), "{stderr}");
    let output = Command::new("/bin/sh")
        .args(["-c", r#"exec "$0" guardian 3</dev/null"#])
        .arg(&files().runtime)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("found something else"));
}
