//! What the attribute `module` of the Rust SDK costs a call beside the same command by hand, in instructions: valgrind
//! counts them the same on a machine that has other work.
//!
//! `cargo bench -p bulkhead-bench --bench instructions`

use bulkhead_bench::Failed;
use bulkhead_bench::figures::{grouped, heading, row};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the attribute may cost beside the code by hand.
const RATIO_MAX: f64 = 1.02;

const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

fn main() -> Result<(), Failed> {
    if !std::env::args().any(|word| word == "--bench") {
        println!("skipped: this measures, and does so for `cargo bench -p bulkhead-bench` only");
        return Ok(());
    }
    if !Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("skipped: valgrind is not installed");
        return Ok(());
    }
    let program = build()?;
    heading("A command in the SDK, instructions a call", &["by hand", "attribute", "ratio", "at most"]);
    for command in ["ping", "add", "order"] {
        let (by_hand, attribute) = (of_a_call(&program, "trait", command)?, of_a_call(&program, "macro", command)?);
        let ratio = format!("{:.2}", attribute / by_hand);
        row(command, &[grouped(by_hand), grouped(attribute), ratio, format!("{RATIO_MAX:.2}")]);
    }
    Ok(())
}

/// Builds the example that has both.
fn build() -> Result<PathBuf, Failed> {
    let current = std::env::current_exe()?;
    let folder = current.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "release"));
    let folder = folder.ok_or("expected to run from target/release: only release builds are measured")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--release", "-p", "bulkhead-module", "--example", "macro_cost"]);
    let status = cargo.env("CARGO_TARGET_DIR", folder.parent().ok_or("expected a folder of the build")?).status()?;
    if !status.success() {
        return Err(format!("the build failed: {status}").into());
    }
    Ok(folder.join("examples/macro_cost"))
}

/// The instructions of one call: of many, less those of a few.
fn of_a_call(program: &Path, way: &str, command: &str) -> Result<f64, Failed> {
    let (few, many) = (counted(program, way, command, FEW)?, counted(program, way, command, MANY)?);
    Ok(many.saturating_sub(few) as f64 / (MANY - FEW) as f64)
}

/// All instructions of a run with so many calls.
fn counted(program: &Path, way: &str, command: &str, calls: u64) -> Result<u64, Failed> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let output = valgrind.args([way, command, &calls.to_string()]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind ended with {}: {said}", output.status).into());
    }
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let number = line.and_then(|(_, rest)| rest.trim().parse().ok());
    number.ok_or_else(|| format!("expected a line with Collected of valgrind, found: {said}").into())
}
