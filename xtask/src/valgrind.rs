//! `cargo xtask valgrind`: the C border under valgrind, by the script `.ci/valgrind`.

use crate::cargo::{finish, program};
use anyhow::Result;
use std::ffi::OsString;

/// Run the tests of the C border under valgrind: every error and every leak fails
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// More arguments of the tests, such as the name of one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// # Errors
/// When valgrind finds something, a test fails, or valgrind is not here.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    finish(program(".ci/valgrind").args(arguments.words))
}
