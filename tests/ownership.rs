//! What another user could have prepared for the host: manifests and programs that this user may write, a state
//! directory of this user, links in it. Refused at the start, at a reload and by `config check`; nothing is followed,
//! read or written. The rule itself has its tests in the configuration and in the daemon.

use bulkhead_tests::{Ended, Host, NOBODY, World, copy_program, is_root};
use nix::sys::signal::Signal;
use serde_json::json;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A daemon that must not start.
#[track_caller]
fn refused(world: &World, words: &[&str]) -> Ended {
    let ended = Host::start(world.run_command()).wait();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "expected {word:?} in {ended:?}");
    }
    ended
}

/// A world whose host has run and left a state directory.
fn used() -> World {
    let mut world = World::new();
    world.module("good", "test-minimal", "").start();
    world.client().wait_ready("good");
    world.stop();
    world
}

#[test]
fn a_state_directory_that_others_may_write_or_own_is_refused_and_so_is_one_below_it() {
    let world = used();
    for (name, mode, words) in [
        ("state", 0o757, &["cannot use the state directory", "chmod 755", "--state DIR"][..]),
        ("state/logs", 0o757, &["state/logs may be written by everybody", "chmod 755"]),
        ("state/cache/wasm", 0o1757, &["state/cache/wasm may be written by everybody"]),
        ("state/lock", 0o646, &["state/lock may be written by everybody", "chmod 644"]),
        ("state/layer1/layer1.db", 0o646, &["layer1.db may not be used", "chmod 644"]),
    ] {
        let path = world.path(name);
        let before = fs::metadata(&path).unwrap().permissions();
        set(&path, mode);
        refused(&world, words);
        fs::set_permissions(&path, before).unwrap();
    }
    if !is_root() {
        return eprintln!("skipped: what another user owns, since only root can give it away");
    }
    for name in ["state", "state/crashes", "state/data", "state/lock", "state/layer1/layer1.db"] {
        let path = world.path(name);
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        refused(&world, &[&format!("belongs to user {NOBODY}")]);
        chown(&path, Some(0), Some(0)).unwrap();
    }
}

#[test]
fn a_link_in_the_state_directory_leads_nowhere_whatever_it_stands_for() {
    for name in
        ["lock", "layer1/layer1.db", "layer1/layer1.db-wal", "layer1/layer1.db.lock", "logs", "quarantine", "layer1"]
    {
        let world = used();
        let (path, victim) = (world.state().join(name), world.path("victim"));
        let is_folder = path.is_dir();
        if is_folder {
            fs::rename(&path, &victim).unwrap();
            fs::write(victim.join("precious"), "as it was").unwrap();
        } else {
            let _ = fs::remove_file(&path);
            fs::write(&victim, "as it was").unwrap();
        }
        symlink(&victim, &path).unwrap();
        refused(&world, &["link"]);
        let kept = if is_folder { victim.join("precious") } else { victim };
        assert_eq!(fs::read_to_string(kept).unwrap(), "as it was", "{name}");
    }
    // Files that are written anew replace the link.
    for name in ["identity", "family.json"] {
        let mut world = used();
        let (path, victim) = (world.state().join(name), world.path("victim"));
        let _ = fs::remove_file(&path);
        fs::write(&victim, "as it was").unwrap();
        symlink(&victim, &path).unwrap();
        world.start();
        world.client().wait_ready("good");
        world.stop();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was", "{name}");
    }
}

