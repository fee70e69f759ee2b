//! What others remove, replace or block under a host that runs: it is noticed, made again where that is safe, and
//! reported where it is not.

use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, World, is_root, until};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};

fn good() -> (World, Caller) {
    let mut world = World::new();
    world.module("good", "test-minimal", "").start();
    let mut client = world.client();
    client.wait_ready("good");
    (world, client)
}

fn problems(client: &mut Caller) -> Vec<String> {
    let status = client.supervisor("status", Value::Null);
    let list = status["host"]["problems"].as_array().unwrap();
    list.iter().map(|problem| problem.as_str().unwrap().to_owned()).collect()
}

fn until_reachable(world: &World) {
    until("the host can be reached", || UnixStream::connect(world.socket()).ok());
    world.client().call("good", "ping", json!({})).unwrap();
}

#[test]
fn a_manifest_that_is_no_file_or_whose_reading_waits_is_refused_at_a_reload_and_named() {
    let (mut world, mut client) = good();
    let manifest = world.path("modules/good/module.toml");
    let original = fs::read(&manifest).unwrap();
    // Each replaces the manifest at once: a reload in between would find none, and remove the module.
    let next = world.path("modules/good/next");
    let pipe = || nix::unistd::mkfifo(&next, Mode::S_IRWXU).unwrap();
    let link = |target: &str| symlink(target, &next).unwrap();
    let replaced: [(&str, &dyn Fn()); 4] = [
        ("a named pipe", &pipe),
        ("a device", &|| link("/dev/zero")),
        ("a terminal", &|| link("/dev/ptmx")),
        ("a file whose reading waits", &|| link("/proc/kmsg")),
    ];
    for (what, replace) in replaced {
        if what == "a file whose reading waits" && !is_root() {
            eprintln!("left out, since only root may open /proc/kmsg: {what}");
            continue;
        }
        replace();
        fs::rename(&next, &manifest).unwrap();
        world.host().signal(Signal::SIGHUP);
        let refused = client.call("supervisor", "reload", json!({ "name": "good" })).unwrap_err();
        assert_eq!(refused.code, ErrorCode::ModuleError, "{what}");
        assert!(refused.error.contains("nothing was changed: "), "{what}: {}", refused.error);
        assert!(refused.error.contains("modules/good/module.toml: "), "{what}: {}", refused.error);
        client.call("good", "ping", json!({})).unwrap();
    }
    fs::write(&next, original).unwrap();
    fs::rename(&next, &manifest).unwrap();
    client.supervisor("reload", json!({ "name": "good" }));
    world.stop();
}

#[test]
fn reloads_that_come_together_are_each_answered_and_sighup_beside_them_is_done() {
    let mut world = World::new();
    for name in ["good", "other", "third"] {
        world.module(name, "test-minimal", "");
    }
    world.start();
    let mut client = world.client();
    for name in ["good", "other", "third"] {
        client.wait_ready(name);
    }
    let pids: Vec<i64> = ["good", "other", "third"].map(|name| client.pid(name)).into();
    world.module("new", "test-minimal", "");
    let reloads = ["good", "other", "nonexistent", "no such name", "third"]
        .map(|name| client.send_command("supervisor", "reload", json!({ "name": name })));
    world.host().signal(Signal::SIGHUP);
    let answers = reloads.map(|reload| client.answer(reload).map_err(|failure| failure.code));
    let found = answers.each_ref().map(|answer| answer.as_ref().map(|data| data["state"].as_str()));
    let unknown = Err(&ErrorCode::UnknownModule);
    assert_eq!(found, [Ok(Some("ready")), Ok(Some("ready")), unknown, unknown, Ok(Some("ready"))]);
    client.until_known("new");
    client.wait_ready("new");
    for (name, pid) in ["good", "other", "third"].iter().zip(pids) {
        assert_ne!(client.pid(name), pid, "{name}");
    }
    world.stop();
}

#[test]
fn a_reload_is_carried_through_though_its_caller_has_gone() {
    let (mut world, mut client) = good();
    let pid = client.pid("good");
    let mut other = world.client();
    other.send_command("supervisor", "reload", json!({ "name": "good" }));
    drop(other);
    client.until_status("good", "another process serves", |status| {
        status["state"] == "ready" && status["pid"].as_i64().is_some_and(|found| found != pid)
    });
    world.stop();
}

#[test]
fn a_control_socket_that_was_removed_is_back_for_all_but_the_clients_that_never_lost_it() {
    let (mut world, mut client) = good();
    fs::remove_file(world.socket()).unwrap();
    until_reachable(&world);
    assert_eq!(fs::metadata(world.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_dir_all(world.path("run")).unwrap();
    world.host().signal(Signal::SIGHUP);
    until_reachable(&world);
    assert_eq!(fs::metadata(world.path("run")).unwrap().permissions().mode() & 0o777, 0o700);
    client.call("good", "ping", json!({})).unwrap();
    assert!(problems(&mut client).is_empty());
    world.stop();
    assert!(!world.socket().exists());
}

#[test]
fn a_control_socket_whose_path_is_taken_is_reported_in_the_status_until_it_is_back() {
    let (mut world, mut client) = good();
    fs::remove_file(world.socket()).unwrap();
    let other = UnixListener::bind(world.socket()).unwrap();
    let problem = until("the problem is reported", || problems(&mut client).into_iter().next());
    assert!(problem.contains("another host listens on"), "{problem}");
    drop(other);
    fs::remove_file(world.socket()).unwrap();
    fs::write(world.socket(), "").unwrap();
    let changed = |problem: &String| problem.contains("is there and is no socket");
    until("the other problem is reported", || problems(&mut client).into_iter().find(changed));
    fs::remove_file(world.socket()).unwrap();
    until_reachable(&world);
    until("no problem is left", || problems(&mut client).is_empty().then_some(()));
    world.stop();
}

#[test]
fn folders_of_the_state_directory_that_vanish_are_made_again() {
    let (mut world, mut client) = good();
    for name in ["logs", "crashes", "quarantine"] {
        fs::remove_dir_all(world.state().join(name)).unwrap();
    }
    until("they are there", || {
        ["logs", "crashes", "quarantine"].iter().all(|name| world.state().join(name).is_dir()).then_some(())
    });
    fs::remove_dir_all(world.state().join("data")).unwrap();
    client.supervisor("restart", json!({ "name": "good" }));
    assert!(world.state().join("data/good").is_dir());
    let ended = world.stop();
    for name in ["logs", "crashes", "quarantine"] {
        assert_eq!(ended.stderr.matches(&format!("state/{name} had gone and was made again")).count(), 1, "{ended:?}");
    }
}

#[test]
fn a_state_directory_that_was_moved_away_is_reported() {
    let (mut world, mut client) = good();
    let (state, away) = (world.state(), world.path("away"));
    fs::rename(&state, &away).unwrap();
    let problem = until("the problem is reported", || problems(&mut client).into_iter().next());
    assert!(problem.contains("the state directory") && problem.contains("has gone"), "{problem}");
    let output = world.bulkhead(&["status"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("host: the state directory"), "{shown}");
    assert!(!state.exists(), "nothing is made in its place");
    fs::rename(&away, &state).unwrap();
    until("no problem is left", || problems(&mut client).is_empty().then_some(()));
    world.stop();
}
