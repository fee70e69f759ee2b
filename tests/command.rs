//! The `bulkhead` command as a shell script uses it, against a real daemon with real modules.

use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, Done, RESEARCH_LOG, Running, World, kill, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

/// A host with a good and a bad module, both ready.
fn world() -> (World, Caller) {
    let mut world = World::new();
    world.module("bad", "misbehave", "[capabilities]\nevent_subscribe = [\"day.*\"]\nevent_emit = [\"misbehave.*\"]");
    world.module("good", "test-minimal", "").start();
    let mut client = world.client();
    ["bad", "good"].iter().for_each(|name| client.wait_ready(name));
    (world, client)
}

/// Runs the command with this standard input.
fn run(world: &World, words: &[&str], input: &str) -> Done {
    let mut command = world.command(words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // The command may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.into()
}

#[test]
fn every_exit_code_of_the_table_comes_about_as_the_table_says() {
    let (mut world, mut client) = world();
    world.module("stopped", "test-minimal", "autostart = false");
    world.host().signal(Signal::SIGHUP);
    client.until_known("stopped");
    for (words, code) in [
        (&["call", "good", "ping"][..], 0),
        (&["call", "bad", "echo", "[1, 2]", "--full"], 0),
        (&["wait", "good", "--for", "ready"], 0),
        (&["wait", "stopped", "--for", "stopped"], 0),
        (&["status"], 0),
        (&["status", "good"], 0),
        (&["why", "good"], 0),
        (&["crashes"], 0),
        (&["logs", "good"], 0),
        (&["emit", "day.begun"], 0),
        (&["stop", "stopped"], 0),
        (&["call", "bad", "error", "{\"code\":\"no_ink\",\"sentence\":\"no ink\"}"], 1),
        (&["call", "good", "dance"], 1),
        (&["query", "good", "{}"], 1),
        (&["call", "bad", "exit", "{\"code\":3}"], 1),
        (&["call", "good", "ping", "{oops"], 2),
        (&["dance"], 2),
        (&["config", "check", "--config", "absent.toml"], 2),
        (&["call", "stopped", "ping"], 3),
        (&["call", "missing", "ping"], 4),
        (&["why", "good", "--request", "99999999"], 1),
        (&["stop", "missing"], 4),
        (&["why", "missing"], 4),
        (&["status", "missing"], 4),
        (&["wait", "missing", "--for", "ready"], 4),
        (&["logs", "missing"], 4),
        (&["call", "bad", "sleep", "{\"ms\":60000}", "--timeout", "50ms"], 124),
        (&["replay", "bad-1-000000000009"], 2),
        (&["quarantine"], 0),
        (&["quarantine", "list", "missing"], 4),
        (&["quarantine", "show", "bad-1-000000000009"], 1),
        (&["quarantine", "replay", "bad-1-000000000009"], 1),
        (&["quarantine", "drop", "../../bulkhead"], 1),
        (&["wait", "good", "--for", "stopped", "--timeout", "50ms"], 124),
        (&["call", "good", "ping", "--socket", "absent.sock"], 125),
        (&["status", "--socket", "absent.sock"], 125),
        (&["replay", "bad-1-000000000009", "--socket", "absent.sock"], 125),
    ] {
        let done = run(&world, words, "");
        assert_eq!(done.code, Some(code), "{words:?}: {done:?}");
        if code != 0 {
            assert!(done.out.is_empty() && done.err.contains("bulkhead") || code == 2, "{words:?}: {done:?}");
        }
    }
    world.stop();
}

#[test]
fn a_call_prints_the_data_alone_on_standard_output() {
    let (mut world, _client) = world();
    assert_eq!(run(&world, &["call", "bad", "echo", "{\"a\": 1}"], "").out, "{\"a\": 1}\n", "as it came");
    assert_eq!(run(&world, &["call", "bad", "echo", "-"], "[\"from\", \"stdin\"]\n").code, Some(0));
    let full: Value = serde_json::from_str(&run(&world, &["call", "bad", "echo", "5", "--full"], "").out).unwrap();
    assert_eq!((&full["status"], &full["data"]), (&json!("success"), &json!(5)));
    let crash = run(&world, &["call", "bad", "segfault"], "");
    assert_eq!((crash.code, &*crash.out), (Some(1), ""));
    assert!(crash.err.contains("SIGSEGV") && crash.err.contains("about to segfault"), "{}", crash.err);
    world.stop();
}

#[test]
fn a_pipe_answers_each_line_in_order_also_across_a_crash_in_mid_stream() {
    let (mut world, _client) = world();
    let mut input = String::new();
    for n in 1..=300 {
        let line = match n {
            150 => json!({ "name": "signal", "args": { "name": "SIGKILL" } }),
            _ => json!({ "name": "echo", "args": n }),
        };
        input.push_str(&format!("{line}\n"));
    }
    let done = run(&world, &["pipe", "bad"], &input);
    assert_eq!(done.code, Some(1), "{}", done.err);
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(lines.len(), 300);
    for (at, line) in lines.iter().enumerate() {
        let n = at + 1;
        if n == 150 {
            let failed: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&failed["status"], &failed["code"]), (&json!("error"), &json!("module_crashed")), "{line}");
            assert_eq!((&failed["line"], &failed["delivery"]), (&json!(150), &json!("started")), "{line}");
        } else {
            assert_eq!(*line, n.to_string());
        }
    }
    world.stop();
}

