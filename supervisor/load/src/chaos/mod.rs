//! `bulkhead chaos`: a module is called while its processes are killed, stopped and slowed, and what became of the calls
//! is compared with what the wire promises.

mod cli;
mod control;
mod disturb;
mod effects;
mod ledger;
mod observe;
#[cfg(test)]
mod played;
mod processes;
mod report;
mod schedule;
mod session;
mod verdict;

use self::cli::Cli;
use bulkhead_command_line::answer;
use clap::{CommandFactory, Parser};
use std::process::ExitCode;

/// The program `bulkhead-chaos`.
pub fn main() -> ExitCode {
    if let Some(code) = answer(Cli::command(), std::env::args_os()) {
        return code;
    }
    match session::run(&Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            eprintln!("bulkhead chaos: {problem}");
            ExitCode::from(problem.code)
        }
    }
}
