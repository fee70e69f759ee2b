//! The host as a library inside this very process.

use bulkhead_config::{HostConfig, Loaded, ModuleConfig};
use bulkhead_host::{Host, Options};
use bulkhead_protocol::{Delivery, ErrorCode, Json, Status};
use bulkhead_tests::{
    Caller, World, copy_program, is_alive, kill, owners_of_checkout, program, timeout, wait_until_gone,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn module(name: &str, program_name: &str) -> ModuleConfig {
    let command = program(program_name);
    let command = command.to_str().expect("the tests are built at a path of UTF-8");
    let mut module = ModuleConfig::process(name, [command]).unwrap();
    module.limits.stop_timeout = Duration::from_millis(200);
    module
}

/// The programs of the modules may be in another user's checkout.
fn host_config(state: PathBuf, socket: PathBuf) -> HostConfig {
    let mut config = HostConfig::new(state, socket);
    config.trusted_users = owners_of_checkout();
    config
}

/// A host whose files are in `world`, with one module called `bad`.
fn embed(world: &World, listen: bool) -> (Host, Caller) {
    let config = host_config(world.state(), world.socket());
    let options = Options { runtime: Some(program("module-runtime")), listen, reloader: None };
    let host = Host::start(config, vec![module("bad", "misbehave")], options).unwrap();
    let client = Caller(host.client().unwrap());
    (host, client)
}

#[test]
fn a_program_starts_a_host_calls_its_modules_and_leaves_nothing_when_it_drops_it() {
    let world = World::new();
    let (host, mut client) = embed(&world, false);
    client.wait_ready("bad");
    assert_eq!(client.call("bad", "echo", json!("inside")).unwrap(), "inside");
    let data = client.0.call("bad", "echo", Json::of(&1), None).unwrap();
    assert_eq!(data.as_str(), "1");
    let family = client.call("bad", "family", json!({ "count": 2, "ignore_term": true })).unwrap();
    let mut pids: Vec<i64> = family["pids"].as_array().unwrap().iter().map(|pid| pid.as_i64().unwrap()).collect();
    pids.push(client.pid("bad"));
    assert!(!world.socket().exists(), "it was not asked to listen");
    drop(host);
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{pids:?}");
    assert!(world.processes().is_empty());
}

#[test]
fn a_handle_stops_a_host_that_it_does_not_own_and_reports_when_nothing_is_left() {
    let world = World::new();
    let (host, mut client) = embed(&world, false);
    client.wait_ready("bad");
    let pid = client.pid("bad");
    let (handle, other) = (host.handle(), host.handle());
    assert!(!handle.has_ended());
    let mut own = Caller(handle.client().unwrap());
    assert_eq!(own.call("bad", "echo", json!(1)).unwrap(), 1);
    // On a runtime of one thread: a blocking call would never return.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let ended = tokio::spawn(async move { other.ended().await });
        handle.stop();
        tokio::time::timeout(timeout(), handle.ended()).await.expect("it has ended");
        ended.await.unwrap();
    });
    assert!(handle.has_ended() && !is_alive(pid) && world.processes().is_empty());
    assert_eq!(handle.client().unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    handle.stop();
    drop(host);
}

#[test]
fn a_crash_inside_a_program_is_reported_like_any_other() {
    let world = World::new();
    let (host, mut client) = embed(&world, false);
    client.wait_ready("bad");
    let pid = client.pid("bad");
    assert_eq!(client.call("bad", "segfault", json!({})).unwrap_err().code, ErrorCode::ModuleCrashed);
    client.wait_ready("bad");
    assert_ne!(client.pid("bad"), pid);
    // The program's own children and signals are left alone.
    let mut own = std::process::Command::new("true").spawn().unwrap();
    assert!(own.wait().unwrap().success());
    let guardian = client.guardian_pid();
    kill(guardian, Signal::SIGKILL);
    wait_until_gone(&[guardian]);
    client.wait_ready("bad");
    host.stop();
    assert!(world.processes().is_empty());
}

