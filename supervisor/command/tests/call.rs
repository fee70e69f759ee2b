//! `call`, `query`, `mutate`, `emit`: what is sent, and what is printed.

mod support;

use bulkhead_protocol::{Delivery, ErrorCode, Exit, Failure, RequestType};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use support::{Folder, Host};

#[test]
fn a_call_sends_its_arguments_as_they_were_written() {
    let host = Host::echo();
    let written = r#"{"b": 1.0, "a": 12345678901234567890123}"#;
    let done = host.run(&["call", "log", "add", written, "--timeout", "2m", "--key", "k-1"]);
    done.expect(0, &format!("{written}\n"));
    let request = &host.seen()[0];
    assert_eq!(request.kind, RequestType::Command);
    assert_eq!(request.to.as_deref(), Some("log"));
    assert_eq!(request.payload.as_str(), format!(r#"{{"name":"add","args":{written}}}"#));
    assert_eq!((request.deadline_ms, request.key.as_deref()), (Some(120_000), Some("k-1")));
}

#[test]
fn arguments_come_from_the_command_line_standard_input_or_a_file() {
    let host = Host::echo();
    let folder = Folder::new();
    let file = folder.0.join("args.json");
    std::fs::write(&file, "\u{feff}[\n 1\n]\n").unwrap();
    host.run(&["call", "log", "add"]).expect(0, "null\n");
    host.run(&["call", "log", "add", "-5"]).expect(0, "-5\n");
    host.run_with(&["call", "log", "add", "-"], b" {\"a\":1}\n").expect(0, "{\"a\":1}\n");
    host.run(&["call", "log", "add", &format!("@{}", file.display())]).expect(0, "[  1 ]\n");
    host.run_with(&["call", "log", "add", "-"], b"{\n\"a\": x}")
        .expect(2, "")
        .says("standard input:2:6: expected a value, found x");
    let meant = r#"the argument: expected JSON, found text: write '"text"'"#;
    host.run(&["call", "log", "add", "text"]).expect(2, "").says(meant);
    host.run_with(&["call", "log", "add", "-"], b"").expect(2, "").says("standard input: expected one JSON value");
}

#[test]
fn arguments_are_given_one_by_one_as_texts_and_as_json() {
    let host = Host::echo();
    let object = r#"{"title":"Monday = 1","tags":["ink"],"n":"5"}"#;
    host.run(&["call", "log", "add", "title=Monday = 1", "tags:=[\"ink\"]", "--timeout", "5", "n=5"])
        .expect(0, &format!("{object}\n"));
    host.run(&["call", "log", "add", "--", "-x=1"]).expect(0, "{\"-x\":\"1\"}\n");
    host.run(&["call", "log", "add", "n=1", "n:=2"]).expect(2, "").says("the argument n: expected once, found twice");
    host.run(&["call", "log", "add", "n:=[1,"]).expect(2, "").says("the argument n:1:3: expected a value");
    host.run(&["call", "log", "add", "{}", "n=1"]).expect(2, "").says("expected either one JSON value or pairs");
    assert_eq!(host.seen().len(), 2, "what is wrong is not sent");
}

#[test]
fn without_a_command_the_commands_are_listed() {
    let host = Host::answering(|client, request| {
        client.success(request, r#"{"name":"log","commands":[{"name":"add","idempotent":true,"description":"adds"}]}"#);
    });
    let listed = host.run(&["call", "log", "--timeout", "5"]);
    listed.expect(0, "COMMAND  IDEMPOTENT  DESCRIPTION\nadd      yes         adds\n\nTo call one: bulkhead call log COMMAND [JSON | - | @FILE | NAME=TEXT…]\nWhat each takes: bulkhead describe log\n");
    let request = &host.seen()[0];
    assert_eq!(request.to.as_deref(), Some("supervisor"));
    assert_eq!(request.payload.as_str(), r#"{"name":"commands","args":{"name":"log"}}"#);
    assert_eq!(request.deadline_ms, Some(5000));
    let whole = r#"{"schema":1,"name":"log","commands":[{"name":"add","idempotent":true,"description":"adds"}]}"#;
    host.run(&["call", "log", "--full"]).expect(0, &format!("{whole}\n"));
    host.run(&["call", "log", "--key", "k"]).expect(2, "").says("--key: expected a command");
    let none = Host::answering(|client, request| client.success(request, r#"{"name":"log","commands":[]}"#));
    none.run(&["call", "log"]).expect(2, "").says("log declares no commands");
    let never = Host::answering(|client, request| client.success(request, r#"{"name":"log","commands":null}"#));
    never.run(&["call", "log"]).expect(3, "").says("`bulkhead status log` says why");
    Host::failing(ErrorCode::UnknownModule).run(&["call", "ghost"]).expect(4, "").says("bulkhead: ghost: ");
}

#[test]
fn queries_mutations_and_events_are_sent_as_such() {
    let host = Host::answering(|client, request| client.success(request, r#"{"subscribers":2}"#));
    host.run(&["query", "layer1", r#"{"entity":"Log"}"#]).expect(0, "{\"subscribers\":2}\n");
    host.run(&["mutate", "layer1", r#"{"entity":"Log","operation":"create"}"#]);
    host.run(&["emit", "log.created", "[1]"]).expect(0, "{\"subscribers\":2}\n");
    let seen = host.seen();
    let kinds: Vec<&str> = seen.iter().map(|request| request.kind.name()).collect();
    assert_eq!(kinds, ["query", "mutation", "event"]);
    assert_eq!(seen[0].payload.as_str(), r#"{"entity":"Log"}"#);
    assert_eq!((seen[2].to.as_deref(), seen[2].payload.as_str()), (None, r#"{"event":"log.created","data":[1]}"#));
}

#[test]
fn full_prints_the_whole_response_and_its_progress() {
    let host = Host::answering(|client, request| {
        client.progress(request, r#"{"done":1}"#);
        client.fail(request, Failure::new(ErrorCode::Conflict, "another caller was faster"));
    });
    let expected = concat!(
        r#"{"id":1,"status":"progress","data":{"done":1}}"#,
        "\n",
        r#"{"id":1,"status":"error","error":"another caller was faster","code":"conflict","retryable":false}"#,
        "\n"
    );
    host.run(&["call", "log", "add", "--full"]).expect(1, expected);
}

#[test]
fn a_crash_is_reported_with_its_evidence_and_what_to_do() {
    let host = Host::answering(|client, request| {
        let mut failure = Failure::new(ErrorCode::ModuleCrashed, "the module crashed").delivery(Delivery::Started);
        failure.exit = Some(Exit::Signal("SIGSEGV".into()));
        failure.stderr = vec!["bad pointer".into()];
        client.fail(request, failure);
    });
    host.run(&["call", "log", "add"])
        .expect(1, "")
        .says("bulkhead: log: the module crashed\n")
        .says("  exit       SIGSEGV\n")
        .says("  delivery   started: it may have been done")
        .says("  stderr     | bad pointer\n")
        .says("bulkhead crashes log");
}

#[test]
fn a_terminal_is_not_disturbed_where_there_is_none() {
    let host = Host::answering(|client, request| {
        client.progress(request, r#"{"done":1,"total":2}"#);
        client.success(request, "1");
    });
    let done = host.run(&["call", "log", "add"]);
    done.expect(0, "1\n");
    assert_eq!(done.err, "");
}

#[test]
fn an_interrupted_call_cancels_its_request_and_is_130() {
    let host = Host::start(|client| {
        let slow = client.request().unwrap();
        client.progress(&slow, "1");
        let cancel = client.request().unwrap();
        assert_eq!(cancel.kind, RequestType::Cancel);
        client.success(&cancel, "null");
        client.fail(&slow, Failure::new(ErrorCode::Cancelled, "the caller cancelled the request"));
        client.request();
    });
    let mut call = host.spawn(&["call", "log", "slow", "--full"]);
    assert_eq!(call.line(), r#"{"id":1,"status":"progress","data":1}"#);
    call.signal(Signal::SIGINT);
    let done = call.done();
    assert_eq!(done.code, Some(130), "{done:#?}");
    done.says("bulkhead: interrupted: the request was cancelled");
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_host_that_is_slow() {
    let host = Host::start(|client| {
        let slow = client.request().unwrap();
        client.progress(&slow, "1");
        while let Some(request) = client.request() {
            client.progress(&slow, if request.kind == RequestType::Cancel { "2" } else { "3" });
        }
    });
    let mut call = host.spawn(&["call", "log", "slow", "--full"]);
    call.line();
    call.signal(Signal::SIGTERM);
    assert!(call.line().ends_with("\"data\":2}"), "the cancel arrived");
    call.signal(Signal::SIGINT);
    let started = Instant::now();
    let done = call.done();
    assert_eq!(done.code, Some(143), "{done:#?}");
    done.says("has not answered yet");
    assert!(started.elapsed() < Duration::from_secs(2), "it did not wait out its timeout");
}

#[test]
fn the_socket_is_the_flags_else_the_environments() {
    let host = Host::echo();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bulkhead"));
    command.args(["call", "log", "add", "7"]).env("BULKHEAD_SOCKET", host.socket());
    support::run(command, b"").expect(0, "7\n");
}
