//! The program `bulkhead-simulate`, which `bulkhead simulate` runs: it plays the core with the manifest of one module in
//! simulated time, so that a person sees what its `[restart]` leads to. It starts nothing and decides nothing.

#![forbid(unsafe_code)]

mod cli;
mod exits;
mod play;
mod report;
mod subject;
mod timeline;

use crate::cli::Cli;
use bulkhead_command_line::{answer, refuse_socket};
use clap::{CommandFactory, Parser};
use std::io::Write;
use std::process::ExitCode;

/// The exit code of a fault of the command line or of a manifest, as of `bulkhead`.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    if let Some(code) = answer(Cli::command(), std::env::args_os()) {
        return code;
    }
    let cli = Cli::parse();
    if let Err(fault) = refuse_socket("the rules are played without a daemon") {
        eprintln!("bulkhead simulate: {fault}");
        return EXIT_USAGE.into();
    }
    match run(&cli) {
        Ok(text) => {
            // A reader that is gone needs no report.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("bulkhead simulate: {fault}"));
            EXIT_USAGE.into()
        }
    }
}

fn run(cli: &Cli) -> Result<String, Vec<String>> {
    let exits = exits::parse(&cli.exits).map_err(|fault| vec![format!("--exits: {fault}")])?;
    let subject = subject::load(cli)?;
    let played = play::play(&subject, &exits, cli);
    Ok(if cli.json { report::json(&subject, &played) } else { report::text(&subject, &played) })
}
