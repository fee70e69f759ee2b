//! What modules and the host's own addresses say of themselves, over the wire and from the shell, and what becomes of
//! modules that say too much.

use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, Done, World, timeout};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Instant;

fn run(world: &World, words: &[&str]) -> Done {
    world.bulkhead(words).into()
}

/// A host with modules that start in these ways, all ready.
fn started(ways: &[&str]) -> (World, Caller) {
    let mut world = World::new();
    for way in ways {
        world.module(way, "misbehave", &format!("env = {{ MISBEHAVE_AT_START = \"{way}\" }}"));
    }
    world.start();
    let mut client = world.client();
    ways.iter().for_each(|way| client.wait_ready(way));
    (world, client)
}

fn described(client: &mut Caller, name: &str) -> Vec<Value> {
    let answer = client.supervisor("describe", json!({ "name": name }));
    assert_eq!((&answer["name"], &answer["version"], &answer["state"]), (&json!(name), &json!("0"), &json!("ready")));
    answer["commands"].as_array().unwrap().clone()
}

/// The lines that the host wrote into the log of a module.
fn remarks(world: &World, name: &str) -> Vec<String> {
    let log = run(world, &["logs", name, "--json"]);
    let lines = log.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own = lines.filter(|line| line["stream"] == "host");
    own.map(|line| line["line"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_module_that_describes_itself_badly_works_and_is_reported() {
    let (mut world, mut client) = started(&["describe_wrong_types", "describe_too_long"]);
    let commands = described(&mut client, "describe_wrong_types");
    let dropped = json!([
        { "member": "args", "reason": "expected an object or a boolean, found a text" },
        { "member": "returns", "reason": "expected an object or a boolean, found a list" },
        { "member": "examples", "reason": "expected a list, found an object" },
    ]);
    assert_eq!(
        commands,
        [
            json!({ "name": "echo", "idempotent": false, "dropped": dropped }),
            json!({ "name": "good", "idempotent": false }),
        ]
    );
    let commands = described(&mut client, "describe_too_long");
    assert_eq!(commands[0]["dropped"][0]["reason"], "expected at most 65536 bytes, found 66594");
    assert_eq!((&commands[0]["args"], &commands[1]["args"]), (&Value::Null, &json!({ "type": "object" })));
    let line =
        "[describe_too_long: the command \"echo\" is kept without its args: expected at most 65536 bytes, found 66594]";
    assert_eq!(remarks(&world, "describe_too_long"), [line]);
    for name in ["describe_wrong_types", "describe_too_long"] {
        assert!(client.call(name, "echo", json!(1)).is_ok(), "{name}");
        let page = run(&world, &["describe", name]);
        assert!(page.code == Some(0) && page.out.contains("  not kept by the daemon: args: expected"), "{page:?}");
    }
    world.stop();
}

#[test]
fn what_all_commands_say_together_is_bounded_and_many_commands_are_no_fault() {
    let (mut world, mut client) = started(&["describe_too_much", "describe_too_many"]);
    let commands = described(&mut client, "describe_too_much");
    let kept: Vec<bool> = commands.iter().map(|command| command["args"].is_object()).collect();
    assert_eq!(kept, [true, true, true, true, false]);
    let reason = commands[4]["dropped"][0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("expected at most 262144 bytes for all commands of the module together, found 307"),
        "{reason}"
    );
    assert_eq!(remarks(&world, "describe_too_much").len(), 1);
    let commands = described(&mut client, "describe_too_many");
    assert_eq!((commands.len(), &commands[9_999]["args"]), (10_000, &json!({})));
    let one = client.supervisor("describe", json!({ "name": "describe_too_many", "command": "command_7777" }));
    assert_eq!(one["commands"], json!([{ "name": "command_7777", "idempotent": false, "args": {} }]));
    let unknown = client.call("supervisor", "describe", json!({ "name": "describe_too_many", "command": "dance" }));
    assert!(unknown.unwrap_err().error.ends_with("; it has 10000, which `commands` lists"));
    assert!(client.call("describe_too_many", "echo", json!(1)).is_ok());
    world.stop();
}

#[test]
fn what_does_not_fit_into_a_frame_is_counted_and_a_command_alone_is_whole() {
    let mut world = World::new();
    world.module("m", "misbehave", "env = { MISBEHAVE_AT_START = \"describe_too_many\" }");
    world.host_file("[host]\nframe_bytes_max = \"384KiB\"\n").start();
    let mut client = world.client();
    client.wait_ready("m");
    let part = client.supervisor("describe", json!({ "name": "m" }));
    let shown = part["commands"].as_array().unwrap().len() as u64;
    let left_out = part["left_out"].as_u64().expect("some have no room");
    assert!(shown > 1000 && shown + left_out == 10_000, "{shown} and {left_out}");
    let last = client.supervisor("describe", json!({ "name": "m", "command": "command_9999" }));
    assert_eq!(last["commands"][0]["args"], json!({}));
    let page = run(&world, &["describe", "m"]);
    assert!(
        page.out.ends_with(&format!("\nand {left_out} more, which had no room in the answer; name one to see it\n"))
    );
    world.stop();
}

#[test]
fn what_is_known_outlives_the_process_and_what_is_not_known_is_said_with_what_to_do() {
    let mut world = World::new();
    world.module("good", "test-minimal", "").module("never", "test-minimal", "autostart = false").start();
    let mut client = world.client();
    client.wait_ready("good");
    client.supervisor("stop", json!({ "name": "good" }));
    let stopped = client.supervisor("describe", json!({ "name": "good" }));
    assert_eq!((&stopped["state"], &stopped["commands"][0]["name"]), (&json!("stopped"), &json!("ping")));
    let mut refused = |args: Value| client.call("supervisor", "describe", args).unwrap_err();
    for (args, code, said) in [
        (
            json!({ "name": "never" }),
            ErrorCode::ModuleUnavailable,
            "never has not been ready yet, so its commands are not known: start it",
        ),
        (json!({ "name": "goood" }), ErrorCode::UnknownModule, "there is no module \"goood\"; did you mean \"good\"?"),
        (json!({ "name": "superviser" }), ErrorCode::UnknownModule, "did you mean \"supervisor\"?"),
        (
            json!({ "name": "good", "command": "pign" }),
            ErrorCode::UnknownCommand,
            "good has no command \"pign\"; did you mean \"ping\"?",
        ),
        (
            json!({ "name": "good", "command": "dance" }),
            ErrorCode::UnknownCommand,
            "good has no command \"dance\"; it has ping, status",
        ),
        (
            json!({ "name": "supervisor", "command": "dance" }),
            ErrorCode::UnknownCommand,
            "supervisor has no command \"dance\"; it has status, commands",
        ),
        (
            json!({ "name": "layer1", "command": "dance" }),
            ErrorCode::UnknownCommand,
            "layer1 has no command \"dance\"; it has flush, query, mutation",
        ),
        (json!({}), ErrorCode::BadRequest, "missing field `name`"),
        (json!({ "name": "good", "verbose": 1 }), ErrorCode::BadRequest, "unknown field `verbose`"),
    ] {
        let failure = refused(args.clone());
        assert_eq!(failure.code, code, "{args}: {failure:?}");
        assert!(failure.error.contains(said), "{args}: {failure:?}");
    }
    let page = run(&world, &["describe", "good"]);
    assert!(page.out.contains("(it is stopped: this is what it said when it was last ready)\n"), "{page:?}");
    let never = run(&world, &["describe", "never"]);
    assert_eq!((never.code, &*never.out), (Some(3), ""), "{never:?}");
    assert!(never.err.contains("`bulkhead start never` starts it"), "{never:?}");
    assert_eq!(run(&world, &["describe", "ghost"]).code, Some(4));
    assert_eq!(run(&world, &["describe", "good", "dance"]).code, Some(1));
    world.stop();
}

#[test]
fn the_hosts_own_addresses_describe_exactly_the_arguments_that_they_take() {
    let mut world = World::new();
    let mut client = world.start().client();
    let own = client.supervisor("describe", json!({ "name": "supervisor" }));
    let commands = own["commands"].as_array().unwrap();
    let listed = client.supervisor("commands", json!({ "name": "supervisor" }));
    let names = |all: &Value| all.as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&own["commands"]), names(&listed["commands"]));
    for command in commands {
        let name = command["name"].as_str().unwrap();
        let properties = command["args"]["properties"].as_object().unwrap();
        // The refusal of an argument that is none lists those that are.
        let Err(refused) = client.call("supervisor", name, json!({ "no_such_argument": 1 })) else {
            assert!(properties.is_empty(), "{name} takes anything");
            continue;
        };
        let (_, known) = refused.error.split_once("expected ").expect("it says what is expected");
        let mut known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        known.sort_unstable();
        let mut described: Vec<&str> = properties.keys().map(String::as_str).collect();
        described.sort_unstable();
        assert_eq!(known, described, "{name}: {refused:?}");
        // Without what is required it is refused, and a wrong type is, too.
        for required in command["args"]["required"].as_array().into_iter().flatten() {
            let refused = client.call("supervisor", name, json!({})).unwrap_err();
            assert!(refused.error.contains("missing field"), "{name} {required}: {refused:?}");
        }
        for property in properties.keys() {
            let mut args = json!({});
            args[property] = json!([[]]);
            let refused = client.call("supervisor", name, args).unwrap_err();
            assert_eq!(refused.code, ErrorCode::BadRequest, "{name} {property}: {refused:?}");
        }
    }
    let store = client.supervisor("describe", json!({ "name": "layer1" }));
    assert_eq!(names(&store["commands"]), [json!("flush")]);
    assert_eq!(run(&world, &["call", "layer1", "flush"]).out, "null\n");
    assert_eq!(names(&store["requests"]), [json!("query"), json!("mutation")]);
    for request in store["requests"].as_array().unwrap() {
        for example in request["examples"].as_array().unwrap() {
            let verb = if request["name"] == "query" { "query" } else { "mutate" };
            let done = run(&world, &[verb, "layer1", &example["args"].to_string()]);
            assert_eq!(done.code, Some(0), "{example}: {done:?}");
        }
    }
    let query = client.supervisor("describe", json!({ "name": "layer1", "command": "query" }));
    assert_eq!(query["requests"].as_array().unwrap().len(), 1);
    world.stop();
}

#[test]
fn the_shell_shows_pages_help_of_one_command_and_what_can_be_completed() {
    let mut world = World::new();
    world.module("good", "test-minimal", "").start();
    world.client().wait_ready("good");
    let whole: Value = serde_json::from_str(&run(&world, &["describe", "supervisor", "--json"]).out).unwrap();
    assert_eq!((&whole["schema"], &whole["commands"][0]["name"]), (&json!(1), &json!("status")));
    let help = run(&world, &["call", "supervisor", "wait", "--help"]);
    assert!(help.code == Some(0) && help.err.is_empty(), "{help:?}");
    for text in ["ARGUMENT", "\"ready\" or \"stopped\"", "yes", "bulkhead call supervisor wait '{"] {
        assert!(help.out.contains(text), "{text}: {help:?}");
    }
    let done = run(&world, &["call", "supervisor", "wait", "name=good", "for=ready"]);
    assert_eq!(done.out, "{\"name\":\"good\",\"state\":\"ready\"}\n", "{done:?}");
    let socket = world.socket();
    let complete = |line: &[&str]| {
        let mut words = vec!["__complete", "fish", "bulkhead", "--socket", socket.to_str().unwrap()];
        words.extend(line);
        // The script's own words come first.
        let output = std::process::Command::new(bulkhead_tests::program("bulkhead")).args(words).output().unwrap();
        Done::from(output)
    };
    for (line, expected) in [
        (&["status", ""][..], "good\n"),
        (&["describe", ""], "good\nsupervisor\nlayer1\n"),
        (&["query", "l"], "layer1\n"),
        (&["call", "good", "p"], "ping\n"),
        (&["call", "layer1", ""], "flush\n"),
        (&["call", "supervisor", "wait", ""], "name=\nfor=\n"),
        (&["call", "supervisor", "wait", "name=good", ""], "for=\n"),
        (&["call", "supervisor", "logs", "l"], "lines:=\n"),
    ] {
        let done = complete(line);
        assert_eq!((done.code, &*done.out, &*done.err), (Some(0), expected, ""), "{line:?}");
    }
    // A daemon that stands still, or is not there, has nothing to say, and keeps no shell waiting.
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        world.host().signal(signal);
        let begun = Instant::now();
        let done = complete(&["status", ""]);
        assert_eq!((done.code, &*done.out, &*done.err), (Some(1), "", ""), "{signal}");
        assert!(begun.elapsed() < timeout() / 2, "{signal}");
        if signal == Signal::SIGSTOP {
            world.host().signal(Signal::SIGCONT);
        }
    }
    world.wait_for_host();
}
