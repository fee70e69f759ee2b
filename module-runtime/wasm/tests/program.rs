//! The built program with a test instead of the host: the wire, the exit codes, the log.

use bulkhead_module::testing::{Form, Program, ProgramBuilder, Scratch};
use bulkhead_protocol::{Json, Request, RequestType};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_module-runtime-wasm");

fn specimen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules/specimen-c/wasm/specimen_c.wasm").canonicalize().unwrap()
}

fn run(module: &Path, more: &[&str]) -> ProgramBuilder {
    let mut args = vec!["run", "--module", module.to_str().unwrap()];
    args.extend(more);
    Program::at(PROGRAM).args(&args)
}

fn shutdown(program: &mut Program) -> (Option<i32>, String) {
    let id = program.send(RequestType::Shutdown, Json::null());
    program.answer(id).unwrap();
    program.finish()
}

#[test]
fn a_module_lives_from_init_to_shutdown_over_both_channels() {
    for form in [Form::Socket, Form::Stdio] {
        let mut program = run(&specimen(), &[]).form(form).start();
        assert_eq!(program.command("echo", json!({ "a": [1, "ü"] })), Ok(json!({ "a": [1, "ü"] })));
        assert_eq!(program.command("count", json!({})).unwrap()["count"].as_u64().map(|count| count > 0), Some(true));
        assert_eq!(program.command("nothing", json!({})).unwrap_err()["code"], "unknown_command");
        let (code, log) = shutdown(&mut program);
        assert_eq!(code, Some(0), "{log}");
    }
}

