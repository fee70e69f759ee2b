//! `bulkhead replay`: the message that crashed a module is taken from the record and sent again, and the two ends are
//! compared.

use bulkhead_tests::{Caller, Done, World, until};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

fn run(world: &World, words: &[&str]) -> Done {
    world.bulkhead(words).into()
}

/// A host with the modules `bad` and `good`, ready. `good` does not crash by `crash_on`.
fn started() -> (World, Caller) {
    let mut world = World::new();
    let quick = "[restart]\ndelay_initial = \"1ms\"\ndelay_max = \"1ms\"\nbreaker_failures = 1000\n";
    world.module("bad", "misbehave", quick).module("good", "misbehave", quick).start();
    let mut client = world.client();
    ["bad", "good"].iter().for_each(|name| client.wait_ready(name));
    (world, client)
}

/// Crashes `bad` by a command; the file of the record, once it is written.
fn crashed(client: &mut Caller, command: &str, args: Value) -> PathBuf {
    let before = records(client).len();
    let _ = client.call("bad", command, args);
    let record = until("the record", || records(client).get(before).cloned());
    let file = PathBuf::from(record["file"].as_str().unwrap());
    until("the file of the record", || fs::read_to_string(&file).ok().filter(|text| text.ends_with("}\n")));
    file
}

fn records(client: &mut Caller) -> Vec<Value> {
    client.supervisor("crashes", json!({ "name": "bad" }))["crashes"].as_array().unwrap().clone()
}

fn name_of(file: &std::path::Path) -> String {
    file.file_stem().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn the_message_of_a_crash_crashes_again_by_the_command_that_crashes_prints() {
    let (mut world, mut client) = started();
    let file = crashed(&mut client, "segfault", json!({ "n": 1 }));
    let shown = run(&world, &["crashes", "bad"]).out;
    let again = shown.lines().find_map(|line| line.trim().strip_prefix("again")).unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(again.trim(), format!("bulkhead replay {}", name_of(&file)));
    let socket = world.socket();
    let named = run(&world, &["--socket", socket.to_str().unwrap(), "crashes", "bad"]).out;
    let with_socket = format!("bulkhead --socket {} replay {}", socket.display(), name_of(&file));
    assert!(named.contains(&with_socket), "expected {with_socket} in {named}");
    let words: Vec<&str> = again.split_whitespace().skip(1).collect();
    let done = run(&world, &words);
    assert_eq!((done.code, &*done.out), (Some(1), "same end: signal 11 (SIGSEGV)\n"), "{done:?}");
    let records = records(&mut client);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["in_flight"], records[1]["in_flight"], "the same message");

    let twice = run(&world, &["replay", file.to_str().unwrap(), "--times", "2", "--json"]);
    assert_eq!(twice.code, Some(1), "{twice:?}");
    let lines: Vec<Value> = twice.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, number) in lines.iter().zip(1..) {
        assert_eq!((&line["number"], &line["end"], &line["to"]), (&json!(number), &json!("same"), &json!("bad")));
        assert_eq!(line["recorded"]["exit"], line["response"]["exit"], "{line:#}");
    }
    assert_eq!(lines.len(), 2);
    world.stop();
}

