//! A host over a file system that does not answer: only operations that need a file wait for one.

use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, Host, World, is_alive, kill, program, until, wait_until_gone};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// A host whose file system can be stopped.
struct Stalled {
    host: Host,
    world: World,
}

impl Stalled {
    /// With the modules `good` and `bad`, which are ready.
    fn start() -> (Stalled, Caller) {
        let mut world = World::new();
        world.module("good", "test-minimal", "").module("bad", "misbehave", "");
        let bulkhead = world.run_command();
        let mut command = Command::new(program("stalled-host"));
        command.args(bulkhead.get_args()).current_dir(bulkhead.get_current_dir().unwrap());
        for (name, value) in bulkhead.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("BULKHEAD_TEST_GATE", world.path("closed")).env("WATCHDOG_USEC", "100000");
        let mut host = Host::start(command);
        host.wait_until_up(&world.notify);
        let mut client = world.client();
        for name in ["good", "bad"] {
            client.wait_ready(name);
            client.until_status(name, "its memory is known", |status| status["memory_bytes"].is_u64());
        }
        (Stalled { host, world }, client)
    }

    /// No operation on files ends from now on.
    fn close(&self) {
        fs::write(self.world.path("closed"), "").unwrap();
    }

    fn open(&self) {
        fs::remove_file(self.world.path("closed")).unwrap();
    }

    /// Waits for a watchdog report that is sent from now on.
    fn wait_for_watchdog(&self) {
        self.world.notify.set_nonblocking(true).unwrap();
        while self.world.notify.recv(&mut [0; 256]).is_ok() {}
        self.world.notify.set_nonblocking(false).unwrap();
        self.world.wait_for_notice("WATCHDOG=1");
    }