#[test]
fn a_host_that_goes_away_ends_the_process() {
    let mut program = run(&specimen(), &["--cpu-time-limit-ms", "1000"]).start();
    program.hang_up();
    let (code, log) = program.finish();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn what_cannot_be_loaded_is_answered_and_permanent() {
    let scratch = Scratch::new();
    let file = scratch.path().join("text.wasm");
    std::fs::write(&file, "(module)").unwrap();
    let mut program = run(&file, &[]).spawn();
    let id = program.send_init();
    let failure = program.answer(id).unwrap_err();
    assert_eq!(failure["code"], "module_error");
    let sentence = failure["error"].as_str().unwrap();
    assert!(sentence.contains("text.wasm: it is WebAssembly as text"), "{sentence}");
    let (code, log) = program.finish();
    assert_eq!(code, Some(125), "{log}");
}

/// What systemd does for `MemoryDenyWriteExecute=`: PR_SET_MDWE, for this process and the program that it executes.
const DENY: &str = "import ctypes, os, sys\n\
                    if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\n\
                    os.execv(sys.argv[1], sys.argv[1:])";

#[test]
fn where_no_memory_may_be_made_executable_that_is_said_and_not_that_the_file_is_wrong() {
    let tried = Command::new("python3").args(["-c", DENY, "/bin/true"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        return eprintln!("left out: python3, or prctl(PR_SET_MDWE) of Linux 6.3, is not there");
    }
    let mut program = run(&specimen(), &[]).by_way_of(&["python3", "-c", DENY]).spawn();
    let id = program.send_init();
    let failure = program.answer(id).unwrap_err();
    let sentence = failure["error"].as_str().unwrap();
    for words in ["specimen_c.wasm: this process may not make memory executable", "MemoryDenyWriteExecute=no"] {
        assert!(sentence.contains(words), "{sentence}");
    }
    assert!(!sentence.contains("no valid"), "{sentence}");
    assert_eq!(program.finish().0, Some(125));
}

#[test]
fn a_trap_is_answered_and_ends_the_process_with_102() {
    let mut program = run(&specimen(), &[]).start();
    let failure = program.command("crash", json!({})).unwrap_err();
    assert_eq!((&failure["code"], &failure["module_code"]), (&json!("module_error"), &json!("trap")), "{failure}");
    assert!(failure["data"]["backtrace"].as_array().is_some_and(|frames| !frames.is_empty()), "{failure}");
    assert_eq!(program.finish().0, Some(102));
}

#[test]
fn a_limit_is_answered_and_ends_the_process_with_103() {
    let mut program = run(&specimen(), &["--memory-limit", "4194304"]).start();
    let failure = program.command("grow", json!({ "bytes": 64 << 20 })).unwrap_err();
    assert_eq!(failure["module_code"], "memory_limit", "{failure}");
    assert_eq!(program.finish().0, Some(103));

    let mut program = run(&specimen(), &["--cpu-time-limit-ms", "50"]).start();
    let failure = program.command("spin", json!({ "ms": 20000 })).unwrap_err();
    assert_eq!(failure["module_code"], "cpu_time_limit", "{failure}");
    assert_eq!(program.finish().0, Some(103));
}

#[test]
fn after_a_limit_a_fresh_instance_goes_on_where_it_may() {
    let mut program = run(&specimen(), &["--cpu-time-limit-ms", "50", "--on-limit", "continue"]).start();
    for _ in 0..3 {
        let failure = program.command("spin", json!({ "ms": 20000 })).unwrap_err();
        assert_eq!(failure["module_code"], "cpu_time_limit", "{failure}");
        assert_eq!(program.command("echo", json!({ "still": "there" })), Ok(json!({ "still": "there" })));
    }
    assert_eq!(shutdown(&mut program).0, Some(0));
}

#[test]
fn a_module_asks_the_host_and_is_answered() {
    let mut program = run(&specimen(), &[]).start();
    let id = program.send_command("ask", json!({ "to": "peer", "name": "greet", "args": { "who": "a" } }));
    let asked = program.message().unwrap();
    assert_eq!(asked["type"], "command");
    assert_eq!(asked["payload"], json!({ "name": "greet", "args": { "who": "a" } }));
    program.succeed(asked["id"].as_u64().unwrap(), json!({ "hello": "a" }));
    assert_eq!(program.answer(id).unwrap()["data"], json!({ "hello": "a" }));
}

#[test]
fn a_module_that_waits_notices_the_cancel() {
    let mut program = run(&specimen(), &[]).start();
    let id = program.send_command("wait", json!({ "ms": 60000 }));
    program.send_request(Request::new(None, RequestType::Cancel, json!({ "id": id }).into()));
    assert_eq!(program.answer(id).unwrap_err()["code"], "cancelled");
}

#[test]
fn a_broken_cache_is_one_warning_and_nothing_else() {
    let scratch = Scratch::new();
    let file = scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut program = run(&specimen(), &["--cache", file.join("cache").to_str().unwrap()]).start();
    let (code, log) = shutdown(&mut program);
    assert_eq!(code, Some(0));
    assert_eq!(log.matches("compiled code is not kept").count(), 1, "{log}");
}

#[test]
fn a_start_from_the_cache_compiles_nothing() {
    let scratch = Scratch::new();
    let cache = scratch.path().join("cache");
    let start = || {
        let begun = Instant::now();
        let program = run(&specimen(), &["--cache", cache.to_str().unwrap()]).start();
        (begun.elapsed(), program)
    };
    let (cold, mut program) = start();
    assert_eq!(shutdown(&mut program).0, Some(0));
    let kept: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &kept[..] else { panic!("expected one file, found {kept:?}") };
    let written = std::fs::metadata(file).unwrap().modified().unwrap();
    // The best of several, as other tests run at the same time.
    let warm = (0..5).map(|_| start().0).min().unwrap();
    assert!(warm < cold, "{warm:?} from the cache, {cold:?} without");
    assert_eq!(std::fs::metadata(file).unwrap().modified().unwrap(), written, "it was not written again");
}

#[test]
fn several_starts_at_once_share_a_cache() {
    let scratch = Scratch::new();
    let cache = scratch.path().join("cache");
    let mut programs: Vec<Program> =
        (0..4).map(|_| run(&specimen(), &["--cache", cache.to_str().unwrap()]).spawn()).collect();
    let ids: Vec<u64> = programs.iter_mut().map(|program| program.send_init()).collect();
    for (program, id) in programs.iter_mut().zip(ids) {
        program.answer(id).unwrap();
        assert_eq!(program.command("echo", json!(1)), Ok(json!(1)));
    }
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1);
}

/// What a start reports before the answer to `init`.
fn phases(program: &mut Program) -> Vec<Value> {
    let id = program.send_init();
    let mut phases = Vec::new();
    loop {
        let message = program.message().unwrap();
        assert_eq!(message["id"], id, "{message}");
        if message["status"] == "success" {
            return phases;
        }
        assert_eq!(message["status"], "progress", "{message}");
        phases.push(message["data"].clone());
    }
}

#[test]
fn a_start_reports_when_it_compiles_and_when_that_is_done() {
    let scratch = Scratch::new();
    let cache = scratch.path().join("cache");
    let with_cache = || run(&specimen(), &["--cache", cache.to_str().unwrap()]).spawn();
    let both = [json!({ "phase": "compiling" }), json!({ "phase": "compiled" })];
    assert_eq!(phases(&mut with_cache()), both);
    assert_eq!(phases(&mut with_cache()), [] as [Value; 0], "what is kept is not compiled");
    assert_eq!(phases(&mut run(&specimen(), &[]).spawn()), both, "without a cache it compiles each time");
}

#[test]
fn several_starts_at_once_compile_once() {
    let scratch = Scratch::new();
    let cache = scratch.path().join("cache");
    let mut programs: Vec<Program> =
        (0..4).map(|_| run(&specimen(), &["--cache", cache.to_str().unwrap()]).spawn()).collect();
    let ids: Vec<u64> = programs.iter_mut().map(|program| program.send_init()).collect();
    let mut compiled = 0;
    for (program, id) in programs.iter_mut().zip(ids) {
        program.answer(id).unwrap();
        compiled += shutdown(program).1.matches("bytes of WebAssembly").count();
    }
    assert_eq!(compiled, 1);
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1);
}