#[test]
fn every_kind_of_broken_line_is_answered_in_its_place() {
    let (mut world, _client) = world();
    let input = "1\n\n{oops\n\"last without an end\"";
    let done = run(&world, &["pipe", "bad", "--command", "echo"], input);
    assert_eq!(done.code, Some(1));
    let lines: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{}", done.out);
    assert_eq!((&lines[0], &lines[3]), (&json!(1), &json!("last without an end")));
    assert_eq!((&lines[1]["line"], &lines[2]["line"]), (&json!(2), &json!(3)));
    assert_eq!(run(&world, &["pipe", "bad", "--command", "echo"], "").code, Some(0));
    world.stop();
}

#[test]
fn a_line_that_is_too_long_for_the_daemon_fails_alone() {
    let mut world = World::new();
    world.module("bad", "misbehave", "").host_file("[host]\nframe_bytes_max = \"64KiB\"\n").start();
    world.client().wait_ready("bad");
    // The shortest that is too long, the longest that fits, and what is far beyond both.
    let line = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    let input = [1_000, 100_000, 65_000, 65_536, 17].map(|bytes| line(bytes) + "\n").concat();
    let done = run(&world, &["pipe", "bad", "--command", "echo"], &input);
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!((done.code, lines.len()), (Some(1), 5), "{}", done.err);
    for (at, bytes) in [(0, 1_000), (2, 65_000), (4, 17)] {
        assert_eq!(lines[at], line(bytes), "line {}: {}", at + 1, done.err);
    }
    for at in [1, 3] {
        let failure: Value = serde_json::from_str(lines[at]).unwrap();
        assert_eq!((&failure["code"], &failure["line"]), (&json!("frame_too_large"), &json!(at + 1)), "{failure}");
    }
    assert!(
        done.err.contains("2 of 5 lines failed, first line 2: expected a message of at most 65536 bytes"),
        "{done:?}"
    );
    assert!(done.err.contains("the line has 100002 of them"), "{done:?}");
    world.stop();
}

