//! A module of any type is a module like every other: copies, spares, reloads, crashes and their records, its status,
//! what it gets and what it may use. The conformance suite tests what each type does with messages.

use bulkhead_tests::{Caller, World, kill, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A module of each type: the type, the keys that make it one, and a command that it answers. The
/// files that it needs are in the folder `bin`.
const KINDS: [(&str, &str, &str); 4] = [
    ("process", "command = [\"bin/specimen\"]", "echo"),
    ("native", "library = \"bin/specimen_c.so\"", "echo"),
    ("wasm", "wasm = \"bin/specimen_c.wasm\"", "echo"),
    ("filter", "command = [\"cat\"]", "echo"),
];

/// The folder with the library that is written in C, built once for all tests.
static C_MODULES: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kinds");
    let output = Command::new(in_repository("modules/build-c.sh")).arg(&folder).output().expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "modules/build-c.sh failed; it needs a C compiler: {said}");
    folder
});

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Adds the module `name` of a type; `rest` is the manifest after the keys that make it so.
fn add(world: &World, name: &str, kind: &str, keys: &str, rest: &str) {
    world.manifest(name, &format!("name = \"{name}\"\nversion = \"1.2.3\"\ntype = \"{kind}\"\n{keys}\n{rest}"));
    let bin = world.path("modules").join(name).join("bin");
    let file = match kind {
        "process" => bulkhead_tests::program("specimen"),
        "native" => C_MODULES.join("specimen_c.so"),
        "wasm" => in_repository("modules/specimen-c/wasm/specimen_c.wasm"),
        _ => return,
    };
    let target = bin.join(file.file_name().expect("a file has a name"));
    if !target.exists() {
        symlink(file, target).expect("the world can be written");
    }
}

/// How many of the processes of a module are ready in a role.
fn ready(status: &Value, role: &str) -> usize {
    let of_role = |instance: &&Value| instance["role"] == role && instance["state"] == "ready";
    status["instances"].as_array().map_or(0, |instances| instances.iter().filter(of_role).count())
}

fn wait_for_all(client: &mut Caller, name: &str, instances: usize, spares: usize) -> Value {
    until("all copies and spares of a module", || {
        let status = client.status(name);
        (ready(&status, "active") == instances && ready(&status, "spare") == spares).then_some(status)
    })
}

/// The process of a ready module. The host may get its process id after the answer to `init`, since the guardian
/// reports it.
fn process(client: &mut Caller, name: &str) -> i64 {
    let status = client.until_status(name, "it is ready", |status| status["pid"].is_i64());
    status["pid"].as_i64().expect("it was looked at above")
}

#[test]
fn copies_spares_crashes_and_reloads_are_the_same_for_every_type() {
    for (kind, keys, command) in KINDS {
        let mut world = World::new();
        add(&world, "any", kind, keys, "instances = 2\nspares = 1");
        world.start();
        let mut client = world.client();
        let status = wait_for_all(&mut client, "any", 2, 1);
        assert_eq!((&status["type"], &status["version"]), (&json!(kind), &json!("1.2.3")));
        let answer = client.call("any", command, json!({ "a": [1, "ä"] }));
        assert_eq!(answer.unwrap(), json!({ "a": [1, "ä"] }), "{kind}");

        let pid = process(&mut client, "any");
        kill(pid, Signal::SIGKILL);
        let crashes = until("the record of the crash", || {
            let crashes = client.supervisor("crashes", json!({ "name": "any" }));
            crashes["crashes"].as_array().is_some_and(|crashes| !crashes.is_empty()).then_some(crashes)
        });
        assert_eq!(crashes["crashes"][0]["exit"], json!({ "signal": "SIGKILL" }), "{kind}: {crashes:#}");
        assert_eq!(crashes["crashes"][0]["pid"], pid, "{kind}: {crashes:#}");
        wait_for_all(&mut client, "any", 2, 1);
        assert_eq!(client.call("any", command, json!({})).unwrap(), json!({}), "{kind}");

        add(&world, "any", kind, keys, "instances = 1\nspares = 0");
        let answer = client.supervisor("reload", json!({ "name": "any" }));
        assert_eq!(answer["state"], "ready", "{kind}");
        wait_for_all(&mut client, "any", 1, 0);
        assert_eq!(client.call("any", command, json!({})).unwrap(), json!({}), "{kind}");
        world.stop();
    }
}

