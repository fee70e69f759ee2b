//! `cargo xtask units`: the units of systemd in the documents, by the script `.ci/units`.

use crate::cargo::{finish, program};
use anyhow::Result;

/// Check the systemd units in docs/examples/systemd
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// # Errors
/// When systemd does not know a line, or a unit is more exposed than it was.
pub(crate) fn run(_: Arguments) -> Result<()> {
    finish(&mut program(".ci/units"))
}
