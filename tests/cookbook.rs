//! The scripts of `docs/cookbook.md`, taken from the page and run unchanged.

use bulkhead_tests::{Caller, Done, RESEARCH_LOG, World, hear_signals, kill, program, until};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const LOG: &str = "research-log";
const PAGE: &str = include_str!("../docs/cookbook.md");

/// Whether the programs that a script needs are here. A skipped test prints that.
fn are_here(programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| !Command::new("which").arg(program).output().unwrap().status.success();
    let missing = programs.iter().find(is_missing);
    if let Some(program) = missing {
        eprintln!("left out: {program} is not installed");
    }
    missing.is_none()
}

/// The scripts of the page: each block of shell whose second line is `# NAME…: what it does`.
fn scripts() -> Vec<(&'static str, &'static str)> {
    let blocks = PAGE.split("\n```sh\n").skip(1).map(|block| block.split_once("\n```").expect("the block ends").0);
    blocks
        .map(|text| {
            let about = text.strip_prefix("#!/bin/bash\n# ").unwrap_or_else(|| panic!("no name in:\n{text}"));
            (about.split([' ', ':']).next().unwrap(), text)
        })
        .collect()
}

/// A host with the research log and a log in it, and the scripts of the page in the folder `bin`.
fn kitchen() -> World {
    let mut world = World::new();
    world.module("bad", "misbehave", "").module(LOG, LOG, RESEARCH_LOG).start();
    let mut client = world.client();
    client.wait_ready(LOG);
    client.call(LOG, "create_log", json!({ "title": "One" })).unwrap();
    fs::create_dir(world.path("bin")).unwrap();
    for (name, text) in scripts() {
        fs::write(world.path("bin").join(name), format!("{text}\n")).unwrap();
    }
    world
}

