//! `cargo xtask test`: the tests of the workspace, by the very command that the README names, or those of the
//! companions.

use crate::cargo::{cargo, finish, root};
use crate::companions;
use anyhow::Result;
use std::ffi::OsString;

/// Run the tests of the workspace, or those of the companions
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Lint and test the companions: modules that are workspaces of their own
    #[arg(long)]
    companions: bool,
    /// More arguments of `cargo test`, such as the name of a test
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// # Errors
/// When a test fails, or something does not compile.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    if !arguments.companions {
        let mut command = cargo(&["test", "--workspace", "--no-fail-fast", "--locked"]);
        return finish(command.args(&arguments.words));
    }
    let companions = companions::find()?;
    if companions.is_empty() {
        println!("there are no companions: no folder of modules/ is a workspace of its own");
    }
    // One folder for all, so that what several depend on is compiled once.
    let target = root().join("target/companions");
    for companion in companions {
        println!("the companion {}", companion.display());
        let of_it = |words: &[&str]| {
            let mut command = cargo(words);
            command.args(["--workspace", "--locked", "--manifest-path"]).arg(&companion);
            command.env("CARGO_TARGET_DIR", &target);
            command
        };
        finish(of_it(&["clippy", "--all-targets"]).args(["--", "-D", "warnings"]))?;
        finish(of_it(&["test", "--no-fail-fast"]).args(&arguments.words))?;
    }
    Ok(())
}
