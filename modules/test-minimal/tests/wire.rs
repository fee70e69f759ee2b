//! The built program and the built library over the wire, in both forms of the channel.

use bulkhead_module::Json;
use bulkhead_module::testing::{Form, Program, ProgramBuilder, RequestType};
use bulkhead_protocol::limits::{FRAME_BYTES_MAX_DEFAULT, REWRITE_BYTES_MAX};
use serde_json::json;
use std::process::{Command, Stdio};

const PATH: &str = env!("CARGO_BIN_EXE_test-minimal");

/// The module in each kind that it is built as.
fn kinds() -> [ProgramBuilder; 2] {
    [Program::at(PATH), Program::library("libtest_minimal.so")]
}

#[test]
fn it_counts_in_each_kind_and_form_and_shuts_down_cleanly() {
    for form in [Form::Socket, Form::Stdio] {
        for kind in kinds() {
            it_counts_and_shuts_down_cleanly(kind, form);
        }
    }
}

fn it_counts_and_shuts_down_cleanly(kind: ProgramBuilder, form: Form) {
    let mut program = kind.form(form).start();
    assert_eq!(program.command("ping", json!({})), Ok(json!({"pong": true, "count": 1})), "{form:?}");
    assert_eq!(program.command("ping", json!(null)), Ok(json!({"pong": true, "count": 2})), "{form:?}");
    assert_eq!(program.command("status", json!({})).unwrap()["messages"], 3, "{form:?}");
    let shutdown = program.send(RequestType::Shutdown, Json::null());
    assert_eq!(program.answer(shutdown), Ok(json!(null)), "{form:?}");
    assert_eq!(program.finish(), (Some(0), String::new()), "{form:?}");
}

#[test]
fn a_misspelt_command_is_answered_with_the_nearest_one() {
    for kind in kinds() {
        let failure = kind.start().command("pnig", json!({})).unwrap_err();
        assert_eq!(failure["code"], "unknown_command");
        assert_eq!(failure["error"], "unknown command `pnig`; did you mean `ping`?");
    }
}

#[test]
fn a_host_that_is_gone_ends_it_quietly() {
    for kind in kinds() {
        let mut program = kind.start();
        program.hang_up();
        assert_eq!(program.finish(), (Some(0), String::new()));
    }
}

#[test]
fn without_a_host_it_says_what_it_is() {
    let run = |channel: Option<&str>| {
        let mut command = Command::new(PATH);
        match channel {
            Some(number) => command.env("BULKHEAD_FD", number),
            None => command.env_remove("BULKHEAD_FD"),
        };
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (channel, expected) in [
        (None, "the channel ended before a first message; this is a module of Bulkhead"),
        (Some("77"), "BULKHEAD_FD says 77, and no such descriptor is open; this is a module of Bulkhead"),
        (Some("x"), "expected the number of a descriptor above 2 in BULKHEAD_FD, found \"x\""),
        (Some("1"), "expected the number of a descriptor above 2 in BULKHEAD_FD, found \"1\""),
    ] {
        let (code, stderr) = run(channel);
        assert_eq!(code, Some(2));
        assert!(stderr.starts_with(&format!("test-minimal: {expected}")), "{stderr}");
    }
}

#[test]
fn a_request_as_long_as_a_frame_may_be_is_taken_after_the_host_has_rewritten_it() {
    let longest = FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX;
    let around = br#"{"id":9,"type":"command","payload":{"name":"ping","args":""}}"#;
    let mut frame = u32::try_from(longest).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&around[..around.len() - 3]);
    frame.resize(4 + longest - 3, b'x');
    frame.extend_from_slice(b"\"}}");
    for kind in kinds() {
        let mut program = kind.start();
        program.send_bytes(&frame);
        assert_eq!(program.answer(9), Ok(json!({"pong": true, "count": 1})));
    }
}
