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
    /// It is in the repository, at this path.
    Kept(&'static str),
    /// `modules/build-c.sh` makes it, with the C compiler that links Rust too.
    CompiledC(&'static str),
    /// A program that this machine may have.
    Tool(&'static str),
}

impl From {
    /// The file; none for a tool, which the host finds itself.
    fn path(self) -> Option<PathBuf> {
        match self {
            From::Built(name) => Some(program(name)),
            From::Kept(path) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
                assert!(path.is_file(), "expected a file of the repository: {}", path.display());
                Some(path)
            }
            From::CompiledC(name) => Some(C_MODULES.join(name)),
            From::Tool(_) => None,
        }
    }
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
        let tools = self.files.iter().filter_map(|file| match file {
            From::Tool(name) => Some(*name),
            From::Built(_) | From::Kept(_) | From::CompiledC(_) => None,
        });
        for tool in tools {
            if !Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success()) {
                return Err(format!("{tool} cannot be run"));
            }
        }
        Ok(())
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
