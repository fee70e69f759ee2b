//! What the host weighs: its memory during a run, crates in its dependency tree, bytes of its programs.

use super::Rows;
use crate::crash::{self, Spare};
use crate::figures::{grouped, heading, row};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::World;
use crate::{Failed, frames, weight};
use nix::sys::signal::Signal;

const WINDOW: usize = 64;
const MESSAGES: usize = 1_000_000;
const CRASHES: usize = 500;

/// All of it.
#[derive(Clone, Debug)]
pub struct Weights {
    /// When it was measured, and the resident KiB of host and guardian.
    memory: Vec<(String, u64, u64)>,
    /// A package, all crates that its program is made of, and those of others.
    crates: Vec<(&'static str, usize, usize)>,
    programs: Vec<(&'static str, f64)>,
}

/// Measures all of it.
///
/// # Errors
/// When the host or cargo fails.
pub fn measure(programs: &Programs) -> Result<Weights, Failed> {
    let world = World::start(programs)?;
    let mut caller = world.caller()?;
    let echo = frames::command("echo", "echo");
    let mut memory = Vec::new();
    let mut look = |when: String| -> Result<(), Failed> {
        let (host, guardian) = world.memory_kib()?;
        memory.push((when, host, guardian));
        Ok(())
    };
    caller.calls(&echo, 1000, WINDOW)?;
    look("after 1,000 calls".into())?;
    caller.calls(&echo, MESSAGES, WINDOW)?;
    look(format!("after {} calls more", grouped(MESSAGES as f64)))?;
    // `soak` does more of these.
    crash::through_host(&world, "echo", Spare::None, Signal::SIGKILL, CRASHES)?;
    look(format!("after {CRASHES} crashes"))?;
    let mut crates = Vec::new();
    for package in ["bulkhead-host", "bulkhead", "bulkhead-launcher", "bulkhead-module"] {
        let (all, foreign) = weight::crates(package)?;
        crates.push((package, all, foreign));
    }
    let mut sizes = Vec::new();
    for program in ["bulkhead", "module-runtime", "test-minimal"] {
        sizes.push((program, weight::program_kib(programs, program)?));
    }
    Ok(Weights { memory, crates, programs: sizes })
}

impl Rows for Weights {
    fn print(&self) {
        heading("Resident memory, KiB", &["host", "guardian"]);
        for (when, host, guardian) in &self.memory {
            row(when, &[grouped(*host as f64), grouped(*guardian as f64)]);
        }
        heading("Crates in the dependency tree", &["all", "foreign"]);
        for (package, all, foreign) in &self.crates {
            row(package, &[all, foreign]);
        }
        heading("Size of the programs, KiB", &["release"]);
        for (program, kib) in &self.programs {
            row(program, &[grouped(*kib)]);
        }
    }

    fn targets(&self) -> Vec<Target> {
        Vec::new()
    }
}
