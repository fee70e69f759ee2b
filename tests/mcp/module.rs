//! A server as a module: its tools, and each thing that it may do wrong.

use bulkhead_protocol::{Delivery, ErrorCode, Exit, Failure, RequestType};
use bulkhead_protocol::{Json, Request};
use bulkhead_tests::{Caller, World, is_alive, kill, program, until, wait_until_gone};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A world with the module `fake`, whose server begins as `kind` says.
pub(crate) fn world(kind: &str, rest: &str) -> World {
    let world = World::new();
    add(&world, "fake", kind, rest);
    world
}

/// Adds a module with the server.
pub(crate) fn add(world: &World, name: &str, kind: &str, rest: &str) {
    let command = json!([program("fake-mcp"), kind]);
    world.manifest(name, &format!("name = \"{name}\"\nversion = \"1\"\ntype = \"mcp\"\ncommand = {command}\n{rest}"));
}

fn text(answer: &Value) -> &str {
    answer["content"][0]["text"].as_str().expect("the first content is a text")
}

/// The process of the server, which is the child of the module's.
fn server(client: &mut Caller) -> i64 {
    let runtime = client.pid("fake");
    let children = || std::fs::read_to_string(format!("/proc/{runtime}/task/{runtime}/children")).ok();
    until("the server's process", || children()?.split_whitespace().next()?.parse().ok())
}

/// Waits until the log of the module has a text.
fn until_logged(client: &mut Caller, text: &str) {
    client.until_status("fake", text, |status| status["log_tail"].to_string().contains(text));
}

fn crashed(failure: &Failure) {
    assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Unknown)), "{failure:?}");
    assert_eq!(failure.exit, Some(Exit::Code(1)));
}

#[test]
fn the_tools_of_a_server_are_the_described_commands_of_the_module() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let described = client.supervisor("describe", json!({ "name": "fake" }));
    assert_eq!(described["version"], "1.2");
    assert_eq!(described["description"], "does things wrong");
    let commands = described["commands"].as_array().unwrap();
    let command = |name: &str| commands.iter().find(|command| command["name"] == name).unwrap();
    assert_eq!(
        *command("echo"),
        json!({
            "name": "echo", "idempotent": true, "read_only": true, "description": "says it again",
            "args": { "type": "object", "properties": { "text": { "type": "string" } } },
        })
    );
    assert_eq!(command("add")["returns"], json!({ "type": "object", "required": ["sum"] }));
    assert_eq!(client.call("fake", "add", json!({ "a": 3, "b": 4 })), Ok(json!({ "sum": 7 })));
    let answer = client.call("fake", "echo", json!({ "text": "a\nb" })).unwrap();
    assert_eq!(text(&answer), r#"{"text":"a\nb"}"#);
    assert!(client.call("fake", "echo", Value::Null).is_ok());
    world.stop();
}

#[test]
fn what_is_no_call_of_a_tool_is_refused_with_the_reason() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let failure = client.call("fake", "sing", json!({})).unwrap_err();
    assert_eq!(failure.code, ErrorCode::UnknownCommand);
    assert!(failure.error.starts_with("the MCP server has no tool \"sing\"; it has fail, "), "{}", failure.error);
    let failure = client.call("fake", "echo", json!([1])).unwrap_err();
    assert_eq!(failure.error, "expected an object as the arguments of the tool \"echo\", found [1]");
    let query = Request::new(None, RequestType::Query, Json::null()).to("fake");
    assert_eq!(client.ask(&query).unwrap_err().code, ErrorCode::UnknownType);
    world.stop();
}

#[test]
fn an_error_of_a_tool_and_one_of_the_protocol_are_the_callers() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let failure = client.call("fake", "fail", json!({})).unwrap_err();
    assert_eq!((failure.code, failure.error.as_str()), (ErrorCode::ModuleError, "no such file"));
    let failure = client.call("fake", "refuse", json!({})).unwrap_err();
    assert_eq!((failure.code, failure.error.as_str()), (ErrorCode::BadRequest, "expected a path"));
    let failure = client.call("fake", "bad_result", json!({})).unwrap_err();
    assert!(failure.error.starts_with("the result of the tool \"bad_result\" is none that MCP knows"), "{failure:?}");
    assert_eq!(client.status("fake")["restarts"], 0);
    world.stop();
}

#[test]
fn progress_comes_in_order_and_before_the_answer() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let id = client.send_command("fake", "slow", json!({}));
    for step in 1..=3 {
        assert_eq!(client.progress(id), json!({ "progress": step, "total": 3, "message": "reading" }));
    }
    assert_eq!(text(&client.answer(id).unwrap()), "done");
    world.stop();
}

