//! Faults of what a test says, and modules that do not start: each with a sentence that says what to do.

use crate::support::Place;
use bulkhead_module::testing::TestHost;
use bulkhead_tests::program;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// Why a host with this command does not start.
fn refused(place: &Place, words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    place.command(words).start().err().expect("it does not start").to_string()
}

#[test]
fn a_command_that_is_not_there_or_cannot_be_run_is_named() {
    let place = Place::new();
    let script = place.path().with_extension("sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let reason = refused(&place, &["no-such-program"]);
    assert!(reason.contains("no-such-program") && reason.contains("$PATH"), "{reason}");
    let reason = refused(&place, &["/no/such/program"]);
    assert!(reason.contains("/no/such/program: no such file"), "{reason}");
    let reason = refused(&place, &[script.to_str().unwrap()]);
    assert!(reason.contains("not executable") && reason.contains("chmod +x"), "{reason}");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let reason = refused(&place, &[script.to_str().unwrap()]);
    assert!(reason.contains("exit code 0 before it was ready"), "{reason}");
    fs::remove_file(script).unwrap();
    place.wait_until_empty();
}

#[test]
fn a_module_that_does_not_start_is_reported_with_its_reason_and_its_last_lines() {
    let place = Place::new();
    for (start, expected) in [
        ("init_error", "init failed: I do not feel like it"),
        ("init_error_permanent", "exit code 125"),
        ("crash_before_init", "SIGSEGV"),
        ("exit_during_init", "exit code 0 before it was ready"),
        ("wrong_version", "99"),
    ] {
        let reason = place.misbehave(&["--at-start", start]).start().err().expect("it does not start").to_string();
        assert!(reason.contains(expected), "{start}: {reason}");
        assert!(reason.contains(&format!("misbehave: about to {start}")), "{start}: {reason}");
        assert!(!reason.contains("next start"), "{start}: {reason}");
    }
    let slow = place.misbehave(&["--at-start", "never_answer_init"]).set("limits.start_timeout", "100ms").start();
    let reason = slow.err().expect("it does not start").to_string();
    assert!(reason.contains("not ready within 100ms"), "{reason}");
    place.wait_until_empty();
}

#[test]
fn a_manifest_with_faults_is_refused_with_all_of_them() {
    let place = Place::new();
    let folder = place.path().with_extension("faulty");
    fs::create_dir_all(&folder).unwrap();
    let nothing = place.host(TestHost::of_folder(&folder)).start().err().unwrap().to_string();
    assert!(nothing.contains("module.toml") && nothing.contains("no such file"), "{nothing}");
    fs::write(folder.join("module.toml"), "[module]\nname = \"a\"\ncommand = [\"sh\"]\nspare = 1\n[limits]\nque = 2\n")
        .unwrap();
    let faults = place.host(TestHost::of_folder(&folder)).start().err().unwrap().to_string();
    assert!(faults.contains("module.toml:4:1") && faults.contains("module.toml:6:1"), "{faults}");
    fs::remove_dir_all(folder).unwrap();
    place.wait_until_empty();
}

#[test]
fn an_option_with_a_fault_is_named_and_no_file_of_the_test_hosts_own() {
    let place = Place::new();
    let start = |options: &[(&str, &str)]| {
        let builder = options.iter().fold(place.misbehave(&[]), |builder, (name, value)| builder.option(name, value));
        builder.start().err().expect("it does not start").to_string()
    };
    for (options, expected) in [
        (&[("set", "limits.que=3")][..], "--set or --config: unknown key \"module.misbehave.limits.que\""),
        (&[("set", "limits.queue=many")], "expected a whole number from 1 to 1000000, found the text \"many\""),
        (&[("set", "nothing")], "expected KEY=VALUE"),
        (&[("config", "[1]")], "--config: expected a JSON object"),
        (&[("config", "{\"a\":null}")], "config.a: expected a value that [config] can have, found null"),
        (&[("capability", "entity_raed=A")], "did you mean entity_read?"),
        (&[("fake", "No")], "--fake: a module's name"),
        (&[("fake", "a"), ("fake", "a")], "found it twice"),
        (&[("fake", "misbehave")], "this is the module under test"),
        (&[("with", "/no/such/folder")], "/no/such/folder"),
    ] {
        let reason = start(options);
        assert!(reason.contains(expected), "{options:?}: {reason}");
        assert!(!reason.contains("settings.toml") && !reason.contains("bulkhead-test-"), "{options:?}: {reason}");
    }
    assert!(
        place
            .misbehave(&[])
            .config(json!({ "init_error": "as asked" }))
            .start()
            .err()
            .unwrap()
            .to_string()
            .contains("as asked")
    );
    place.wait_until_empty();
}

#[test]
fn the_manifest_that_is_printed_is_the_one_that_is_run() {
    let place = Place::new();
    let misbehave = program("misbehave");
    let output = Command::new(program("bulkhead-test-host"))
        .args(["--print-manifest", "--name", "bad", "--fake", "mailer", "--capability", "event_subscribe=a.*", "--"])
        .arg(&misbehave)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("event_subscribe = [\"a.*\"]") && text.contains("\"mailer\""), "{text}");
    let folder = place.path().with_extension("printed");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("module.toml"), text).unwrap();
    let host = place.host(TestHost::of_folder(&folder)).fake("mailer", |_| Ok(json!(5))).start().unwrap();
    assert_eq!(host.module(), "bad");
    assert_eq!(host.call("call", json!({ "to": "mailer", "command": "x", "args": {} })).unwrap(), 5);
    drop(host);
    fs::remove_dir_all(folder).unwrap();
}
