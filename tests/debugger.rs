//! Modules in a debugger, which is this test: a process that is stopped in one is not ended for its silence. And core
//! files, for a later debugger.

use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, World, until};
use nix::sys::{
    ptrace,
    resource::{Resource, getrlimit},
    wait::waitpid,
};
use nix::unistd::Pid;
use serde_json::json;
use std::{fs, path::PathBuf};

/// A module that is judged soon, and a client.
fn hasty(rest: &str) -> (World, Caller) {
    let limits = "[limits]\nping_interval = \"100ms\"\nping_timeout = \"50ms\"\nping_misses = 2\ncancel_grace = \"100ms\"\n\
                  stop_timeout = \"100ms\"\nterm_timeout = \"100ms\"\n";
    let mut world = World::new();
    world.module("bad", "misbehave", &format!("{limits}{rest}")).start();
    let mut client = world.client();
    client.wait_ready("bad");
    (world, client)
}

/// Stops a process as a debugger does.
fn attach(pid: i64) -> Pid {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    ptrace::attach(pid).unwrap_or_else(|error| panic!("cannot trace {pid}: {error}"));
    waitpid(pid, None).unwrap();
    pid
}

#[test]
fn a_module_that_is_stopped_in_a_debugger_is_not_judged_and_goes_on_afterwards() {
    let (mut world, mut client) = hasty("");
    let events = client.send_command("supervisor", "events", json!({ "pattern": "module.*" }));
    let pid = client.pid("bad");
    let traced = attach(pid);
    let event = client.event(events, "module.traced");
    let detail = event["data"]["detail"].as_str().unwrap();
    assert!(detail.starts_with(&format!("traced by {} (", std::process::id())), "{event}");
    let status = client.status("bad");
    assert_eq!((&status["state"], &status["pid"]), (&json!("ready"), &json!(pid)), "{status:#}");
    assert!(status["reason"].as_str().unwrap().starts_with("traced by "), "{status:#}");
    // A caller's deadline is its own, and the grace after it ends nothing.
    for _ in 0..3 {
        let late = client.call_within(400, "bad", "echo", json!(1)).unwrap_err();
        assert_eq!(late.code, ErrorCode::DeadlineExceeded, "{late:?}");
    }
    assert_eq!(client.pid("bad"), pid);
    ptrace::detach(traced, None).unwrap();
    assert_eq!(client.call("bad", "echo", json!(2)).unwrap(), 2);
    let status = client.status("bad");
    assert_eq!((&status["pid"], &status["restarts"], &status["reason"]), (&json!(pid), &json!(0), &json!(null)));
    // Without one, it is judged as ever.
    let late = client.call_within(100, "bad", "hang", json!({})).unwrap_err();
    assert_eq!(late.code, ErrorCode::DeadlineExceeded, "{late:?}");
    client.event(events, "module.crashed");
    world.stop();
}

#[test]
fn a_start_that_is_stopped_in_a_debugger_has_no_time_limit() {
    let mut world = World::new();
    world.module(
        "bad",
        "misbehave",
        "autostart = false\n[limits]\nstart_timeout = \"300ms\"\n[config]\ninit_ms = 60000",
    );
    world.start();
    let mut client = world.client();
    let events = client.send_command("supervisor", "events", json!({ "pattern": "module.*" }));
    client.send_command("supervisor", "start", json!({ "name": "bad" }));
    let pid = until("its process is there", || client.status("bad")["pid"].as_i64());
    let traced = attach(pid);
    client.event(events, "module.traced");
    client.status("bad");
    assert_eq!(client.pid("bad"), pid);
    ptrace::detach(traced, None).unwrap();
    // It still hangs, and is ended a round later.
    client.event(events, "module.crashed");
    world.stop();
}

#[test]
fn a_stop_that_is_asked_for_ends_a_module_that_is_stopped_in_a_debugger() {
    let (mut world, mut client) = hasty("");
    let traced = attach(client.pid("bad"));
    let stop = client.send_command("supervisor", "stop", json!({ "name": "bad" }));
    // A debugger learns of the end first, and the parent after that.
    waitpid(traced, None).unwrap();
    let stopped = client.answer(stop).unwrap();
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert!(stopped["remarks"][0].as_str().unwrap().contains("had to be killed"), "{stopped}");
    world.stop();
}

#[test]
fn a_module_that_has_itself_traced_is_judged_all_the_same() {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        return eprintln!("skipped: a module that has itself traced, since there is no strace");
    }
    let mut world = World::new();
    world.module("bad", "misbehave", "");
    let limits = "[limits]\ncancel_grace = \"100ms\"\n";
    let script = "strace -o /dev/null -p $$ & exec bin/misbehave";
    let manifest = format!("name = \"bad\"\ntype = \"process\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{limits}");
    world.manifest("bad", &manifest);
    world.start();
    let mut client = world.client();
    client.wait_ready("bad");
    let pid = client.pid("bad");
    let traced =
        || fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| !text.contains("TracerPid:\t0\n"));
    until("it is traced", || traced().then_some(()));
    let events = client.send_command("supervisor", "events", json!({ "pattern": "module.*" }));
    client.call_within(100, "bad", "hang", json!({})).unwrap_err();
    let end = client.event(events, "module.crashed");
    assert!(end.to_string().contains("hung"), "{end}");
    world.stop();
}

/// The core files in a module's folder.
fn cores(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.path("modules/bad")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("core")).collect()
}

#[test]
fn a_crash_leaves_a_core_file_where_the_manifest_asks_for_one() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim_end() != "core" {
        return eprintln!("skipped: core files, since this kernel's core_pattern is {:?}", pattern.trim_end());
    }
    if getrlimit(Resource::RLIMIT_CORE).unwrap().1 < 64 << 20 {
        return eprintln!("skipped: core files, since the hard limit of their length is too low here");
    }
    for (limit, expected) in [("", false), ("[resources]\ncore_limit = \"unlimited\"\n", true)] {
        let (mut world, mut client) = hasty(limit);
        client.call("bad", "segfault", json!({})).unwrap_err();
        client.wait_ready("bad");
        let found = cores(&world);
        assert_eq!(!found.is_empty(), expected, "{limit:?}: {found:?}");
        for core in found {
            let head = fs::read(core).unwrap();
            assert!(head.starts_with(b"\x7fELF") && head.len() > 1 << 16, "{} bytes", head.len());
        }
        world.stop();
    }
}
