//! `cargo xtask fmt`: the form of the code, that of the companions included.

use crate::cargo::{cargo, finish};
use crate::companions;
use anyhow::Result;

/// Format all code, that of the companions included
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if something is not formatted
    #[arg(long)]
    check: bool,
}

/// # Errors
/// When something cannot be formatted, or, with `--check`, is not.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let check: &[&str] = if arguments.check { &["--check"] } else { &[] };
    finish(cargo(&["fmt", "--all"]).args(check))?;
    for companion in companions::find()? {
        finish(cargo(&["fmt", "--manifest-path"]).arg(companion).args(check))?;
    }
    Ok(())
}
