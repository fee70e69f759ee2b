//! The exit codes of the table, each produced by its cause.

mod support;

use bulkhead_protocol::{ErrorCode, Failure};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use support::{Folder, Host, Running, bulkhead, run};

#[test]
fn an_answer_is_0() {
    Host::echo().run(&["call", "log", "add", "[1]"]).expect(0, "[1]\n");
}

#[test]
fn each_error_of_an_answer_has_its_code() {
    for &code in ErrorCode::ALL {
        let expected = match code {
            ErrorCode::UnknownModule => 4,
            ErrorCode::ModuleUnavailable => 3,
            ErrorCode::DeadlineExceeded => 124,
            _ => 1,
        };
        let done = Host::failing(code).run(&["call", "log", "add"]);
        done.expect(expected, "").says("bulkhead: log: it did not work").says(code.name());
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_2() {
    let host = Host::echo();
    for args in [
        &["dance"] as &[&str],
        &[],
        &["call"],
        &["call", "log", "--key", "k"],
        &["call", "log", "add", "{oops"],
        &["call", "log", "add", "@/no/such/file"],
        &["call", "log", "add", "--timeout", "soon"],
        &["call", "log", "add", "--key", ""],
        &["stop"],
        &["wait", "log"],
        &["wait", "log", "--for", "godot"],
        &["emit", "two words"],
        &["events", "a*b"],
        &["pipe", "log", "--in-flight", "0"],
        &["query", "log", ""],
    ] {
        let done = host.run(args);
        done.expect(2, "");
        assert!(!done.err.is_empty(), "{args:?}");
    }
    assert_eq!(host.seen(), [], "nothing was sent");
}

#[test]
fn a_daemon_that_is_not_there_is_125() {
    let folder = Folder::new();
    let socket = folder.0.join("control.sock");
    for args in [
        &["call", "log", "add"] as &[&str],
        &["status"],
        &["stop", "log"],
        &["pipe", "log"],
        &["events"],
        &["wait", "log", "--for", "ready", "--timeout", "100ms"],
    ] {
        let mut command = bulkhead(&socket);
        command.args(args);
        run(command, b"").expect(125, "").says("bulkhead: there is no socket at ").says("bulkhead run");
    }
    drop(UnixListener::bind(&socket).unwrap());
    let mut command = bulkhead(&socket);
    command.arg("status");
    run(command, b"").expect(125, "").says("no daemon listens at ");
}

#[test]
fn without_a_daemon_an_error_says_where_its_records_are() {
    let folder = Folder::new();
    let (config, state) = (folder.0.join("bulkhead.toml"), folder.0.join("state"));
    std::fs::write(&config, format!("[host]\nmodules = []\nstate_dir = {state:?}\n")).unwrap();
    let ask = |args: &[&str]| {
        let mut command = bulkhead(&folder.0.join("control.sock"));
        command.args(args).env("BULKHEAD_CONFIG", &config);
        run(command, b"")
    };
    for args in [&["crashes"] as &[&str], &["status"], &["status", "log"], &["logs", "log"]] {
        ask(args).expect(125, "").says("in the folders logs and crashes of its state directory");
    }
    std::fs::create_dir(&state).unwrap();
    for args in [&["crashes"] as &[&str], &["status"], &["logs", "log"]] {
        let (state, done) = (state.display(), ask(args));
        done.expect(125, "").says(&format!("in {state}/logs and {state}/crashes; those of one that ran with --state"));
    }
    assert!(!ask(&["stop", "log"]).err.contains("crashes"), "it asks for none");
}

#[test]
fn a_daemon_that_goes_away_in_the_middle_is_125() {
    let closing = || Host::start(|client| drop(client.request()));
    for args in [
        &["call", "log", "add"] as &[&str],
        &["status"],
        &["restart", "log"],
        &["logs", "log", "-f"],
        &["wait", "log", "--for", "stopped", "--timeout", "100ms"],
    ] {
        closing().run(args).expect(125, "").says("the host closed the connection before it answered");
    }
    let broken = Host::start(|client| {
        client.request();
        std::io::Write::write_all(&mut client.stream, b"\0\0\0\x20{\"id\"").unwrap();
    });
    broken.run(&["call", "log", "add"]).expect(125, "").says("ended inside a frame: expected 36 bytes, found 9");
}

#[test]
fn a_host_that_refuses_the_client_is_125_and_says_why() {
    let full = Host::start(|client| {
        client.respond(None, Failure::new(ErrorCode::Overloaded, "the host has 2048 clients").into());
    });
    full.run(&["call", "log", "add"]).expect(125, "").says("the host has 2048 clients");
}

#[test]
fn a_host_that_does_not_answer_in_time_is_124() {
    let silent = Host::start(|client| while client.request().is_some() {});
    silent.run(&["call", "log", "add", "--timeout", "50ms"]).expect(124, "").says("did not answer in time");
    assert_eq!(silent.seen()[0].deadline_ms, Some(50));
}

#[test]
fn the_worst_of_several_modules_decides() {
    let host = Host::answering(|client, request| {
        if request.payload.as_str().contains("\"ghost\"") {
            client.fail(request, Failure::new(ErrorCode::UnknownModule, "no module is named \"ghost\""));
        } else {
            client.success(request, r#"{"name":"a","state":"ready"}"#);
        }
    });
    host.run(&["start", "a", "ghost"]).expect(4, "a: ready\n").says("bulkhead: ghost: no module is named");
    host.run(&["start", "a"]).expect(0, "a: ready\n");
}

#[test]
fn a_full_disk_is_1_and_says_so() {
    let host = Host::echo();
    let mut command = Command::new("sh");
    command.arg("-c").arg(r#""$1" --socket "$2" call log add 1 >/dev/full"#).arg("sh");
    command.arg(env!("CARGO_BIN_EXE_bulkhead")).arg(host.socket());
    run(command, b"").expect(1, "").says("standard output cannot be written: No space left on device");
}

#[test]
fn a_reader_that_went_away_is_0_and_silent() {
    let host = Host::answering(|client, request| client.success(request, r#"{"modules":[]}"#));
    for args in [
        &["call", "log", "add"] as &[&str],
        &["call", "log", "add", "--full"],
        &["status"],
        &["logs", "log"],
        &["pipe", "log"],
        &["help"],
        &["man"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = bulkhead(&host.socket());
        command.args(args).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let done = Running(command.spawn().unwrap()).done();
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{args:?}");
    }
}
