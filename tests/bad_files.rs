//! Files that do not check: `bulkhead run` and `bulkhead config check` report the same about them, with file, line and
//! column. A fault in the host's own file keeps `run` from starting anything, one in a module's only that module. Each
//! key and value has its case in the configuration's own tests; here it is what a person at a shell sees.

use bulkhead_tests::{Host, World};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

/// The check prints these words with exit code 2. Returns all that it printed.
fn check(world: &World) -> String {
    let flags = world.path("bulkhead.toml");
    let modules = world.path("modules");
    let mut check = vec!["config", "check", "--modules", modules.to_str().unwrap()];
    if flags.exists() {
        check.extend(["--config", flags.to_str().unwrap()]);
    }
    let Output { status, stdout, stderr } = world.bulkhead(&check);
    let checked = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), &*stdout), (Some(2), &b""[..]), "{checked}");
    checked
}

fn all_are_in(words: &[&str], said: &[&String]) {
    for said in said {
        for word in words {
            assert!(said.contains(word), "expected {word:?} in {said}");
        }
    }
}

/// The daemon and the check refuse this world with exit code 2 and these words, and start nothing.
fn is_refused(world: &World, words: &[&str]) {
    let checked = check(world);
    let ended = Host::start(world.run_command()).wait();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    all_are_in(words, &[&checked, &ended.stderr]);
    assert!(!world.state().exists(), "nothing half done");
    assert!(world.processes().is_empty());
}

/// The check refuses this world with exit code 2 and these words; the daemon prints the same, also in its status, and
/// runs without the modules that have faults.
fn is_left_out(mut world: World, words: &[&str], modules: &[&str]) {
    let checked = check(&world);
    world.start();
    let mut client = world.client();
    let status = client.supervisor("status", serde_json::json!({}));
    let loaded: Vec<&str> =
        status["modules"].as_array().unwrap().iter().map(|module| module["name"].as_str().unwrap()).collect();
    assert_eq!(loaded, modules);
    let shown = status["host"]["problems"].to_string().replace("\\\"", "\"");
    let ended = world.stop();
    all_are_in(words, &[&checked, &shown, &ended.stderr]);
}

/// A world with a good module and one whose manifest has this.
fn with_manifest(text: &str) -> World {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    world.manifest("bad", text);
    world
}

/// A manifest of this type with these lines.
fn of_type(kind: &str, rest: &str) -> String {
    PLAIN.replace("process", kind) + rest
}

const PLAIN: &str = "name = \"bad\"\nversion = \"1\"\ntype = \"process\"\n";

