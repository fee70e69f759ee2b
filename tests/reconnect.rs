//! `bulkhead pipe` while the daemon is killed or stopped in the middle and started again: each line has one line of
//! output, in order, and the data store has the effect of each line once.

use bulkhead_tests::{Caller, Done, RESEARCH_LOG, World, hear_signals, kill};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};

const LOG: &str = "research-log";

fn log_book() -> World {
    let mut world = World::new();
    world.module(LOG, LOG, RESEARCH_LOG).start();
    let mut client = world.client();
    client.wait_ready(LOG);
    client.call(LOG, "create_log", json!({ "title": "One" })).unwrap();
    world
}

/// How often each text is stored.
fn stored(world: &World) -> BTreeMap<String, u64> {
    let mut client: Caller = world.client();
    client.wait_ready(LOG);
    let mut stored = BTreeMap::new();
    let mut after = Value::Null;
    loop {
        let page = client.call(LOG, "query_logs", json!({ "limit": 5000, "after": after })).unwrap();
        for entry in page["entries"].as_array().unwrap() {
            *stored.entry(entry["text"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        after = page["next"].clone();
        if after.is_null() {
            return stored;
        }
    }
}

fn line(number: usize) -> String {
    format!("{{\"text\":\"entry {number}\",\"references\":[\"row-{number}\"]}}\n")
}

/// Lines of input that a pipe gets at once.
const PART: usize = 300;

/// Lines of the whole input.
const LINES: usize = 3 * PART;

/// A pipe whose input comes in parts; its output is read line by line.
struct Pipe {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Writes the next part.
    next: Sender<()>,
    feeding: JoinHandle<()>,
    errors: JoinHandle<String>,
}

impl Pipe {
    fn start(world: &World, options: &[&str], input: Vec<String>) -> Pipe {
        let words = [&["pipe", LOG, "--command", "add_entry"], options].concat();
        let mut command = world.command(&words);
        hear_signals(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut stdin, mut stderr) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
        let out = BufReader::new(child.stdout.take().unwrap());
        let (next, parts) = channel();
        let feeding = spawn(move || {
            for part in input.chunks(PART) {
                // A pipe that ends with an error closes its input.
                if parts.recv().is_err() || stdin.write_all(part.concat().as_bytes()).is_err() {
                    return;
                }
            }
        });
        let errors = spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Pipe { child, out, next, feeding, errors }
    }

    /// Writes the next part.
    fn feed(&self) {
        let _ = self.next.send(());
    }

    /// The next lines of the output, which must come.
    fn lines(&mut self, count: usize, found: &mut String) {
        for _ in 0..count {
            assert!(self.out.read_line(found).unwrap() > 0, "the pipe ended early: {found}");
        }
    }

    /// Writes the rest, and waits for the end.
    fn done(mut self, mut found: String) -> Done {
        (0..10).for_each(|_| self.feed());
        self.out.read_to_string(&mut found).unwrap();
        self.feeding.join().unwrap();
        let code = self.child.wait().unwrap().code();
        Done { code, out: found, err: self.errors.join().unwrap() }
    }
}

/// Checks that there is one line of output for each line, and returns the failures with their lines.
fn failures(done: &Done) -> BTreeMap<usize, Value> {
    assert_eq!(done.out.lines().count(), LINES, "{}", done.err);
    let mut failures = BTreeMap::new();
    for (answer, number) in done.out.lines().zip(1..) {
        let answer: Value = serde_json::from_str(answer).unwrap();
        if answer["status"] == "error" {
            assert_eq!(answer["line"], number, "{answer}");
            failures.insert(number, answer);
        } else {
            assert!(answer["id"].is_string(), "{answer}");
        }
    }
    failures
}

fn every_line_once() -> BTreeMap<String, u64> {
    (1..=LINES).map(|number| (format!("entry {number}"), 1)).collect()
}

/// Starts a pipe that has all answers to its first part, and has the next part in flight.
fn in_the_middle(world: &World, options: &[&str]) -> (Pipe, String) {
    let mut pipe = Pipe::start(world, options, (1..=LINES).map(line).collect());
    let mut found = String::new();
    pipe.feed();
    pipe.lines(PART, &mut found);
    begin_part(world, &pipe);
    (pipe, found)
}

/// Writes the next part. The module gets lines of it and answers none.
fn begin_part(world: &World, pipe: &Pipe) {
    let mut client = world.client();
    kill(client.pid(LOG), Signal::SIGSTOP);
    pipe.feed();
    client.until_status(LOG, "it has lines", |status| status["in_flight"].as_u64() >= Some(10));
}

/// Kills the daemon twice in the middle of a pipe, and starts it again.
fn killed_twice(options: &[&str]) -> (World, Done) {
    let mut world = log_book();
    let (mut pipe, mut found) = in_the_middle(&world, options);
    world.end_host(Signal::SIGKILL);
    world.start();
    pipe.lines(PART, &mut found);
    begin_part(&world, &pipe);
    world.end_host(Signal::SIGKILL);
    world.start();
    let done = pipe.done(found);
    (world, done)
}

#[test]
fn lines_with_keys_are_there_once_though_the_daemon_is_killed() {
    let (mut world, done) = killed_twice(&["--key-from", "/references/0", "--reconnect"]);
    assert_eq!((failures(&done), done.code), (BTreeMap::new(), Some(0)), "{}", done.err);
    assert_eq!(done.err.matches("waiting up to 1m00s for the daemon; ").count(), 2, "{}", done.err);
    assert_eq!(done.err.matches("the daemon answers again").count(), 2, "{}", done.err);
    assert_eq!(stored(&world), every_line_once());
    world.stop();
}

#[test]
fn lines_with_and_without_keys_are_there_once_though_the_daemon_is_stopped() {
    for options in [&["--reconnect"][..], &["--reconnect", "--key-prefix", "import"]] {
        let mut world = log_book();
        let mut pipe = Pipe::start(&world, options, (1..=LINES).map(line).collect());
        let mut found = String::new();
        pipe.feed();
        for _ in 1..LINES / PART {
            pipe.lines(PART / 2, &mut found);
            pipe.feed();
            let ended = world.end_host(Signal::SIGTERM);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            world.start();
            pipe.lines(PART / 2, &mut found);
        }
        let done = pipe.done(found);
        assert_eq!((failures(&done), done.code), (BTreeMap::new(), Some(0)), "{options:?}: {}", done.err);
        assert_eq!(stored(&world), every_line_once());
        world.stop();
    }
}

#[test]
fn of_lines_without_keys_those_that_a_killed_daemon_had_are_reported_as_unknown_and_the_rest_is_there_once() {
    let (mut world, done) = killed_twice(&["--reconnect"]);
    let failures = failures(&done);
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!((20..=128).contains(&failures.len()), "{} lines failed: those that were under way", failures.len());
    let stored = stored(&world);
    for number in 1..=LINES {
        let times = stored.get(&format!("entry {number}")).copied().unwrap_or(0);
        match failures.get(&number) {
            None => assert_eq!(times, 1, "line {number} was answered with success"),
            Some(failure) => {
                assert_eq!(failure["delivery"], "unknown", "{failure}");
                assert!(times <= 1, "line {number} is there {times} times");
            }
        }
    }
    assert!(done.err.contains(&format!("{} of {LINES} lines failed", failures.len())), "{}", done.err);
    world.stop();
}

#[test]
fn without_reconnect_the_end_of_the_daemon_is_the_end_and_a_second_run_completes_the_first() {
    let mut world = log_book();
    let options = ["--key-prefix", "import", "--key-from", "/references/0"];
    let (pipe, found) = in_the_middle(&world, &options);
    world.end_host(Signal::SIGKILL);
    let done = pipe.done(found);
    assert_eq!(done.code, Some(125), "{}", done.err);
    assert!(done.out.lines().count() < LINES, "what was not taken is not reported");
    world.start();
    // A line is inserted before all others, and one in their midst is removed.
    let mut changed: Vec<String> = (0..=LINES).map(line).collect();
    changed.remove(LINES - 7);
    let done = Pipe::start(&world, &options, changed).done(String::new());
    assert_eq!((failures(&done), done.code), (BTreeMap::new(), Some(0)), "{}", done.err);
    let mut expected = every_line_once();
    expected.insert("entry 0".into(), 1);
    expected.remove(&format!("entry {}", LINES - 7));
    assert_eq!(stored(&world), expected);
    world.stop();
}

#[test]
fn one_key_with_the_same_content_joins_and_with_another_is_a_conflict() {
    let mut world = log_book();
    let other = line(2).replace("row-2", "row-1");
    let done = Pipe::start(&world, &["--key-from", "/references/0"], vec![line(1), line(1), other]).done(String::new());
    let answers: Vec<&str> = done.out.lines().collect();
    assert_eq!(answers[0], answers[1], "one entry");
    assert!(answers[2].contains("\"code\":\"conflict\""), "{}", answers[2]);
    assert_eq!((answers.len(), done.code), (3, Some(1)), "{}", done.err);
    assert_eq!(stored(&world), BTreeMap::from([("entry 1".to_owned(), 1)]));
    world.stop();
}
