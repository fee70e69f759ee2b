//! Every fault of the list, done by the built program, has the outcome that the list says. What a host does then is
//! tested with the host.

use bulkhead_module::Json;
use bulkhead_module::testing::{Form, Program, RequestType, StreamEnd};
use bulkhead_protocol::ProcessStat;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

const PATH: &str = env!("CARGO_BIN_EXE_misbehave");

/// How long silence must last to count.
const SILENCE: Duration = Duration::from_millis(40);

/// What `--list --json` prints, a value a line.
fn listed(member: &str) -> Vec<Value> {
    let output = Command::new(PATH).args(["--list", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found: Vec<Value> = lines.filter(|line| line.get(member).is_some()).collect();
    assert!(found.len() > 20, "{text}");
    found
}

fn start() -> Program {
    Program::at(PATH).start()
}

fn is_alive(program: &mut Program) -> bool {
    let ping = program.send(RequestType::Ping, Json::null());
    program.answer(ping).is_ok()
}

/// Ends what a fault started, so that nothing outlives the test.
fn kill_all(pids: &Value) {
    for pid in pids.as_array().into_iter().flatten().filter_map(Value::as_i64) {
        let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
    }
}

fn state_of(pid: impl std::fmt::Display) -> Option<char> {
    ProcessStat::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?).map(|stat| stat.state)
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::yield_now();
    }
}

#[test]
fn every_command_has_the_outcome_that_the_list_says() {
    for fault in listed("command") {
        let (name, args) = (fault["command"].as_str().unwrap(), fault["args"].clone());
        let mut program = start();
        let id = program.send_command(name, args.clone());
        match fault["outcome"].as_str().unwrap() {
            "answers" => {
                if name == "call" {
                    let asked = program.message().unwrap();
                    assert_eq!((&asked["to"], &asked["payload"]["name"]), (&args["to"], &args["command"]));
                    program.succeed(asked["id"].as_u64().unwrap(), json!({"fine": true}));
                }
                let answer = program.answer(id);
                if let Ok(data) = &answer {
                    kill_all(&data["pids"]);
                }
                let fails = ["error", "huge_answer", "forge_crash"].contains(&name);
                assert_eq!(answer.is_err(), fails, "{name}: {answer:?}");
                assert!(is_alive(&mut program), "{name}");
            }
            "answers-then-fails" => {
                let answer = program.answer(id);
                assert_eq!(answer.is_err(), name == "panic", "{name}: {answer:?}");
                if name == "never_read" {
                    let _ = program.send(RequestType::Ping, Json::null());
                    assert!(program.is_quiet_for(SILENCE), "{name}");
                } else {
                    assert!(matches!(program.message(), Err(StreamEnd::Closed)), "{name}");
                }
            }
            "dies" => {
                assert!(matches!(program.message(), Err(StreamEnd::Closed)), "{name}");
                let status = program.wait();
                assert!(!status.success(), "{name}: {status}");
            }
            "hangs" => {
                assert!(program.is_quiet_for(SILENCE), "{name}");
                assert!(state_of(program.pid()).is_some_and(|state| state != 'Z'), "{name}");
            }
            "violates" => {
                let end = program.message().expect_err(name);
                assert!(!matches!(end, StreamEnd::Quiet), "{name}");
                let clean = ["close_channel"].contains(&name);
                assert_eq!(matches!(end, StreamEnd::Closed), clean, "{name}: {end}");
            }
            other => panic!("{name}: no such outcome: {other}"),
        }
    }
}

#[test]
fn every_sin_is_announced_on_standard_error_before_it_is_done() {
    let mut program = start();
    let _ = program.send_command("signal", json!({"name": "SIGKILL"}));
    let (code, stderr) = program.finish();
    assert_eq!(code, None);
    assert_eq!(stderr, "misbehave: about to signal {\"name\":\"SIGKILL\"}\n");
}

#[test]
fn every_start_has_the_outcome_that_the_list_says() {
    for start in listed("at_start") {
        let name = start["at_start"].as_str().unwrap();
        let mut program = Program::at(PATH).args(&["--at-start", name]).spawn();
        let init = program.send_init();
        if start["outcome"] == "hangs" {
            assert!(program.is_quiet_for(SILENCE), "{name}");
            continue;
        }
        let first = program.message();
        match start["outcome"].as_str().unwrap() {
            "exits" | "crashes" => {
                let is_ready = name.ends_with("_when_ready");
                assert_eq!(first.is_ok(), is_ready, "{name}: {first:?}");
                let status = program.wait();
                assert_eq!(status.signal().is_some(), start["outcome"] == "crashes", "{name}: {status}");
            }
            "violates" => {
                let is_ready = first.is_ok_and(|message| message["id"] == init && message["data"]["protocol"] == 1);
                assert!(!is_ready, "{name}");
            }
            "refused" => {
                let first = first.unwrap();
                assert!(first["status"] == "error" || first["data"]["protocol"] == 99, "{name}: {first}");
            }
            "ready" => {
                let mut answer = first.unwrap();
                if name == "early_request" {
                    assert_eq!(answer["type"], "command");
                    answer = program.message().unwrap();
                }
                assert_eq!(answer["data"]["protocol"], 1, "{name}");
            }
            other => panic!("{name}: no such outcome: {other}"),
        }
    }
}

