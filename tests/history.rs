//! What earlier daemons left: lines of logs and records of crashes, read back by the next one and reported with their
//! daemon; and what a person sees who waits for a module that does not become ready.

use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, World, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

fn print(client: &mut Caller, text: &str) {
    client.call("m", "print", json!({ "line": text, "stream": "stderr" })).unwrap();
}

/// The records of a module, oldest first: the number in the name of the file, and whether an earlier daemon wrote it.
fn crashes(client: &mut Caller, args: Value) -> Vec<(u64, bool)> {
    let reported = client.supervisor("crashes", args);
    let number = |crash: &Value| {
        let file = crash["file"].as_str().unwrap();
        file.trim_end_matches(".json").rsplit('-').next().unwrap().parse().unwrap()
    };
    reported["crashes"].as_array().unwrap().iter().map(|crash| (number(crash), crash["earlier"] == true)).collect()
}

/// The lines of a log that the test had printed, and whether an earlier daemon wrote them.
fn lines(client: &mut Caller, name: &str) -> Vec<(String, bool)> {
    let id = client.send_command("supervisor", "logs", json!({ "name": name, "lines": 1000 }));
    let mut lines = Vec::new();
    while let bulkhead_protocol::Status::Progress(line) = client.0.next(id, None).unwrap().status {
        let line: Value = line.read().unwrap();
        let text = line["line"].as_str().unwrap().to_owned();
        if text.starts_with("line ") {
            lines.push((text, line["earlier"] == true));
        }
    }
    lines
}

fn out(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn crashes_and_lines_outlive_a_daemon_that_was_killed_and_one_that_was_stopped_and_a_module() {
    let mut world = World::new();
    world.module("m", "misbehave", "").module("good", "test-minimal", "");
    let mut expected = Vec::new();
    for (daemon, end) in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGTERM].into_iter().enumerate() {
        let mut client = world.start().client();
        client.wait_ready("m");
        let line = format!("line {daemon}");
        print(&mut client, &line);
        assert_eq!(client.call("m", "segfault", json!({})).unwrap_err().code, ErrorCode::ModuleCrashed);
        expected.push(line);
        let last = expected.len() - 1;
        let reported = until("the crash is on record", || {
            let reported = crashes(&mut client, json!({ "name": "m" }));
            (reported.len() == expected.len()).then_some(reported)
        });
        let numbers = (1..=expected.len() as u64).enumerate();
        assert_eq!(reported, numbers.map(|(at, number)| (number, at < last)).collect::<Vec<_>>());
        let reported: Vec<(String, bool)> =
            expected.iter().enumerate().map(|(at, line)| (line.clone(), at < last)).collect();
        assert_eq!(lines(&mut client, "m"), reported);
        // This SIGKILL must not hit lines that are not in the files yet.
        until("both are in files", || {
            let log = fs::read_to_string(world.state().join("logs/m.log")).unwrap_or_default();
            let records = fs::read_dir(world.state().join("crashes")).unwrap().count();
            (log.contains(&expected[last]) && records == expected.len()).then_some(())
        });
        assert_eq!(world.end_host(end).signal.is_some(), end == Signal::SIGKILL);
        world.wait_until_empty();
    }
    fs::remove_dir_all(world.path("modules/m")).unwrap();
    let mut client = world.start().client();
    let all: Vec<(u64, bool)> = (1..=3).map(|number| (number, true)).collect();
    assert_eq!(crashes(&mut client, json!({ "name": "m" })), all);
    assert_eq!(crashes(&mut client, Value::Null), all);
    assert_eq!(crashes(&mut client, json!({ "name": "m", "limit": 1 })), all[2..]);
    assert_eq!(crashes(&mut client, json!({ "name": "good" })), []);
    assert_eq!(lines(&mut client, "m").len(), 3);
    let (shown, _) = out(&world.bulkhead(&["crashes", "m"]));
    assert_eq!(shown.matches("earlier daemon").count(), 3, "{shown}");
    let (_, said) = out(&world.bulkhead(&["crashes", "--limit", "2"]));
    assert!(said.contains("1 older record is not shown"), "{said}");
    let (shown, said) = out(&world.bulkhead(&["logs", "m"]));
    assert!(shown.contains("line 2") && said.contains("lines above are of an earlier daemon"), "{shown}{said}");
    // It will print no more lines.
    let followed = world.bulkhead(&["logs", "m", "-f"]);
    assert_eq!(followed.status.code(), Some(4));
    assert!(out(&followed).0.contains("line 2") && out(&followed).1.contains("was removed"), "{followed:?}");
    for (command, name) in [("crashes", "missing"), ("logs", "missing"), ("logs", "../lock"), ("crashes", "a/b")] {
        let failure = client.call("supervisor", command, json!({ "name": name })).unwrap_err();
        assert_eq!(failure.code, ErrorCode::UnknownModule, "{name}");
    }
    world.stop();
}