#[test]
fn a_reloader_that_panics_is_reported_and_the_next_reading_finds_what_there_is() {
    let world = World::new();
    let config = host_config(world.state(), world.socket());
    let (host, readings) = (config.clone(), std::sync::atomic::AtomicU32::new(0));
    let reloader = Box::new(move || {
        let number = readings.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(number > 0, "as the test asks");
        Ok(Loaded::new(host.clone(), vec![module("bad", "misbehave"), module("other", "test-minimal")]))
    });
    let options = Options { runtime: Some(program("module-runtime")), listen: false, reloader: Some(reloader) };
    let host = Host::start(config, vec![module("bad", "misbehave")], options).unwrap();
    let mut client = Caller(host.client().unwrap());
    client.wait_ready("bad");
    let reported = client.call("supervisor", "reload", json!({ "name": "other" })).unwrap_err();
    assert_eq!(reported.code, ErrorCode::ModuleError);
    assert!(reported.error.contains("nothing was changed: the reading panicked"), "{}", reported.error);
    client.supervisor("reload", json!({ "name": "other" }));
    client.call("other", "ping", json!({})).unwrap();
    host.stop();
}

#[test]
fn two_hosts_live_side_by_side_but_not_in_one_state_directory() {
    let (first_world, second_world) = (World::new(), World::new());
    let (first, mut client) = embed(&first_world, true);
    let (second, mut other) = embed(&second_world, true);
    client.wait_ready("bad");
    other.wait_ready("bad");
    assert_ne!(client.pid("bad"), other.pid("bad"));
    let config = host_config(first_world.state(), second_world.path("third.sock"));
    let options = Options { runtime: Some(program("module-runtime")), listen: true, reloader: None };
    let refused = Host::start(config, Vec::new(), options).unwrap_err().to_string();
    assert!(refused.contains("in use by another host"), "{refused}");
    // A host with a socket is reached by the command like a daemon.
    let output = first_world.bulkhead(&["call", "bad", "echo", "[1]"]);
    assert_eq!(output.stdout, b"[1]\n");
    first.stop();
    assert_eq!(other.call("bad", "echo", json!(2)).unwrap(), 2);
    second.stop();
}

#[test]
fn one_request_restarts_or_reloads_all_reports_each_and_reads_the_files_once() {
    let world = World::new();
    let config = host_config(world.state(), world.socket());
    let modules = || vec![module("bad", "misbehave"), module("good", "test-minimal"), module("gone", "test-minimal")];
    let reads = Arc::new(AtomicUsize::new(0));
    let (counted, host) = (reads.clone(), config.clone());
    let reloader = Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        // No file names `gone` any more.
        Ok(Loaded::new(host.clone(), modules().into_iter().take(2).collect()))
    });
    let options = Options { runtime: Some(program("module-runtime")), listen: false, reloader: Some(reloader) };
    let host = Host::start(config, modules(), options).unwrap();
    let mut client = Caller(host.client().unwrap());
    let mut done = |name: &str, args: Value| {
        let id = client.send_command("supervisor", name, args);
        let mut reported = Vec::new();
        let end = loop {
            let response = client.0.next(id, Some(timeout())).unwrap();
            match response.status {
                Status::Progress(data) => reported.push(data.read::<Value>().unwrap()),
                Status::Success(data) => break data.read::<Value>().unwrap(),
                Status::Error(failure) => panic!("{failure:?}"),
            }
        };
        reported.sort_by_key(|one| one["name"].to_string());
        (reported, end)
    };
    let ready = |name: &str| json!({ "id": null, "status": "success", "data": { "name": name, "state": "ready" } });
    let (reported, end) = done("restart", json!({ "all": true }));
    let all = ["bad", "gone", "good"];
    assert_eq!(reported, all.map(|name| json!({ "name": name, "answer": ready(name) })));
    assert_eq!((end, reads.load(Ordering::Relaxed)), (json!({ "modules": 3, "failed": 0 }), 0));
    let (reported, end) = done("reload", json!({ "all": true }));
    assert_eq!((&reported[0]["answer"], &reported[2]["answer"]), (&ready("bad"), &ready("good")));
    assert_eq!((&reported[1]["name"], &reported[1]["answer"]["code"]), (&json!("gone"), &json!("not_found")));
    assert_eq!((end, reads.load(Ordering::Relaxed)), (json!({ "modules": 3, "failed": 1 }), 1));
    let (reported, end) = done("stop", json!({ "names": ["good", "missing"] }));
    assert_eq!(
        (&reported[0]["answer"]["data"]["state"], &reported[1]["answer"]["code"]),
        (&json!("stopped"), &json!("unknown_module"))
    );
    assert_eq!(end, json!({ "modules": 2, "failed": 1 }));
    assert_eq!(done("start", json!({ "names": [] })), (Vec::new(), json!({ "modules": 0, "failed": 0 })));

    for wrong in [json!({}), json!({ "name": "bad", "all": true }), json!({ "all": false })] {
        assert_eq!(client.call("supervisor", "stop", wrong).unwrap_err().code, ErrorCode::BadRequest);
    }
    // A cancelled request is answered at once, and its id is free; the stop continues.
    client.wait_ready("bad");
    client.send_command("bad", "nap", json!({ "ms": 10_000 }));
    client.until_status("bad", "it has begun", |status| status["in_flight"] == 1);
    let id = client.send_command("supervisor", "stop", json!({ "names": ["bad"] }));
    let cancel = client.cancel(id).unwrap();
    let failure = client.answer(id).unwrap_err();
    assert_eq!((failure.code, failure.delivery), (ErrorCode::Cancelled, Some(Delivery::Started)));
    client.answer(cancel).unwrap();
    client.wait_for("bad", "stopped");
    host.stop();
}

