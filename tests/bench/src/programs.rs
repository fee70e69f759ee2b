//! The programs that are measured: built first, then found beside the running program.

use crate::Failed;
use std::path::PathBuf;
use std::process::Command;

/// The packages whose programs are measured.
const PACKAGES: [&str; 3] = ["bulkhead", "bulkhead-launcher", "test-minimal"];

/// The packages of the other kinds of modules, which take longer to build.
const PACKAGES_OF_KINDS: [&str; 4] = ["bulkhead", "bulkhead-launcher", "bulkhead-wasm", "specimen"];

/// Names a folder of programs that are measured as they are, such as those of an earlier build.
const FOLDER_VARIABLE: &str = "BULKHEAD_BENCH_PROGRAMS";

/// The folder of the programs that are measured, release builds as a rule.
#[derive(Debug)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Builds what is measured, and says so; or takes the folder that `$BULKHEAD_BENCH_PROGRAMS` names.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build() -> Result<Programs, Failed> {
        Programs::of(&PACKAGES)
    }

    /// Builds what is needed to measure every kind of module, and says so.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build_all_kinds() -> Result<Programs, Failed> {
        Programs::of(&PACKAGES_OF_KINDS)
    }

    fn of(packages: &[&str]) -> Result<Programs, Failed> {
        if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
            eprintln!("measuring what is in {}", folder.display());
            return Ok(Programs { folder: folder.into() });
        }
        let current = std::env::current_exe()?;
        let folder = current
            .ancestors()
            .find(|folder| folder.file_name().is_some_and(|name| name == "release"))
            .ok_or_else(|| {
                format!(
                    "expected to run from target/release, found {}: only release builds are measured",
                    current.display()
                )
            })?
            .to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--release"]).args(packages.iter().flat_map(|name| ["-p", name]));
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        if let Some(target) = folder.parent() {
            command.env("CARGO_TARGET_DIR", target);
        }
        eprintln!("building what is measured: cargo build --release -p {}", packages.join(" -p "));
        let status = command.status()?;
        if !status.success() {
            return Err(format!("the build failed: {status}").into());
        }
        Ok(Programs { folder })
    }

    /// The program of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