#[test]
fn a_pipe_whose_reader_goes_away_ends_quietly() {
    let (mut world, mut client) = world();
    let mut command = world.command(&["pipe", "good", "--command", "ping"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Without an end of its own: only the broken pipe ends it.
    let writer = std::thread::spawn(move || while stdin.write_all(b"null\n").is_ok() {});
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for count in 1..=2 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["count"], count);
    }
    drop(lines);
    let status = until("the end of the pipe", || child.try_wait().unwrap());
    writer.join().unwrap();
    let mut err = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    assert_eq!((status.code(), &*err), (Some(0), ""));
    client.until_status("good", "nothing is under way", |status| status["in_flight"] == 0 && status["queue"] == 0);
    world.stop();
}

#[test]
fn keyed_lines_see_no_crash_and_are_done_once() {
    let mut world = World::new();
    world.module("log", "research-log", &format!("[restart]\nat_once_after = \"0s\"\n{RESEARCH_LOG}")).start();
    let mut client = world.client();
    client.wait_ready("log");
    client.call("log", "create_log", json!({ "title": "Import" })).unwrap();
    let input: String = (1..=2000).map(|n| format!("{{\"text\":\"line {n}\"}}\n")).collect();
    let killer = std::thread::spawn(move || {
        for done in [200, 700] {
            client.until_status("log", "it is busy", |status| status["in_flight"] != 0);
            let page =
                |client: &mut Caller| client.call("log", "query_logs", json!({ "text": format!("line {done}") }));
            until("some are done", || {
                page(&mut client).ok()?["entries"].as_array().is_some_and(|all| !all.is_empty()).then_some(())
            });
            let pid = client.pid("log");
            kill(pid, Signal::SIGKILL);
            client.until_status("log", "it is back", |status| status["pid"].is_i64() && status["pid"] != pid);
        }
        client
    });
    let words = ["pipe", "log", "--command", "add_entry", "--key-prefix", "import"];
    let done = run(&world, &words, &input);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let mut client = killer.join().unwrap();
    assert_eq!(done.out.lines().count(), 2000);
    let found = client.call("log", "query_logs", json!({ "limit": 10_000 })).unwrap();
    let texts: Vec<&str> =
        found["entries"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    assert_eq!(texts, (1..=2000).map(|n| format!("line {n}")).collect::<Vec<_>>());
    // The same import once more changes nothing and prints the same.
    assert_eq!(run(&world, &words, &input).out, done.out);
    let again = client.call("log", "query_logs", json!({ "limit": 10_000 })).unwrap();
    assert_eq!(again["entries"].as_array().map(Vec::len), Some(2000));
    world.stop();
}

#[test]
fn events_are_followed_while_they_happen() {
    let (mut world, mut client) = world();
    let mut running = Running::start(&world, &["events", "day.*", "--json"]);
    let host_clients = |client: &mut Caller| client.supervisor("status", Value::Null)["host"]["clients"].clone();
    until("the command is connected", || (host_clients(&mut client) == 2).then_some(()));
    // The command may be connected and not yet following, so the first event is sent until one is seen.
    let mut sent = 0;
    let first = until("the first event", || {
        sent += 1;
        let emitted = run(&world, &["emit", "day.begun", &format!("{{\"n\":{sent}}}")], "");
        assert_eq!((emitted.code, emitted.out.contains('1')), (Some(0), true), "{emitted:?}");
        running.line_if_any()
    });
    let event: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(event["event"], "day.begun", "{event}");
    assert!(event["cursor"].is_u64() && event["data"]["n"].is_u64(), "{event}");
    run(&world, &["emit", "night.begun"], "");
    run(&world, &["emit", "day.over"], "");
    let next = std::iter::repeat_with(|| running.line()).find(|line| !line.contains("day.begun")).unwrap();
    assert!(next.contains("day.over"), "{next}");
    kill(running.pid(), Signal::SIGINT);
    // A shell reports it as 130.
    assert_eq!(running.wait().signal(), Some(2));
    world.stop();
}

#[test]
fn logs_show_the_last_lines_and_go_on_with_new_ones() {
    let (mut world, mut client) = world();
    client.call("bad", "print", json!({ "line": "first", "stream": "stdout" })).unwrap();
    client.until_status("bad", "the line has come", |status| status["log_tail"].to_string().contains("first"));
    let running = Running::start(&world, &["logs", "bad", "-f"]);
    std::iter::repeat_with(|| running.line()).find(|line| line.ends_with("first")).unwrap();
    client.call("bad", "print", json!({ "line": "second", "stream": "stderr" })).unwrap();
    std::iter::repeat_with(|| running.line()).find(|line| line.ends_with("second")).unwrap();
    let shown = run(&world, &["logs", "bad", "-n", "1", "--json"], "");
    let line: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&line["line"], &line["stream"]), (&json!("second"), &json!("stderr")));
    drop(running);
    world.stop();
}