#[test]
fn a_module_can_become_one_of_another_type_by_a_reload() {
    let mut world = World::new();
    let (kind, keys, command) = KINDS[3];
    add(&world, "any", kind, keys, "");
    world.start();
    let mut client = world.client();
    client.wait_ready("any");
    for (kind, keys, _) in KINDS {
        add(&world, "any", kind, keys, "");
        client.supervisor("reload", json!({ "name": "any" }));
        assert_eq!(client.status("any")["type"], kind);
        assert_eq!(client.call("any", command, json!([1])).unwrap(), json!([1]), "{kind}");
    }
    world.stop();
}

#[test]
fn the_memory_limit_is_that_of_the_process_except_for_webassembly() {
    for (kind, keys, _) in KINDS {
        let mut world = World::new();
        add(&world, "any", kind, keys, "[resources]\nmemory_limit = \"64MB\"");
        world.start();
        let mut client = world.client();
        client.wait_ready("any");
        let pid = process(&mut client, "any");
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let data = limits.lines().find(|line| line.starts_with("Max data size")).unwrap_or_default();
        assert_eq!(data.contains("64000000"), kind != "wasm", "{kind}: {data}");
        world.stop();
    }
}

#[test]
fn no_variable_of_a_wasm_manifest_reaches_the_process_outside_of_the_sandbox() {
    let mut world = World::new().env("GCONV_PATH", "/nowhere").env("GLIBC_TUNABLES", "glibc.malloc.check=3");
    let (kind, keys, _) = KINDS[2];
    let env = "inherit_env = [\"GCONV_PATH\", \"GLIBC_TUNABLES\"]\n\
        env = { LD_PRELOAD = \"/nowhere.so\", PATH = \"/nowhere\", MALLOC_ARENA_MAX = \"1\", RUST_BACKTRACE = \"full\" }";
    add(&world, "any", kind, keys, env);
    world.start();
    let mut client = world.client();
    client.wait_ready("any");
    let pid = process(&mut client, "any");
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let variables: Vec<(String, String)> = environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| {
            Some(String::from_utf8_lossy(variable).split_once('=')?).map(|(a, b)| (a.into(), b.into()))
        })
        .collect();
    assert!(variables.iter().all(|(name, _)| name.starts_with("BULKHEAD_")), "{variables:?}");
    let handed = &variables.iter().find(|(name, _)| name == "BULKHEAD_GUEST_ENV").expect("they are handed over").1;
    let handed: Value = serde_json::from_str(handed).unwrap();
    assert_eq!((&handed["LD_PRELOAD"], &handed["GCONV_PATH"]), (&json!("/nowhere.so"), &json!("/nowhere")));
    let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!command_line.contains("nowhere"), "{command_line}");
    world.stop();
}

#[test]
fn the_cache_of_compiled_webassembly_is_the_hosts_own() {
    let mut world = World::new();
    let (kind, keys, _) = KINDS[2];
    add(&world, "any", kind, keys, "");
    world.start();
    world.client().wait_ready("any");
    let cache = world.state().join("cache/wasm");
    for folder in [cache.parent().unwrap(), &cache] {
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
    }
    assert!(fs::read_dir(&cache).unwrap().next().is_some(), "what was compiled is kept");
    world.stop();
}

/// Keeps processes from compiling a module again, as another compiling process would: by the lock on the file in the
/// cache, which is removed.
fn hold_the_compiler(world: &World) -> fs::File {
    let cache = world.state().join("cache/wasm");
    // Files that begin with a dot are locks or unfinished.
    let is_compiled = |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    let compiled =
        until("something is compiled", || fs::read_dir(&cache).ok()?.filter_map(Result::ok).find(is_compiled));
    let name = compiled.file_name().into_string().unwrap();
    let lock = fs::File::create(cache.join(format!(".{name}.0"))).unwrap();
    lock.lock().unwrap();
    fs::remove_file(compiled.path()).unwrap();
    lock
}

