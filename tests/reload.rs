//! Files with faults, at the start and at a reload: each is reported, its module is left as it was, and all others
//! continue.

use bulkhead_tests::{Caller, Host, World, is_root};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

/// A manifest of a module of this name with an unknown key.
fn faulty(name: &str) -> String {
    format!("name = \"{name}\"\ntype = \"process\"\ncommand = [\"/bin/cat\"]\ncolour = 1")
}

fn problems(client: &mut Caller) -> Vec<String> {
    let status = client.supervisor("status", json!({}));
    serde_json::from_value(status["host"]["problems"].clone()).unwrap()
}

/// The result of a command: its exit code, standard output and standard error.
fn said(world: &World, words: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = world.bulkhead(words);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_faulty_manifest_and_a_stray_folder_do_not_keep_the_others_from_starting() {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    world.manifest("bad", &faulty("bad"));
    fs::create_dir(world.path("modules/lost+found")).unwrap();
    fs::write(world.path("modules/README.md"), "read me").unwrap();
    world.start();
    let mut client = world.client();
    client.wait_ready("good");
    let problem = problems(&mut client).concat();
    assert!(problem.starts_with("module bad is not loaded: ") && problem.contains("module.toml:5:1: "), "{problem}");
    let (_, shown, _) = said(&world, &["status"]);
    assert!(shown.contains("host: module bad is not loaded: "), "{shown}");

    let modules = world.path("modules");
    let (code, _, errors) = said(&world, &["config", "check", "--modules", modules.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{errors}");
    for word in ["bad/module.toml:5:1: ", "lost+found: passed over: it has no module.toml", "README.md: passed over: "]
    {
        assert!(errors.contains(word), "expected {word} in {errors}");
    }
    let (code, done, errors) = said(&world, &["reload", "--all"]);
    assert_eq!((code, &*done), (Some(1), "good: ready\n"), "{errors}");
    assert!(
        errors.contains("bulkhead: bad: nothing was changed: ") && errors.contains("module.toml:5:1: "),
        "{errors}"
    );

    // The report disappears when a reload finds no fault.
    world.module("bad", "test-minimal", "");
    let (code, done, errors) = said(&world, &["reload", "--all"]);
    assert_eq!(code, Some(0), "{errors}");
    let stray = world.path("modules/lost+found");
    assert_eq!(errors, format!("bulkhead: {}: passed over: it has no module.toml\n", stray.display()));
    assert!(done.contains("good: ready\n") && done.contains("bad: ready\n"), "{done}");
    assert_eq!(problems(&mut client), [""; 0]);

    // Or gone.
    world.manifest("other", &faulty("other"));
    assert_eq!(said(&world, &["reload", "good"]).0, Some(0));
    assert!(problems(&mut client).concat().contains("module other is not loaded"));
    fs::remove_dir_all(world.path("modules/other")).unwrap();
    assert_eq!(said(&world, &["reload", "good"]).0, Some(0));
    assert_eq!(problems(&mut client), [""; 0]);
    let ended = world.stop();
    let lines = |word: &str| ended.stderr.lines().filter(|line| line.contains(word)).count();
    assert_eq!(lines("bad is not loaded from its files: "), 1, "{ended:?}");
    assert_eq!(lines("lost+found: passed over"), 1, "{ended:?}");
}

#[test]
fn of_modules_that_run_those_with_faults_are_left_as_they_were_and_the_others_are_reloaded() {
    let mut world = World::new();
    for name in ["bad", "good", "gone", "nameless"] {
        world.module(name, "test-minimal", "");
    }
    world.start();
    let mut client = world.client();
    let names = ["bad", "good", "gone", "nameless"];
    names.iter().for_each(|name| client.wait_ready(name));
    let pids = names.map(|name| client.pid(name));
    world.manifest("bad", &faulty("bad"));
    fs::write(world.path("modules/nameless/module.toml"), "[module\n").unwrap();
    world.manifest("nowhere", "nothing");
    fs::remove_dir_all(world.path("modules/gone")).unwrap();
    world.module("new", "test-minimal", "").module("good", "test-minimal", "spares = 1");

    let events = client.send_command("supervisor", "events", json!({ "pattern": "module.*" }));
    world.host().signal(Signal::SIGHUP);
    client.event(events, "module.reloaded");
    client.until_known("new");
    client.wait_ready("new");
    assert_ne!(client.pid("good"), pids[1]);
    assert_eq!((client.pid("bad"), client.pid("nameless")), (pids[0], pids[3]));
    client.call("bad", "ping", json!({})).unwrap();
    client.until_unknown("gone");
    let errors = problems(&mut client);
    assert!(errors.iter().any(|line| line.starts_with("module bad is left as it was: ")), "{errors:?}");
    for (folder, what) in [("nowhere", "is not loaded: "), ("nameless", "is left as it was: ")] {
        let words = format!("/{folder} {what}");
        assert!(errors.iter().any(|line| line.starts_with("the module in ") && line.contains(&words)), "{errors:?}");
    }

    // A module without faults is not hindered by the others; each of those gets its error.
    client.supervisor("reload", json!({ "name": "good" }));
    for (name, word) in [("bad", "bad/module.toml:5:1"), ("nameless", "nameless/module.toml:1:")] {
        let refused = client.call("supervisor", "reload", json!({ "name": name })).unwrap_err();
        assert!(refused.error.starts_with("nothing was changed: ") && refused.error.contains(word), "{refused:?}");
    }
    let (code, done, errors) = said(&world, &["reload", "--all"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(done.contains("good: ready\n") && done.contains("new: ready\n"), "{done}");
    for word in ["bulkhead: bad: nothing", "bulkhead: nameless: nothing", "modules/nowhere: nothing was changed: "] {
        assert!(errors.contains(word), "expected {word} in {errors}");
    }
    assert!(!errors.contains("gone") && !done.contains("gone"), "{errors}");
    assert_eq!((client.pid("bad"), client.pid("nameless")), (pids[0], pids[3]));
    world.stop();
}

#[test]
fn whatever_is_asked_of_a_module_that_is_not_loaded_says_why_with_absolute_paths() {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    world.manifest("bad", &faulty("bad"));
    world.manifest("worse", &format!("{}\nshape = 2", faulty("worse")));
    fs::create_dir(world.path("modules/stray")).unwrap();
    fs::create_dir(world.path("modules/layer1")).unwrap();
    world.start();
    world.client().wait_ready("good");
    let fault = format!("{}:5:1: ", world.path("modules/bad/module.toml").display());
    let words = ["there is no module \"bad\", since it is not loaded: ", &fault, "; mend that, then reload it"];
    let asked = [
        &["call", "bad", "ping"][..],
        &["call", "bad"],
        &["status", "bad"],
        &["start", "bad"],
        &["stop", "bad"],
        &["wait", "bad", "--for", "ready"],
        &["logs", "bad"],
        &["crashes", "bad"],
        &["restart", "bad", "worse"],
    ];
    for words_of_command in asked {
        let (code, _, errors) = said(&world, words_of_command);
        assert_eq!(code, Some(4), "{words_of_command:?}: {errors}");
        words
            .iter()
            .for_each(|word| assert!(errors.contains(word), "{words_of_command:?}: expected {word} in {errors}"));
    }
    let (_, _, errors) = said(&world, &["call", "worse", "ping"]);
    assert!(errors.contains("the files have 2 faults") && errors.matches("\n  fault ").count() == 2, "{errors}");
    // Also where the manifest is so wrong that it has no name.
    fs::write(world.path("modules/bad/module.toml"), "[module\n").unwrap();
    assert_eq!(said(&world, &["reload", "good"]).0, Some(0));
    let (code, _, errors) = said(&world, &["call", "bad", "ping"]);
    assert!(code == Some(4) && errors.contains("modules/bad/module.toml:1:"), "{errors}");

    let stray = format!("{}: passed over: it has no module.toml", world.path("modules/stray").display());
    for words in [&["reload", "stray"][..], &["reload", "good", "stray"], &["status", "stray"], &["start", "stray"]] {
        let (code, _, errors) = said(&world, words);
        assert!(code == Some(4) && errors.contains(&stray), "{words:?}: {errors}");
    }
    // A folder of that name does not hide the data store.
    let (code, _, errors) = said(&world, &["query", "layer1", r#"{"entity":"Log"}"#]);
    assert!(code == Some(0) && errors.is_empty(), "{errors}");
    let (code, _, errors) = said(&world, &["status", "missing"]);
    assert!(code == Some(4) && errors.contains("there is no module \"missing\"\n"), "{errors}");
    world.stop();
}

#[test]
fn a_module_that_runs_and_has_lost_its_manifest_alone_is_left_as_it_was() {
    let mut world = World::new();
    world.module("kept", "test-minimal", "").module("gone", "test-minimal", "").start();
    let mut client = world.client();
    ["kept", "gone"].iter().for_each(|name| client.wait_ready(name));
    let pid = client.pid("kept");
    let manifest = world.path("modules/kept/module.toml");
    let text = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    fs::remove_dir_all(world.path("modules/gone")).unwrap();
    world.host().signal(Signal::SIGHUP);
    client.until_unknown("gone");
    assert_eq!(client.pid("kept"), pid);
    let errors = problems(&mut client).concat();
    let expected =
        format!("module kept is left as it was: {}: expected the manifest of kept, found none", manifest.display());
    assert!(errors.starts_with(&expected), "{errors}");
    let (code, _, errors) = said(&world, &["reload", "kept"]);
    assert!(code == Some(1) && errors.contains("expected the manifest of kept, found none"), "{errors}");

    fs::write(&manifest, text).unwrap();
    assert_eq!(said(&world, &["reload", "--all"]), (Some(0), "kept: ready\n".into(), String::new()));
    assert_eq!(problems(&mut client), [""; 0]);
    fs::remove_dir_all(world.path("modules/kept")).unwrap();
    world.host().signal(Signal::SIGHUP);
    client.until_unknown("kept");
    world.stop();
}

#[test]
fn reload_all_starts_modules_of_new_folders_also_where_there_was_none() {
    let mut world = World::new();
    world.start();
    world.module("new", "test-minimal", "");
    world.module("idle", "test-minimal", "autostart = false");
    let (code, done, errors) = said(&world, &["reload", "--all"]);
    assert_eq!((code, &*errors), (Some(0), ""));
    let mut lines: Vec<&str> = done.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["idle: stopped", "new: ready"]);
    fs::remove_dir_all(world.path("modules/new")).unwrap();
    let (code, _, errors) = said(&world, &["reload", "--all"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("new: the files do not name new any more"), "{errors}");
    world.stop();
}

#[test]
fn several_faults_are_a_list_for_programs_and_lines_for_people() {
    let mut world = World::new();
    world.module("bad", "test-minimal", "").start();
    let mut client = world.client();
    client.wait_ready("bad");
    world.manifest("bad", &format!("{}\nshape = 2", faulty("bad")));
    let refused = client.call("supervisor", "reload", json!({ "name": "bad" })).unwrap_err();
    assert!(refused.error.contains("the files have 2 faults") && !refused.error.contains('\n'), "{refused:?}");
    let listed: serde_json::Value = refused.data.unwrap().read().unwrap();
    assert_eq!(listed["faults"].as_array().unwrap().len(), 2, "{listed}");
    let (code, _, errors) = said(&world, &["reload", "bad"]);
    assert_eq!(code, Some(1), "{errors}");
    let faults: Vec<&str> = errors.lines().filter(|line| line.contains("module.toml:")).collect();
    assert!(faults.len() == 2 && faults[0].contains("colour") && faults[1].contains("shape"), "{errors}");
    world.host_file("[host]\nlog_level = \"info\"\n");
    world.host().signal(Signal::SIGHUP);
    world.wait_for_notice("READY=1");
    let ended = world.stop();
    assert!(!ended.stderr.contains("\\n"), "each fault is a line of its own: {ended:?}");
}

#[test]
fn a_fault_of_the_hosts_own_file_changes_nothing_and_is_shown_until_it_is_mended() {
    let mut world = World::new();
    world.module("good", "test-minimal", "").host_file("[module.good]\nspares = 0\n").start();
    let mut client = world.client();
    client.wait_ready("good");
    world.module("new", "test-minimal", "").host_file("[module.good]\nspare = 0\n[hots]\n");
    let (code, done, errors) = said(&world, &["reload", "--all"]);
    assert_eq!((code, &*done), (Some(1), ""), "{errors}");
    assert!(errors.contains("bulkhead.toml:2:1") && errors.contains("bulkhead.toml:3:2"), "{errors}");
    assert!(problems(&mut client)[0].starts_with("the files cannot be reloaded: "));
    assert_eq!(client.call("new", "ping", json!({})).unwrap_err().code, bulkhead_protocol::ErrorCode::UnknownModule);
    world.host_file("[module.good]\nspares = 0\n");
    assert_eq!(said(&world, &["reload", "--all"]).0, Some(0));
    assert_eq!(problems(&mut client), [""; 0]);
    client.call("new", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn one_that_requires_a_module_with_faults_waits_for_it() {
    let mut world = World::new();
    world.module("app", "test-minimal", "requires = [\"base\"]");
    world.manifest("base", &faulty("base"));
    world.start();
    let mut client = world.client();
    let status = client.status("app");
    assert_eq!(status["reason"], "requires base, which is not ready", "{status:#}");
    world.module("base", "test-minimal", "");
    assert_eq!(said(&world, &["reload", "base"]).0, Some(0));
    client.wait_ready("app");
    world.stop();
}

#[test]
fn a_folder_that_may_not_be_looked_into_is_passed_over_and_what_ran_from_it_goes_on() {
    if !is_root() {
        return eprintln!("skipped: folders of another user, since only root can make some");
    }
    let mut world = World::new().as_nobody();
    world.module("good", "test-minimal", "").module("closed", "test-minimal", "");
    let close = |name: &str| {
        let path = world.path("modules").join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    };
    close("lost+found");
    world.start();
    let mut client = world.client();
    client.wait_ready("closed");
    let pid = client.pid("closed");
    let path = world.path("modules/closed");
    fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    let (code, done, errors) = said(&world, &["reload", "--all"]);
    assert_eq!((code, &*done), (Some(1), "good: ready\n"), "{errors}");
    assert!(errors.contains("closed: nothing was changed: ") && errors.contains("ermission denied"), "{errors}");
    world.host().signal(Signal::SIGHUP);
    world.wait_for_notice("READY=1");
    assert_eq!(client.pid("closed"), pid);
    let ended = world.stop();
    assert!(ended.stderr.contains("lost+found: passed over: "), "{ended:?}");
}

#[test]
fn without_arguments_the_daemon_makes_its_folders_says_so_and_finds_what_is_put_there() {
    // For root they would be those of the machine.
    let mut world = if is_root() { World::new().as_nobody() } else { World::new() };
    let home = world.path("home");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&home, Some(bulkhead_tests::NOBODY), Some(bulkhead_tests::NOBODY)).unwrap();
    }
    let run = |world: &World| {
        let mut command = world.command(&["run"]);
        for name in ["XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "BULKHEAD_CONFIG"] {
            command.env_remove(name);
        }
        command.env("HOME", &home).env("NOTIFY_SOCKET", world.path("notify"));
        command
    };
    world.start_as(run(&world));
    let modules = home.join(".local/share/bulkhead/modules");
    assert!(modules.is_dir() && home.join(".local/state/bulkhead/layer1").is_dir());
    assert_eq!(fs::metadata(&modules).unwrap().permissions().mode() & 0o777, 0o700);
    let mut client = world.client();
    world.module("good", "test-minimal", "");
    // A user's own module.
    let (from, to) = (world.path("modules/good"), modules.join("good"));
    let copied = std::process::Command::new("cp").arg("-a").args([&from, &to]).status().unwrap();
    assert!(copied.success());
    let (code, done, errors) = said(&world, &["reload", "--all"]);
    assert_eq!((code, &*done, &*errors), (Some(0), "good: ready\n", ""));
    client.call("good", "ping", json!({})).unwrap();
    // Its removal does not end the modules that were in it.
    let away = home.join("away");
    fs::rename(&modules, &away).unwrap();
    let (code, _, errors) = said(&world, &["reload", "--all"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("expected the folder of modules, which was there before"), "{errors}");
    fs::rename(&away, &modules).unwrap();
    assert_eq!(said(&world, &["reload", "--all"]).0, Some(0));
    let ended = world.end_host(Signal::SIGTERM);
    let made = |path: &str| ended.stderr.contains(&format!("made the folder {}", home.join(path).display()));
    assert!(made(".local/share/bulkhead/modules") && made(".local/state/bulkhead"), "{ended:?}");
    assert!(ended.stderr.contains("put a folder with a module.toml there"), "{ended:?}");

    // Existing folders are not made, and a host's file at its path is read.
    fs::create_dir_all(home.join(".config/bulkhead")).unwrap();
    fs::write(home.join(".config/bulkhead/bulkhead.toml"), "[module.good]\nspare = 1\n").unwrap();
    let owner = (is_root()).then_some(bulkhead_tests::NOBODY);
    for path in [".config", ".config/bulkhead", ".config/bulkhead/bulkhead.toml"] {
        std::os::unix::fs::chown(home.join(path), owner, owner).unwrap();
    }
    let ended = Host::start(run(&world)).wait();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains(".config/bulkhead/bulkhead.toml:2:1"), "{ended:?}");
}
