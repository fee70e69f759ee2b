//! The life of a module, by its manifest and by an operator: requirements, spares, copies, reloads, restarts, stops.

use bulkhead_protocol::{Delivery, ErrorCode, Exit};
use bulkhead_tests::{Caller, World, is_alive, kill, until, wait_until_gone};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn named(name: &str) -> Value {
    json!({ "name": name })
}

/// A host with one `misbehave` called `bad`.
fn bad(rest: &str) -> (World, Caller) {
    let mut world = World::new();
    world.module("bad", "misbehave", rest).start();
    let client = world.client();
    (world, client)
}

const QUICK: &str = "[restart]\ndelay_initial = \"10ms\"\ndelay_max = \"20ms\"\n";

#[test]
fn a_module_starts_after_those_that_it_requires_and_is_tried_at_once_when_they_come_back() {
    let mut world = World::new();
    world.module("front", "test-minimal", "requires = [\"back\"]");
    world.module("back", "misbehave", "autostart = false").start();
    let mut client = world.client();
    let status = client.status("front");
    assert_eq!(status["state"], "waiting");
    assert!(status["next"].to_string().contains("back"), "{status:#}");
    client.supervisor("start", named("back"));
    client.wait_ready("front");
    let pid = client.pid("front");
    // The crash of one does not end those that require it.
    kill(client.pid("back"), Signal::SIGKILL);
    client.until_status("back", "it is back", |status| status["state"] == "ready" && status["restarts"] == 1);
    assert_eq!(client.pid("front"), pid);
    world.stop();
}

#[test]
fn a_spare_takes_over_at_once_and_a_new_one_is_started() {
    let (mut world, mut client) = bad("spares = 1");
    let role = |status: &Value, role: &str| -> Option<i64> {
        let instances = status["instances"].as_array()?;
        let ready = instances.iter().find(|instance| instance["role"] == role && instance["state"] == "ready")?;
        ready["pid"].as_i64()
    };
    let both = client.until_status("bad", "both are ready", |status| {
        role(status, "active").is_some() && role(status, "spare").is_some()
    });
    let (active, spare) = (role(&both, "active").unwrap(), role(&both, "spare").unwrap());
    kill(active, Signal::SIGKILL);
    let after = client.until_status("bad", "the spare serves", |status| role(status, "active") == Some(spare));
    assert_eq!(after["state"], "ready");
    assert_eq!(client.call("bad", "whoami", json!({})).unwrap()["pid"], spare);
    client.until_status("bad", "there is a new spare", |status| role(status, "spare").is_some_and(|pid| pid != spare));
    world.stop();
}

#[test]
fn a_crash_is_reported_and_a_spare_answers_before_the_guardian_has_heard_of_it() {
    let (mut world, mut client) = bad("spares = 1");
    let ready = |status: &Value| {
        let instances = status["instances"].as_array().unwrap().iter();
        instances.filter(|instance| instance["state"] == "ready" && instance["pid"].is_i64()).count()
    };
    client.until_status("bad", "both are ready", |status| ready(status) == 2);
    let pid = client.pid("bad");
    let lost = client.send_command("bad", "sleep", json!({ "ms": 60_000 }));
    client.until_status("bad", "it has begun", |status| status["in_flight"] == 1);
    let next = client.send_command("bad", "echo", json!(1));
    let guardian = client.guardian_pid();
    kill(guardian, Signal::SIGSTOP);
    kill(pid, Signal::SIGKILL);
    let failure = client.answer(lost).unwrap_err();
    assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    assert_eq!(failure.exit, Some(Exit::Signal("SIGKILL".into())));
    assert_eq!(client.answer(next).unwrap(), 1);
    kill(guardian, Signal::SIGCONT);
    client.until_status("bad", "there is a new spare", |status| ready(status) == 2);
    assert_eq!(client.status("bad")["restarts"], 1);
    world.stop();
}