#[test]
fn a_module_that_compiles_for_longer_than_a_start_may_take_gets_ready() {
    let mut world = World::new();
    let (kind, keys, _) = KINDS[2];
    add(&world, "any", kind, keys, "[limits]\nstart_timeout = \"2s\"");
    // It starts while the other one compiles; its end shows that the time for a start is over.
    let late = "autostart = false\nenv = { MISBEHAVE_AT_START = \"never_answer_init\" }\n\
        [limits]\nstart_timeout = \"2s\"\n[restart]\npolicy = \"never\"";
    world.module("late", "misbehave", late).start();
    let mut client = world.client();
    client.wait_ready("any");
    let lock = hold_the_compiler(&world);
    client.supervisor("stop", json!({ "name": "any" }));
    let start = client.send_command("supervisor", "start", json!({ "name": "any" }));
    let status = client.until_status("any", "it compiles", |status| status["state"] == "compiling");
    assert!(status["next"]["why"].as_str().is_some_and(|why| why.contains("limits.compile_timeout")), "{status:#}");
    client.call("supervisor", "start", json!({ "name": "late" })).expect_err("it never answers");
    assert_eq!(client.status("any")["state"], "compiling");
    let waits = client.send_command("any", "echo", json!(1));
    drop(lock);
    assert_eq!(client.answer(start).unwrap()["state"], "ready");
    assert_eq!(client.answer(waits).unwrap(), 1);
    assert_eq!(client.status("any")["restarts"], 0);
    world.stop();
}

#[test]
fn a_compile_that_takes_too_long_is_a_failed_start_that_names_the_key() {
    let mut world = World::new();
    let (kind, keys, _) = KINDS[2];
    add(&world, "any", kind, keys, "[limits]\ncompile_timeout = \"100ms\"\n[restart]\npolicy = \"never\"");
    world.start();
    let mut client = world.client();
    client
        .until_status("any", "it was tried", |status| status["state"] != "starting" && status["state"] != "compiling");
    add(&world, "any", kind, keys, "[restart]\npolicy = \"never\"");
    client.supervisor("reload", json!({ "name": "any" }));
    client.supervisor("start", json!({ "name": "any" }));
    add(&world, "any", kind, keys, "[limits]\ncompile_timeout = \"100ms\"\n[restart]\npolicy = \"never\"");
    let _lock = hold_the_compiler(&world);
    client.supervisor("stop", json!({ "name": "any" }));
    client.supervisor("reload", json!({ "name": "any" }));
    let failure = client.call("supervisor", "start", json!({ "name": "any" })).unwrap_err();
    assert!(failure.error.contains("not compiled within 100ms, which is its limits.compile_timeout"), "{failure:?}");
    world.stop();
}

#[test]
fn a_stop_amid_a_compile_is_done_at_once_and_is_no_crash() {
    let mut world = World::new();
    let (kind, keys, _) = KINDS[2];
    add(&world, "any", kind, keys, "[limits]\nstop_timeout = \"1h\"");
    world.start();
    let mut client = world.client();
    client.wait_ready("any");
    let _lock = hold_the_compiler(&world);
    client.supervisor("stop", json!({ "name": "any" }));
    let start = client.send_command("supervisor", "start", json!({ "name": "any" }));
    client.until_status("any", "it compiles", |status| status["state"] == "compiling");
    assert_eq!(client.supervisor("stop", json!({ "name": "any" }))["state"], "stopped");
    client.answer(start).expect_err("it was stopped meanwhile");
    assert_eq!(client.supervisor("crashes", json!({ "name": "any" }))["crashes"], json!([]));
    world.stop();
}

/// The process id of a module before and after this command, which fails.
fn processes_around(manifest: (&str, &str), rest: &str, command: &str, args: Value) -> (i64, i64) {
    let mut world = World::new();
    add(&world, "any", manifest.0, manifest.1, rest);
    world.start();
    let mut client = world.client();
    client.wait_ready("any");
    let before = process(&mut client, "any");
    client.call("any", command, args).expect_err("the command fails");
    // The next request is answered in both cases.
    assert_eq!(client.call("any", "echo", json!({})).unwrap(), json!({}));
    let after = process(&mut client, "any");
    world.stop();
    (before, after)
}