    fn end(mut self, signal: Signal) {
        self.host.signal(signal);
        let ended = self.host.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

fn problems(client: &mut Caller) -> Vec<String> {
    let status = client.supervisor("status", Value::Null);
    let list = status["host"]["problems"].as_array().unwrap();
    list.iter().map(|problem| problem.as_str().unwrap().to_owned()).collect()
}

#[test]
fn calls_deadlines_status_restarts_and_the_watchdog_need_no_file() {
    let (stalled, mut client) = Stalled::start();
    stalled.close();
    // Three kinds of work begin and do not end: the configuration, a status, and the state directory's note below.
    let reload = client.send_command("supervisor", "reload", json!({ "name": "good" }));
    stalled.host.signal(Signal::SIGHUP);
    client.call("good", "ping", json!({})).unwrap();
    let late = client.call_within(50, "bad", "sleep", json!({ "ms": 5000 })).unwrap_err();
    assert_eq!(late.code, ErrorCode::DeadlineExceeded);
    let late = client.call_within(50, "supervisor", "reload", json!({ "name": "good" })).unwrap_err();
    assert_eq!(late.code, ErrorCode::DeadlineExceeded);
    assert!(late.error.contains("the files are still being read"), "{}", late.error);
    let cancelled = client.send_command("supervisor", "reload", json!({ "name": "bad" }));
    let cancel = client.0.cancel(cancelled).unwrap();
    assert_eq!(client.answer(cancelled).unwrap_err().code, ErrorCode::Cancelled);
    client.answer(cancel).unwrap();
    let mut all = Caller::command("supervisor", "reload", json!({ "all": true }));
    all.deadline_ms = Some(300);
    let all = client.0.send(&all).unwrap();
    let cancel = client.0.cancel(all).unwrap();
    assert_eq!(client.answer(all).unwrap_err().code, ErrorCode::Cancelled);
    client.answer(cancel).unwrap();
    for _ in 0..3 {
        let status = client.status("good");
        assert_eq!((&status["state"], &status["memory_bytes"]), (&json!("ready"), &Value::Null), "{status:#}");
    }
    let layer1 = client.supervisor("layer1", Value::Null);
    assert!(layer1["file"].is_string(), "{layer1}");
    let pid = client.pid("bad");
    assert_eq!(client.call("bad", "segfault", json!({})).unwrap_err().code, ErrorCode::ModuleCrashed);
    client.wait_ready("bad");
    assert_ne!(client.pid("bad"), pid);
    // The counters of the memory killer cannot be read, and the report of a killed process does not wait for them.
    let killed = client.send_command("bad", "sleep", json!({ "ms": 60_000 }));
    client.until_status("bad", "it has begun", |status| status["in_flight"] == 1);
    kill(client.pid("bad"), Signal::SIGKILL);
    let failure = client.answer(killed).unwrap_err();
    assert!(failure.error.contains("SIGKILL") && !failure.error.contains("memory"), "{}", failure.error);
    client.wait_ready("bad");
    let pid = client.pid("good");
    client.supervisor("restart", json!({ "name": "good" }));
    assert_ne!(client.pid("good"), pid);
    stalled.wait_for_watchdog();
    assert!(client.0.wait(all, Some(Duration::from_millis(1))).is_err(), "its deadline is none any more");
    let problem = until("the problem is reported", || problems(&mut client).into_iter().next());
    assert!(problem.contains("takes") && problem.contains("a file system does not answer"), "{problem}");
    // The first reading is abandoned after ten seconds, and its requests are refused.
    let refused = client.answer(reload).unwrap_err();
    assert_eq!(refused.code, ErrorCode::ModuleError);
    assert!(refused.error.contains("nothing was changed: the configuration: expected a file"), "{}", refused.error);
    client.call("good", "ping", json!({})).unwrap();
    stalled.open();
    // Requests that came meanwhile are done, and so are later ones.
    until("it is reloaded", || client.call("supervisor", "reload", json!({ "name": "good" })).ok());
    let memory = client.until_status("good", "its memory is known", |status| status["memory_bytes"].is_u64());
    assert_eq!(memory["state"], "ready");
    until("no problem is left", || problems(&mut client).is_empty().then_some(()));
    stalled.end(Signal::SIGTERM);
}

#[test]
fn a_client_that_asks_for_the_status_five_hundred_times_at_once_is_answered_each_time() {
    let (stalled, mut client) = Stalled::start();
    let ids: Vec<u64> = (0..500).map(|_| client.send_command("supervisor", "status", Value::Null)).collect();
    for id in ids {
        let status = client.answer(id).unwrap();
        assert!(status["host"]["memory_bytes"].is_u64() && status["modules"][0]["memory_bytes"].is_u64(), "{status}");
    }
    // Nor is any request lost that came while a look does not end.
    stalled.close();
    let ids: Vec<u64> = (0..100).map(|_| client.send_command("supervisor", "status", Value::Null)).collect();
    for id in ids {
        assert_eq!(client.answer(id).unwrap()["host"]["memory_bytes"], Value::Null);
    }
    stalled.open();
    stalled.end(Signal::SIGTERM);
}

#[test]
fn logs_and_crashes_are_shown_from_memory_while_files_do_not_answer_and_say_so() {
    let (stalled, mut client) = Stalled::start();
    client.call("bad", "print", json!({ "line": "in memory", "stream": "stderr" })).unwrap();
    client.until_status("bad", "its line has come", |status| status["log_tail"].to_string().contains("in memory"));
    let remark = |line: &Value| line["line"].as_str().unwrap().starts_with("[older lines are not shown: the files");
    stalled.close();
    let log = client.send_command("supervisor", "logs", json!({ "name": "bad", "lines": 1000, "follow": true }));
    let cancelled = client.send_command("supervisor", "crashes", Value::Null);
    let crashes = client.send_command("supervisor", "crashes", Value::Null);
    let unknown = client.send_command("supervisor", "logs", json!({ "name": "missing" }));
    client.call("good", "ping", json!({})).unwrap();
    client.0.cancel(cancelled).unwrap();
    assert_eq!(client.answer(cancelled).unwrap_err().code, ErrorCode::Cancelled);
    let first = client.progress(log);
    assert!(remark(&first), "{first}");
    until("what is in memory is sent", || (client.progress(log)["line"] == "in memory").then_some(()));
    let reported = client.answer(crashes).unwrap();
    assert!(reported["remarks"][0].as_str().unwrap().contains("could not be read in time"), "{reported}");
    assert_eq!(client.answer(unknown).unwrap_err().code, ErrorCode::UnknownModule);
    client.call("bad", "print", json!({ "line": "as it comes", "stream": "stderr" })).unwrap();
    until("what comes is sent", || (client.progress(log)["line"] == "as it comes").then_some(()));
    // While it is known that they do not answer, nothing waits for them.
    let reported = client.call_within(1000, "supervisor", "crashes", Value::Null).unwrap();
    assert!(reported["remarks"].is_array(), "{reported}");
    stalled.open();
    until("files are read again", || client.supervisor("crashes", Value::Null)["remarks"].is_null().then_some(()));
    let log = client.send_command("supervisor", "logs", json!({ "name": "bad", "lines": 1000 }));
    assert!(!remark(&client.progress(log)));
    stalled.end(Signal::SIGTERM);
}

#[test]
fn a_lost_guardian_is_replaced_when_files_answer_and_the_host_lives_on_until_then() {
    let (stalled, mut client) = Stalled::start();
    stalled.close();
    let (guardian, pid) = (client.guardian_pid(), client.pid("good"));
    let in_progress = client.send_command("bad", "sleep", json!({ "ms": 60_000 }));
    // A request that had not reached the module would be sent again.
    client
        .until_status("bad", "it has the request", |status| status["log_tail"].to_string().contains("about to sleep"));
    kill(guardian, Signal::SIGKILL);
    // Its caller is informed at once.
    assert_eq!(client.answer(in_progress).unwrap_err().code, ErrorCode::ModuleCrashed);
    wait_until_gone(&[pid]);
    let lost = until("the host knows", || {
        let status = client.supervisor("status", Value::Null);
        status["host"]["guardian_pid"].is_null().then_some(status)
    });
    assert_eq!(lost["modules"][1]["state"], "clearing", "{lost:#}");
    let waits = client.send_command("good", "ping", json!({}));
    stalled.wait_for_watchdog();
    stalled.open();
    client.answer(waits).unwrap();
    client.wait_ready("bad");
    let status = client.supervisor("status", Value::Null);
    assert!(status["host"]["guardian_pid"].as_i64().is_some_and(|pid| pid != guardian && is_alive(pid)));
    stalled.end(Signal::SIGTERM);
}

#[test]
fn sigterm_ends_the_host_within_seconds_whatever_it_waits_for() {
    let (stalled, mut client) = Stalled::start();
    stalled.close();
    let reload = client.send_command("supervisor", "reload", json!({ "name": "good" }));
    let status = client.send_command("supervisor", "status", Value::Null);
    stalled.host.signal(Signal::SIGHUP);
    let began = Instant::now();
    stalled.host.signal(Signal::SIGTERM);
    let refused = client.answer(reload).unwrap_err();
    assert!(refused.error.contains("the host is stopping"), "{}", refused.error);
    client.answer(status).unwrap();
    stalled.end(Signal::SIGTERM);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