/// A script as cron starts it, with next to no environment. `$TO` is a program that adds its last argument as a line
/// to the file `reported`.
fn script(world: &World, name: &str, args: &[&str]) -> Command {
    let recorder = world.path("bin/report");
    fs::write(&recorder, "for last; do :; done\nprintf '%s\\n' \"$last\" >> reported\n").unwrap();
    let bulkhead = program("bulkhead");
    let path = format!("{}:{}", bulkhead.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.arg(world.path("bin").join(name)).args(args).current_dir(world.path("")).env_clear();
    command.env("PATH", path).env("BULKHEAD_SOCKET", world.socket()).env("REPORTS", world.path("reports"));
    for name in ["ALERT", "ACTION"] {
        command.env(name, format!("sh {}", recorder.display()));
    }
    // Variables that the shims of a version manager need.
    command.envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
    hear_signals(&mut command);
    command
}

fn run(world: &World, name: &str, args: &[&str]) -> Done {
    script(world, name, args).stdin(Stdio::null()).output().unwrap().into()
}

/// A script that keeps running, and all that it started; they end with it.
struct Script(Child);

impl Script {
    fn start(world: &World, name: &str, args: &[&str]) -> Script {
        Script::of(world, script(world, name, args))
    }

    fn of(world: &World, mut command: Command) -> Script {
        let errors = fs::File::options().append(true).create(true).open(world.path("errors")).unwrap();
        Script(command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap())
    }

    fn done(mut self) -> Option<i32> {
        until("the end of the script", || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.0.wait();
        until("the end of what the script started", || killpg(group, Signal::SIGKILL).is_err().then_some(()));
    }
}

/// The texts of the entries, sorted.
fn entries(client: &mut Caller) -> Vec<String> {
    let page = client.call(LOG, "query_logs", json!({ "limit": 10_000 })).unwrap();
    assert_eq!(page["next"], Value::Null);
    let text = |entry: &Value| entry["text"].as_str().unwrap().to_owned();
    let mut texts: Vec<String> = page["entries"].as_array().unwrap().iter().map(text).collect();
    texts.sort();
    texts
}

fn wait_for_entries(world: &World, count: usize) -> Vec<String> {
    let mut client = world.client();
    client.wait_ready(LOG);
    until("the entries", || Some(entries(&mut client)).filter(|found| found.len() >= count))
}

fn append(path: &Path, text: &str) {
    fs::File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn lines(path: PathBuf) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn wait_for_lines(world: &World, file: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    until(file, || Some(lines(world.path(file))).filter(|lines| wanted(lines)))
}

fn texts(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    let mut texts: Vec<String> = numbers.map(|number| format!("note {number}")).collect();
    texts.sort();
    texts
}

#[test]
fn every_script_of_the_page_is_tried_here() {
    let names: Vec<&str> = scripts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["nightly-report", "import-csv", "follow-log", "alert", "on-entry"]);
}

#[test]
fn a_report_is_written_and_noted_once_however_often_cron_runs_it() {
    if !are_here(&["jq"]) {
        return;
    }
    let mut world = kitchen();
    fs::create_dir(world.path("reports")).unwrap();
    let mut client = world.client();
    let entry = json!({ "text": "the pump hums", "time": "2026-03-01T12:00:00Z" });
    client.call(LOG, "add_entry", entry).unwrap();
    let of_the_next_day = json!({ "text": "the pump is quiet", "time": "2026-03-02T00:00:00Z" });
    client.call(LOG, "add_entry", of_the_next_day).unwrap();
    for _ in 0..2 {
        let done = run(&world, "nightly-report", &["2026-03-01"]);
        assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (Some(0), "", ""));
    }
    let report = fs::read_to_string(world.path("reports/2026-03-01.md")).unwrap();
    assert!(report.contains("the pump hums") && !report.contains("quiet"), "{report}");
    assert_eq!(fs::read_dir(world.path("reports")).unwrap().count(), 1);
    assert_eq!(entries(&mut client), ["report of 2026-03-01 written", "the pump hums", "the pump is quiet"]);
    world.stop();
}

#[test]
fn without_a_day_the_report_is_that_of_the_last_day_that_is_over() {
    if !are_here(&["jq"]) {
        return;
    }
    let mut world = kitchen();
    fs::create_dir(world.path("reports")).unwrap();
    let yesterday = || {
        let date = Command::new("date").args(["-u", "-d", "yesterday", "+%F"]).output().unwrap();
        String::from_utf8(date.stdout).unwrap().trim().to_owned()
    };
    let before = yesterday();
    let done = run(&world, "nightly-report", &[]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (Some(0), "", ""));
    // Midnight may have passed meanwhile.
    let is_there = |day: String| world.path(&format!("reports/{day}.md")).exists();
    assert!(is_there(before) || is_there(yesterday()));
    world.stop();
}

#[test]
fn the_import_of_the_readme_works_as_it_is_typed() {
    if !are_here(&["git"]) {
        return;
    }
    let mut world = kitchen();
    let readme = include_str!("../README.md");
    let (_, import) = readme.split_once("\ngit log ").expect("the import is there");
    let import = format!("set -eo pipefail\ngit log {}\n", import.split_once("\n\n").unwrap().0);
    fs::write(world.path("bin/import"), import).unwrap();
    let history = "set -e; git init -q .; for n in 1 2 3; do git -c user.name=a -c user.email=a@b commit -q \
                   --allow-empty -m \"It's \\\"commit\\\" $n\"; done";
    let made = Command::new("bash").arg("-c").arg(history).current_dir(world.path("")).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    for _ in 0..2 {
        let done = run(&world, "import", &[]);
        assert_eq!((done.code, done.out.lines().count(), done.err.as_str()), (Some(0), 1, ""), "{done:?}");
    }
    assert_eq!(entries(&mut world.client()), ["It-s-commit-1", "It-s-commit-2", "It-s-commit-3"]);
    world.stop();
}

fn table(rows: usize) -> String {
    let row = |number| format!("{number},2026-03-01T12:00:00Z,ada,note {number}\r\n");
    "\u{feff}id,time,who,note\r\n".to_owned() + &(1..=rows).map(row).collect::<String>()
}

#[test]
fn an_import_names_the_row_that_is_wrong_and_completes_once_it_is_mended() {
    if !are_here(&["jq", "python3"]) {
        return;
    }
    let mut world = kitchen();
    let good = table(200);
    fs::write(world.path("t.csv"), good.replace("\n70,2026-03-01T12:00:00Z", "\n70,yesterday")).unwrap();
    let done = run(&world, "import-csv", &["t.csv"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.contains("1 of 200 lines failed, first line 70") && done.err.contains("mend"), "{done:?}");
    let failed = lines(world.path("t.csv.failed"));
    assert!(failed.len() == 1 && failed[0].contains("yesterday") && failed[0].contains("\"line\":70"), "{failed:?}");
    assert_eq!(entries(&mut world.client()).len(), 199);

    // The row is mended, another one is inserted before it, and a text has a line end and quotes.
    let more = "201,2026-03-01T12:00:00Z,ada,note 201\r\n";
    let text = good.replacen("\r\n", &format!("\r\n{more}202,2026-03-01T12:00:00Z,ada,\"two\n\"\"lines\"\"\"\r\n"), 1);
    fs::write(world.path("t.csv"), text).unwrap();
    let done = run(&world, "import-csv", &["t.csv"]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    let mut expected = texts(1..=201);
    expected.push("two\n\"lines\"".into());
    assert_eq!(entries(&mut world.client()), expected);
    assert!(!world.path("t.csv.failed").exists());
    world.stop();
}

#[test]
fn a_file_that_cannot_be_converted_is_named_and_nothing_of_it_is_sent() {
    if !are_here(&["jq", "python3"]) {
        return;
    }
    let mut world = kitchen();
    fs::write(world.path("t.csv"), table(3).replacen("who,note", "who,remark", 1)).unwrap();
    let done = run(&world, "import-csv", &["t.csv"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.contains("KeyError: 'note'"), "{done:?}");
    assert!(done.err.contains("t.csv cannot be converted, see above; nothing was sent"), "{done:?}");
    assert!(!done.err.contains("mend them") && !world.path("t.csv.failed").exists(), "{done:?}");
    assert_eq!(entries(&mut world.client()), [""; 0]);
    world.stop();
}

#[test]
fn an_import_goes_on_after_the_daemon_was_killed() {
    if !are_here(&["jq", "python3"]) {
        return;
    }
    let mut world = kitchen();
    fs::write(world.path("t.csv"), table(300)).unwrap();
    let mut client = world.client();
    // The module gets the first rows and answers none.
    kill(client.pid(LOG), Signal::SIGSTOP);
    let import = Script::start(&world, "import-csv", &["t.csv"]);
    client.until_status(LOG, "it has rows", |status| status["in_flight"].as_u64() >= Some(10));
    world.end_host(Signal::SIGKILL);
    world.start();
    assert_eq!(import.done(), Some(0), "{:?}", lines(world.path("errors")));
    assert!(lines(world.path("errors")).iter().any(|line| line.contains("lines will be sent again")));
    assert_eq!(wait_for_entries(&world, 300), texts(1..=300));
    world.stop();
}

#[test]
fn a_log_file_is_followed_over_rotations_and_restarts_of_either_side() {
    if !are_here(&["jq", "python3", "tail"]) {
        return;
    }
    let mut world = kitchen();
    let file = world.path("app.log");
    append(&file, "note 1\nnote 2\n");
    let follower = Script::start(&world, "follow-log", &["app.log"]);
    wait_for_entries(&world, 2);
    append(&file, "note 3\n\nnote 4\n");
    wait_for_entries(&world, 4);

    // The daemon is killed; what is written meanwhile waits in the file.
    world.end_host(Signal::SIGKILL);
    append(&file, "note 5\n");
    world.start();
    wait_for_entries(&world, 5);

    // The file is rotated.
    fs::rename(&file, world.path("app.log.1")).unwrap();
    append(&file, "note 6\n");
    wait_for_entries(&world, 6);

    // The script is killed; meanwhile both files grow.
    drop(follower);
    append(&world.path("app.log.1"), "note 7\n");
    append(&file, "note 8\n");
    let follower = Script::start(&world, "follow-log", &["app.log"]);
    assert_eq!(wait_for_entries(&world, 8), texts(1..=8));
    append(&file, "note 9\n");
    assert_eq!(wait_for_entries(&world, 9), texts(1..=9));
    drop(follower);
    world.stop();
}

#[test]
fn a_line_of_a_log_file_that_is_refused_is_reported_and_those_after_it_go_on() {
    if !are_here(&["jq", "python3", "tail"]) {
        return;
    }
    let mut world = kitchen();
    let long = "x".repeat(64 * 1024 + 1);
    append(&world.path("app.log"), &format!("note 1\n{long}\nnote 2\n"));
    let follower = Script::start(&world, "follow-log", &["app.log"]);
    assert_eq!(wait_for_entries(&world, 2), texts(1..=2));
    let refused =
        |line: &String| line.starts_with("{\"status\":\"error\"") && line.contains("expected a text of at most");
    let reported = wait_for_lines(&world, "errors", |lines| lines.iter().any(refused));
    assert!(reported.iter().any(|line| refused(line) && line.contains("\"line\":2")), "{reported:?}");
    drop(follower);
    world.stop();
}

#[test]
fn a_crash_is_reported_also_after_a_restart_of_the_daemon() {
    if !are_here(&["jq"]) {
        return;
    }
    let mut world = kitchen();
    let alert = Script::start(&world, "alert", &[]);
    for round in 1..=2 {
        let following =
            |lines: &[String]| lines.iter().filter(|line| line.contains("following events")).count() == round;
        wait_for_lines(&world, "errors", following);
        let mut client = world.client();
        client.wait_ready("bad");
        kill(client.pid("bad"), Signal::SIGKILL);
        let reported = wait_for_lines(&world, "reported", |lines| lines.len() >= round);
        assert!(
            reported[round - 1].starts_with("bad: module.crashed, ") && reported[round - 1].contains("SIGKILL"),
            "{reported:?}"
        );
        world.end_host(Signal::SIGKILL);
        world.start();
    }
    drop(alert);
    world.stop();
}

#[test]
fn each_entry_is_acted_upon_also_those_that_came_while_the_script_did_not_run() {
    if !are_here(&["jq"]) {
        return;
    }
    let mut world = kitchen();
    let start = |world: &World| {
        let mut command = script(world, "on-entry", &[]);
        command.env("PLACE", world.path("place"));
        Script::of(world, command)
    };
    let add = |client: &mut Caller, text: &str| client.call(LOG, "add_entry", json!({ "text": text })).unwrap();
    let mut client = world.client();
    add(&mut client, "before");
    let on_entry = start(&world);
    wait_for_lines(&world, "errors", |lines| lines.iter().any(|line| line.contains("following events")));
    let first = add(&mut client, "first");
    wait_for_lines(&world, "reported", |lines| lines.len() == 1);
    until("the place is kept", || world.path("place").exists().then_some(()));
    drop(on_entry);
    let second = add(&mut client, "second");
    world.end_host(Signal::SIGTERM);
    world.start();
    let on_entry = start(&world);
    let reported = wait_for_lines(&world, "reported", |lines| lines.len() >= 2);
    let ids: Vec<Value> =
        reported.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, [first["id"].clone(), second["id"].clone()]);
    drop(on_entry);
    world.stop();
}
