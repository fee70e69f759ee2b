//! Builds libraries and starts `module-runtime native` with them.

use bulkhead_module::testing::{Program, ProgramBuilder, RequestType, Scratch, init};
use bulkhead_protocol::{Init, Json};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/native");
const INCLUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../include");
const MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../modules");

/// A library that was built for one test.
pub(crate) struct Library {
    pub(crate) path: PathBuf,
    _scratch: Scratch,
}

impl Library {
    /// Builds a C or C++ file of this folder with these definitions, like `SIN=ABORT`.
    pub(crate) fn build(source: &str, definitions: &[&str]) -> Library {
        let scratch = Scratch::new();
        let path = scratch.path().join("lib.so");
        let is_cpp = source.ends_with(".cc");
        let mut cc = Command::new(if is_cpp { "c++" } else { "cc" });
        cc.arg(if is_cpp { "-std=c++11" } else { "-std=c99" });
        cc.args(["-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-fexceptions", "-pthread"]);
        cc.args(["-g", "-fPIC", "-shared"]).arg(format!("-I{INCLUDE}")).arg("-o").arg(&path);
        cc.args(definitions.iter().map(|definition| format!("-D{definition}")));
        run(cc.arg(Path::new(HERE).join(source)));
        Library { path, _scratch: scratch }
    }

    /// A library out of `modules`, built by the script that is there.
    pub(crate) fn of_the_samples(name: &str) -> Library {
        let scratch = Scratch::new();
        run(Command::new("sh").arg(format!("{MODULES}/build-c.sh")).arg(scratch.path()));
        Library { path: scratch.path().join(name), _scratch: scratch }
    }

    /// A file that holds these bytes instead.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Library {
        let scratch = Scratch::new();
        let path = scratch.path().join("lib.so");
        std::fs::write(&path, bytes).expect("the folder is ours");
        Library { path, _scratch: scratch }
    }

    /// The library in a process that waits for `init`.
    pub(crate) fn spawn(&self) -> Program {
        native(&self.path).spawn()
    }

    /// The library in a process, ready.
    pub(crate) fn start(&self) -> Program {
        native(&self.path).start()
    }

    /// As [`Library::start`], after the test has changed `init`.
    pub(crate) fn start_with(&self, change: impl FnOnce(&mut Init)) -> Program {
        let mut program = self.spawn();
        let answer = send_init(&mut program, change);
        assert!(answer.is_ok(), "{answer:?}");
        program
    }
}

/// Sends an `init` that the test has changed, and returns its answer.
pub(crate) fn send_init(program: &mut Program, change: impl FnOnce(&mut Init)) -> Result<Value, Value> {
    let mut init = init("tested", Json::of(&json!({})), Path::new("/nonexistent"));
    change(&mut init);
    let id = program.send(RequestType::Init, Json::of(&init));
    program.answer(id)
}

/// The runtime with the library at `path`. `BULKHEAD_RUNTIME` names another runtime, which may be a
/// script that runs this one under a tool.
pub(crate) fn native(path: &Path) -> ProgramBuilder {
    let runtime = std::env::var("BULKHEAD_RUNTIME").unwrap_or_else(|_| env!("CARGO_BIN_EXE_module-runtime").into());
    Program::at(&runtime).args(&["native", "--library", path.to_str().expect("paths of tests are UTF-8")])
}

/// The payload by which a parrot answers these bytes.
pub(crate) fn to_answer(bytes: &[u8]) -> Value {
    json!({ "hex": hex(bytes) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sentence(answer: &Result<Value, Value>) -> &str {
    let failure = answer.as_ref().expect_err("the answer is an error");
    failure["error"].as_str().expect("an error has a sentence")
}

/// Stops the program and checks that it ends well.
#[track_caller]
pub(crate) fn end(mut program: Program) {
    let shutdown = program.send(RequestType::Shutdown, Json::null());
    assert_eq!(program.answer(shutdown), Ok(Value::Null));
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(0), "{stderr}");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
