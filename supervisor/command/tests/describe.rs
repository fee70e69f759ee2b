//! `describe`, the help of one command, and completions: the requests and what is printed.

mod support;

use bulkhead_protocol::ErrorCode;
use std::path::Path;
use std::process::Command;
use support::{Done, Host, bulkhead, run};

const LOG: &str = r#"{"name":"log","version":"1","state":"ready","commands":[{"name":"add","idempotent":false,
    "description":"adds a note","args":{"type":"object","properties":{"text":{"type":"string"},"tags":{"type":"array"}},
    "required":["text"]}}]}"#;

/// A host that knows one module.
fn log() -> Host {
    Host::answering(|client, request| {
        let payload = request.payload.as_str();
        let answer = if payload.contains(r#""name":"describe""#) {
            LOG
        } else if payload.contains(r#""name":"status""#) {
            r#"{"modules":[{"name":"log"},{"name":"loud"},{"name":"a b; $(touch x)"},{"name":"\u001b[2J"}]}"#
        } else {
            r#"{"name":"log","commands":[{"name":"add"},{"name":"all"},{"name":"-x"},{"name":"a b"}]}"#
        };
        client.success(request, answer);
    })
}

#[test]
fn a_page_or_the_whole_is_printed() {
    let host = log();
    let page = "log 1\n\nadd\n  adds a note\n  arguments\n    ARGUMENT  TYPE  REQUIRED  DEFAULT  DESCRIPTION\n    \
        text      text  yes\n    tags      list  no\n";
    host.run(&["describe", "log"]).expect(0, page);
    assert_eq!(host.seen()[0].payload.as_str(), r#"{"name":"describe","args":{"name":"log"}}"#);
    let whole = LOG.replacen('{', r#"{"schema":1,"#, 1).replace('\n', " ");
    host.run(&["describe", "log", "add", "--json"]).expect(0, &format!("{whole}\n"));
    assert_eq!(host.seen()[1].payload.as_str(), r#"{"name":"describe","args":{"command":"add","name":"log"}}"#);
    Host::failing(ErrorCode::UnknownModule).run(&["describe", "ghost"]).expect(4, "").says("bulkhead: ghost: ");
    Host::failing(ErrorCode::ModuleUnavailable).run(&["describe", "log"]).expect(3, "").says("`bulkhead start log`");
    Host::failing(ErrorCode::UnknownCommand).run(&["describe", "log", "x"]).expect(1, "");
}

#[test]
fn the_help_of_a_command_shows_its_arguments_and_without_a_daemon_that_of_call() {
    let host = log();
    for words in [&["call", "log", "add", "--help"][..], &["call", "-h", "log", "add", "text=x"]] {
        let help = host.run(words);
        assert_eq!(help.code, Some(0), "{help:?}");
        assert!(help.out.starts_with("Usage: bulkhead call log add [OPTIONS] [NAME=TEXT"), "{help:?}");
        assert!(help.out.contains("\n\nadd\n  adds a note\n  arguments\n"), "{help:?}");
        assert!(help.out.contains("`bulkhead help call` has the options"), "{help:?}");
    }
    let mut command = bulkhead(Path::new("/nowhere"));
    command.args(["call", "log", "add", "--help"]);
    let without = run(command, b"");
    assert_eq!(without.code, Some(125), "{without:?}");
    assert!(without.out.contains("Usage: bulkhead call"), "{without:?}");
    without.says("bulkhead: the arguments are not shown: ");
    let unknown = Host::failing(ErrorCode::UnknownCommand).run(&["call", "log", "ad", "--help"]);
    unknown.expect(1, "").says("bulkhead: log: it did not work");
    assert!(host.run(&["call", "log", "--help"]).out.contains("Usage: bulkhead call"), "of call itself");
}

fn complete(host: &Host, line: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
    command.args(["__complete", "zsh", "bulkhead"]).args(line).env("BULKHEAD_SOCKET", host.socket());
    run(command, b"")
}

#[test]
fn candidates_are_what_the_daemon_knows_and_a_shell_takes_as_it_stands() {
    let host = log();
    complete(&host, &["call", ""]).expect(0, "log\nloud\nsupervisor\nlayer1\n");
    complete(&host, &["stop", "log", "lo"]).expect(0, "loud\n");
    complete(&host, &["call", "log", "a"]).expect(0, "add\nall\n");
    complete(&host, &["pipe", "log", "--command", ""]).expect(0, "add\nall\n");
    complete(&host, &["call", "log", "add", ""]).expect(0, "text=\ntags:=\n");
    complete(&host, &["call", "log", "add", "text=x", ""]).expect(0, "tags:=\n");
    complete(&host, &["call", "log", "add", "text=x"]).expect(0, "");
    for line in [&["ca"][..], &["call", "-"], &["call", "nothing-begins-so"], &["run", ""], &[]] {
        let done = complete(&host, line);
        assert_eq!((done.code, &*done.out, &*done.err), (Some(1), "", ""), "{line:?}");
    }
    let failing = Host::failing(ErrorCode::Overloaded);
    let done = complete(&failing, &["call", ""]);
    assert_eq!((done.code, &*done.out, &*done.err), (Some(1), "", ""), "a failure is no message in a prompt");
}

/// Runs a script in a shell, with the program and its completions for that shell; `None` where there is no such shell.
fn in_shell(shell: &str, host: &Host, script: &str) -> Option<String> {
    let there = Command::new(shell).arg("--version").output();
    if there.is_err() {
        eprintln!("not tested with {shell}, which is not installed");
        return None;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_bulkhead"));
    let path = std::env::join_paths([program.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut command = Command::new(shell);
    command.args(["-c", script]).env("PATH", path).env("BULKHEAD_SOCKET", host.socket());
    let done = run(command, b"");
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{shell}: {done:?}");
    Some(done.out)
}

#[test]
fn bash_offers_what_the_daemon_knows_and_else_what_it_knows_itself() {
    let host = log();
    let offered = |words: &str, at: usize, current: &str| {
        let script = format!(
            "source <(bulkhead completions bash); COMP_WORDS=({words}); COMP_CWORD={at}; \
             _bulkhead_live bulkhead '{current}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        in_shell("bash", &host, &script)
    };
    if let Some(offered) = offered("bulkhead call lo", 2, "lo") {
        assert_eq!(offered, "log\nloud\n");
    }
    if let Some(offered) = offered("bulkhead call log add text = x ''", 7, "") {
        assert_eq!(offered, "tags:=\n");
    }
    if let Some(offered) = offered("bulkhead cal", 1, "cal") {
        assert_eq!(offered, "call\n");
    }
    if let Some(offered) = offered("bulkhead call log --ti", 3, "--ti") {
        assert_eq!(offered, "--timeout\n");
    }
}

#[test]
fn fish_offers_what_the_daemon_knows_and_zsh_understands_its_script() {
    let host = log();
    let script = "bulkhead completions fish | source; complete -C 'bulkhead call lo'";
    if let Some(offered) = in_shell("fish", &host, script) {
        assert_eq!(offered, "log\nloud\n");
    }
    in_shell("zsh", &host, "bulkhead completions zsh > =(:) && bulkhead completions zsh | zsh -n");
}