#[test]
fn another_module_that_handles_the_message_ends_it_with_success() {
    let (mut world, mut client) = started();
    client.call("bad", "crash_on", json!({ "nth": 1 })).unwrap();
    let file = crashed(&mut client, "echo", json!(5));
    let done = run(&world, &["replay", &name_of(&file), "--to", "good"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.starts_with("another end: the record has ") && done.out.ends_with("answered with success\n"));
    let unknown = run(&world, &["replay", &name_of(&file), "--to", "missing"]);
    assert!(unknown.code == Some(4) && unknown.err.contains("missing") && unknown.out.is_empty(), "{unknown:?}");
    world.stop();
}

#[test]
fn a_panic_that_the_process_answered_is_the_same_by_its_sentence() {
    let (mut world, mut client) = started();
    let file = crashed(&mut client, "panic", json!({ "message": "no ink" }));
    let done = run(&world, &["replay", &name_of(&file)]);
    assert!(done.code == Some(1) && done.out.starts_with("same end: the last answer \"the handler panicked at "));
    world.stop();
}

#[test]
fn ends_by_the_host_and_after_two_crashes_are_compared_as_well() {
    let (mut world, mut client) = started();
    let limits = "[limits]\ncancel_grace = \"50ms\"\n[restart]\ndelay_initial = \"1ms\"\nbreaker_failures = 1000\n";
    world.module("bad", "misbehave", limits);
    client.supervisor("reload", json!({ "name": "bad" }));
    for (command, expected, code) in [
        ("stray_text", "same end: signal 9 (SIGKILL)\n", 1),
        ("exit", "same end: exit code 3\n", 1),
        ("abort_read", "same end: signal 6 (SIGABRT)\n", 1),
        ("hang", "same end: no answer before the deadline\n", 124),
    ] {
        let args = if command == "exit" { json!({ "code": 3 }) } else { json!({ "text": "hello, world\n" }) };
        let before = records(&mut client).len();
        let _ = client.call_within(200, "bad", command, args);
        let record = until("the record", || records(&mut client).get(before).cloned());
        client.wait_ready("bad");
        let name = name_of(record["file"].as_str().unwrap().as_ref());
        let timeout = if command == "hang" { "200ms" } else { "60" };
        let done = run(&world, &["replay", &name, "--timeout", timeout]);
        assert_eq!((done.code, &*done.out), (Some(code), expected), "{command}: {record:#} {done:?}");
        let more = before + if command == "abort_read" { 4 } else { 2 };
        until("the second record", || (records(&mut client).len() >= more).then_some(()));
        client.wait_ready("bad");
    }
    world.stop();
}

#[test]
fn a_message_that_crashes_now_and_then_is_sent_until_it_does() {
    let (mut world, mut client) = started();
    client.call("bad", "crash_on", json!({ "nth": 1 })).unwrap();
    let file = crashed(&mut client, "echo", json!(5));
    let name = name_of(&file);
    client.wait_ready("bad");
    client.call("bad", "crash_on", json!({ "nth": 3 })).unwrap();
    let done = run(&world, &["replay", &name, "--until-crash"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let lines: Vec<&str> = done.out.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("2: another end: ") && lines[2].starts_with("3: same end: "));
    let never = run(&world, &["replay", &name, "--to", "good", "--until-crash", "--times", "5"]);
    assert!(never.code == Some(0) && never.out.lines().count() == 5, "{never:?}");
    assert!(never.err.contains("no crash in 5 replays"), "{never:?}");
    world.stop();
}

#[test]
fn a_record_that_cannot_be_used_is_refused_with_the_reason_and_nothing_is_sent() {
    let (mut world, mut client) = started();
    let long = crashed(&mut client, "segfault", json!("x".repeat(100_000)));
    let file = crashed(&mut client, "segfault", json!({}));
    let text = fs::read_to_string(&file).unwrap();
    let write = |name: &str, content: &str| {
        let path = world.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let half = write("half.json", &text[..text.len() / 2]);
    let other = write("other.json", "{\"module\":\"bad\"}");
    let missing = world.path("missing.json");
    let folder = world.path("modules");
    let pipe = world.path("pipe.json");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let before = records(&mut client).len();
    for (record, expected) in [
        (&*half, "half.json:"),
        (&*other, "found none: it is no crash record, or one of another version"),
        (missing.to_str().unwrap(), "No such file"),
        (folder.to_str().unwrap(), "expected a regular file"),
        (pipe.to_str().unwrap(), "expected a regular file"),
        (&*name_of(&long), "the payload of command is cut"),
        ("bad-20200101T000000.000Z-000000000999", &*format!("the nearest is {}", name_of(&file))),
        ("gone-20200101T000000.000Z-000000000001", "`bulkhead crashes` lists them"),
        ("", "there is no crash record"),
    ] {
        let done = run(&world, &["replay", record]);
        assert!(done.code == Some(2) && done.err.contains(expected), "{record}: {done:?}");
        assert!(done.out.is_empty(), "{record}: {done:?}");
    }
    assert_eq!(records(&mut client).len(), before, "nothing was sent");
    let shown = run(&world, &["crashes", "bad", "--limit", "2"]).out;
    assert_eq!(shown.matches("bulkhead replay ").count(), 1, "a cut message is not offered: {shown}");
    world.stop();
    let gone = run(&world, &["replay", &name_of(&file)]);
    assert!(gone.code == Some(125) && gone.err.contains("crashes"), "{gone:?}");
    assert_eq!(run(&world, &["replay", file.to_str().unwrap()]).code, Some(125));
}
