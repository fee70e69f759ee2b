//! `cargo xtask`: what is done with the project from its checkout. One file for each task, with its arguments;
//! here is only the list of them. Nothing of this is in the programs that are installed.

#![forbid(unsafe_code)]

mod asan;
mod bench;
mod cargo;
mod companions;
mod deny;
mod doc;
mod fmt;
mod fuzz;
mod install;
mod lint;
mod running;
mod test;
mod uninstall;
mod units;
mod valgrind;
mod wasm;

use clap::Parser;
use std::process::ExitCode;

/// What is done with the project from its checkout.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Fmt(fmt::Arguments),
    Lint(lint::Arguments),
    Test(test::Arguments),
    Doc(doc::Arguments),
    Deny(deny::Arguments),
    Wasm(wasm::Arguments),
    Units(units::Arguments),
    Valgrind(valgrind::Arguments),
    Asan(asan::Arguments),
    Fuzz(fuzz::Arguments),
    Bench(bench::Arguments),
    Install(install::Arguments),
    Uninstall(uninstall::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Fmt(arguments) => fmt::run(arguments),
        Task::Lint(arguments) => lint::run(arguments),
        Task::Test(arguments) => test::run(arguments),
        Task::Doc(arguments) => doc::run(arguments),
        Task::Deny(arguments) => deny::run(arguments),
        Task::Wasm(arguments) => wasm::run(arguments),
        Task::Units(arguments) => units::run(arguments),
        Task::Valgrind(arguments) => valgrind::run(arguments),
        Task::Asan(arguments) => asan::run(arguments),
        Task::Fuzz(arguments) => fuzz::run(arguments),
        Task::Bench(arguments) => bench::run(arguments),
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