#[test]
fn the_status_is_a_table_for_people_and_an_object_a_line_for_programs() {
    let (mut world, mut client) = world();
    let _ = client.call("bad", "segfault", json!({}));
    client.wait_ready("bad");
    let table = run(&world, &["status"], "").out;
    let first = table.lines().next().unwrap();
    for heading in ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "LAST EXIT", "IN-FLIGHT", "QUEUE", "MEMORY", "WHY"] {
        assert!(first.contains(heading), "{table}");
    }
    let bad = table.lines().find(|line| line.starts_with("bad")).unwrap();
    assert!(bad.contains("ready") && bad.contains("SIGSEGV"), "{table}");
    let lines: Vec<Value> =
        run(&world, &["status", "--json"], "").out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&Value> = lines.iter().map(|line| &line["name"]).collect();
    assert_eq!(names, ["bad", "good"]);
    assert!(lines.iter().all(|line| line["schema"] == 1 && line["state"] == "ready"), "{lines:#?}");
    assert_eq!(lines[0]["restarts"], 1);
    let full = run(&world, &["status", "bad"], "").out;
    assert!(full.contains("about to segfault") && full.contains("ready"), "{full}");
    let crashes = run(&world, &["crashes", "bad"], "").out;
    assert!(crashes.contains("SIGSEGV") && crashes.contains("segfault"), "{crashes}");
    world.stop();
}

