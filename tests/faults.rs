//! Everything that a module can do wrong, done to a real host over both transports: what the caller gets, what becomes
//! of the module, that nothing of it is left, and that its neighbour never notices. What is expected of each fault is
//! in [`expected`] and [`expected_at_start`].

use bulkhead_protocol::{Delivery, ErrorCode, Exit, Failure};
use bulkhead_tests::{Answer, Caller, World, program};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::{fmt::Write, sync::Arc};

/// What the caller of a fault gets.
#[derive(Clone, Copy, Debug)]
enum Reported {
    Success,
    /// An error that the module itself answered with.
    Error(ErrorCode),
    /// The module ended in this way with the request in progress.
    Crashed(&'static str),
    /// The host ended the module for what it sent.
    Violation,
    /// Nothing until the deadline.
    Late,
    SetAside,
}

/// What becomes of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The same process goes on.
    LivesOn,
    /// Another process is ready.
    IsBack,
    /// It ended well, so it is not started again.
    HasEnded,
}

use Reported::{Crashed, Error, Late, SetAside, Success, Violation};
use Then::{HasEnded, IsBack, LivesOn};

fn expected(fault: &str) -> Option<(Reported, Then)> {
    Some(match fault {
        "echo" | "count" | "read" | "whoami" | "sleep" | "sleep_read" | "work" | "slow_progress" | "emit"
        | "events_seen" | "call" | "crash_on" | "nap" | "allocate" | "ignore_sigterm" | "ignore_shutdown" | "print"
        | "print_bytes" | "flood" | "long_line" | "slow_frame" | "deep_nesting" | "answer_twice"
        | "answer_stranger" | "progress_stranger" | "answer_next" | "flood_requests" | "flood_events" | "family"
        | "children" | "fork_bomb" | "fork_and_return" | "drop_subreaper" => (Success, LivesOn),
        "error" | "forge_crash" => (Error(ErrorCode::ModuleError), LivesOn),
        "huge_answer" => (Error(ErrorCode::FrameTooLarge), LivesOn),
        "signal" | "segfault" => (Crashed("SIGSEGV"), IsBack),
        "stack_overflow" | "abort" => (Crashed("SIGABRT"), IsBack),
        "exit" => (Crashed("exit code 3"), IsBack),
        "crash_once" => (Crashed("SIGKILL"), IsBack),
        "crash_once_read" => (Success, IsBack),
        "abort_read" => (SetAside, IsBack),
        "panic" => (Error(ErrorCode::ModuleError), IsBack),
        "exit_later" | "signal_later" | "never_read" => (Success, IsBack),
        "answer_then_exit" => (Success, HasEnded),
        "hang" | "hang_read" | "spin" | "stop_self" | "half_frame" => (Late, IsBack),
        "close_channel" | "stray_text" | "truncated_frame" | "oversized_length" | "oversized_frame" | "zero_length"
        | "invalid_utf8" | "invalid_json" | "json_array" | "type_and_status" | "neither" => (Violation, IsBack),
        _ => return None,
    })
}

/// The state that a module comes to that starts in this way, and its last end in its status.
fn expected_at_start(start: &str) -> Option<(&'static str, &'static str)> {
    Some(match start {
        "exit_before_init" | "exit_during_init" => ("waiting", "exit code 0 before it was ready"),
        "fail_before_init" | "fail_during_init" => ("waiting", "exit code 3 before it was ready"),
        "crash_before_init" | "crash_during_init" => ("waiting", "SIGSEGV before it was ready"),
        "permanent_before_init" => ("failed", "125"),
        "never_read_init" | "never_answer_init" | "spin_in_init" => ("waiting", "not ready within"),
        "close_before_init" => ("waiting", "protocol violation: it closed its channel"),
        "wrong_version" => ("failed", "wrong protocol version: expected 1, found 99"),
        "init_error" | "init_error_lives_on" => ("waiting", "init failed: I do not feel like it"),
        "init_error_permanent" => ("failed", "init failed: I do not feel like it"),
        "init_wrong_form" => ("waiting", "protocol violation: the answer to init"),
        "init_text" => ("waiting", "protocol violation"),
        "early_request" | "ready_twice" | "reverse" | "reverse_concurrent" | "mute" | "deaf" => ("ready", ""),
        "describe_wrong_types" | "describe_too_long" | "describe_too_much" | "describe_too_many" => ("ready", ""),
        "any_version" | "answers_events" | "leaves_child" | "stale_lock" => ("ready", ""),
        "wrong_schema" | "wrong_examples" | "wrong_returns" => ("ready", ""),
        "crash_when_ready" => ("waiting", "SIGSEGV"),
        "exit_when_ready" => ("stopped", "exit code 0"),
        _ => return None,
    })
}

