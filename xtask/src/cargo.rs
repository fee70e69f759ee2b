//! Running cargo, and other programs, in the checkout. Their progress and their errors go where this program's go; the
//! paths of built programs are read from cargo's messages, as they depend on the profile, the target and the settings
//! of the user.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Built programs by name.
pub(crate) type Programs = BTreeMap<String, PathBuf>;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable when it runs this program. What it was at build time is wrong in a checkout that moved.
    let own = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.parent().expect("this package lies in a folder of the checkout").to_owned()
}

/// Builds the programs of some packages.
///
/// # Errors
/// When cargo cannot be run or a package cannot be built; cargo has printed why.
pub(crate) fn build(profile: &str, packages: &[&str]) -> Result<Programs> {
    let mut words = vec!["build", "--bins", "--profile", profile];
    words.extend(packages.iter().flat_map(|package| ["--package", *package]));
    run(&words)
}

/// Builds `bulkhead` without shared libraries, by the alias in `.cargo/config.toml`.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_static() -> Result<Programs> {
    run(&["static"])
}

/// A command of cargo, in the root of the checkout.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let mut command = program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words);
    command
}

/// A program, in the root of the checkout.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be run, or fails; it has printed why.
pub(crate) fn finish(command: &mut Command) -> Result<()> {
    let name = Path::new(command.get_program()).display().to_string();
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    let first = command.get_args().next().unwrap_or_default().display().to_string();
    ensure!(status.success(), "{name} {first} ended with {status}");
    Ok(())
}

/// Runs a command of cargo that builds programs.
///
/// # Errors
/// As [`build`].
pub(crate) fn run(words: &[&str]) -> Result<Programs> {
    let mut command = cargo(words);
    command.args(["--locked", "--message-format=json-render-diagnostics"]);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let messages = BufReader::new(child.stdout.take().expect("it was asked for"));
    let mut programs = Programs::new();
    for line in messages.lines() {
        programs.extend(built(&line.context("cannot read what cargo says")?));
    }
    let status = child.wait().context("cannot wait for cargo")?;
    ensure!(status.success(), "cargo {} ended with {status}", words[0]);
    Ok(programs)
}

/// The program that a message of cargo reports.
fn built(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message["executable"].as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), Path::new(path).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_name_and_a_library_is_none() {
        let program = r#"{"reason":"compiler-artifact","target":{"name":"bulkhead"},"executable":"/t/debug/bulkhead"}"#;
        assert_eq!(built(program), Some(("bulkhead".into(), "/t/debug/bulkhead".into())));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#;
        assert_eq!(built(library), None);
        assert_eq!(built(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(built("what a build script printed"), None);
    }
}
