//! The program `bulkhead-dev`, which `bulkhead dev` runs: it builds modules, reloads them when a file changes, and shows
//! what they print and why they crash.
//!
//! What decides is pure: `plan` (what is done when), `sources` (which changes count), `language`, `crash`,
//! `difference`, `messages` and `debug`. What waits is `session`, with `watch`, `build`, `link`, `terminal` and `home`
//! around it. How a module is reloaded is
//! the host's work, and no part of this program.

#![forbid(unsafe_code)]

mod build;
mod cli;
mod crash;
mod debug;
mod debugged;
mod difference;
mod home;
mod input;
mod language;
mod link;
mod messages;
mod plan;
mod project;
mod reports;
mod screen;
mod session;
mod signals;
mod sources;
mod terminal;
mod watch;
mod work;

use crate::cli::Cli;
use bulkhead_command_line::{answer, refuse_socket};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;

fn main() -> ExitCode {
    // The process of a build, and that of a debugger, are started by this program and by its host, and by nothing else, so
    // their command lines are none for people.
    if let Some(words) = build::child_words(std::env::args_os()) {
        return build::become_build(words);
    }
    if let Some(words) = terminal::child_words(std::env::args_os()) {
        return terminal::become_debugger(words);
    }
    if let Some(code) = answer(Cli::command(), std::env::args_os()) {
        return code;
    }
    let cli = Cli::parse();
    if !cli.join
        && let Err(fault) = refuse_socket("the host is private; --join works with the daemon of that socket")
    {
        eprintln!("bulkhead dev: {fault}");
        return ExitCode::from(2);
    }
    match session::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulkhead dev: {}", error.text);
            ExitCode::from(error.code)
        }
    }
}