#[test]
fn a_kill_amid_a_compile_leaves_nothing_that_a_next_start_trips_over() {
    let scratch = Scratch::new();
    let cache = scratch.path().join("cache");
    let spawn = || run(&specimen(), &["--cache", cache.to_str().unwrap()]).spawn();
    for _ in 0..3 {
        let mut killed = spawn();
        killed.send_init();
        assert_eq!(killed.message().unwrap()["data"]["phase"], "compiling");
        killed.kill();
    }
    let mut program = spawn();
    assert_eq!(phases(&mut program).len(), 2);
    assert_eq!(program.command("echo", json!(1)), Ok(json!(1)));
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1, "the code, and no lock of one that was killed");
}

#[test]
fn the_variables_of_the_module_are_not_those_of_the_process() {
    let scratch = Scratch::new();
    let file = scratch.path().join("prints.wasm");
    std::fs::write(&file, wat::parse_str(PRINTS_VARIABLE).unwrap()).unwrap();
    let handed = r#"BULKHEAD_GUEST_ENV={"LD_PRELOAD":"/no/such.so"}"#;
    let mut program = run(&file, &[]).by_way_of(&["env", handed]).start();
    let environment = std::fs::read(format!("/proc/{}/environ", program.pid())).unwrap();
    let own: Vec<&[u8]> = environment.split(|byte| *byte == 0).filter(|own| own.starts_with(b"LD_PRELOAD")).collect();
    assert!(own.is_empty(), "{own:?}");
    let id = program.send(RequestType::Query, json!({}).into());
    assert_eq!(program.answer(id), Ok(json!({})));
    let (code, log) = shutdown(&mut program);
    assert_eq!(code, Some(0));
    assert!(log.contains("LD_PRELOAD=/no/such.so\n"), "{log}");

    let mut program = run(&file, &[]).by_way_of(&["env", "BULKHEAD_GUEST_ENV=[1]"]).spawn();
    let (code, log) = program.finish();
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("BULKHEAD_GUEST_ENV needs an object of texts"), "{log}");
}

