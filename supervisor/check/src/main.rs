//! The program `bulkhead-check`, which `bulkhead check DIR` runs: it checks a module of any kind and language against
//! the rules of `PROTOCOL.md`, and says of each whether it is kept. It judges no host, and changes nothing of the module.

#![forbid(unsafe_code)]

mod chance;
mod cli;
mod guardian;
mod hosted;
mod interrupt;
mod process;
mod report;
mod rules;
mod schema;
mod session;
mod subject;
mod verdicts;
mod wire;

use crate::cli::Cli;
use crate::hosted::{Hosted, Which};
use crate::interrupt::Interrupt;
use crate::report::Report;
use crate::rules::Rule;
use crate::subject::Subject;
use crate::verdicts::Verdicts;
use crate::wire::Wire;
use anyhow::{Context, Result};
use bulkhead_command_line::{answer, refuse_socket};
use clap::{CommandFactory, Parser};
use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The exit codes of the help.
const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_NO_CHECK: u8 = 3;
/// The number of the signal is added.
const EXIT_SIGNAL: u8 = 128;

fn main() -> ExitCode {
    if let Some(code) = answer(Cli::command(), std::env::args_os()) {
        return code;
    }
    let cli = Cli::parse();
    if let Err(fault) = refuse_socket("the module is run under a host of the check's own") {
        eprintln!("bulkhead check: {fault}");
        return EXIT_USAGE.into();
    }
    if !cli.folder.join("module.toml").is_file() {
        eprintln!("bulkhead check: {}: expected a folder with a module.toml", cli.folder.display());
        return EXIT_USAGE.into();
    }
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            eprintln!("bulkhead check: cannot wait for signals: {error}");
            return EXIT_NO_CHECK.into();
        }
    };
    let checked = check(&cli, &interrupt);
    // What an interrupted check has found is no verdict.
    if let Some(signal) = interrupt.signal() {
        eprintln!("bulkhead check: interrupted by {signal}");
        return ExitCode::from(EXIT_SIGNAL + signal as u8);
    }
    match checked.and_then(|report| print(&cli, &report)) {
        Ok(failures) => ExitCode::from(if failures == 0 { 0 } else { EXIT_FAILED }),
        Err(error) => {
            eprintln!("bulkhead check: {error:#}");
            EXIT_NO_CHECK.into()
        }
    }
}

fn check(cli: &Cli, interrupt: &Interrupt) -> Result<Report> {
    let began = Instant::now();
    let seed = cli.seed.unwrap_or_else(seed_of_clock);
    let mut verdicts = Verdicts::default();
    let mut report = Report { folder: cli.folder.display().to_string(), seed, ..Report::default() };
    match subject::manifest(&cli.folder, &cli.trusted_users) {
        Err(problems) => {
            for problem in problems.iter() {
                verdicts.fail(Rule::Manifest, "module.toml", "a manifest without faults", &problem.to_string());
            }
        }
        Ok((config, remarks)) => {
            verdicts.keep(Rule::Manifest);
            verdicts.remarks = remarks;
            report.module = config.name.to_string();
            report.kind = config.kind.name().to_owned();
            run(cli, seed, &Subject::new(config, &cli.trusted_users, interrupt)?, &mut verdicts)?;
        }
    }
    report.took = began.elapsed();
    report.verdicts = verdicts;
    Ok(report)
}

/// Prints and writes the report, and returns how many rules failed.
fn print(cli: &Cli, report: &Report) -> Result<usize> {
    if let Some(path) = &cli.junit {
        fs::write(path, report.junit()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let text = if cli.json { report.json() } else { report.table() };
    // A reader that is gone needs no report.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(report.verdicts.failures())
}

fn run(cli: &Cli, seed: u64, subject: &Subject, verdicts: &mut Verdicts) -> Result<()> {
    let (timeout, end_timeout) = (cli.timeout, cli.end_timeout);
    let which = match (cli.skip_commands, cli.all_commands) {
        (true, _) => Which::None,
        (false, true) => Which::All,
        (false, false) => Which::Idempotent,
    };
    let greeted = Wire { subject, verdicts, timeout, end_timeout }.check()?;
    if let Some((ready, start_took)) = greeted {
        Hosted { subject, verdicts, timeout, ready: &ready, start_took, which, seed }.check()?;
    }
    Ok(())
}

fn seed_of_clock() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Short, as people type it.
    time.as_nanos() as u64 % 1_000_000
}
