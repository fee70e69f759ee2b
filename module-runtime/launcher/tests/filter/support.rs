//! The program under test around a shell script, and the search for processes.

use bulkhead_module::Json;
use bulkhead_module::testing::{Program, ProgramBuilder, RequestType, init};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const RUNTIME: &str = env!("CARGO_BIN_EXE_module-runtime");

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(20);

/// The wrapper around a program.
pub(crate) fn wrapper(options: &[&str], command: &[&str]) -> ProgramBuilder {
    let arguments = [&["filter"], options, &["--"], command].concat();
    Program::at(RUNTIME).args(&arguments)
}

/// A script that stays, with lines of arguments.
pub(crate) fn stream(script: &str) -> Program {
    wrapper(&["--line", "args"], &["/bin/sh", "-c", script]).start()
}

/// A script for each message, with a line of arguments.
pub(crate) fn single(script: &str) -> Program {
    wrapper(&["--per-message", "--line", "args"], &["/bin/sh", "-c", script]).start()
}

/// As ready as with [`ProgramBuilder::start`], with the shortest frames that a host can ask for.
pub(crate) fn start_with_short_frames(builder: ProgramBuilder) -> Program {
    let mut program = builder.spawn();
    let mut init = init("module-under-test", json!({}).into(), Path::new("/nonexistent"));
    init.limits.frame_bytes_max = 65536;
    let id = program.send(RequestType::Init, Json::of(&init));
    program.answer(id).expect("the wrapper is ready");
    program
}

/// The sentence of an error, whose code is checked.
pub(crate) fn sentence(answer: Result<Value, Value>, code: &str) -> String {
    let failure = answer.expect_err("an error was expected");
    assert_eq!(failure["code"], code, "{failure}");
    failure["error"].as_str().expect("an error has a sentence").to_owned()
}

/// Sends `shutdown`, and expects a clean end.
pub(crate) fn shut_down(program: &mut Program) -> String {
    let id = program.send(RequestType::Shutdown, Json::null());
    assert_eq!(program.answer(id), Ok(json!(null)));
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(0), "{stderr}");
    stderr
}

/// Waits until no process has that number.
pub(crate) fn await_end_of(pid: u64) {
    await_that(&format!("process {pid} is gone"), || !Path::new(&format!("/proc/{pid}")).exists());
}

/// Polls: there is no event to wait for with a process that is not a child.
pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