#[test]
fn what_follows_a_panic_is_what_the_manifest_says() {
    for (kind, keys, command) in [(KINDS[0].0, KINDS[0].1, "panic"), (KINDS[2].0, KINDS[2].1, "crash")] {
        let on_panic = |what: &str| format!("[restart]\non_panic = \"{what}\"");
        let (before, after) = processes_around((kind, keys), &on_panic("continue"), command, json!({}));
        assert_eq!(before, after, "{kind} goes on");
        let (before, after) = processes_around((kind, keys), &on_panic("restart"), command, json!({}));
        assert_ne!(before, after, "{kind} gets a fresh process");
    }
}

#[test]
fn what_follows_a_passed_limit_is_what_the_manifest_says_of_webassembly() {
    let (kind, keys, _) = KINDS[2];
    let limits = "[resources]\nmemory_limit = \"8MiB\"\ncpu_time_limit = \"200ms\"\non_limit = ";
    for (command, args) in [("spin", json!({ "ms": 20_000 })), ("grow", json!({ "bytes": 64 << 20 }))] {
        let continues = format!("{limits}\"continue\"");
        let (before, after) = processes_around((kind, keys), &continues, command, args.clone());
        assert_eq!(before, after, "{command}: it goes on in a fresh instance");
        let (before, after) = processes_around((kind, keys), &format!("{limits}\"restart\""), command, args);
        assert_ne!(before, after, "{command}: it gets a fresh process");
    }
}

#[test]
fn a_check_of_the_files_reports_that_the_program_for_webassembly_is_missing() {
    let world = World::new().env("BULKHEAD_WASM_RUNTIME", "/nowhere/module-runtime-wasm");
    let folder = world.path("modules");
    let check = |world: &World| world.bulkhead(&["config", "check", "--modules", folder.to_str().unwrap()]);
    add(&world, "a", KINDS[0].0, KINDS[0].1, "");
    assert_eq!(check(&world).status.code(), Some(0));
    add(&world, "b", KINDS[2].0, KINDS[2].1, "");
    let output = check(&world);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("module b is of type \"wasm\"") && said.contains("/nowhere/module-runtime-wasm"), "{said}");
}

#[test]
fn the_host_is_linked_with_nothing_that_runs_or_loads_foreign_code() {
    for package in ["bulkhead", "bulkhead-host"] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut tree = Command::new(cargo);
        tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package", package]);
        let output = tree.current_dir(in_repository("")).output().expect("cargo can be started");
        let crates = String::from_utf8_lossy(&output.stdout);
        assert!(crates.contains("bulkhead-core "), "{}", String::from_utf8_lossy(&output.stderr));
        for word in ["wasmtime", "cranelift", "libloading", "rmcp"] {
            assert!(!crates.contains(word), "{package} is linked with {word}");
        }
    }
}

#[test]
fn a_start_of_a_module_that_dies_before_it_is_ready_shows_its_last_lines() {
    let mut world = World::new();
    add(&world, "a", KINDS[1].0, KINDS[1].1, "autostart = false");
    let folder = world.path("modules/a/bin");
    fs::write(
        folder.join("a.c"),
        "void *create_module(void) { return *(void *volatile *)8; }\n\
        void destroy_module(void *m) { (void)m; }\nvoid free_string(char *s) { (void)s; }\n\
        char *handle_message(void *m, const char *t, const char *p) { (void)m; (void)t; (void)p; return 0; }\n",
    )
    .unwrap();
    let library = folder.join("specimen_c.so");
    fs::remove_file(&library).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(folder.join("a.c")).status();
    assert!(built.expect("there is a C compiler").success());
    world.start();
    let output = world.bulkhead(&["start", "a"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("did not become ready") && said.contains("SIGSEGV in create_module"), "{said}");
}