#[test]
fn a_manifest_that_does_not_check_is_left_out_with_its_place() {
    for (text, words) in [
        (format!("{PLAIN}command = [\"/bin/cat\"]\ncolour = 1"), &["module.toml:6:1", "colour"][..]),
        (format!("{PLAIN}command = [\"/bin/cat\"]\ntransprt = \"stdio\""), &["module.toml:6:1", "transport"]),
        (format!("{PLAIN}command = 7"), &["module.toml:5:11", "command"]),
        (format!("{PLAIN}command = [\"/bin/cat\"]\nspares = \"two\""), &["module.toml:6:10", "spares"]),
        (format!("{PLAIN}command = [\"/bin/cat\"]\n[limits]\nqueue = -1"), &["module.toml:7:9", "queue"]),
        (format!("{PLAIN}command = [\"/bin/cat\"]\n[limits]\nstop_timeout = 5"), &["module.toml:7:16", "5s"]),
        (format!("{PLAIN}command = [\"/bin/cat\"\n"), &["module.toml:"]),
        (PLAIN.to_owned(), &["module.toml", "command"]),
        (format!("{PLAIN}command = [\"bin/absent\"]"), &["module.toml:5:", "bin/absent", "no such file"]),
        (format!("{PLAIN}command = [\"no-such-program-anywhere\"]"), &["module.toml:5:", "$PATH"]),
        (format!("{PLAIN}command = [\"/bin/cat\"]\nrequires = [\"missing\"]"), &["module.toml:6:", "missing"]),
        (PLAIN.replace("process", "container") + "command = [\"/bin/cat\"]", &["module.toml:4:8", "native", "filter"]),
        (of_type("native", "command = [\"/bin/cat\"]"), &["module.toml:5:1", "module.command", "module.library"]),
        (of_type("native", "library = \"bin/absent.so\""), &["module.toml:5:1", "bin/absent.so", "no such file"]),
        (of_type("wasm", "wasm = \"bin/absent.wasm\""), &["module.toml:5:1", "bin/absent.wasm", "no such file"]),
        (of_type("wasm", "library = \"bin/a.so\""), &["module.toml:5:1", "type = \"native\"", "module.wasm"]),
        (of_type("filter", "command = [\"bin/absent\"]"), &["module.toml:5:", "bin/absent", "no such file"]),
        (of_type("filter", "command = [\"/bin/cat\"]\ntransport = \"stdio\""), &["module.toml:6:1", "transport"]),
        (of_type("filter", "command = [\"/bin/cat\"]\nline = \"csv\""), &["module.toml:6:8", "args", "message"]),
        (of_type("filter", "command = [\"/bin/cat\"]\n[restart]\non_panic = \"continue\""), &["module.toml:7:1"]),
        (of_type("process", "command = [\"/bin/cat\"]\n[resources]\non_limit = \"restart\""), &["module.toml:7:1"]),
        (of_type("process", "command = [\"/bin/cat\"]\n[wasi]\nread = [\".\"]"), &["module.toml:6:2", "wasi", "wasm"]),
    ] {
        is_left_out(with_manifest(&text), words, &["good"]);
    }
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let text = format!("{PLAIN}command = [\"bin/program\"]");
    for (content, mode, words) in [
        ("#!/bin/sh\n", 0o644, &["module.toml:5:", "bin/program", "executable"][..]),
        ("#!/no/such/interpreter\n", 0o755, &["module.toml:5:", "bin/program", "/no/such/interpreter"]),
    ] {
        let world = with_manifest(&text);
        let program = world.path("modules/bad/bin/program");
        fs::write(&program, content).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(mode)).unwrap();
        is_left_out(world, words, &["good"]);
    }
}

