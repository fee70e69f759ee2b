//! What modules print, and the daemon's own log: that it holds nothing up, that the last lines of a process are kept,
//! and that no text can be mistaken for another's.

use bulkhead_tests::{Caller, World, until};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl, open},
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use serde_json::{Value, json};
use std::{fs, io::Read, os::unix::fs::PermissionsExt};

/// A module that is a script in the shell: it prints what it should and ends, before it is ready.
fn script(world: &World, name: &str, text: &str) {
    let manifest = "version = \"1\"\ncommand = [\"./run\"]\n[restart]\npolicy = \"never\"";
    world.manifest(name, &format!("name = \"{name}\"\n{manifest}"));
    let path = world.path("modules").join(name).join("run");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The last lines of standard error in the record of a module's crash.
fn last_lines(client: &mut Caller, name: &str) -> Vec<String> {
    let record = until("a crash is on record", || {
        let crashes = client.supervisor("crashes", json!({ "name": name }));
        crashes["crashes"].as_array().unwrap().last().cloned()
    });
    record["stderr"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_record_of_a_crash_has_the_last_lines_however_they_came() {
    let mut world = World::new();
    let printed = [
        ("plain", "echo FATAL >&2; exit 3"),
        ("unfinished", "printf FATAL >&2; exit 3"),
        (
            "bar",
            "i=0; while [ $i -lt 3000 ]; do printf '\\rworking %d' $i >&2; i=$((i+1)); done; echo ' FATAL' >&2; exit 3",
        ),
        ("returned", "printf 'FATAL\\r' >&2; exit 3"),
        ("long", "head -c 20000 /dev/zero | tr '\\0' x >&2; echo FATAL >&2; exit 3"),
        ("flood", "yes line | head -n 100000 >&2; echo FATAL >&2; exit 3"),
        ("reopened", "echo FATAL > /dev/stderr; exit 3"),
        ("inherited", "sleep 5 & echo FATAL >&2; exit 3"),
        ("killed", "printf FATAL >&2; kill -9 $$"),
    ];
    for (name, text) in printed {
        script(&world, name, text);
    }
    let mut client = world.start().client();
    for (name, _) in printed {
        let words = last_lines(&mut client, name);
        assert!(words.last().is_some_and(|line| line.ends_with("FATAL")), "{name}: {words:?}");
    }
    let of_flood = fs::read_to_string(world.state().join("logs/flood.log")).unwrap_or_default();
    assert!(of_flood.lines().count() < 50_000, "a flood is bounded");
    world.stop();
}

#[test]
fn a_follower_of_a_log_sees_each_line_once_and_in_order() {
    let mut world = World::new();
    world.module("m", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("m");
    let print = |client: &mut Caller, text: String| {
        client.call("m", "print", json!({ "line": text, "stream": "stderr" })).unwrap();
    };
    let mut followers: Vec<(Caller, u64, u64)> = Vec::new();
    for n in 0..50_u64 {
        print(&mut client, format!("line {n}"));
        if n % 10 == 5 {
            let mut follower = world.client();
            let args = json!({ "name": "m", "lines": 0, "follow": true });
            // Where it begins is certain once it has got a line.
            let id = follower.send_command("supervisor", "logs", args);
            followers.push((follower, id, n));
        }
    }
    for (follower, id, began) in &mut followers {
        let mut next = None;
        while next != Some(50) {
            let line = follower.progress(*id);
            // Its output has other lines too.
            let Some(number) = line["line"].as_str().and_then(|line| line.strip_prefix("line ")) else { continue };
            let number: u64 = number.parse().unwrap();
            assert_eq!(number, next.unwrap_or(number), "of one that began at {began}");
            next = Some(number + 1);
        }
    }
    world.stop();
}

#[test]
fn a_reader_of_its_log_that_stands_still_holds_up_neither_calls_nor_its_end() {
    let world = World::new();
    let path = world.path("stderr");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    // Opened in both directions, so that it has a reader that reads nothing.
    let reader = open(&path, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut world = world.through(&format!("exec \"$@\" 2> {}", path.display()));
    world.module("good", "test-minimal", "").start();
    let mut client = world.client();
    for _ in 0..60 {
        client.supervisor("restart", json!({ "name": "good" }));
        client.call("good", "ping", json!({})).unwrap();
    }
    // Its guardian shares the standard error.
    let guardian = client.guardian_pid();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(guardian.try_into().unwrap()), Signal::SIGKILL).unwrap();
    until("the module is back under another guardian", || {
        let answer = client.call_within(2000, "good", "ping", json!({}));
        answer.is_ok().then_some(())
    });
    assert_eq!(client.supervisor("status", Value::Null)["modules"][0]["name"], "good");
    let ended = world.end_host(Signal::SIGTERM);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut held = vec![0; 4096];
    let count = fs::File::from(reader).read(&mut held).unwrap();
    let text = String::from_utf8_lossy(&held[..count]).into_owned();
    assert!(text.lines().next().is_some_and(|line| line.contains("control socket")), "{text}");
}

#[test]
fn what_a_module_says_forges_no_line_of_the_daemons_log_and_steers_no_terminal() {
    let found = std::process::Command::new("python3").args(["-c", "import json, socket, struct"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: text that deceives, because python3 cannot be run");
        return;
    }
    const LIAR: &str = r#"
import json, os, socket, struct
channel = socket.socket(fileno=int(os.environ["BULKHEAD_FD"])).makefile("rwb")
(length,) = struct.unpack(">I", channel.read(4))
id = json.loads(channel.read(length))["id"]
lie = "no\n2026-01-01T00:00:00.000000Z ERROR forged\r\x1b[31mred\u202egnp\u2028\u0085\u200f"
body = json.dumps({"id": id, "status": "error", "code": "module_error", "error": lie}).encode()
channel.write(struct.pack(">I", len(body)) + body)
channel.flush()
os._exit(1)
"#;
    let mut world = World::new();
    let rest = "command = [\"python3\", \"liar.py\"]\ninherit_env = [\"PYENV_ROOT\", \"PYENV_VERSION\"]\n[restart]\npolicy = \"never\"";
    world.manifest("liar", &format!("name = \"liar\"\nversion = \"1\"\n{rest}"));
    fs::write(world.path("modules/liar/liar.py"), LIAR).unwrap();
    let mut client = world.start().client();
    client.until_status("liar", "it has failed", |status| {
        status["last_exit"].is_object() || status["state"] == "stopped"
    });
    let exact = client.supervisor("crashes", json!({ "name": "liar" }));
    assert!(exact.to_string().contains("\\n2026-01-01"), "JSON is exact: {exact}");
    let deceptive = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2028}\u{200f}".contains(c));
    for words in [&["status", "liar"][..], &["crashes"], &["logs", "liar"], &["start", "liar"]] {
        let output = world.bulkhead(words);
        for text in [output.stdout, output.stderr] {
            let text = String::from_utf8(text).unwrap();
            assert!(!text.contains(deceptive) && !text.contains("\n2026-01-01"), "{words:?}: {text:?}");
        }
    }
    let ended = world.end_host(Signal::SIGTERM);
    assert!(ended.stderr.contains("forged") && !ended.stderr.contains(deceptive), "{ended:?}");
    assert!(!ended.stderr.contains("\n2026-01-01"), "{ended:?}");
}

#[test]
fn log_files_that_vanish_or_cannot_be_written_are_made_again_and_reported_once() {
    let mut world = World::new();
    world.module("m", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("m");
    let logs = world.state().join("logs");
    let print = |client: &mut Caller, text: &str| {
        client.call("m", "print", json!({ "line": text, "stream": "stderr" })).unwrap();
    };
    let has = |text: &str| {
        until("a line is in the file", || {
            fs::read_to_string(logs.join("m.log")).is_ok_and(|file| file.contains(text)).then_some(())
        });
    };
    print(&mut client, "first");
    has("first");
    fs::remove_dir_all(&logs).unwrap();
    print(&mut client, "second");
    has("second");
    fs::remove_dir_all(&logs).unwrap();
    fs::write(&logs, "in the way").unwrap();
    for n in 0..20 {
        print(&mut client, &format!("lost {n}"));
        // Each is a try of its own, since lines are written after a tenth of a second.
        std::thread::sleep(std::time::Duration::from_millis(15));
    }
    fs::remove_file(&logs).unwrap();
    until("a line is in the file again", || {
        print(&mut client, "third");
        fs::read_to_string(logs.join("m.log")).is_ok_and(|file| file.contains("third")).then_some(())
    });
    let ended = world.end_host(Signal::SIGTERM);
    assert_eq!(ended.stderr.matches("cannot write").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("is written again"), "{}", ended.stderr);
}

#[test]
fn a_line_of_a_module_is_one_line_of_its_file_whatever_is_in_it() {
    let mut world = World::new();
    world.module("m", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("m");
    let odd = "a\u{2028}2026-11-30T00:00:00.000Z host   [forged]\u{85}b\u{1b}[31m\u{202e}c\u{b}\u{1c}end";
    client.call("m", "print", json!({ "line": odd, "stream": "stderr" })).unwrap();
    let file = until("the line is in the file", || {
        fs::read_to_string(world.state().join("logs/m.log")).ok().filter(|file| file.contains("end"))
    });
    let line = file.lines().find(|line| line.ends_with("end")).unwrap();
    let expected = r"a\u{2028}2026-11-30T00:00:00.000Z host   [forged]\u{85}b\u{1b}[31m\u{202e}c\u{b}\u{1c}end";
    assert_eq!(line.split_once(" stderr ").unwrap().1, expected);
    // Output for programs is exact.
    let output = world.bulkhead(&["logs", "m", "--json"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let lines = shown.split_terminator('\n').map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_exact = |line: Value| line.as_object().unwrap().values().any(|value| value == odd);
    assert!(lines.into_iter().any(is_exact), "{shown}");
    world.stop();
}

#[test]
fn a_log_file_that_is_a_link_is_not_followed() {
    let mut world = World::new();
    let victim = world.path("victim");
    fs::write(&victim, "as it was").unwrap();
    fs::create_dir_all(world.state().join("logs")).unwrap();
    fs::set_permissions(world.state(), fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&victim, world.state().join("logs/good.log")).unwrap();
    world.module("good", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("good");
    client.call("good", "print", json!({ "line": "x", "stream": "stderr" })).unwrap();
    until("the status tells of it", || {
        let status = client.supervisor("status", Value::Null);
        status["host"]["problems"].to_string().contains("good.log: it is a link").then_some(())
    });
    let ended = world.end_host(Signal::SIGTERM);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
    assert!(ended.stderr.contains("cannot write"), "{ended:?}");
}

#[test]
fn a_daemon_without_standard_streams_runs_and_writes_its_log_nowhere_else() {
    let mut world = World::new().through("exec \"$@\" 0<&- 1>&- 2>&-");
    world.module("good", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("good");
    client.call("good", "print", json!({ "line": "mine", "stream": "stderr" })).unwrap();
    client.until_status("good", "its line is there", |status| status["log_tail"].to_string().contains("mine"));
    assert_eq!(world.end_host(Signal::SIGTERM).code, Some(0));
}