#[test]
fn a_manifest_or_program_that_others_may_write_is_refused_at_the_start_by_the_check_and_at_a_reload() {
    let mut world = World::new();
    world.manifest("good", "name = \"good\"\nversion = \"1\"\ncommand = [\"./test-minimal\"]");
    copy_program("test-minimal", &world.path("modules/good/test-minimal"));
    world.start();
    let mut client = world.client();
    client.wait_ready("good");
    let folder = world.path("modules/good");
    for (name, words) in [
        ("module.toml", &["module.toml may be written by everybody", "chmod 6"][..]),
        ("test-minimal", &["chmod 7"]),
        (".", &["chmod 7"]),
    ] {
        let path = folder.join(name);
        let before = fs::metadata(&path).unwrap().permissions();
        set(&path, before.mode() & 0o777 | 0o002);
        let reported = format!("{:?}", client.call("supervisor", "reload", json!({ "name": "good" })).unwrap_err());
        let check = world.bulkhead(&["config", "check", "--modules", world.path("modules").to_str().unwrap()]);
        let checked = String::from_utf8_lossy(&check.stderr).into_owned();
        assert_eq!(check.status.code(), Some(2), "{checked}");
        for word in words {
            assert!(reported.contains(word) && checked.contains(word), "expected {word:?} in {reported} and {checked}");
        }
        client.call("good", "ping", json!({})).unwrap();
        fs::set_permissions(&path, before).unwrap();
    }
    let ended = world.end_host(Signal::SIGTERM);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    set(&folder.join("test-minimal"), 0o757);
    // The host starts without it.
    world.start();
    let mut client = world.client();
    let status = client.supervisor("status", json!({}));
    let problem = status["host"]["problems"][0].as_str().unwrap();
    assert!(
        problem.starts_with("module good is not loaded: ") && problem.contains("may be written by everybody"),
        "{problem}"
    );
    world.stop();
}

#[test]
fn a_users_checkout_is_run_where_the_operator_trusts_that_user_and_reported_where_not() {
    if !is_root() {
        return eprintln!("skipped: another user's checkout, since only root can make one");
    }
    let mut world = World::new();
    let folder = world.path("modules/good");
    world.manifest("good", "name = \"good\"\nversion = \"1\"\ncommand = [\"./test-minimal\"]");
    copy_program("test-minimal", &folder.join("test-minimal"));
    let give = |path: &Path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    for name in ["", "module.toml", "test-minimal"] {
        give(&folder.join(name));
    }
    give(&world.path("modules"));
    // A state directory of the host's own, in a folder of that user.
    fs::create_dir(world.path("theirs")).unwrap();
    give(&world.path("theirs"));
    let (state, socket) = (world.path("theirs/state"), world.socket());
    let remedy = format!("or trust that user with --trust-user {NOBODY}");
    let ended = Host::start(world.run_command_at(&state, &socket)).wait();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains(&format!("belongs to user {NOBODY}")) && ended.stderr.contains(&remedy), "{ended:?}");

    let trusting = |mut command: std::process::Command| {
        command.args(["--trust-user", "nobody"]);
        command
    };
    let command = trusting(world.run_command_at(&state, &socket));
    world.start_as(command);
    let mut client = world.client();
    client.wait_ready("good");
    client.call("supervisor", "reload", json!({ "all": true })).unwrap();
    client.call("good", "ping", json!({})).unwrap();
    let modules = world.path("modules");
    let words = |what| ["config", what, "--modules", modules.to_str().unwrap()];
    let shown = trusting(world.command(&words("show"))).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let line = shown.lines().find(|line| line.starts_with("trusted_users = [")).unwrap();
    assert!(line.contains(&NOBODY.to_string()) && line.ends_with("# --trust-user"), "{line}");
    assert!(trusting(world.command(&words("check"))).status().unwrap().success());
    assert_eq!(world.bulkhead(&words("check")).status.code(), Some(2), "it is said each time");
    // Trust in one user is not trust in others.
    set(&folder.join("test-minimal"), 0o757);
    let reported = format!("{:?}", client.call("supervisor", "reload", json!({ "name": "good" })).unwrap_err());
    assert!(reported.contains("may be written by everybody"), "{reported}");
    let ended = world.end_host(Signal::SIGTERM);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("are trusted as root's are") && ended.stderr.contains(&NOBODY.to_string()),
        "{ended:?}"
    );
    // The state directory itself is the host's.
    set(&folder.join("test-minimal"), 0o755);
    give(&state);
    let ended = Host::start(trusting(world.run_command_at(&state, &socket))).wait();
    assert!(ended.stderr.contains("cannot use the state directory") && !ended.stderr.contains(&remedy), "{ended:?}");
}
