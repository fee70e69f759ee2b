//! What a person sees who starts it wrongly, and what the host sees of a program that is not there.

use crate::support::wrapper;
use std::process::{Command, Stdio};

#[test]
fn wrong_usage_names_the_mistake_and_exits_with_2() {
    for (arguments, expected) in [
        (&["filter"][..], "module-runtime: filter needs '--' and a program after its options"),
        (&["filter", "--line", "xml", "--", "/bin/cat"], "expected args or message after --line, found 'xml'"),
        (&["filter", "--line", "args", "--"], "filter needs a program after '--'"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_module-runtime")).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(expected) && stderr.contains("Usage:"), "{stderr}");
    }
}

#[test]
fn without_a_host_it_says_so_and_exits_with_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_module-runtime"))
        .args(["filter", "--line", "args", "--", "/bin/cat"])
        .env_remove("BULKHEAD_FD")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("module-runtime: filter: the channel ended before a first message"), "{stderr}");
}

#[test]
fn a_program_that_cannot_be_executed_is_the_error_of_init_and_permanent() {
    for options in [&["--line", "args"][..], &["--line", "args", "--per-message"]] {
        for (program, expected) in [
            ("/nonexistent/jq", "program '/nonexistent/jq' not found"),
            ("/etc/passwd", "program '/etc/passwd' is not executable; chmod +x it"),
            ("/etc", "'/etc' is a directory, expected a program"),
        ] {
            let mut filter = wrapper(options, &[program]).spawn();
            let init = filter.send_init();
            assert_eq!(filter.answer(init).unwrap_err()["error"], expected);
            let (code, stderr) = filter.finish();
            assert_eq!(code, Some(125));
            assert!(stderr.contains("the filter cannot start: "), "{stderr}");
        }
    }
}
