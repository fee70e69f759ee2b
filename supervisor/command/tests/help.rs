//! Help, completions and manual pages: that they exist and have the essential content.

mod support;

use std::path::Path;
use support::{Done, Folder, bulkhead, run};

fn help(args: &[&str]) -> Done {
    let mut command = bulkhead(Path::new("/nowhere"));
    command.args(args);
    run(command, b"")
}

#[test]
fn help_needs_no_daemon_and_names_the_exit_codes() {
    let done = help(&["--help"]);
    assert_eq!(done.code, Some(0));
    for text in ["Exit codes:", "125  the daemon cannot be reached", "$BULKHEAD_SOCKET", "pipe"] {
        assert!(done.out.contains(text), "{text}: {}", done.out);
    }
    let call = help(&["help", "call"]);
    assert!(call.out.contains("Examples:") && call.out.contains("--timeout"), "{}", call.out);
    let import = help(&["layer1", "import", "--help"]);
    assert!(import.out.contains("Examples:") && import.out.contains("- replace:"), "{}", import.out);
    assert!(help(&["pipe", "--help"]).out.contains("--key-prefix"), "pipe");
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let done = help(&["completions", shell]);
        assert!(done.code == Some(0) && done.out.contains("set-aside"), "{shell}");
        assert!(done.out.contains(&format!("__complete {shell} ")), "{shell} asks the daemon");
    }
}

#[test]
fn manual_pages_are_made_for_each_command() {
    let whole = help(&["man"]).out;
    assert!(whole.starts_with(".ie"), "roff");
    for heading in ["SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT"] {
        assert!(
            whole.contains(&format!("\n.SH \"{heading}\"\n")) || whole.contains(&format!("\n.SH {heading}\n")),
            "{heading}"
        );
    }
    assert!(!whole.contains("EXTRA"), "{whole}");
    let folder = Folder::new();
    help(&["man", folder.0.to_str().unwrap()]).expect(0, "");
    for page in
        ["bulkhead.1", "bulkhead-call.1", "bulkhead-pipe.1", "bulkhead-config-check.1", "bulkhead-layer1-import.1"]
    {
        assert!(folder.0.join(page).is_file(), "{page}");
    }
    let pipe = std::fs::read_to_string(folder.0.join("bulkhead-pipe.1")).unwrap();
    assert!(pipe.contains(".SH EXAMPLES\n") && pipe.contains(".SH \"SEE ALSO\"\n"), "{pipe}");
}
