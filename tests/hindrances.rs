//! How the command handles a daemon that is not there yet, modules that will never be ready, folders and guardians that
//! are gone, and readers that stand still: with a real daemon and real modules.

use bulkhead_client::{Client, ConnectError};
use bulkhead_tests::{Caller, Done, Host, World, kill, timeout, until};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, chown};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

fn run(world: &World, words: &[&str]) -> Done {
    world.bulkhead(words).into()
}

/// The running command.
fn begin(world: &World, words: &[&str]) -> Child {
    let mut command = world.command(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Done {
    child.wait_with_output().unwrap().into()
}

/// What a command prints, line by line.
fn lines_of(out: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

#[test]
fn a_wait_that_begins_before_the_daemon_ends_with_the_module() {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    let waiting = begin(&world, &["wait", "good", "--for", "ready", "--timeout", "60"]);
    world.start();
    let done = end(waiting);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "good: ready\n"), "{done:?}");
    world.stop();
    let gone = run(&world, &["wait", "good", "--for", "ready", "--timeout", "200ms"]);
    assert_eq!(gone.code, Some(125), "{gone:?}");
}

#[test]
fn a_wait_for_what_will_not_be_ready_ends_at_once_with_the_reason() {
    let mut world = World::new();
    world.module("broken", "misbehave", "env = { MISBEHAVE_AT_START = \"permanent_before_init\" }");
    world.module("needs", "test-minimal", "requires = [\"broken\"]");
    world.module("once", "misbehave", "[restart]\npolicy = \"never\"").start();
    let mut client = world.client();
    client.wait_ready("once");
    assert!(client.call("once", "exit", json!({ "code": 1 })).is_err());
    let begun = Instant::now();
    for (name, reason) in [
        ("broken", "broken did not become ready: "),
        ("needs", "needs did not become ready: it requires broken, which did not become ready: "),
        ("once", "once did not become ready: ended by itself (exit code 1"),
    ] {
        let done = run(&world, &["wait", name, "--for", "ready", "--timeout", "60"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.err.contains(reason) && done.err.contains("it is not tried again"), "{done:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "after {:?}", begun.elapsed());
    world.stop();
}

#[test]
fn the_log_of_a_module_that_a_reload_removes_ends_with_that_and_one_that_returns_goes_on() {
    let mut world = World::new();
    world.module("gone", "test-minimal", "").module("stays", "test-minimal", "").start();
    let mut client = world.client();
    client.wait_ready("gone");
    client.wait_ready("stays");
    let follow = |name: &str| begin(&world, &["logs", name, "-f"]);
    let (gone, stays) = (follow("gone"), follow("stays"));
    until("both follow", || (client.supervisor("status", Value::Null)["host"]["clients"] == 3).then_some(()));
    fs::remove_dir_all(world.path("modules/gone")).unwrap();
    world.host().signal(Signal::SIGHUP);
    let done = end(gone);
    assert_eq!(done.code, Some(4), "{done:?}");
    assert!(done.err.contains("gone was removed: it has no log any more"), "{done:?}");
    kill(i64::from(stays.id()), Signal::SIGTERM);
    assert_eq!(end(stays).code, None, "it was ended by the signal");
    world.stop();
}

#[test]
fn the_status_without_a_guardian_says_so_and_the_host_goes_on_with_another() {
    let mut world = World::new().as_nobody();
    if !Uid::effective().is_root() {
        // A copy of the programs, so that one of them can be removed.
        world = World::new();
        eprintln!("left out: without root the programs are not copied, and the guardian's cannot be taken away");
        world.start().stop();
        return;
    }
    world.module("good", "test-minimal", "").start();
    let mut client = world.client();
    client.wait_ready("good");
    let (program, hidden) = (world.path("bin/module-runtime"), world.path("bin/hidden"));
    fs::rename(&program, &hidden).unwrap();
    // The file instead of it cannot be run, and keeps the next command from copying the program again.
    fs::write(&program, "").unwrap();
    let guardian = client.supervisor("status", Value::Null)["host"]["guardian_pid"].as_i64().unwrap();
    kill(guardian, Signal::SIGKILL);
    until("the host has no guardian", || {
        client.supervisor("status", Value::Null)["host"]["guardian_pid"].is_null().then_some(())
    });
    let table = run(&world, &["status"]);
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.out.contains("\nguardian: not running, so no module can start: "), "{table:?}");
    let block = run(&world, &["status", "good"]);
    assert_eq!(block.code, Some(0), "{block:?}");
    assert!(block.out.contains("\n  guardian     not running, so no module can start: "), "{block:?}");
    let json = run(&world, &["status", "--json"]);
    assert_eq!(json.code, Some(0), "{json:?}");
    let module: Value = serde_json::from_str(&json.out).unwrap();
    assert!(module["containment"].is_null() && module["guardian_fault"].is_string(), "{module}");
    fs::rename(&hidden, &program).unwrap();
    client.wait_ready("good");
    assert!(!run(&world, &["status"]).out.contains("guardian:"));
    world.stop();
}

#[test]
fn a_folder_that_is_deleted_under_a_daemon_or_a_client_keeps_neither_from_absolute_paths() {
    let mut world = World::new();
    let folder = world.path("release");
    fs::create_dir(&folder).unwrap();
    world.module("one", "test-minimal", "");
    let mut command = world.run_command();
    command.current_dir(&folder);
    let mut host = Host::start(command);
    host.wait_until_up(&world.notify);
    fs::remove_dir(&folder).unwrap();
    world.module("two", "test-minimal", "");
    host.signal(Signal::SIGHUP);
    let mut client = world.client();
    client.until_known("two");
    client.wait_ready("two");

    // A shell whose current directory is the folder has deleted it.
    let here = |script: &str| {
        fs::create_dir_all(&folder).unwrap();
        let mut command = world.command(&[]);
        let program = command.get_program().to_owned();
        command = std::process::Command::new("sh");
        command.arg("-c").arg(format!("rmdir \"$PWD\"; exec {script}")).arg(program).arg(world.socket());
        command.current_dir(&folder).env_remove("BULKHEAD_SOCKET").env_remove("XDG_RUNTIME_DIR");
        Done::from(command.output().unwrap())
    };
    let status = here("\"$0\" --socket \"$1\" call two ping");
    assert_eq!(status.code, Some(0), "{status:?}");
    let relative = here("\"$0\" --socket control.sock status");
    assert_eq!(relative.code, Some(2), "{relative:?}");
    let reason = "control.sock: the path counts from the current directory, which was deleted; give an absolute path";
    assert!(relative.err.contains(reason), "{relative:?}");
    let check = here("\"$0\" config check --modules modules");
    assert!(check.code == Some(2) && check.err.contains("modules: the path counts from"), "{check:?}");
    host.signal(Signal::SIGTERM);
    assert_eq!(host.wait().code, Some(0));
}

#[test]
fn a_follower_of_a_log_that_stands_still_learns_what_it_missed_and_is_not_cut_off() {
    let mut world = World::new();
    world.module("bad", "misbehave", "").host_file("[logs]\nlines_per_second = 1000000\nburst = 1000000").start();
    let mut client = world.client();
    client.wait_ready("bad");
    let mut follower = begin(&world, &["logs", "bad", "-f", "-n", "0", "--json"]);
    until("it follows", || (client.supervisor("status", Value::Null)["host"]["clients"] == 2).then_some(()));
    // More than the host queues for a client that follows a log.
    client.call_within(300_000, "bad", "flood", json!({ "stream": "stdout", "bytes": 12_000_000 })).unwrap();
    let lines = lines_of(follower.stdout.take().unwrap());
    let next = || lines.recv_timeout(timeout()).expect("a line comes");
    // Where they were lost depends on which was slower, the command or the host.
    let reports_a_gap = |line: &str| line.contains("lines were left out here") || line.contains("lines are not shown");
    let end = |client: &mut Caller| client.call("bad", "print", json!({ "line": "the end", "stream": "stdout" }));
    end(&mut client).unwrap();
    let (mut bytes, mut printed) = (0, false);
    loop {
        let line = next();
        if line.contains("the end") {
            break;
        }
        bytes += line.len();
        if reports_a_gap(&line) {
            printed = true;
            // It may have been in the gap.
            end(&mut client).unwrap();
        }
    }
    // Each line is longer here than it was printed, so that less than was printed is a gap.
    assert!(printed || bytes > 12_000_000, "{bytes} bytes were shown, and nothing was said of the others");
    kill(i64::from(follower.id()), Signal::SIGTERM);
    let mut err = String::new();
    follower.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    follower.wait().unwrap();
    assert_eq!(err, "");
    let ended = world.stop();
    assert!(!ended.stderr.contains("cut off"), "{}", ended.stderr);
}

#[test]
fn a_socket_that_another_user_listens_at_is_refused_before_anything_is_sent() {
    if !Uid::effective().is_root() {
        eprintln!("left out: without root there is no other user");
        return;
    }
    let mut world = World::new().as_nobody();
    world.module("good", "test-minimal", "").start();
    world.client().wait_ready("good");
    assert_eq!(run(&world, &["status"]).code, Some(0), "its own user is let in");
    let error = Client::connect(&world.socket()).unwrap_err();
    assert!(matches!(error, ConnectError::Foreign { own: 0, .. }), "{error:?}");
    // A change of the file's owner changes nothing: the listening user counts.
    chown(&world.socket(), Some(Uid::from_raw(0)), None).unwrap();
    assert!(matches!(Client::connect(&world.socket()), Err(ConnectError::Foreign { .. })));
    chown(&world.socket(), Some(Uid::from_raw(bulkhead_tests::NOBODY)), None).unwrap();
    let mut command = std::process::Command::new(bulkhead_tests::program("bulkhead"));
    command.arg("--socket").arg(world.socket()).arg("status");
    let refused = Done::from(command.output().unwrap());
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(refused.err.contains("is served by user") && refused.err.contains("and this is user 0"), "{refused:?}");
    world.stop();
}

#[test]
fn a_command_that_follows_events_is_not_ended_by_a_reader_that_stands_still() {
    let mut world = World::new();
    world.module("bad", "misbehave", "[capabilities]\nevent_emit = [\"misbehave.*\"]").start();
    let mut client = world.client();
    client.wait_ready("bad");
    let mut follower = begin(&world, &["events", "misbehave.*", "--json"]);
    let mut printed = String::new();
    let mut err = BufReader::new(follower.stderr.take().unwrap());
    err.read_line(&mut printed).unwrap();
    assert!(printed.contains("following events"), "{printed}");
    let data = "x".repeat(100_000);
    for number in 0..50 {
        let args = json!({ "event": "misbehave.done", "data": { "number": number, "data": data } });
        client.call("bad", "emit", args).unwrap();
    }
    let lines = lines_of(follower.stdout.take().unwrap());
    for number in 0..50 {
        let line = lines.recv_timeout(timeout()).expect("a line comes");
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["data"]["number"], number);
    }
    kill(i64::from(follower.id()), Signal::SIGTERM);
    follower.wait().unwrap();
    world.stop();
}
