//! Operations on all modules of a host at once, besides their start: `restart --all`, `reload --all`, and the host's
//! orderly end, at 1,000, 2,000 and 4,000 modules. Twice as many may take twice as long. The core's tests count that
//! its own steps grow no faster; these are the times.

use super::many::{all_answer, modules};
use crate::figures::{grouped, heading, row};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::World;
use crate::{Failed, bare, frames};
use std::time::Instant;

const COUNTS: [usize; 3] = [1000, 2000, 4000];

/// One host with so many modules, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct All {
    count: usize,
    /// From the start of the host to an answer of every module.
    start: f64,
    restart: f64,
    reload: f64,
    /// From SIGTERM to the end of the host's process.
    stop: f64,
}

/// Measures each number of modules once.
///
/// # Errors
/// When not all modules become ready, or the operation is not done to all.
pub fn measure(programs: &Programs) -> Result<Vec<All>, Failed> {
    COUNTS.into_iter().map(|count| all(programs, count)).collect()
}

fn all(programs: &Programs, count: usize) -> Result<All, Failed> {
    let mut world = World::with_modules(programs, &modules(count, &bare::echo_words()?)?)?;
    let start = all_answer(&world, count)?.all();
    let mut caller = world.caller()?;
    let mut done = |name: &str| -> Result<f64, Failed> {
        let began = Instant::now();
        caller.push(&frames::command_with("supervisor", name, r#"{"all":true}"#));
        caller.send()?;
        let answer = caller.last_answer()?;
        if !answer.contains(&format!(r#""failed":0,"modules":{count}"#)) {
            return Err(format!("{name} of all {count} modules was answered {answer}").into());
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    let (restart, reload) = (done("restart")?, done("reload")?);
    let began = Instant::now();
    world.stop()?;
    Ok(All { count, start, restart, reload, stop: began.elapsed().as_secs_f64() * 1e3 })
}

/// Prints the table.
pub fn print(rows: &[All]) {
    heading(
        "What is done to all modules at once, ms; all cores; beside it the start of all, and the growth for each doubling",
        &["start", "restart --all", "reload --all", "stop", "stop / start"],
    );
    for all in rows {
        let figures = [all.start, all.restart, all.reload, all.stop].map(|figure| format!("{figure:.0}"));
        let share = [format!("{:.2}", all.stop / all.start)];
        let figures: Vec<String> = figures.into_iter().chain(share).collect();
        row(&grouped(all.count as f64), &figures);
    }
    for pair in rows.windows(2) {
        let growth = |part: fn(&All) -> f64| format!("× {:.2}", part(&pair[1]) / part(&pair[0]));
        let parts =
            [growth(|all| all.start), growth(|all| all.restart), growth(|all| all.reload), growth(|all| all.stop)];
        row(&format!("… {} to {}", grouped(pair[0].count as f64), grouped(pair[1].count as f64)), &parts);
    }
}

/// The promises about it.
pub fn targets(rows: &[All]) -> Vec<Target> {
    let row = |all: &All| {
        let what = format!("{} modules: orderly stop of all", grouped(all.count as f64));
        Target::at_most(what, 0.5, "× start", all.stop / all.start)
    };
    rows.iter().map(row).collect()
}
