//! What the tests of the program share: folders of modules, and a run of the program.

use bulkhead_tests::{owners_of_checkout, program};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder with one module, which is gone with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A module with this manifest.
    pub(crate) fn new(manifest: &str) -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bulkhead-check-test-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("bin")).expect("the folder for temporary files can be written");
        for folder in [&path, &path.join("bin")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("it was just made");
        }
        fs::write(path.join("module.toml"), manifest).expect("it was just made");
        fs::set_permissions(path.join("module.toml"), fs::Permissions::from_mode(0o644)).expect("it was just made");
        Folder(path)
    }

    /// `misbehave`, with these lines of its manifest after its command.
    pub(crate) fn misbehave(rest: &str) -> Folder {
        let manifest =
            format!("[module]\nname = \"misbehave\"\nversion = \"1\"\ncommand = [\"bin/misbehave\"]\n{rest}");
        let folder = Folder::new(&manifest);
        folder.link("misbehave");
        folder
    }

    /// A module of this repository, with a program that was built beside the test.
    pub(crate) fn of_sample(name: &str) -> Folder {
        let manifest = fs::read_to_string(modules().join(name).join("module.toml")).expect("it is a module");
        let folder = Folder::new(&manifest);
        folder.link(name);
        folder
    }

    fn link(&self, name: &str) {
        symlink(program(name), self.0.join("bin").join(name)).expect("the folder is empty");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The modules of this repository.
pub(crate) fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules")
}

/// The folders of programs, that of the interpreter itself first: what chooses among several versions of Python by a
/// script takes longer at each start than most checks.
fn path() -> &'static OsStr {
    static PATH: OnceLock<OsString> = OnceLock::new();
    PATH.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let folder = Path::new(said.trim()).parent().filter(|folder| folder.is_absolute()).map(Path::to_owned);
        let others = std::env::var_os("PATH").unwrap_or_default();
        let all = folder.into_iter().chain(std::env::split_paths(&others));
        std::env::join_paths(all).expect("they are folders of a list")
    })
}

/// Runs the program.
pub(crate) fn check(folder: &Path, words: &[&str]) -> Output {
    command(folder, words).output().expect("the program can be started")
}

/// The program with these words.
pub(crate) fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-check"));
    command.arg(folder).args(words).env("BULKHEAD_RUNTIME", program("module-runtime"));
    command.env("PATH", path());
    command.args(owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")));
    command
}

/// Runs the program, and reads its report.
pub(crate) fn report(folder: &Path, words: &[&str]) -> Value {
    let output = check(folder, &[words, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let expected = i32::from(report["failed"] != 0);
    assert_eq!(output.status.code(), Some(expected), "{report:#}{said}");
    report
}

/// The names of the rules with this verdict.
pub(crate) fn with_verdict<'a>(report: &'a Value, verdict: &str) -> Vec<&'a str> {
    let rules = report["rules"].as_array().expect("a list").iter();
    rules.filter(|rule| rule["verdict"] == verdict).map(|rule| rule["rule"].as_str().expect("a text")).collect()
}