#[test]
fn what_is_wrong_is_reported_before_anything_is_started() {
    let world = World::new();
    let start = |runtime: &str, modules: Vec<ModuleConfig>| {
        let options = Options { runtime: Some(runtime.into()), listen: false, reloader: None };
        Host::start(host_config(world.state(), world.socket()), modules, options).unwrap_err().to_string()
    };
    assert!(start("/none", Vec::new()).contains("expected the program module-runtime at /none"));
    let twice = vec![module("bad", "misbehave"), module("bad", "misbehave")];
    assert!(start("/none", twice).contains("two modules have the name"));
    let not_a_guardian = start("/bin/true", Vec::new());
    assert!(not_a_guardian.contains("/bin/true"), "{not_a_guardian}");
}

#[test]
fn a_client_of_a_host_that_has_ended_is_informed() {
    let world = World::new();
    let (host, mut client) = embed(&world, false);
    client.wait_ready("bad");
    let waiting = client.send_command("bad", "sleep", json!({ "ms": 60_000 }));
    client.until_status("bad", "it has begun", |status| status["in_flight"] == 1);
    host.stop();
    let reported = client.answer(waiting);
    assert!(reported.is_err(), "{reported:?}");
    assert!(client.0.call("bad", "echo", Json::null(), None).is_err());
}

#[test]
fn a_module_that_others_may_write_is_refused_at_the_start_and_when_a_program_has_it_reloaded() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let world = World::new();
    let copy = world.path("modules/misbehave");
    copy_program("misbehave", &copy);
    let set = |mode: u32| fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
    set(0o755);
    fs::set_permissions(world.path("modules"), fs::Permissions::from_mode(0o755)).unwrap();
    let modules = || vec![ModuleConfig::process("bad", [copy.to_str().unwrap()]).unwrap()];
    let (config, of_reload) = (host_config(world.state(), world.socket()), modules());
    let host = config.clone();
    let options = |reloader| Options { runtime: Some(program("module-runtime")), listen: false, reloader };
    let reloader = move || Ok(Loaded::new(host.clone(), of_reload.clone()));
    let host = Host::start(config.clone(), modules(), options(Some(Box::new(reloader)))).unwrap();
    let mut client = Caller(host.client().unwrap());
    client.wait_ready("bad");
    set(0o757);
    let reported = client.call("supervisor", "reload", json!({ "name": "bad" })).unwrap_err().error;
    assert!(reported.contains("may be written by everybody") && reported.contains("chmod 755"), "{reported}");
    assert_eq!(client.call("bad", "echo", json!(1)).unwrap(), 1);
    host.stop();
    let refused = Host::start(config, modules(), options(None)).unwrap_err().to_string();
    assert!(refused.contains("module bad: module.command: ") && refused.contains("chmod 755"), "{refused}");
}