#[test]
fn each_signal_ends_it_by_that_signal() {
    let fatal = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    for name in fatal {
        let mut program = start();
        let _ = program.send_command("signal", json!({ "name": name }));
        let status = program.wait();
        assert_eq!(status.signal(), Some(name.parse::<Signal>().unwrap() as i32), "{name}: {status}");
    }
    for name in ["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"] {
        let answer = start().command("signal", json!({ "name": name }));
        assert_eq!(answer, Ok(json!({ "survived": name })));
    }
}

#[test]
fn a_family_has_left_its_parents_session_and_lives() {
    for form in [Form::Socket, Form::Stdio] {
        let mut program = Program::at(PATH).form(form).start();
        let data = program.command("family", json!({"count": 2, "ignore_term": true, "hold_channel": true})).unwrap();
        let pids = data["pids"].as_array().unwrap();
        assert_eq!(pids.len(), 2);
        for pid in pids {
            let pid = pid.as_i64().unwrap() as i32;
            wait_until("a session of its own", || {
                nix::unistd::getsid(Some(Pid::from_raw(pid))) == Ok(Pid::from_raw(pid))
            });
        }
        kill_all(&data["pids"]);
    }
}

#[test]
fn a_process_that_stopped_itself_is_stopped() {
    let mut program = start();
    let id = program.send_command("stop_self", json!({}));
    let pid = program.pid();
    wait_until("state T", || state_of(pid) == Some('T'));
    kill(Pid::from_raw(pid as i32), Signal::SIGCONT).unwrap();
    assert_eq!(program.answer(id), Ok(json!({"continued": true})));
}

#[test]
fn sigterm_can_be_ignored() {
    let mut program = start();
    program.command("ignore_sigterm", json!({})).unwrap();
    kill(Pid::from_raw(program.pid() as i32), Signal::SIGTERM).unwrap();
    assert!(is_alive(&mut program));
}

#[test]
fn it_crashes_on_the_nth_command_and_once_for_a_marker() {
    let mut program = start();
    program.command("crash_on", json!({"nth": 3})).unwrap();
    program.command("echo", json!({})).unwrap();
    program.command("echo", json!({})).unwrap();
    let _ = program.send_command("echo", json!({}));
    assert_eq!(program.wait().signal(), Some(Signal::SIGSEGV as i32));

    let scratch = bulkhead_module::testing::Scratch::new();
    let mut first = Program::at(PATH).data_dir(scratch.path()).start();
    let _ = first.send_command("crash_once", json!({"marker": "x"}));
    assert_eq!(first.wait().signal(), Some(Signal::SIGKILL as i32));
    let mut second = Program::at(PATH).data_dir(scratch.path()).start();
    assert_eq!(second.command("crash_once", json!({"marker": "x"})), Ok(json!({"crashed_before": true})));
}

#[test]
fn the_configuration_makes_the_first_starts_fail() {
    let scratch = bulkhead_module::testing::Scratch::new();
    for expected in [false, false, true] {
        let mut program = Program::at(PATH).config(json!({"fail_starts": 2})).data_dir(scratch.path()).spawn();
        let init = program.send_init();
        assert_eq!(program.answer(init).is_ok(), expected);
    }
}

#[test]
fn it_remembers_events_and_knows_itself() {
    let mut program = Program::at(PATH).config(json!({"colour": "red"})).start();
    let event = program.send(RequestType::Event, json!({"event": "a.b", "data": [1]}).into());
    assert_eq!(program.answer(event), Ok(json!(null)));
    assert_eq!(program.command("events_seen", json!({})), Ok(json!({"events": [{"event": "a.b", "data": [1]}]})));
    let me = program.command("whoami", json!({})).unwrap();
    assert_eq!((&me["pid"], &me["config"]["colour"]), (&json!(program.pid()), &json!("red")));
}

#[test]
fn what_is_printed_never_reaches_the_channel() {
    let mut program = Program::at(PATH).form(Form::Stdio).start();
    assert_eq!(program.command("print", json!({"line": "hello", "stream": "stdout"})), Ok(json!({"printed": 1})));
    assert!(is_alive(&mut program));
    program.hang_up();
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(0));
    assert!(stderr.ends_with("\nhello\n"), "{stderr}");
}

#[test]
fn children_do_not_hold_the_channel_unless_they_are_made_to() {
    for form in [Form::Socket, Form::Stdio] {
        for (command, args, held) in [
            ("children", json!({"count": 1}), false),
            ("family", json!({"count": 1}), false),
            ("family", json!({"count": 1, "hold_channel": true}), true),
        ] {
            let mut program = Program::at(PATH).form(form).start();
            let data = program.command(command, args.clone()).unwrap();
            program.kill();
            match held {
                true => assert!(program.is_quiet_for(SILENCE), "{form:?} {command} {args}"),
                false => assert!(matches!(program.message(), Err(StreamEnd::Closed)), "{form:?} {command} {args}"),
            }
            kill_all(&data["pids"]);
        }
    }
}
