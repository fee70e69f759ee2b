//! No process of a module outlives its stop, its crash, or the end of the host, wherever it moved: as root and as an
//! ordinary user, with control groups where they may be used and without.

use bulkhead_protocol::{Delivery, ErrorCode};
use bulkhead_tests::{Caller, World, copy_program, is_alive, is_root, kill, stat, until, wait_until_gone};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The worlds to try: for each possible user, the host's own choice, and the containment that works everywhere.
fn worlds() -> Vec<World> {
    let mut worlds = vec![World::new(), World::new().env("BULKHEAD_CONTAINMENT", "subreaper")];
    if is_root() {
        worlds.push(World::new().as_nobody());
        worlds.push(World::new().as_nobody().env("BULKHEAD_CONTAINMENT", "subreaper"));
    } else {
        eprintln!("skipped: another user's host, as only root can start it");
    }
    worlds
}

/// Starts the host with one module and a process tree of it that tries to escape; returns all of their process ids.
fn start_family(world: &mut World) -> (Caller, Vec<i64>) {
    world.module("bad", "misbehave", "[limits]\nstop_timeout = \"300ms\"\nterm_timeout = \"300ms\"").start();
    let mut client = world.client();
    let family = new_family(&mut client);
    (client, family)
}

fn new_family(client: &mut Caller) -> Vec<i64> {
    client.wait_ready("bad");
    let mut pids = vec![client.pid("bad")];
    for (fault, args) in [
        ("family", json!({ "count": 2, "ignore_term": true, "hold_channel": true })),
        ("family", json!({ "count": 1 })),
        ("children", json!({ "count": 2 })),
    ] {
        let data = client.call("bad", fault, args).unwrap();
        pids.extend(data["pids"].as_array().into_iter().flatten().filter_map(Value::as_i64));
    }
    assert_eq!(pids.len(), 6);
    assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    pids
}

fn living(pids: &[i64]) -> Vec<i64> {
    pids.iter().copied().filter(|pid| is_alive(*pid)).collect()
}

#[test]
fn a_stop_is_answered_when_the_whole_tree_is_gone() {
    for mut world in worlds() {
        let (mut client, family) = start_family(&mut world);
        client.supervisor("stop", json!({ "name": "bad" }));
        assert_eq!(living(&family), [0; 0]);
        world.stop();
    }
}

#[test]
fn a_crash_takes_the_whole_tree_along_before_the_module_is_back() {
    for mut world in worlds() {
        let (mut client, family) = start_family(&mut world);
        let events = client.follow("module.*");
        kill(family[0], Signal::SIGKILL);
        client.event(events, "module.ready");
        assert_eq!(living(&family), [0; 0]);
        assert_ne!(client.pid("bad"), family[0]);
        world.stop();
    }
}

#[test]
fn a_restart_and_a_reload_leave_nothing_of_the_old_tree() {
    for mut world in worlds() {
        let (mut client, family) = start_family(&mut world);
        client.supervisor("restart", json!({ "name": "bad" }));
        assert_eq!(living(&family), [0; 0]);
        let family = new_family(&mut client);
        client.supervisor("reload", json!({ "name": "bad" }));
        wait_until_gone(&family);
        assert!(is_alive(client.pid("bad")));
        world.stop();
    }
}

#[test]
fn the_end_of_the_host_by_a_signal_leaves_nothing() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for mut world in worlds() {
            let (_client, family) = start_family(&mut world);
            assert_eq!(world.end_host(signal).code, Some(0));
            assert_eq!(living(&family), [0; 0]);
        }
    }
}

#[test]
fn kill_9_of_the_host_leaves_nothing() {
    for mut world in worlds() {
        let (_client, family) = start_family(&mut world);
        world.end_host(Signal::SIGKILL);
        wait_until_gone(&family);
        world.wait_until_empty();
    }
}

