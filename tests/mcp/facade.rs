//! `bulkhead mcp` towards a client.

use crate::client::McpClient;
use crate::module::{add, world};
use bulkhead_tests::World;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"))
}

/// A world with a host in which the module `fake` is ready.
fn started() -> World {
    let mut world = world("", "");
    world.start().client().wait_ready("fake");
    world
}

#[test]
fn the_commands_of_modules_are_tools_with_schemas_and_hints() {
    let mut world = started();
    let mut client = McpClient::start(&world, &[]);
    let tools = client.ask("tools/list", json!({}))["result"]["tools"].take();
    let tool = |name: &str| tools.as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap();
    let echo = tool("fake__echo");
    assert_eq!(echo["inputSchema"], json!({ "type": "object", "properties": { "text": { "type": "string" } } }));
    assert_eq!(echo["annotations"], json!({ "readOnlyHint": true, "idempotentHint": true }));
    assert_eq!(tool("fake__add")["outputSchema"], json!({ "type": "object", "required": ["sum"] }));
    let sum = client.call("fake__add", json!({ "a": 1, "b": 2 }));
    assert_eq!((&sum["structuredContent"], text(&sum)), (&json!({ "sum": 3 }), r#"{"sum":3}"#));
    assert!(client.close().success());
    drop(client);
    world.stop();
}

#[test]
fn a_failure_has_its_sentence_and_how_far_it_got() {
    let mut world = started();
    let mut client = McpClient::start(&world, &[]);
    let failed = client.call("fake__fail", json!({}));
    assert_eq!(failed["isError"], true);
    assert!(text(&failed).starts_with("fake: no such file (module_error)"), "{failed}");
    assert_eq!(failed["structuredContent"]["code"], "module_error");
    let crashed = client.call("fake__die", json!({}));
    assert_eq!(crashed["isError"], true);
    assert!(text(&crashed).contains("It is not known whether it was begun"), "{crashed}");
    assert_eq!(crashed["structuredContent"]["delivery"], "unknown");
    let unknown = client.ask("tools/call", json!({ "name": "fake__sing" }));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    drop(client);
    world.stop();
}

#[test]
fn progress_comes_to_a_client_that_asked_for_it_and_a_cancel_reaches_the_module() {
    let mut world = started();
    let mut client = McpClient::start(&world, &[]);
    let slow = json!({ "name": "fake__slow", "_meta": { "progressToken": "p" } });
    let id = client.send("tools/call", slow);
    for step in 1..=3 {
        let progress = client.notified("notifications/progress");
        let expected = json!({ "progressToken": "p", "progress": f64::from(step), "total": 3.0, "message": "reading" });
        assert_eq!(progress["params"], expected);
    }
    assert_eq!(text(&client.answer(id)["result"]), "done");
    let id = client.send("tools/call", json!({ "name": "fake__wait" }));
    let mut caller = world.client();
    caller.until_status("fake", "it waits", |status| status["log_tail"].to_string().contains("fake: waits"));
    client.notify("notifications/cancelled", json!({ "requestId": id }));
    caller.until_status("fake", "the cancel", |status| status["log_tail"].to_string().contains("fake: cancelled "));
    drop(client);
    world.stop();
}

#[test]
fn only_named_modules_and_only_reads_are_shown_where_that_was_asked_for() {
    let mut world = world("", "");
    add(&world, "other", "", "");
    let mut caller = world.start().client();
    caller.wait_ready("fake");
    caller.wait_ready("other");
    let mut client = McpClient::start(&world, &["--module", "other", "--read-only"]);
    assert_eq!(client.tools(), ["other__echo", "other__list_tools"]);
    let refused = client.ask("tools/call", json!({ "name": "fake__echo" }));
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let refused = client.ask("resources/read", json!({ "uri": "bulkhead://logs/fake" }));
    assert!(refused["error"]["message"].as_str().unwrap().contains("of a module that is shown"), "{refused}");
    drop(client);
    world.stop();
}

#[test]
fn logs_and_crash_records_are_resources() {
    let mut world = started();
    let mut client = McpClient::start(&world, &[]);
    client.call("fake__die", json!({}));
    let listed = client.ask("resources/list", json!({}))["result"]["resources"].to_string();
    assert!(listed.contains("bulkhead://logs/fake") && listed.contains("bulkhead://crashes/fake"), "{listed}");
    let read = |client: &mut McpClient, uri: &str| {
        let answer = client.ask("resources/read", json!({ "uri": uri }));
        answer["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let log = read(&mut client, "bulkhead://logs/fake");
    assert!(log.contains("the MCP server ended with exit code 7"), "{log}");
    let crashes: Value = serde_json::from_str(&read(&mut client, "bulkhead://crashes/fake")).unwrap();
    let uri = crashes["crashes"][0]["uri"].as_str().unwrap();
    let record: Value = serde_json::from_str(&read(&mut client, uri)).unwrap();
    assert_eq!(record["module"], "fake");
    let missing = client.ask("resources/read", json!({ "uri": "bulkhead://crashes/fake/none.json" }));
    assert!(missing["error"]["message"].as_str().unwrap().contains("found \"bulkhead://crashes/fake/none.json\""));
    drop(client);
    world.stop();
}

#[test]
fn the_list_follows_modules_that_come_and_a_daemon_that_goes_and_comes_back() {
    let mut world = World::new();
    // No daemon runs yet.
    let mut client = McpClient::start(&world, &[]);
    assert_eq!(client.tools(), [""; 0]);
    let away = client.call("fake__echo", json!({}));
    assert!(text(&away).starts_with("Bulkhead's daemon is away: "), "{away}");
    assert!(text(&away).contains("It was not begun"), "{away}");
    add(&world, "fake", "", "");
    world.start();
    client.notified("notifications/tools/list_changed");
    assert!(client.tools().contains(&"fake__echo".to_owned()));
    // A module that comes while it runs.
    add(&world, "later", "", "");
    world.client().supervisor("reload", json!({ "name": "later" }));
    bulkhead_tests::until("the tools of a module that came", || {
        client.tools().contains(&"later__echo".to_owned()).then_some(())
    });
    client.notified("notifications/resources/list_changed");
    // The daemon goes and comes back.
    world.end_host(Signal::SIGTERM);
    let away = client.call("fake__echo", json!({}));
    assert!(text(&away).starts_with("Bulkhead's daemon is away: "), "{away}");
    world.start().client().wait_ready("fake");
    assert!(client.call("fake__echo", json!({ "text": "again" }))["isError"] != true);
    drop(client);
    world.stop();
}

#[test]
fn what_is_no_mcp_is_refused_on_standard_error_and_standard_output_stays_clean() {
    use std::io::Write;
    use std::process::Stdio;
    let world = World::new();
    let mut command = world.command(&["mcp"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "hello\n{request}").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(message["jsonrpc"], "2.0");
    }
    assert!(output.status.code().is_some_and(|code| code < 2), "{:?}", output.status);
}
