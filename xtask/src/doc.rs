//! `cargo xtask doc`: the documentation of the crates. A link that leads nowhere is an error.

use crate::cargo::{cargo, finish};
use anyhow::Result;

/// Build the documentation of all crates; a warning is an error
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Open it in a browser
    #[arg(long)]
    open: bool,
}

/// # Errors
/// When there is a warning.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    command.args(arguments.open.then_some("--open"));
    finish(command.env("RUSTDOCFLAGS", "-Dwarnings"))
}
