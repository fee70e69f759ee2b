//! `cargo xtask bench`: the benchmarks of the whole, with real processes. Those of one crate are run by
//! `cargo bench -p`, and docs/performance.md says what each measures.

use crate::cargo::{cargo, finish};
use anyhow::Result;
use std::ffi::OsString;

/// Measure the whole, with real processes; `--bench targets` is the summary
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// More arguments of `cargo bench`, such as `--bench NAME`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// # Errors
/// When something cannot be built or measured.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    finish(cargo(&["bench", "--locked", "--package", "bulkhead-bench"]).args(arguments.words))
}