#[test]
fn of_ten_thousand_records_the_newest_are_shown_and_of_many_lines_no_more_than_are_wanted() {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    for folder in ["crashes", "logs"] {
        fs::create_dir_all(world.state().join(folder)).unwrap();
    }
    for number in 1..=10_000 {
        let name = format!("m{}-20261130T010203.004Z-{number:012}.json", number % 100);
        let record = json!({ "module": "m", "time": "t", "reason": format!("of number {number}") });
        fs::write(world.state().join("crashes").join(name), record.to_string()).unwrap();
    }
    let log: String = (0..20_000).map(|number| format!("2026-11-30T01:02:03.000004Z stdout line {number}\n")).collect();
    fs::write(world.state().join("logs/good.log"), log).unwrap();
    let mut client = world.start().client();
    let all: Vec<(u64, bool)> = (9801..=10_000).map(|number| (number, true)).collect();
    assert_eq!(crashes(&mut client, Value::Null), all);
    assert_eq!(client.supervisor("crashes", Value::Null)["older"], 9800);
    let of_seven = client.supervisor("crashes", json!({ "name": "m7" }));
    assert_eq!((of_seven["crashes"].as_array().unwrap().len(), &of_seven["older"]), (100, &json!(0)));
    assert_eq!(crashes(&mut client, json!({ "limit": 1000 })).len(), 1000);
    let reported = lines(&mut client, "good");
    // The rest is its own output.
    assert!((990..=1000).contains(&reported.len()), "{}", reported.len());
    assert_eq!(reported.last(), Some(&("line 19999".to_owned(), true)));
    for (command, args) in [("crashes", json!({ "limit": 1001 })), ("logs", json!({ "name": "good", "lines": 10_001 }))]
    {
        let failure = client.call("supervisor", command, args).unwrap_err();
        assert!(failure.code == ErrorCode::BadRequest && failure.error.contains("state directory"), "{failure:?}");
    }
    world.stop();
}

#[test]
fn who_begins_to_follow_a_busy_log_is_shown_what_was_and_what_comes_each_line_once() {
    let mut world = World::new();
    // Memory has room for few lines, and a file is full soon.
    world.host_file("[logs]\ntail = \"4KiB\"\nfile_bytes_max = \"4KiB\"\nline_bytes_max = \"1KiB\"\nfiles = 100");
    world.module("m", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("m");
    for number in 0..300 {
        print(&mut client, &format!("line {number}"));
    }
    let mut followers = Vec::new();
    for number in 300..700 {
        print(&mut client, &format!("line {number}"));
        if number % 50 == 0 {
            let mut follower = world.client();
            let args = json!({ "name": "m", "lines": 5000, "follow": true });
            let id = follower.send_command("supervisor", "logs", args);
            followers.push((follower, id));
        }
    }
    for (mut follower, id) in followers {
        let mut next = 0;
        while next < 700 {
            let line = follower.progress(id);
            let Some(number) = line["line"].as_str().and_then(|line| line.strip_prefix("line ")) else { continue };
            assert_eq!(number.parse::<u64>().unwrap(), next);
            next += 1;
        }
    }
    world.stop();
}

/// Runs the command with a terminal as its standard error, and returns what was printed there; `None` without python3.
fn at_a_terminal(world: &World, words: &[&str]) -> Option<String> {
    const TERMINAL: &str = r#"
import os, pty, subprocess, sys
ours, theirs = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
os.close(theirs)
text = b""
while True:
    try:
        piece = os.read(ours, 65536)
    except OSError:
        break
    if not piece:
        break
    text += piece
child.wait()
sys.stdout.buffer.write(text)
"#;
    let command = world.command(words);
    let mut python = Command::new("python3");
    python.args(["-c", TERMINAL]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        python.env(name, value.unwrap_or_default());
    }
    python.current_dir(command.get_current_dir()?);
    let output = python.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_wait_at_a_terminal_for_a_module_in_a_crash_loop_says_why_and_one_of_a_program_does_not() {
    let mut world = World::new();
    let manifest = "version = \"1\"\ncommand = [\"/bin/sh\", \"-c\", \"echo out of ink; exit 3\"]";
    world.manifest("looping", &format!("name = \"looping\"\n{manifest}"));
    world.start();
    for words in [
        &["call", "looping", "x", "--timeout", "2500ms"][..],
        &["query", "looping", "{}", "--timeout", "2500ms"],
        &["wait", "looping", "--for", "ready", "--timeout", "2500ms"],
    ] {
        let quiet = world.bulkhead(words);
        assert_eq!(quiet.status.code(), Some(124), "{quiet:?}");
        let (shown, said) = out(&quiet);
        assert!(shown.is_empty() && !said.contains("waiting for looping"), "{said}");
        assert!(said.contains("| out of ink") && said.contains("`bulkhead logs looping`"), "{said}");
        let Some(said) = at_a_terminal(&world, words) else {
            eprintln!("skipped: what is printed at a terminal, because python3 cannot be run");
            continue;
        };
        assert!(said.contains("bulkhead: waiting for looping: it is "), "{words:?}: {said}");
        assert!(said.contains("exit code 3"), "{words:?}: {said}");
    }
    let Some(piped) = at_a_terminal(&world, &["wait", "looping", "--for", "ready", "--timeout", "2500ms", "--json"])
    else {
        return;
    };
    assert!(!piped.contains("waiting for"), "{piped}");
    for words in [&["start", "looping"][..], &["restart", "looping"]] {
        let began = Instant::now();
        let (_, said) = out(&world.bulkhead(words));
        assert!(began.elapsed() < Duration::from_secs(20));
        assert!(said.contains("looping did not become ready") && !said.contains("looping: looping"), "{said}");
        assert!(said.contains("| out of ink") && said.contains("`bulkhead logs looping`"), "{said}");
    }
    world.stop();
}
