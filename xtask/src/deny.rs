//! `cargo xtask deny`: the rules for the tree of dependencies, in `deny.toml`. Known vulnerabilities are left out:
//! their list is on the network, and changes without a change of ours.

use crate::cargo::{cargo, finish};
use anyhow::{Result, bail};

/// Check licences, sources and bans of all dependencies with cargo-deny
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// # Errors
/// When a dependency breaks a rule, or cargo-deny is not here.
pub(crate) fn run(_: Arguments) -> Result<()> {
    let here = cargo(&["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !here {
        bail!("cargo-deny is not here; .ci/run installs it, and so does cargo install cargo-deny");
    }
    // The tree of dependents of a duplicate crate is long, and `cargo tree --duplicates` shows it.
    finish(&mut cargo(&["deny", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
}
