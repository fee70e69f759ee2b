//! The modules of this repository that behave keep every rule.

use crate::support::{Folder, modules, report, with_verdict};
use bulkhead_tests::program;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Checks a module, of which only these rules are not checked.
fn keeps_all_but(folder: &Path, words: &[&str], left_out: &[&str]) -> Value {
    let report = report(folder, &[words, &["--seed", "1"]].concat());
    assert_eq!(with_verdict(&report, "failed"), Vec::<&str>::new(), "{report:#}");
    assert_eq!(with_verdict(&report, "not_applicable"), left_out, "{report:#}");
    report
}

/// Of a module that says nothing of its commands but their names.
const PLAIN: [&str; 4] = ["described", "examples", "returns", "wrong-arguments"];

/// Of one that describes its commands, and has no example.
const WITHOUT_EXAMPLES: [&str; 1] = ["examples"];

#[test]
fn a_program_in_rust_keeps_every_rule() {
    for (name, left_out) in [("specimen", &PLAIN[..]), ("test-minimal", &WITHOUT_EXAMPLES), ("research-log", &[])] {
        keeps_all_but(Folder::of_sample(name).path(), &[], left_out);
    }
}

#[test]
fn a_program_over_standard_input_and_output_keeps_every_rule() {
    let folder = Folder::of_sample("specimen");
    let path = folder.path().join("module.toml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, manifest.replace("[module]", "[module]\ntransport = \"stdio\"")).unwrap();
    keeps_all_but(folder.path(), &[], &PLAIN);
}

#[test]
fn a_library_keeps_every_rule() {
    let library = program("libtest_minimal.so");
    let manifest = format!(
        "[module]\nname = \"minimal\"\nversion = \"1\"\ntype = \"native\"\nlibrary = \"{}\"\n",
        library.display()
    );
    keeps_all_but(Folder::new(&manifest).path(), &[], &WITHOUT_EXAMPLES);
}

#[test]
fn webassembly_keeps_every_rule() {
    keeps_all_but(&modules().join("word-count/wasm"), &[], &PLAIN);
}

#[test]
fn a_filter_keeps_every_rule() {
    let without_commands = ["described", "examples", "order", "commands", "returns", "wrong-arguments"];
    keeps_all_but(&modules().join("shell-greeter"), &[], &without_commands);
    match runs("jq") {
        true => {
            let left_out =
                ["described", "examples", "order", "unknown-command", "commands", "returns", "wrong-arguments"];
            keeps_all_but(&modules().join("jq-filter"), &[], &left_out);
        }
        false => eprintln!("skipped: the filter in jq, because jq cannot be run"),
    }
}

#[test]
fn a_module_in_python_keeps_every_rule_and_its_described_commands_refuse_what_they_exclude() {
    if !runs("python3") {
        return eprintln!("skipped: the modules in Python, because python3 cannot be run");
    }
    let report = keeps_all_but(&modules().join("stock-python"), &[], &[]);
    let remarks = report["remarks"].to_string();
    assert!(remarks.contains("really called: count, audit, about"), "{remarks}");
    assert!(remarks.contains("not called, as --all-commands was not given: put, take"), "{remarks}");
    keeps_all_but(&modules().join("specimen-python"), &[], &["examples", "event", "silent-event"]);
}

#[test]
fn a_module_in_typescript_keeps_every_rule() {
    if !runs("node") {
        return eprintln!("skipped: the module in TypeScript, because node cannot be run");
    }
    keeps_all_but(&modules().join("specimen-typescript"), &[], &["examples", "event", "silent-event", "returns"]);
}

/// The modules that were written from the page alone, and the one of its tutorial.
#[test]
fn the_examples_of_the_protocols_page_keep_every_rule() {
    const PAGE: &str = include_str!("../../../../PROTOCOL.md");
    let examples = modules().join("../docs/examples");
    let read = |name: &str| std::fs::read_to_string(examples.join(name)).unwrap();
    let tutorial = PAGE.split_once("```python\n").unwrap().1.split_once("```").unwrap().0.to_owned();
    let without_idempotent = ["described", "examples", "commands", "returns", "wrong-arguments"];
    for (interpreter, name, text, transport, left_out) in [
        ("python3", "echo.py", read("echo.py"), "socket", &PLAIN[..]),
        ("python3", "echo.py", read("echo.py"), "stdio", &PLAIN),
        ("python3", "greeter.py", tutorial, "socket", &without_idempotent),
        ("node", "echo.mjs", read("echo.mjs"), "socket", &PLAIN),
        ("node", "echo.mjs", read("echo.mjs"), "stdio", &PLAIN),
    ] {
        if !runs(interpreter) {
            eprintln!("skipped: {name} over {transport}, because {interpreter} cannot be run");
            continue;
        }
        let lines = format!("command = [\"{interpreter}\", \"{name}\"]\ntransport = \"{transport}\"\n");
        let folder = Folder::new(&format!("[module]\nname = \"example\"\nversion = \"1\"\n{lines}"));
        std::fs::write(folder.path().join(name), text).unwrap();
        keeps_all_but(folder.path(), &[], left_out);
    }
}

/// The sample to copy, with the SDK where `npm install` puts it.
#[test]
fn the_sample_in_typescript_keeps_every_rule_where_node_takes_typescript() {
    if !node_takes_typescript() {
        return eprintln!("skipped: the sample in TypeScript, because there is no node of 22.18 or newer");
    }
    let sample = modules().join("stock-typescript");
    let folder = Folder::new(&std::fs::read_to_string(sample.join("module.toml")).unwrap());
    for name in ["main.ts", "stock.ts", "package.json"] {
        std::fs::copy(sample.join(name), folder.path().join(name)).unwrap();
    }
    std::fs::create_dir(folder.path().join("node_modules")).unwrap();
    let package = modules().join("../module-runtime/typescript").canonicalize().unwrap();
    std::os::unix::fs::symlink(package, folder.path().join("node_modules/bulkhead")).unwrap();
    keeps_all_but(folder.path(), &[], &[]);
}

#[test]
fn no_command_is_called_where_none_may_be() {
    let without = ["query", "commands", "returns", "wrong-arguments"];
    let report = keeps_all_but(Folder::of_sample("research-log").path(), &["--skip-commands"], &without);
    assert!(!report["remarks"].to_string().contains("really called"), "{report:#}");
}

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn node_takes_typescript() -> bool {
    let Ok(output) = Command::new("node").arg("--version").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.trim().trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(22), Some(18))
}