#[test]
fn kill_9_of_the_guardian_leaves_nothing_and_everything_is_started_again() {
    for mut world in worlds() {
        let (mut client, family) = start_family(&mut world);
        let guardian = client.guardian_pid();
        kill(guardian, Signal::SIGKILL);
        wait_until_gone(&family);
        client.wait_ready("bad");
        assert_eq!(client.call("bad", "echo", json!("here again")).unwrap(), "here again");
        let status = client.supervisor("status", Value::Null);
        assert!(![Value::Null, json!(guardian)].contains(&status["host"]["guardian_pid"]), "{status:#}");
        world.stop();
    }
}

#[test]
fn a_module_that_dies_of_its_guardians_death_is_not_said_to_have_crashed() {
    for mut world in worlds() {
        let (mut client, family) = start_family(&mut world);
        let guardian = client.guardian_pid();
        // The host learns of both deaths at once, in any order.
        world.host().signal(Signal::SIGSTOP);
        kill(guardian, Signal::SIGKILL);
        wait_until_gone(&family[..1]);
        world.host().signal(Signal::SIGCONT);
        client.wait_ready("bad");
        let crashes = client.supervisor("crashes", json!({ "name": "bad" }));
        assert!(!crashes.to_string().contains("reason"), "{crashes:#}");
        let status = client.status("bad");
        assert!(status["last_exit"].to_string().contains("the guardian process ended"), "{status:#}");
        world.stop();
    }
}

/// Whether a process is stopped by a signal.
fn is_stopped(pid: i64) -> bool {
    stat(pid).is_some_and(|stat| stat.state == 'T')
}

#[test]
fn what_modules_had_answered_before_the_guardians_death_is_delivered() {
    let mut world = World::new();
    world.module("bad", "misbehave", "[limits]\nwindow = 1000").start();
    let mut client = world.client();
    client.wait_ready("bad");
    let (guardian, module) = (client.guardian_pid(), client.pid("bad"));
    // All answers are in the channel of the module, which answers while the host stands still.
    kill(module, Signal::SIGSTOP);
    let echoes: Vec<u64> = (0..100).map(|n| client.send_command("bad", "echo", json!(n))).collect();
    let last = client.send_command("bad", "stop_self", json!({}));
    client.until_status("bad", "all is sent", |status| status["in_flight"] == 101);
    world.host().signal(Signal::SIGSTOP);
    kill(module, Signal::SIGCONT);
    until("the module has answered", || is_stopped(module).then_some(()));
    kill(guardian, Signal::SIGKILL);
    wait_until_gone(&[guardian, module]);
    world.host().signal(Signal::SIGCONT);
    for (n, id) in echoes.into_iter().enumerate() {
        assert_eq!(client.answer(id).unwrap_or_else(|failure| panic!("{n}: {failure:?}")), n);
    }
    let failure = client.answer(last).unwrap_err();
    assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    client.wait_ready("bad");
    assert_eq!(client.status("bad")["restarts"], 0);
    world.stop();
}

#[test]
fn the_guardians_death_again_and_again_counts_for_no_module() {
    for mut world in worlds() {
        world.module("bad", "misbehave", "").start();
        let mut client = world.client();
        for _ in 0..8 {
            client.wait_ready("bad");
            let (guardian, module) = (client.guardian_pid(), client.pid("bad"));
            kill(guardian, Signal::SIGKILL);
            wait_until_gone(&[guardian, module]);
            client.until_status("bad", "it is started again", |status| {
                let reason = status["reason"].as_str().unwrap_or_default();
                assert!(!reason.contains("backoff") && !reason.contains("crash_loop"), "{status:#}");
                status["state"] == "ready"
            });
        }
        let status = client.status("bad");
        assert_eq!(status["restarts"], 0, "{status:#}");
        let crashes = client.supervisor("crashes", json!({ "name": "bad" }));
        assert!(!crashes.to_string().contains("reason"), "{crashes:#}");
        world.stop();
    }
}

