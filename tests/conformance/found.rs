//! Where the files of the samples come from, and how they are copied into a world.

use crate::samples::Sample;
use bulkhead_tests::{World, program};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Where a file comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// Cargo built it beside this test.
    Built(&'static str),
    /// It is in the repository, at this path: a file, or a folder with all that is in it.
    Kept(&'static str),
    /// `modules/build-c.sh` makes it, with the C compiler that links Rust too.
    CompiledC(&'static str),
    /// A program that this machine may have.
    Tool(&'static str),
    /// The same, of this version or a newer one.
    Interpreter { name: &'static str, least: (u32, u32) },
}

impl From {
    /// The file; none for a tool, which the host finds itself.
    fn path(self) -> Option<PathBuf> {
        match self {
            From::Built(name) => Some(program(name)),
            From::Kept(path) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
                assert!(path.exists(), "expected a file or a folder of the repository: {}", path.display());
                Some(path)
            }
            From::CompiledC(name) => Some(C_MODULES.join(name)),
            From::Tool(_) | From::Interpreter { .. } => None,
        }
    }

    /// Why it is not on this machine, if that is so.
    fn missing(self) -> Option<String> {
        match self {
            From::Built(_) | From::Kept(_) | From::CompiledC(_) => None,
            From::Tool(name) => version(name).is_none().then(|| format!("{name} cannot be run")),
            From::Interpreter { name, least } => match version(name) {
                None => Some(format!("{name} cannot be run")),
                Some(text) if numbers(&text).is_some_and(|found| found >= least) => None,
                Some(text) => {
                    Some(format!("{name} {}.{} or newer is expected, found {:?}", least.0, least.1, text.trim()))
                }
            },
        }
    }
}

/// What a program says of its version.
fn version(name: &str) -> Option<String> {
    let output = Command::new(name).arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first two numbers of a version such as `Python 3.11.7` or `v20.20.2`.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The folder with the modules that are written in C, built once for all tests.
static C_MODULES: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../modules/build-c.sh");
    let output = Command::new(&script).arg(&folder).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed; it needs a C compiler: {said}", script.display());
    folder
});

impl Sample {
    /// Whether what it needs beside this workspace is on this machine.
    pub(crate) fn is_possible_here(&self) -> Result<(), String> {
        self.files.iter().find_map(|file| file.missing()).map_or(Ok(()), Err)
    }

    /// Adds a module that is made of this sample; `rest` is the manifest after the keys that make it so.
    pub(crate) fn install(&self, world: &World, name: &str, rest: &str) {
        let Sample { kind, keys, grants, .. } = self;
        let granted = format!("[capabilities]\n{grants}");
        let rest = match rest.contains("[capabilities]") {
            true => rest.replace("[capabilities]", &granted),
            false => format!("{rest}\n{granted}"),
        };
        world.manifest(name, &format!("name = \"{name}\"\nversion = \"1.2.3\"\ntype = \"{kind}\"\n{keys}\n{rest}"));
        let folder = world.path("modules").join(name).join("bin");
        for file in self.files.iter().filter_map(|file| file.path()) {
            let target = folder.join(file.file_name().expect("a file has a name"));
            symlink(&file, &target).unwrap_or_else(|error| panic!("cannot install {}: {error}", file.display()));
        }
    }
}
