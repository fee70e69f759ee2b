//! What the product weighs: crates in the host's dependency tree, bytes of the programs.

use crate::Failed;
use crate::programs::Programs;
use std::collections::BTreeSet;
use std::process::Command;

/// How many crates a package's program is made of: all of them, and those that are not of this
/// workspace.
///
/// # Errors
/// When cargo fails.
pub fn crates(package: &str) -> Result<(usize, usize), Failed> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "-e", "normal", "--prefix", "none", "-f", "{p}", "-p", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    // A crate that was shown before has a mark; those of the workspace have their folder.
    let all: BTreeSet<&str> =
        text.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    let foreign = all.iter().filter(|line| !line.contains("(/")).count();
    Ok((all.len(), foreign))
}

/// The size of a program's file in KiB.
///
/// # Errors
/// When it is not there.
pub fn program_kib(programs: &Programs, name: &str) -> Result<f64, Failed> {
    Ok(std::fs::metadata(programs.path(name))?.len() as f64 / 1024.0)
}
