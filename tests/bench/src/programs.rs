//! The programs that are measured: built first, then found beside the running program.

use crate::Failed;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages whose programs are measured.
const PACKAGES: [&str; 4] = ["bulkhead", "bulkhead-launcher", "test-minimal", "research-log"];

/// The packages of the other kinds of modules, which take longer to build.
const PACKAGES_OF_KINDS: [&str; 4] = ["bulkhead", "bulkhead-launcher", "bulkhead-wasm", "specimen"];

/// Names a folder of programs that are measured as they are, such as those of an earlier build.
const FOLDER_VARIABLE: &str = "BULKHEAD_BENCH_PROGRAMS";

/// Where `cargo static` puts the statically linked `bulkhead`, in the folder of what is built.
const STATIC: &str = "x86_64-unknown-linux-gnu/release/bulkhead";

/// Its name in a folder of programs that are measured as they are.
const STATIC_AS_IT_IS: &str = "bulkhead-static";

/// The folder of the programs that are measured, release builds as a rule.
#[derive(Debug)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Builds what is measured, and prints that; or takes the folder that `$BULKHEAD_BENCH_PROGRAMS` names.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build() -> Result<Programs, Failed> {
        Programs::of(&PACKAGES)
    }

    /// Builds what is needed to measure every kind of module, and prints that.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build_all_kinds() -> Result<Programs, Failed> {
        Programs::of(&PACKAGES_OF_KINDS)
    }

    /// The owners of the programs and of the folders on the way to them: a host that runs them must trust these.
    ///
    /// # Errors
    /// When they are not there.
    pub fn owners(&self) -> Result<Vec<u32>, Failed> {
        let host = self.path("bulkhead").canonicalize()?;
        let owners = host.ancestors().map(|path| Ok(std::fs::metadata(path)?.uid()));
        let mut owners: Vec<u32> = owners.collect::<std::io::Result<_>>()?;
        owners.sort_unstable();
        owners.dedup();
        Ok(owners)
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
        eprintln!("building what is measured: cargo build --release -p {}", packages.join(" -p "));
        let mut command = cargo(folder.parent());
        let status =
            command.args(["build", "--release"]).args(packages.iter().flat_map(|name| ["-p", name])).status()?;
        if !status.success() {
            return Err(format!("the build failed: {status}").into());
        }
        Ok(Programs { folder })
    }

    /// The statically linked `bulkhead`, which is built first; none, with a printed line, where that is not possible.
    ///
    /// # Errors
    /// When cargo cannot be started.
    pub fn build_static(&self) -> Result<Option<PathBuf>, Failed> {
        if std::env::var_os(FOLDER_VARIABLE).is_some() {
            let path = self.path(STATIC_AS_IT_IS);
            let found = path.is_file();
            if !found {
                println!("  skipped: bulkhead, linked statically: there is no {}", path.display());
            }
            return Ok(found.then_some(path));
        }
        let target = self.folder.parent();
        eprintln!("building what is measured: cargo static");
        // Flags of the environment would replace the one that makes it static.
        let status =
            cargo(target).arg("static").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").status()?;
        if !status.success() {
            println!("  skipped: bulkhead, linked statically: cargo static failed: {status}");
            return Ok(None);
        }
        Ok(target.map(|target| target.join(STATIC)))
    }

    /// The program of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A cargo that builds into the folder `target`.
fn cargo(target: Option<&Path>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if let Some(target) = target {
        command.env("CARGO_TARGET_DIR", target);
    }
    command
}
