//! Building with cargo. Its progress and its errors go to standard error as ever; which file is which program is
//! read from its messages, as the place depends on the profile, the target and the settings of the user.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
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
/// When cargo cannot be run or a package cannot be built; cargo has said why.
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

fn run(words: &[&str]) -> Result<Programs> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(words).args(["--locked", "--message-format=json-render-diagnostics"]);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let messages = BufReader::new(child.stdout.take().expect("it was asked for"));
    let mut programs = Programs::new();
    for line in messages.lines() {
        programs.extend(program(&line.context("cannot read what cargo says")?));
    }
    let status = child.wait().context("cannot wait for cargo")?;
    ensure!(status.success(), "cargo {} ended with {status}", words[0]);
    Ok(programs)
}

/// The program that a message of cargo tells of.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message["executable"].as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), Path::new(path).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_name_and_a_library_is_none() {
        let built = r#"{"reason":"compiler-artifact","target":{"name":"bulkhead"},"executable":"/t/debug/bulkhead"}"#;
        assert_eq!(program(built), Some(("bulkhead".into(), "/t/debug/bulkhead".into())));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#;
        assert_eq!(program(library), None);
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(program("what a build script printed"), None);
    }
}
