//! `cargo xtask wasm`: the WebAssembly of the samples in C that is in the repository. The specimen in Rust has a
//! script of its own, `modules/specimen/wasm/build.sh`, as its bytes change with the compiler.

use crate::cargo::{finish, program};
use anyhow::{Context, Result};

/// Build the WebAssembly of the samples in C that is in the repository
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if what is in the repository is not what the sources say
    #[arg(long)]
    check: bool,
}

/// The answer of the script on a machine without the exact compiler that the files were made with.
const NOT_COMPARABLE: i32 = 77;

/// # Errors
/// When something cannot be built, or, with `--check`, differs.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let mut script = program("modules/build-c.sh");
    if !arguments.check {
        return finish(script.arg("--wasm"));
    }
    let status = script.arg("--check").status().context("cannot run modules/build-c.sh")?;
    if status.code() == Some(NOT_COMPARABLE) {
        println!("skipped: see the line above");
        return Ok(());
    }
    anyhow::ensure!(status.success(), "modules/build-c.sh --check ended with {status}");
    Ok(())
}