/// The output of `misbehave --list`, by the member that each line of that kind has.
fn listed(member: &str) -> Vec<Value> {
    let output = Command::new(program("misbehave")).args(["--list", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line.get(member).is_some()).collect()
}

/// A client that calls a good module all the time, and counts.
struct Witness {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Witness {
    fn of(mut client: Caller) -> Witness {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = is_over.clone();
        let thread = thread::spawn(move || {
            let mut count = 0;
            while !flag.load(Ordering::Relaxed) {
                count += 1;
                let answer = client.call_within(10_000, "good", "ping", json!({})).expect("the good module answers");
                assert_eq!(answer["count"], count, "it is the same process all the time");
                // The client must not take the processor from the modules that it watches.
                thread::sleep(std::time::Duration::from_millis(1));
            }
            count
        });
        Witness { is_over, thread }
    }

    fn finish(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let count = self.thread.join().expect("the good module always answered");
        assert!(count > 10, "only {count} calls");
    }
}

const LIMITS: &str = "
[limits]
start_timeout = \"20s\"
stop_timeout = \"150ms\"
term_timeout = \"150ms\"
cancel_grace = \"50ms\"
";

/// A host with a good module that runs, and one module for each of `names` that does not run yet.
fn world(transport: &str, names: &[String], more: impl Fn(&str) -> String) -> World {
    let mut world = World::new();
    world.host_file("[restarts]\nper_second = 1000\nburst = 1000\n");
    for name in names {
        let first = format!("transport = \"{transport}\"\nautostart = false\n");
        world.module(name, "misbehave", &format!("{first}{}", more(name)));
    }
    world.module("good", "test-minimal", "").start();
    world.client().wait_ready("good");
    world
}

fn commit_all(transport: &str) {
    let faults = listed("command");
    let names: Vec<String> = faults.iter().map(|fault| fault["command"].as_str().unwrap().to_owned()).collect();
    let mut world = world(transport, &names, |name| {
        let mut rest = String::from(LIMITS);
        if name == "never_read" {
            rest.push_str("ping_interval = \"100ms\"\nping_timeout = \"100ms\"\nping_misses = 2\n");
        }
        rest.push_str("[capabilities]\nevent_emit = [\"misbehave.*\"]\ncall = [\"supervisor\"]\n");
        rest
    });
    let witness = Witness::of(world.client());
    let mut client = world.client();
    for fault in faults {
        let name = fault["command"].as_str().unwrap();
        let expected = expected(name);
        let (reported, then) =
            expected.unwrap_or_else(|| panic!("there is a new fault: say what is to be expected of {name}"));
        client.supervisor("start", json!({ "name": name }));
        let pid = client.pid(name);
        let deadline = if matches!(reported, Late) { 150 } else { 20_000 };
        let answer = client.call_within(deadline, name, name, fault["args"].clone());
        check_answer(name, reported, answer);
        match then {
            LivesOn => {
                assert_eq!(client.call(name, "echo", json!("still here")).unwrap(), "still here", "{name}");
                assert_eq!(client.pid(name), pid, "{name}");
            }
            IsBack => {
                let is_back =
                    |status: &Value| status["state"] == "ready" && status["pid"].is_i64() && status["pid"] != pid;
                client.until_status(name, "it is back", is_back);
                assert_eq!(client.call(name, "echo", json!("here again")).unwrap(), "here again", "{name}");
            }
            HasEnded => drop(client.until_status(name, "it has ended", |status| status["state"] == "stopped")),
        }
        stop_and_look(&world, &mut client, name);
    }
    witness.finish();
    world.stop();
}

fn check_answer(name: &str, reported: Reported, answer: Answer) {
    let failure = match (reported, answer) {
        (Success, Ok(_)) => return,
        (_, Err(failure)) => failure,
        (reported, Ok(data)) => panic!("{name}: expected {reported:?}, found {data}"),
    };
    let Failure { code, delivery, exit, error, .. } = &*failure;
    let is_fine = match reported {
        Success => false,
        Error(expected) => *code == expected,
        Crashed(how) => {
            let how = (how.strip_prefix("exit code ").and_then(|code| code.parse().ok()).map(Exit::Code))
                .unwrap_or_else(|| Exit::Signal(how.into()));
            (*code, *delivery, exit.as_ref()) == (ErrorCode::ModuleCrashed, Some(Delivery::Started), Some(&how))
        }
        Violation => {
            *code == ErrorCode::ModuleCrashed
                && *delivery == Some(Delivery::Started)
                && error.contains("protocol violation")
        }
        Late => *code == ErrorCode::DeadlineExceeded,
        SetAside => *code == ErrorCode::Quarantined,
    };
    assert!(is_fine, "{name}: expected {reported:?}, found {failure:?}");
}

/// Stops a module and checks that none of its processes is left.
fn stop_and_look(world: &World, client: &mut Caller, name: &str) {
    client.supervisor("stop", json!({ "name": name }));
    let left: Vec<_> = world.processes().into_iter().filter(|process| process.command.contains("misbehave")).collect();
    assert!(left.is_empty(), "{name} left {left:#?}");
}

#[test]
fn every_fault_over_a_socket_is_reported_truthfully_and_costs_no_other_module_anything() {
    commit_all("socket");
}

#[test]
fn every_fault_over_standard_input_and_output_is_reported_truthfully_and_costs_no_other_module_anything() {
    commit_all("stdio");
}

fn start_all(transport: &str) {
    let starts = listed("at_start");
    let names: Vec<String> = starts.iter().map(|start| start["at_start"].as_str().unwrap().to_owned()).collect();
    let mut world = world(transport, &names, |name| {
        let mut rest = format!("env = {{ MISBEHAVE_AT_START = \"{name}\" }}\n[restart]\ndelay_initial = \"20s\"\n");
        // Modules that never become ready are waited for; the others get the time that a busy machine needs.
        let start_timeout =
            if expected_at_start(name).is_some_and(|(_, exit)| exit.contains("not ready")) { "300ms" } else { "20s" };
        let limits = LIMITS.replace("20s", start_timeout);
        write!(rest, "{limits}").unwrap();
        if ["mute", "deaf"].contains(&name) {
            rest.push_str("ping_interval = \"50ms\"\nping_timeout = \"50ms\"\nping_misses = 2\n");
        }
        rest
    });
    let witness = Witness::of(world.client());
    let mut client = world.client();
    for name in &names {
        let Some((state, last_exit)) = expected_at_start(name) else {
            panic!("there is a new way to start: say what is to be expected of {name}");
        };
        let answer = client.call("supervisor", "start", json!({ "name": name }));
        if state == "ready" {
            answer.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
            try_odd_one(&mut client, name);
        } else {
            let comes_to = format!("{state} after {last_exit:?}");
            let status = client.until_status(name, &comes_to, |status| status["state"] == state);
            assert!(status["last_exit"].as_str().unwrap().contains(last_exit), "{name}: {status:#}");
            assert_eq!(status["next"].is_object(), state == "waiting", "{name}: {status:#}");
        }
        stop_and_look(&world, &mut client, name);
    }
    witness.finish();
    world.stop();
}

/// How modules that become ready despite their fault handle requests.
fn try_odd_one(client: &mut Caller, name: &str) {
    let call = |client: &mut Caller, n: u64| client.send_command(name, "echo", json!(n));
    match name {
        "ready_twice" => {
            let id = call(client, 1);
            client.answer(id).unwrap();
            client.until_status(name, "the second answer is noticed", |status| status["strange_answers"] == 1);
        }
        "reverse" | "reverse_concurrent" => {
            for id in [1, 2].map(|n| call(client, n)) {
                client.answer(id).unwrap();
            }
        }
        "early_request"
        | "describe_wrong_types"
        | "describe_too_long"
        | "describe_too_much"
        | "describe_too_many"
        | "any_version"
        | "answers_events"
        | "wrong_schema"
        | "wrong_examples"
        | "wrong_returns"
        | "leaves_child"
        | "stale_lock" => {
            let id = call(client, 1);
            client.answer(id).unwrap();
        }
        "mute" | "deaf" => {
            let status = client.until_status(name, "it is found out", |status| status["last_exit"].is_string());
            assert!(status["last_exit"].as_str().unwrap().starts_with("hung"), "{status:#}");
        }
        other => panic!("say what is to be tried with {other}"),
    }
}

#[test]
fn every_way_to_start_over_a_socket_comes_to_the_state_that_it_should() {
    start_all("socket");
}

#[test]
fn every_way_to_start_over_standard_input_and_output_comes_to_the_state_that_it_should() {
    start_all("stdio");
}

#[test]
fn each_signal_that_ends_a_module_is_named_to_its_caller() {
    let names: Vec<String> = vec!["bad".into()];
    let mut world = world("socket", &names, |_| {
        "[restart]\ndelay_initial = \"1ms\"\ndelay_max = \"1ms\"\nbreaker_failures = 1000".into()
    });
    let mut client = world.client();
    client.supervisor("start", json!({ "name": "bad" }));
    for signal in [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
        "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGXCPU", "SIGXFSZ", "SIGSYS",
    ] {
        let answer = client.call("bad", "signal", json!({ "name": signal }));
        check_answer(signal, Crashed(signal), answer);
        client.wait_ready("bad");
    }
    for signal in ["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"] {
        let answer = client.call("bad", "signal", json!({ "name": signal }));
        assert_eq!(answer.unwrap(), json!({ "survived": signal }));
    }
    world.stop();
}

#[test]
fn a_copy_of_a_module_that_uses_the_sdk_ends_before_it_says_anything_to_the_host() {
    for transport in ["socket", "stdio"] {
        let names: Vec<String> = vec!["bad".into()];
        // A backtrace for each panic would exceed the log's limit for a second.
        let grants = "env = { RUST_BACKTRACE = \"0\" }\n\
            [capabilities]\nevent_emit = [\"misbehave.*\"]\ncall = [\"supervisor\"]";
        let mut world = world(transport, &names, |_| grants.into());
        let mut client = world.client();
        client.supervisor("start", json!({ "name": "bad" }));
        let pid = client.pid("bad");
        let events = client.follow("misbehave.*");
        // The last one prints more in a second than the log accepts: the log is read before.
        for does in ["asks", "emits", "progresses", "panics", "nothing"] {
            for beside_threads in [false, does == "nothing"] {
                for _ in 0..10 {
                    let args = json!({ "does": does, "beside_threads": beside_threads });
                    let id = client.send_command("bad", "fork_and_return", args);
                    let answer = client.answer(id).unwrap();
                    assert_eq!(answer["pid"], pid, "{does}: the copy answered");
                }
            }
            if does != "nothing" {
                let sentence = if does == "panics" { "the copy panics" } else { "made by a fork" };
                let reports = |status: &Value| status["log_tail"].to_string().contains(sentence);
                client.until_status("bad", "its log says what the copies did", reports);
            }
        }
        let copies = || world.processes().into_iter().filter(|process| process.command.contains("misbehave")).count();
        bulkhead_tests::until("all copies have ended", || (copies() == 1).then_some(()));
        // Messages of a copy would have arrived by now.
        client.call("bad", "emit", json!({ "event": "misbehave.last", "data": 1 })).unwrap();
        client.event(events, "misbehave.last");
        let status = client.status("bad");
        assert_eq!((&status["strange_answers"], &status["pid"]), (&json!(0), &json!(pid)), "{status:#}");
        world.stop();
    }
}

#[test]
fn a_module_that_takes_more_memory_than_it_may_is_ended_and_comes_back() {
    let names: Vec<String> = vec!["bad".into()];
    let mut world = world("socket", &names, |_| "[resources]\nmemory_limit = \"100MB\"".into());
    let mut client = world.client();
    client.supervisor("start", json!({ "name": "bad" }));
    client.call("bad", "allocate", json!({ "mib": 20 })).unwrap();
    let failure = client.call("bad", "allocate", json!({ "mib": 500 })).unwrap_err();
    assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    client.wait_ready("bad");
    client.call("bad", "allocate", json!({ "mib": 20 })).unwrap();
    world.stop();
}
