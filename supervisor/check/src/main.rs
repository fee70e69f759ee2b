//! The program `bulkhead-check`, which `bulkhead check DIR` runs: it checks a module of any kind and language against
//! the rules of `PROTOCOL.md`, and says of each whether it is kept. It judges no host, and changes nothing of the module.

#![forbid(unsafe_code)]

mod chance;
mod cli;
mod guardian;
mod hosted;
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
use crate::report::Report;
use crate::rules::Rule;
use crate::subject::Subject;
use crate::verdicts::Verdicts;
use crate::wire::Wire;
use anyhow::{Context, Result};
use clap::Parser;
use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The exit codes of the help.
const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_NO_CHECK: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if !cli.folder.join("module.toml").is_file() {
        eprintln!("bulkhead check: {}: expected a folder with a module.toml", cli.folder.display());
        return EXIT_USAGE.into();
    }
    match check(&cli) {
        Ok(failures) => ExitCode::from(if failures == 0 { 0 } else { EXIT_FAILED }),
        Err(error) => {
            eprintln!("bulkhead check: {error:#}");
            EXIT_NO_CHECK.into()
        }
    }
}

/// Checks, reports, and returns how many rules failed.
fn check(cli: &Cli) -> Result<usize> {
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
            run(cli, seed, &Subject::new(config, &cli.trusted_users)?, &mut verdicts)?;
        }
    }
    report.took = began.elapsed();
    report.verdicts = verdicts;
    if let Some(path) = &cli.junit {
        fs::write(path, report.junit()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let text = if cli.json { report.json() } else { report.table() };
    // A reader that is gone needs no report.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(report.verdicts.failures())
}

fn run(cli: &Cli, seed: u64, subject: &Subject, verdicts: &mut Verdicts) -> Result<()> {
    let timeout = Duration::from_secs(cli.timeout);
    let which = match (cli.skip_commands, cli.all_commands) {
        (true, _) => Which::None,
        (false, true) => Which::All,
        (false, false) => Which::Idempotent,
    };
    let greeted = Wire { subject, verdicts, timeout }.check()?;
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
