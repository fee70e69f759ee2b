//! `cargo xtask`: what is done with the project from its checkout. One file for each task, with its arguments;
//! here is only the list of them. Nothing of this is in the programs that are installed.

#![forbid(unsafe_code)]

mod cargo;
mod install;
mod running;
mod uninstall;

use clap::Parser;
use std::process::ExitCode;

/// What is done with the project from its checkout.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Install(install::Arguments),
    Uninstall(uninstall::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Install(arguments) => install::run(arguments),
        Task::Uninstall(arguments) => uninstall::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