#[test]
fn instances_share_the_work_and_each_is_restarted_by_itself() {
    let (mut world, mut client) = bad("instances = 2");
    client.wait_ready("bad");
    let ids = [(); 2].map(|()| client.send_command("bad", "sleep", json!({ "ms": 60_000 })));
    let busy = client.until_status("bad", "both have one", |status| {
        status["instances"]
            .as_array()
            .is_some_and(|all| all.iter().all(|one| one["in_flight"] == 1 && one["pid"].is_i64()))
    });
    let pids: Vec<i64> = busy["instances"].as_array().unwrap().iter().map(|one| one["pid"].as_i64().unwrap()).collect();
    let events = client.follow("module.crashed");
    kill(pids[0], Signal::SIGKILL);
    client.event(events, "module.crashed");
    let codes = ids.map(|id| {
        let cancel = client.cancel(id).unwrap();
        client.answer(cancel).unwrap();
        client.answer(id).unwrap_err().code
    });
    assert!(
        [[ErrorCode::ModuleCrashed, ErrorCode::Cancelled], [ErrorCode::Cancelled, ErrorCode::ModuleCrashed]]
            .contains(&codes),
        "{codes:?}"
    );
    client.wait_ready("bad");
    let next_pid = client.call("bad", "whoami", json!({})).unwrap()["pid"].as_i64().unwrap();
    assert_ne!(next_pid, pids[0]);
    assert!(is_alive(pids[1]), "the other one is untouched");
    world.stop();
}