#[test]
fn why_names_what_ended_a_process_and_the_line_that_set_what_followed() {
    let mut world = World::new();
    world.module("bad", "misbehave", "[restart]\nat_once_after = \"1h\"\ndelay_initial = \"50ms\"").start();
    let mut client = world.client();
    client.wait_ready("bad");
    assert!(client.call("bad", "segfault", json!(null)).is_err());
    client.wait_ready("bad");
    let why = client.supervisor("why", json!({ "name": "bad" }));
    let ended = why["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&ended["what"], &ended["by"], &ended["sequel"]), (&json!("ended"), &json!("signal"), &json!("start")));
    assert!(ended["after_ms"].as_u64().unwrap() <= 63, "{ended:#}");
    let rule = &ended["sequel_rules"][0];
    assert_eq!((&rule["key"], &rule["value"]), (&json!("restart.delay_initial"), &json!("50ms")));
    let origin = rule["origin"].as_str().unwrap();
    let (file, line) = origin.rsplit_once(':').unwrap();
    let manifest = std::fs::read_to_string(file).unwrap();
    assert!(manifest.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap().starts_with("delay_initial"), "{origin}");
    let shown = run(&world, &["why", "bad"], "").out;
    assert!(
        shown.contains(&format!("by restart.delay_initial = 50ms ({origin})")) && shown.contains("SIGSEGV"),
        "{shown}"
    );
    assert!(shown.contains("limits.ping_interval = 10s (default)"), "{shown}");

    client.send_command("bad", "sleep", json!({ "ms": 60_000 }));
    let listed = until("the request is in flight", || {
        let why = world.client().supervisor("why", json!({ "name": "bad" }));
        why["requests"][0]["id"].as_u64()
    });
    let one = run(&world, &["why", "bad", "--request", &listed.to_string()], "");
    assert!(one.code == Some(0) && one.out.contains("command sleep, is in flight: bad#2 works on it"), "{one:?}");
    let absent = run(&world, &["why", "bad", "--request", "99999999"], "");
    assert!(absent.err.contains("`why` without a request lists those that are open"), "{absent:?}");
    world.stop();
}

#[test]
fn the_commands_of_modules_and_of_the_hosts_own_addresses_are_listed() {
    let (mut world, mut client) = world();
    world.module("never", "test-minimal", "autostart = false");
    world.host().signal(Signal::SIGHUP);
    client.until_known("never");
    let list = run(&world, &["call", "good"], "");
    assert_eq!(list.code, Some(0), "{list:?}");
    let rows: Vec<Vec<&str>> = list.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["COMMAND", "IDEMPOTENT", "DESCRIPTION"], "{list:?}");
    assert_eq!(rows[1], ["ping", "no", "Counts", "and", "answers,", "whatever", "it", "is", "sent."], "{list:?}");
    assert_eq!(rows[2][..2], ["status", "yes"], "{list:?}");
    assert!(
        list.out.ends_with("[JSON | - | @FILE | NAME=TEXT…]\nWhat each takes: bulkhead describe good\n"),
        "{list:?}"
    );
    // A module that is stopped or waits for its next start has the commands that it had.
    run(&world, &["stop", "good"], "");
    assert_eq!(run(&world, &["call", "good"], "").out, list.out);
    for (words, code, said) in [
        (["call", "never"], 3, "`bulkhead status never` says why"),
        (["call", "missing"], 4, "there is no module \"missing\""),
    ] {
        let done = run(&world, &words, "");
        assert_eq!((done.code, &*done.out), (Some(code), ""), "{done:?}");
        assert!(done.err.contains(said), "{done:?}");
    }
    assert!(run(&world, &["call", "layer1"], "").out.contains("bulkhead query layer1 '"));
    // Each command that is listed for the host itself is one.
    let own = client.supervisor("commands", json!({ "name": "supervisor" }));
    let own = own["commands"].as_array().unwrap();
    assert!(own.len() > 10, "{own:#?}");
    for command in own {
        let name = command["name"].as_str().unwrap();
        if let Err(failure) = client.call("supervisor", name, json!({ "no_such_argument": 1 })) {
            assert_eq!(failure.code, ErrorCode::BadRequest, "{name}: {failure:?}");
        }
    }
    let unknown = client.call("supervisor", "dance", json!({})).unwrap_err();
    assert!(unknown.error.contains("status, commands, describe, why, start"), "{unknown:?}");
    world.stop();
}

#[test]
fn modules_are_started_stopped_restarted_and_reloaded_from_the_shell() {
    let (mut world, mut client) = world();
    let pid = client.pid("good");
    for words in [&["reload", "good"][..], &["restart", "bad", "good"], &["stop", "--all"], &["start", "--all"]] {
        let done = run(&world, words, "");
        assert_eq!(done.code, Some(0), "{words:?}: {done:?}");
    }
    assert_ne!(client.pid("good"), pid);
    let done = run(&world, &["stop", "good", "missing", "--json"], "");
    assert_eq!(done.code, Some(4), "{done:?}");
    assert_eq!(client.status("good")["state"], "stopped");
    world.stop();
}

#[test]
fn the_configuration_of_the_tests_checks_and_shows_where_values_come_from() {
    let mut world = World::new();
    world.module("good", "test-minimal", "spares = 1");
    let modules = world.path("modules");
    let done = run(&world, &["config", "check", "--modules", modules.to_str().unwrap()], "");
    assert_eq!((done.code, &*done.out), (Some(0), "the configuration is good: 1 module\n"), "{done:?}");
    let done = run(&world, &["config", "show", "--modules", modules.to_str().unwrap()], "");
    assert!(done.out.lines().any(|line| line.contains("spares") && line.contains("module.toml")), "{}", done.out);
}