#[test]
fn a_banner_is_logged_with_a_limit_and_ends_nothing() {
    let mut world = world("banner", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    assert!(client.call("fake", "echo", json!({})).is_ok());
    let expected = "a line to standard output that is no message of MCP";
    let has_three = |status: &Value| status["log_tail"].to_string().matches(expected).count() == 3;
    let log = client.until_status("fake", "the lines of the banner", has_three)["log_tail"].to_string();
    assert!(log.contains("Fake MCP server 1.0") && log.contains("(100000 bytes in all)"), "{log}");
    assert_eq!(client.status("fake")["restarts"], 0);
    world.stop();
}

#[test]
fn a_server_that_never_answers_the_greeting_fails_at_the_start_timeout() {
    let mut world = world("silent", "[restart]\npolicy = \"never\"\n[limits]\nstart_timeout = \"6s\"");
    let mut client = world.start().client();
    let status = client.until_status("fake", "it is given up", |status| !status["last_exit"].is_null());
    let reason = status.to_string();
    assert!(reason.contains("not ready") || reason.contains("start"), "{reason}");
    until_logged(&mut client, "the MCP server has not answered \\\\\\\"initialize\\\\\\\" for 4 s");
    world.stop();
}

#[test]
fn a_server_that_ends_before_the_greeting_fails_with_its_exit_code() {
    let mut world = world("exits", "autostart = false");
    let mut client = world.start().client();
    let failure = client.call("supervisor", "start", json!({ "name": "fake" })).unwrap_err();
    let expected = "the MCP server ended with exit code 3 before it had answered \"initialize\"";
    assert!(failure.error.contains(expected), "{}", failure.error);
    until_logged(&mut client, "fake: no configuration");
    world.stop();
}

#[test]
fn a_server_that_closes_its_output_before_the_greeting_fails() {
    let mut world = world("closes", "autostart = false");
    let mut client = world.start().client();
    let failure = client.call("supervisor", "start", json!({ "name": "fake" })).unwrap_err();
    let expected = "the MCP server closed its standard output before it had answered \"initialize\"";
    assert!(failure.error.contains(expected), "{}", failure.error);
    world.stop();
}

#[test]
fn a_list_of_tools_without_an_end_fails_the_start_with_the_limit() {
    let mut world = world("pages", "autostart = false");
    let mut client = world.start().client();
    let failure = client.call("supervisor", "start", json!({ "name": "fake" })).unwrap_err();
    assert!(failure.error.contains("list of tools on at most 100 pages, found more"), "{}", failure.error);
    world.stop();
}

#[test]
fn a_server_that_knows_the_new_greeting_only_is_greeted_so() {
    let mut world = world("modern", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    assert_eq!(client.call("fake", "add", json!({ "a": 1, "b": 1 })), Ok(json!({ "sum": 2 })));
    assert_eq!(client.supervisor("describe", json!({ "name": "fake" }))["version"], "2.0");
    world.stop();
}

#[test]
fn a_server_that_dies_in_a_call_is_a_crash_of_the_module_and_is_started_again() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    for (how, said) in [("exit", "exit code 7"), ("abort", "SIGABRT"), ("leave", "exit code 0")] {
        let failure = client.call("fake", "die", json!({ "how": how })).unwrap_err();
        crashed(&failure);
        let expected =
            format!("the MCP server ended with {said} without being asked to, with 1 call that it had not answered");
        assert!(failure.stderr.iter().any(|line| line.contains(&expected)), "{failure:?}");
        client.wait_ready("fake");
    }
    world.stop();
}

#[test]
fn what_was_answered_before_the_server_died_is_answered_and_the_rest_is_unknown() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let waits = client.send_command("fake", "wait", json!({}));
    let done = client.send_command("fake", "add", json!({ "a": 1, "b": 2 }));
    let dies = client.send_command("fake", "die", json!({}));
    assert_eq!(client.answer(done), Ok(json!({ "sum": 3 })));
    crashed(&client.answer(waits).unwrap_err());
    crashed(&client.answer(dies).unwrap_err());
    world.stop();
}

#[test]
fn a_server_that_is_killed_from_outside_is_started_again() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let server = server(&mut client);
    kill(server, Signal::SIGKILL);
    client.until_status("fake", "another process", |status| status["restarts"] == 1 && status["state"] == "ready");
    until_logged(&mut client, "the MCP server ended with SIGKILL without being asked to");
    world.stop();
}