#[test]
fn a_runtime_that_is_away_costs_its_modules_no_more_than_that() {
    let world = World::new();
    let runtime = world.path("module-runtime");
    copy_program("module-runtime", &runtime);
    let mut world = world.env("BULKHEAD_RUNTIME", &runtime.display().to_string());
    world.module("bad", "misbehave", "");
    world.manifest("line", "name = \"line\"\ntype = \"filter\"\ncommand = [\"cat\"]");
    world.start();
    let mut client = world.client();
    client.wait_ready("bad");
    client.wait_ready("line");
    let away = world.path("away");
    std::fs::rename(&runtime, &away).unwrap();

    // The guardian still runs, and starts modules that are programs themselves.
    kill(client.pid("line"), Signal::SIGKILL);
    let waits = |status: &Value| {
        status["state"] == "waiting" && status["reason"].as_str().unwrap_or_default().contains("module-runtime")
    };
    client.until_status("line", "it waits for its runtime", waits);
    client.supervisor("restart", json!({ "name": "bad" }));

    kill(client.guardian_pid(), Signal::SIGKILL);
    client.until_status("bad", "it waits for the guardian", waits);
    client.until_status("line", "it waits for the guardian", waits);

    std::fs::rename(&away, &runtime).unwrap();
    client.wait_ready("bad");
    client.wait_ready("line");
    assert_eq!(client.status("bad")["restarts"], 0);
    assert_eq!(client.status("line")["restarts"], 1, "it was killed once");
    world.stop();
}

#[test]
fn what_kill_9_of_the_host_and_its_guardian_left_is_cleared_by_the_next_host() {
    for mut world in worlds() {
        let (mut client, family) = start_family(&mut world);
        let guardian = client.guardian_pid();
        // The host is stopped first, so that it cannot clear anything once its guardian is dead.
        world.host().signal(Signal::SIGSTOP);
        kill(guardian, Signal::SIGKILL);
        world.end_host(Signal::SIGKILL);
        world.start();
        assert_eq!(living(&family), [0; 0]);
        let mut client = world.client();
        client.wait_ready("bad");
        assert_eq!(client.call("bad", "echo", json!(1)).unwrap(), 1);
        world.stop();
    }
}

#[test]
fn orphans_of_a_module_that_gave_up_being_their_parent_are_gone_after_its_stop() {
    for mut world in worlds() {
        let (mut client, mut family) = start_family(&mut world);
        client.call("bad", "drop_subreaper", json!({})).unwrap();
        let data = client.call("bad", "family", json!({ "ignore_term": true })).unwrap();
        family.extend(data["pids"].as_array().into_iter().flatten().filter_map(Value::as_i64));
        client.supervisor("stop", json!({ "name": "bad" }));
        assert_eq!(living(&family), [0; 0]);
        world.stop();
    }
}

#[test]
fn a_tree_that_grows_while_it_is_stopped_is_cleared_all_the_same() {
    for mut world in worlds() {
        world.module("bad", "misbehave", "[limits]\nstop_timeout = \"100ms\"\nterm_timeout = \"100ms\"").start();
        let mut client = world.client();
        client.wait_ready("bad");
        client.call("bad", "fork_bomb", json!({ "count": 3, "seconds": 5 })).unwrap();
        client.supervisor("stop", json!({ "name": "bad" }));
        let left: Vec<_> =
            world.processes().into_iter().filter(|process| process.command.contains("misbehave")).collect();
        assert!(left.is_empty(), "{left:#?}");
        world.stop();
    }
}

#[test]
fn the_status_says_which_containment_is_in_force() {
    let mut world = World::new().env("BULKHEAD_CONTAINMENT", "subreaper");
    world.module("bad", "misbehave", "").start();
    let mut client = world.client();
    assert_eq!(client.status("bad")["containment"], "subreaper");
    world.stop();

    let mut world = World::new();
    world.module("bad", "misbehave", "").start();
    let containment = world.client().status("bad")["containment"].clone();
    assert!([json!("cgroup"), json!("subreaper")].contains(&containment), "{containment}");
    world.stop();
}