#[test]
fn a_module_that_had_to_be_killed_at_its_stop_is_reported_everywhere() {
    let (mut world, mut client) = bad("[limits]\nstop_timeout = \"100ms\"\nterm_timeout = \"100ms\"\n");
    let words = "had to be killed: it ended neither within 100ms of shutdown (limits.stop_timeout)";
    client.wait_ready("bad");
    client.call("bad", "ignore_sigterm", json!({})).unwrap();
    let events = client.follow("module.exited");
    let stopped = world.bulkhead(&["stop", "bad"]);
    let said = String::from_utf8_lossy(&stopped.stdout);
    assert_eq!(stopped.status.code(), Some(0), "{said}");
    assert!(said.starts_with("bad: stopped\n") && said.contains(words), "{said}");
    let event = client.event(events, "module.exited");
    assert!(event["data"]["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{event:#}");
    let logs = String::from_utf8_lossy(&world.bulkhead(&["logs", "bad"]).stdout).into_owned();
    assert!(logs.contains("[bad#1 was stopped, and ") && logs.contains(words), "{logs}");
    assert!(client.status("bad")["last_exit"].as_str().is_some_and(|last| last.contains(words)));

    // By a restart as well; and a stop without a signal reports nothing.
    client.supervisor("start", named("bad"));
    client.call("bad", "ignore_sigterm", json!({})).unwrap();
    let restarted = client.supervisor("restart", named("bad"));
    assert!(restarted["remarks"][0].as_str().is_some_and(|remark| remark.contains(words)), "{restarted:#}");
    assert_eq!(client.supervisor("stop", named("bad")), json!({ "name": "bad", "state": "stopped" }));
    world.stop();
}

#[test]
fn a_reload_under_load_loses_nothing() {
    let (mut world, mut client) = bad("");
    client.wait_ready("bad");
    let before = client.pid("bad");
    let mut other = world.client();
    for _ in 0..3 {
        let reload = other.send_command("supervisor", "reload", named("bad"));
        let ids: Vec<u64> = (0..500).map(|n| client.send_command("bad", "echo", json!(n))).collect();
        for (n, id) in ids.into_iter().enumerate() {
            assert_eq!(client.answer(id).unwrap(), n);
        }
        assert_eq!(other.answer(reload).unwrap()["state"], "ready");
    }
    wait_until_gone(&[before]);
    let status = client.status("bad");
    assert_eq!((&status["restarts"], &status["state"]), (&json!(0), &json!("ready")), "{status:#}");
    world.stop();
}

#[test]
fn a_reload_lets_the_old_one_finish_what_it_has() {
    let (mut world, mut client) = bad("");
    client.wait_ready("bad");
    let old = client.pid("bad");
    let slow = client.send_command("bad", "nap", json!({ "ms": 300 }));
    client.until_status("bad", "it has begun", |status| status["in_flight"] == 1);
    let mut other = world.client();
    other.supervisor("reload", named("bad"));
    assert_ne!(other.call("bad", "whoami", json!({})).unwrap()["pid"], old);
    assert_eq!(client.answer(slow).unwrap(), json!({ "slept_ms": 300 }));
    wait_until_gone(&[old]);
    world.stop();
}

#[test]
fn a_reload_to_a_broken_version_keeps_the_old_one() {
    let (mut world, mut client) = bad("[config]\nversion = 1");
    client.wait_ready("bad");
    let pid = client.pid("bad");
    for broken in [
        "[config]\ninit_error = \"no disk\"",
        "env = { MISBEHAVE_AT_START = \"crash_before_init\" }",
        "env = { MISBEHAVE_AT_START = \"never_answer_init\" }\n[limits]\nstart_timeout = \"100ms\"",
        "env = { MISBEHAVE_AT_START = \"wrong_version\" }",
    ] {
        world.module("bad", "misbehave", broken);
        let failure = client.call("supervisor", "reload", named("bad")).unwrap_err();
        assert_eq!(failure.code, ErrorCode::ModuleError, "{broken}: {failure:?}");
        assert_eq!(client.pid("bad"), pid, "{broken}");
        assert_eq!(client.call("bad", "whoami", json!({})).unwrap()["config"], json!({ "version": 1 }));
    }
    // A file that does not check changes nothing either.
    world.module("bad", "misbehave", "colour = \"green\"");
    let failure = client.call("supervisor", "reload", named("bad")).unwrap_err();
    assert!(failure.error.contains("colour") && failure.error.contains("nothing was changed"), "{failure:?}");
    world.module("bad", "misbehave", "[config]\nversion = 2");
    client.supervisor("reload", named("bad"));
    assert_eq!(client.call("bad", "whoami", json!({})).unwrap()["config"], json!({ "version": 2 }));
    world.stop();
}

#[test]
fn sighup_starts_what_is_new_hands_over_what_changed_and_removes_what_is_gone() {
    let mut world = World::new();
    world.module("same", "misbehave", "").module("changed", "misbehave", "").module("gone", "misbehave", "").start();
    let mut client = world.client();
    ["same", "changed", "gone"].iter().for_each(|name| client.wait_ready(name));
    let pids: Vec<i64> = ["same", "changed", "gone"].iter().map(|name| client.pid(name)).collect();
    std::fs::remove_dir_all(world.path("modules/gone")).unwrap();
    world.module("changed", "misbehave", "[config]\nnew = true").module("added", "misbehave", "");
    world.host().signal(Signal::SIGHUP);
    wait_until_gone(&pids[1..]);
    client.until_known("added");
    client.wait_ready("added");
    assert_eq!(client.pid("same"), pids[0]);
    assert_eq!(client.call("changed", "whoami", json!({})).unwrap()["config"], json!({ "new": true }));
    client.until_unknown("gone");
    assert_eq!(client.call("gone", "echo", json!(1)).unwrap_err().code, ErrorCode::UnknownModule);

    // A file that does not check leaves everything as it is.
    world.manifest("added", "name = 5");
    world.host().signal(Signal::SIGHUP);
    world.wait_for_notice("READY=1");
    assert_eq!(client.pid("same"), pids[0]);
    client.wait_ready("added");
    world.stop();
}

#[test]
fn a_change_that_comes_while_the_one_before_is_handed_over_is_refused_aloud_and_taken_later() {
    let (mut world, mut client) = bad("[config]\nversion = 1");
    client.wait_ready("bad");
    world.module("bad", "misbehave", "[config]\nversion = 2\ninit_ms = 300");
    world.host().signal(Signal::SIGHUP);
    client.until_status("bad", "a successor starts", |status| {
        status["instances"].as_array().is_some_and(|all| all.iter().any(|one| one["role"] == "successor"))
    });
    let events = client.follow("module.*");
    world.module("bad", "misbehave", "[config]\nversion = 3");
    world.host().signal(Signal::SIGHUP);
    let refused = client.event(events, "module.reload_failed");
    assert!(refused.to_string().contains("being reloaded already"), "{refused}");
    client.event(events, "module.reloaded");
    assert_eq!(client.call("bad", "whoami", json!({})).unwrap()["config"]["version"], 2);
    world.host().signal(Signal::SIGHUP);
    client.event(events, "module.reloaded");
    assert_eq!(client.call("bad", "whoami", json!({})).unwrap()["config"]["version"], 3);
    world.stop();
}

#[test]
fn stop_start_and_restart_do_what_they_say() {
    let (mut world, mut client) = bad("");
    client.wait_ready("bad");
    let first = client.pid("bad");
    assert_eq!(client.supervisor("start", named("bad")), json!({ "name": "bad", "state": "ready" }));
    assert_eq!(client.pid("bad"), first, "what runs is not started again");
    assert_eq!(client.supervisor("restart", named("bad")), json!({ "name": "bad", "state": "ready" }));
    let second = client.pid("bad");
    assert!(first != second && !is_alive(first));
    assert_eq!(client.supervisor("stop", named("bad")), json!({ "name": "bad", "state": "stopped" }));
    let status = client.status("bad");
    assert_eq!(
        (&status["state"], &status["desired"], &status["pid"]),
        (&json!("stopped"), &json!("stopped"), &Value::Null)
    );
    assert_eq!(client.supervisor("stop", named("bad"))["state"], "stopped");
    client.wait_for("bad", "stopped");
    client.supervisor("restart", named("bad"));
    let status = client.status("bad");
    assert_eq!((&status["state"], &status["restarts"]), (&json!("ready"), &json!(0)), "no crash was seen: {status:#}");
    assert_eq!(client.supervisor("crashes", json!({}))["crashes"], json!([]));
    world.stop();
}

#[test]
fn the_policy_and_the_exit_decide_whether_a_module_is_started_again() {
    // Its exit, its policy, and whether it comes back.
    let table = [
        ("always", 0, true),
        ("always", 3, true),
        ("on-failure", 0, false),
        ("on-failure", 3, true),
        ("never", 0, false),
        ("never", 3, false),
        ("always", 125, false),
        ("on-failure", 125, false),
    ];
    let mut world = World::new();
    let name = |policy: &str, code: i32| format!("{policy}-{code}");
    for (policy, code, _) in table {
        let rest = format!("{QUICK}policy = \"{policy}\"");
        world.module(&name(policy, code), "misbehave", &rest);
    }
    world.start();
    let mut client = world.client();
    for (policy, code, comes_back) in table {
        let name = name(policy, code);
        client.wait_ready(&name);
        let pid = client.pid(&name);
        client.call(&name, "answer_then_exit", json!({ "code": code })).unwrap();
        wait_until_gone(&[pid]);
        let status = client.until_status(&name, "its end was seen", |status| status["last_exit"].is_string());
        assert!(status["last_exit"].as_str().unwrap().contains(&format!("exit code {code}")), "{status:#}");
        if comes_back {
            client.wait_ready(&name);
            assert_eq!(client.status(&name)["restarts"], 1);
            continue;
        }
        let status = client.until_status(&name, "all is cleared", |status| status["state"] != "clearing");
        let expected = if code == 125 { "failed" } else { "stopped" };
        assert_eq!((&status["state"], &status["next"]), (&json!(expected), &Value::Null), "{name}: {status:#}");
        let refused = client.call(&name, "echo", json!(1)).unwrap_err();
        assert_eq!((refused.code, refused.delivery), (ErrorCode::ModuleUnavailable, Some(Delivery::NotStarted)));
        client.supervisor("start", named(&name));
        client.wait_ready(&name);
    }
    world.stop();
}

#[test]
fn a_wait_for_the_next_start_can_be_seen_and_is_skipped_by_hand() {
    let rest =
        "[restart]\ndelay_initial = \"1h\"\ndelay_max = \"1h\"\nat_once_after = \"1h\"\n[config]\nfail_starts = 1";
    let (mut world, mut client) = bad(rest);
    let status = client.until_status("bad", "it waits", |status| status["state"] == "waiting");
    assert_eq!(status["next"]["action"], "next start", "{status:#}");
    // The random part is a quarter of an hour.
    assert!(status["next"]["in_ms"].as_u64().is_some_and(|ms| ms > 2_600_000), "{status:#}");
    assert!(status["last_exit"].as_str().unwrap().contains("start 1 fails"), "{status:#}");
    client.supervisor("start", named("bad"));
    assert_eq!(client.call("bad", "echo", json!(1)).unwrap(), 1);
    world.stop();
}

#[test]
fn a_module_that_fails_too_often_is_tried_less_often_until_a_start_by_hand_clears_the_count() {
    let rest = "[restart]\ndelay_initial = \"1ms\"\ndelay_max = \"1ms\"\nbreaker_failures = 3\nbreaker_retry = \"1h\"\n[config]\nfail_starts = 3";
    let (mut world, mut client) = bad(rest);
    let events = client.follow("module.*");
    let status = client.until_status("bad", "its breaker opens", |status| {
        status["state"] == "waiting" && status["next"].to_string().contains("crash_loop")
    });
    assert_eq!((&status["state"], &status["restarts"]), (&json!("waiting"), &json!(2)), "{status:#}");
    assert!(status["next"]["in_ms"].as_u64().is_some_and(|ms| ms > 2_600_000), "{status:#}");
    client.supervisor("start", named("bad"));
    client.event(events, "module.ready");
    assert_eq!(client.call("bad", "echo", json!(1)).unwrap(), 1);
    world.stop();
}

#[test]
fn a_module_is_given_up_only_where_its_manifest_says_so() {
    let rest = "[restart]\ndelay_initial = \"1ms\"\ndelay_max = \"1ms\"\nbreaker_failures = 2\nbreaker_retry = \"10ms\"\ngive_up = 2\n[config]\ninit_error = \"never\"";
    let (mut world, mut client) = bad(rest);
    let status = client.until_status("bad", "it is given up", |status| status["state"] == "failed");
    assert_eq!(status["next"], Value::Null, "{status:#}");
    assert_eq!(client.call("bad", "echo", json!(1)).unwrap_err().code, ErrorCode::ModuleUnavailable);
    world.stop();
}

#[test]
fn a_start_by_hand_that_fails_is_reported_at_once_with_the_reason() {
    let (mut world, mut client) = bad("autostart = false\n[config]\ninit_error = \"the disk is full\"");
    let failure = client.call("supervisor", "start", named("bad")).unwrap_err();
    assert_eq!(failure.code, ErrorCode::ModuleError);
    assert!(failure.error.contains("the disk is full"), "{}", failure.error);
    world.stop();
}

#[test]
fn a_start_that_takes_too_long_is_ended() {
    let (mut world, mut client) =
        bad("autostart = false\n[limits]\nstart_timeout = \"100ms\"\n[config]\ninit_ms = 20000");
    let failure = client.call("supervisor", "start", named("bad")).unwrap_err();
    assert!(failure.error.contains("not ready within 100ms"), "{}", failure.error);
    world.stop();
}

#[test]
fn a_module_that_ignores_shutdown_and_sigterm_is_stopped_all_the_same() {
    let (mut world, mut client) = bad("[limits]\nstop_timeout = \"50ms\"\nterm_timeout = \"50ms\"");
    for faults in [&["ignore_shutdown"][..], &["ignore_sigterm"], &["ignore_shutdown", "ignore_sigterm"]] {
        client.supervisor("start", named("bad"));
        for fault in faults {
            client.call("bad", fault, json!({})).unwrap();
        }
        let pid = client.pid("bad");
        client.supervisor("stop", named("bad"));
        assert!(!is_alive(pid), "{faults:?}");
        assert_eq!(client.status("bad")["state"], "stopped");
    }
    assert_eq!(client.supervisor("crashes", json!({}))["crashes"], json!([]), "a commanded stop is never a crash");
    world.stop();
}

#[test]
fn a_module_that_is_stopped_by_a_signal_is_stopped_all_the_same() {
    let (mut world, mut client) = bad("[limits]\nstop_timeout = \"50ms\"\nterm_timeout = \"2s\"");
    client.wait_ready("bad");
    let pid = client.pid("bad");
    kill(pid, Signal::SIGSTOP);
    client.supervisor("stop", named("bad"));
    assert!(!is_alive(pid));
    world.stop();
}

#[test]
fn a_module_that_goes_silent_is_noticed_and_replaced() {
    let (mut world, mut client) = bad("[limits]\nping_interval = \"50ms\"\nping_timeout = \"100ms\"\nping_misses = 2");
    client.wait_ready("bad");
    let pid = client.pid("bad");
    kill(pid, Signal::SIGSTOP);
    let back = |status: &Value| status["state"] == "ready" && status["pid"].is_i64() && status["pid"] != pid;
    let status = client.until_status("bad", "it is replaced", back);
    assert!(status["last_exit"].as_str().unwrap().starts_with("hung"), "{status:#}");
    assert!(!is_alive(pid));
    world.stop();
}

#[test]
fn a_host_that_was_stopped_reads_what_has_come_before_it_judges() {
    const MODULES: usize = 60;
    let names: Vec<String> = (0..MODULES).map(|number| format!("bad-{number}")).collect();
    let mut world = World::new();
    for name in &names {
        world.module(name, "misbehave", "[limits]\ncancel_grace = \"100ms\"");
    }
    world.start();
    let mut client = world.client();
    names.iter().for_each(|name| client.wait_ready(name));
    let ids: Vec<u64> = (0..MODULES)
        .map(|number| {
            let mut request = Caller::command(&names[number], "sleep", json!({ "ms": 200 }));
            request.deadline_ms = Some(2000);
            client.send(&request).unwrap()
        })
        .collect();
    // What was sent before on this connection has been read.
    client.supervisor("status", Value::Null);
    // Every answer comes in time, and every deadline and grace has passed long before it is read.
    world.host().signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    until("the end of all that they are given", || (stopped.elapsed() > Duration::from_secs(3)).then_some(()));
    world.host().signal(Signal::SIGCONT);
    for id in ids {
        client.answer(id).expect("it was answered in time");
    }
    let crashes = client.supervisor("crashes", json!({}));
    let crashes = crashes["crashes"].as_array().unwrap();
    assert!(crashes.is_empty(), "{} modules were killed that had answered: {:#}", crashes.len(), crashes[0]);
    world.stop();
}

#[test]
fn a_message_that_costs_more_processor_time_than_it_may_ends_the_module() {
    let (mut world, mut client) = bad("[resources]\ncpu_time_limit = \"100ms\"\n[limits]\ncancel_grace = \"50ms\"");
    client.wait_ready("bad");
    assert!(client.call("bad", "work", json!({ "ms": 10 })).is_ok());
    let failure = client.call("bad", "spin", json!({})).unwrap_err();
    assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    assert!(failure.error.contains("CPU time"), "{}", failure.error);
    client.wait_ready("bad");
    world.stop();
}

#[test]
fn many_modules_that_keep_failing_leave_the_others_alone() {
    let mut world = World::new();
    for n in 0..10 {
        world.module(&format!("bad{n}"), "misbehave", "env = { MISBEHAVE_AT_START = \"crash_when_ready\" }");
    }
    world.module("good", "test-minimal", "").start();
    let mut client = world.client();
    client.wait_ready("good");
    let events = client.follow("module.crashed");
    for count in 1..=30 {
        client.event(events, "module.crashed");
        assert_eq!(client.call("good", "ping", json!({})).unwrap()["count"], count);
    }
    assert_eq!(client.status("good")["restarts"], 0);
    world.stop();
}