/// The beginning of an ELF file of 64 bits, little-endian.
fn elf(kind: u8, machine: u8) -> Vec<u8> {
    let mut head = vec![0; 64];
    head[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (head[16], head[18]) = (kind, machine);
    head
}

#[test]
fn a_file_that_is_no_library_and_no_webassembly_is_reported_as_what_it_is() {
    // Number 243 is RISC-V, and the tests run elsewhere.
    for (kind, key, content, words) in [
        ("native", "library", elf(3, 243), &["is built for riscv64, this machine is "][..]),
        ("native", "library", b"int main;\n".to_vec(), &["found text"]),
        ("native", "library", b"INPUT(libm.so.6)\n".to_vec(), &["linker script"]),
        ("native", "library", b"!<arch>\nmember".to_vec(), &["static archive", "link a shared library"]),
        ("native", "library", b"\0asm\x01\0\0\0".to_vec(), &["WebAssembly", "wasm"]),
        ("native", "library", Vec::new(), &["an empty file"]),
        ("wasm", "wasm", b"(module)\n".to_vec(), &["text form of WebAssembly", "wat2wasm"]),
        ("wasm", "wasm", b"\0asm\x0d\0\x01\0".to_vec(), &["a component", "core WebAssembly module"]),
        ("wasm", "wasm", elf(3, 62), &["ELF", "native"]),
        ("wasm", "wasm", b"\0asm".to_vec(), &["cut off after 4 bytes"]),
    ] {
        let world = with_manifest(&of_type(kind, &format!("{key} = \"bin/file\"")));
        fs::write(world.path("modules/bad/bin/file"), content).unwrap();
        let place = format!("module.toml:5:1: module.{key}: ");
        is_left_out(world, &[&[&*place, "bin/file"], words].concat(), &["good"]);
    }
}

#[test]
fn folders_of_webassembly_that_are_not_there_or_not_granted_are_named() {
    let wasm = of_type("wasm", "wasm = \"bin/file\"\n[wasi]\nread = [\"bin\"]\n");
    let world = with_manifest(&format!("{wasm}write = [\"absent\"]"));
    fs::write(world.path("modules/bad/bin/file"), b"\0asm\x01\0\0\0").unwrap();
    is_left_out(world, &["module.toml:8:10", "wasi.write", "absent", "no such file"], &["good"]);

    let mut world = with_manifest(&wasm);
    fs::write(world.path("modules/bad/bin/file"), b"\0asm\x01\0\0\0").unwrap();
    world.host_file("[module.bad.wasi]\nread = [\"/\"]\ndata_dir = true\n");
    is_refused(&world, &["bulkhead.toml:2:9", "bulkhead.toml:3:12", "grant it in the manifest"]);
}

#[test]
fn a_host_without_the_program_for_webassembly_leaves_it_out_at_its_start_and_at_a_reload() {
    let mut world = World::new().env("BULKHEAD_WASM_RUNTIME", "/nowhere/module-runtime-wasm");
    world.module("good", "test-minimal", "");
    world.start();
    let mut client = world.client();
    client.wait_ready("good");
    world.manifest("new", &of_type("wasm", "wasm = \"bin/file\"").replace("\"bad\"", "\"new\""));
    fs::write(world.path("modules/new/bin/file"), b"\0asm\x01\0\0\0").unwrap();
    let failure = client.call("supervisor", "reload", serde_json::json!({ "name": "new" })).unwrap_err();
    let words = ["nothing was changed", "module new", "/nowhere/module-runtime-wasm", "$BULKHEAD_WASM_RUNTIME"];
    for word in words {
        assert!(failure.error.contains(word), "expected {word:?} in {failure:?}");
    }
    // Running modules are not touched.
    assert_eq!(client.status("good")["state"], "ready");
    world.stop();

    is_left_out(world, &words[1..], &["good"]);
}

#[test]
fn two_modules_of_one_name_are_left_out_with_both_places() {
    let world = with_manifest("name = \"good\"\ntype = \"process\"\ncommand = [\"/bin/cat\"]");
    is_left_out(world, &["modules/bad/module.toml", "modules/good/module.toml", "good"], &[]);
}

#[test]
fn modules_that_require_each_other_are_left_out() {
    let mut world = World::new();
    world.module("hen", "test-minimal", "requires = [\"egg\"]").module("egg", "test-minimal", "requires = [\"hen\"]");
    is_left_out(world, &["hen", "egg", "module.toml:"], &[]);
}

#[test]
fn a_host_file_that_does_not_check_is_refused_with_its_place() {
    for (text, words) in [
        ("[host]\nstate = \"x\"\n", &["bulkhead.toml:2:1", "state_dir"][..]),
        ("[host]\nclients_max = \"many\"\n", &["bulkhead.toml:2:15", "clients_max"]),
        ("[hots]\n", &["bulkhead.toml:1:2", "host"]),
        ("[module.missing]\nspares = 1\n", &["bulkhead.toml:1:", "missing"]),
        ("[module.good.limits]\nqueue = 0\n", &["bulkhead.toml:2:9", "queue"]),
        ("[host]\nlog_level = \"loud\"\n", &["bulkhead.toml:2:13", "loud"]),
        ("host = 1\n", &["bulkhead.toml:1:8"]),
        ("[host\n", &["bulkhead.toml:1:"]),
    ] {
        let mut world = World::new();
        world.module("good", "test-minimal", "").host_file(text);
        is_refused(&world, words);
    }
}

#[test]
fn files_and_folders_that_are_not_there_are_named() {
    let world = World::new();
    for words in [
        &["run", "--config", "absent.toml"][..],
        &["config", "check", "--config", "absent.toml"],
        &["run", "--modules", "absent.toml"],
        &["config", "check", "--modules", "absent.toml"],
    ] {
        let output = world.bulkhead(words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(stderr.contains("absent.toml"), "{words:?}: {stderr}");
    }
}

#[test]
fn a_program_that_vanishes_while_the_host_runs_is_reported_and_not_tried_in_vain() {
    let mut world = World::new();
    world.module("bad", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("bad");
    fs::remove_file(world.path("modules/bad/bin/misbehave")).unwrap();
    let failure = client.call("supervisor", "restart", serde_json::json!({ "name": "bad" })).unwrap_err();
    assert!(failure.error.contains("bin/misbehave"), "{failure:?}");
    let status = client.status("bad");
    assert_eq!(status["state"], "failed", "{status:#}");
    // Once the program is back, a start by hand is enough.
    world.module("bad", "misbehave", "");
    client.supervisor("start", serde_json::json!({ "name": "bad" }));
    world.stop();
}