#[test]
fn the_server_ends_with_the_runtime_and_with_the_module() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let first = server(&mut client);
    kill(client.pid("fake"), Signal::SIGKILL);
    wait_until_gone(&[first]);
    client.until_status("fake", "another process", |status| status["restarts"] == 1 && status["state"] == "ready");
    let second = server(&mut client);
    client.supervisor("stop", json!({ "name": "fake" }));
    assert!(!is_alive(second));
    until_logged(&mut client, "fake: the input has ended");
    assert_eq!(client.status("fake")["last_exit"], "stopped (exit code 0)");
    world.stop();
}

#[test]
fn a_line_without_an_end_ends_the_server_and_names_the_limit() {
    let mut world = world("", "");
    world.host_file("[host]\nframe_bytes_max = \"64KiB\"");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let failure = client.call("fake", "endless", json!({})).unwrap_err();
    crashed(&failure);
    let expected =
        "the MCP server wrote a line of more than 65536 bytes, which is the limit (frame_bytes_max of the host)";
    assert!(failure.stderr.iter().any(|line| line.contains(expected)), "{failure:?}");
    client.wait_ready("fake");
    world.stop();
}

#[test]
fn a_call_that_is_cancelled_is_cancelled_at_the_server_and_others_go_on() {
    let mut world = world("", "[limits]\ncancel_grace = \"500ms\"");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let failure = client.call_within(100, "fake", "wait", json!({})).unwrap_err();
    assert_eq!(failure.code, ErrorCode::DeadlineExceeded);
    until_logged(&mut client, "fake: cancelled ");
    client.until_status("fake", "nothing is in flight", |status| status["in_flight"] == 0);
    assert!(client.call("fake", "echo", json!({})).is_ok());
    assert_eq!(client.status("fake")["restarts"], 0);
    world.stop();
}

#[test]
fn a_server_that_hangs_is_killed_after_the_grace_of_a_cancel() {
    let mut world = world("", "[limits]\ncancel_grace = \"300ms\"");
    let mut client = world.start().client();
    client.wait_ready("fake");
    let failure = client.call_within(100, "fake", "hang", json!({})).unwrap_err();
    assert_eq!(failure.code, ErrorCode::DeadlineExceeded);
    client.until_status("fake", "another process", |status| status["restarts"] == 1 && status["state"] == "ready");
    assert!(client.call("fake", "echo", json!({})).is_ok());
    world.stop();
}

#[test]
fn calls_run_side_by_side_and_one_after_the_other_where_the_window_is_one() {
    let mut world = world("", "");
    add(&world, "narrow", "", "[limits]\nwindow = 1");
    let mut client = world.start().client();
    client.wait_ready("fake");
    client.wait_ready("narrow");
    client.send_command("fake", "wait", json!({}));
    assert!(client.call("fake", "echo", json!({})).is_ok());
    client.send_command("narrow", "wait", json!({}));
    let failure = client.call_within(300, "narrow", "echo", json!({})).unwrap_err();
    assert_eq!(failure.delivery, Some(Delivery::NotStarted));
    world.stop();
}

#[test]
fn a_message_for_the_log_is_a_line_with_its_level() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    assert!(client.call("fake", "log", json!({})).is_ok());
    let status = client.until_status("fake", "its line", |status| status["log_tail"].to_string().contains("disk"));
    let lines = status["log_tail"].as_array().unwrap();
    let line = lines.iter().find(|line| line.to_string().contains("disk: it is full")).unwrap();
    assert!(line.to_string().contains("error"), "{line}");
    world.stop();
}

#[test]
fn tools_that_come_later_can_be_called_and_listed() {
    let mut world = world("", "");
    let mut client = world.start().client();
    client.wait_ready("fake");
    assert_eq!(client.call("fake", "more", json!({})).unwrap_err().code, ErrorCode::UnknownCommand);
    client.call("fake", "change", json!({})).unwrap();
    until_logged(&mut client, "the MCP server changed its tools");
    assert_eq!(text(&client.call("fake", "more", json!({})).unwrap()), "there is more");
    let listed = client.call("fake", "list_tools", json!({})).unwrap();
    assert!(listed["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "more"), "{listed}");
    world.stop();
}

#[test]
fn a_host_without_the_runtime_refuses_the_module_and_says_what_is_missing() {
    let world = world("", "").env("BULKHEAD_MCP_RUNTIME", "/nowhere/module-runtime-mcp");
    let folder = world.path("modules");
    let output = world.bulkhead(&["config", "check", "--modules", folder.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("module fake is of type \"mcp\"") && said.contains("$BULKHEAD_MCP_RUNTIME"), "{said}");
}