/// Writes its first variable, of 22 bytes, as a line to WASI's standard output with every message.
const PRINTS_VARIABLE: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "{}\00")
  (data (i32.const 200) "\64\00\00\00\17\00\00\00")
  (global $top (mut i32) (i32.const 4096))
  (func (export "create_module") (result i32) (i32.const 1))
  (func (export "destroy_module") (param i32))
  (func (export "free_string") (param i32))
  (func (export "alloc_string") (param i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0))))
  (func (export "handle_message") (param i32 i32 i32) (result i32)
    (drop (call $environ (i32.const 400) (i32.const 100)))
    (i32.store8 (i32.const 122) (i32.const 10))
    (drop (call $fd_write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 300)))
    (i32.const 16)))"#;

#[test]
fn ten_thousand_messages_leave_no_trace_in_memory() {
    let mut program = run(&specimen(), &["--memory-limit", "8388608"]).start();
    let payload = json!({ "text": "x".repeat(2000) });
    let mut resident = Vec::new();
    for _ in 0..10 {
        for _ in 0..1000 {
            assert_eq!(program.command("echo", payload.clone()).as_ref(), Ok(&payload));
        }
        resident.push(resident_kib(program.pid()));
    }
    let (early, late) = (resident[2], resident[9]);
    assert!(late < early + 512, "{resident:?} KiB");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let run = |args: &[&str]| Command::new(PROGRAM).args(args).output().unwrap();
    let wrong = run(&["run", "--speed", "9"]);
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.starts_with("module-runtime-wasm: unknown option '--speed' of run\nUsage: "), "{said}");
    for flag in ["--help", "-h", "help"] {
        let help = run(&[flag]);
        assert!(help.status.success() && help.stdout.starts_with(b"Usage: module-runtime-wasm run"), "{flag}");
    }
    let version = run(&["--version"]);
    assert_eq!(version.stdout, format!("module-runtime-wasm {}\n", env!("CARGO_PKG_VERSION")).into_bytes());
}

#[test]
fn what_a_module_prints_is_log_and_not_the_channel() {
    let scratch = Scratch::new();
    let file = scratch.path().join("prints.wasm");
    std::fs::write(&file, wat::parse_str(PRINTS).unwrap()).unwrap();
    let mut program = run(&file, &[]).form(Form::Stdio).start();
    let id = program.send(RequestType::Query, json!({}).into());
    assert_eq!(program.answer(id), Ok(json!({})));
    let (code, log) = shutdown(&mut program);
    assert_eq!(code, Some(0));
    assert!(log.contains("hello from standard output\n"), "{log}");
}

#[test]
fn what_a_module_logs_is_a_line_with_its_level() {
    let mut program = run(&specimen(), &[]).start();
    program.command("log", json!({ "level": "warn", "message": "two\nlines" })).unwrap();
    let (_, log) = shutdown(&mut program);
    assert!(log.contains(r#"{"level":"warn","message":"two\nlines"}"#), "{log}");
}

/// Writes a line to WASI's standard output with every message.
const PRINTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "{}\00")
  (data (i32.const 100) "hello from standard output\n")
  (data (i32.const 200) "\64\00\00\00\1b\00\00\00")
  (global $top (mut i32) (i32.const 4096))
  (func (export "create_module") (result i32) (i32.const 1))
  (func (export "destroy_module") (param i32))
  (func (export "free_string") (param i32))
  (func (export "alloc_string") (param i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0))))
  (func (export "handle_message") (param i32 i32 i32) (result i32)
    (drop (call $fd_write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 300)))
    (i32.const 16)))"#;

#[test]
fn a_cpu_time_limit_lets_a_module_wait_as_long_as_it_likes() {
    let mut program = run(&specimen(), &["--cpu-time-limit-ms", "100"]).start();
    let begun = Instant::now();
    let answer: Result<Value, Value> = program.command("wait", json!({ "ms": 400 }));
    assert!(answer.is_ok(), "{answer:?}");
    assert!(begun.elapsed() >= Duration::from_millis(400));
}
