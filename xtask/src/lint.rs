//! `cargo xtask lint`: clippy over everything that is built with the workspace. The companions are linted by
//! `cargo xtask test --companions`, in the same builds as their tests.

use crate::cargo::{cargo, finish};
use anyhow::Result;

/// Lint the workspace with clippy; a warning is an error
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// # Errors
/// When something is found, or does not compile.
pub(crate) fn run(_: Arguments) -> Result<()> {
    finish(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}
