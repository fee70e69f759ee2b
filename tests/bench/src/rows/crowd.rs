//! One large number of modules, once: whether they all start, how long that takes, and what each takes of the host's
//! memory and descriptors. `BULKHEAD_BENCH_MODULES` sets the number.

use super::Rows;
use super::many::{modules, name};
use crate::figures::{grouped, heading, row};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::World;
use crate::{Failed, bare, frames, processes};
use std::fs;

/// Requests that one client may have unanswered in the host's default configuration.
const REQUESTS_MAX: usize = 4096;

/// The variable with the number.
pub const VARIABLE: &str = "BULKHEAD_BENCH_MODULES";

/// The result of one start of many modules.
#[derive(Clone, Debug)]
pub struct Crowd {
    count: usize,
    all_ms: f64,
    host_kib: f64,
    guardian_kib: f64,
    descriptors: f64,
    limit: u64,
}

/// Starts so many bare modules, and sends each of them a request.
///
/// # Errors
/// When not all of them become ready.
pub fn measure(programs: &Programs, count: usize) -> Result<Crowd, Failed> {
    let open = |process: u32| fs::read_dir(format!("/proc/{process}/fd")).map(Iterator::count);
    let (host_alone, guardian_alone, open_alone) = {
        let world = World::with_modules(programs, &[])?;
        world.caller()?.call(&frames::status())?;
        let host = world.host_id();
        (processes::memory(host)?, processes::memory(world.guardian_id()?)?, open(host)?)
    };
    let world = World::with_modules(programs, &modules(count, &bare::echo_words()?)?)?;
    let mut callers = Vec::new();
    for first in (0..count).step_by(REQUESTS_MAX) {
        let mut caller = world.caller()?;
        let numbers = first..count.min(first + REQUESTS_MAX);
        numbers.clone().for_each(|number| caller.push(&frames::command(&name(number), "ping")));
        caller.send()?;
        callers.push((caller, numbers.len()));
    }
    for (caller, answers) in &mut callers {
        for _ in 0..*answers {
            caller.success()?;
        }
    }
    let all_ms = world.began().elapsed().as_secs_f64() * 1e3;
    let (host, guardian) = (world.host_id(), world.guardian_id()?);
    let each = |with: u64, without: u64| (with as f64 - without as f64) / count as f64;
    let limits = fs::read_to_string(format!("/proc/{host}/limits"))?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    Ok(Crowd {
        count,
        all_ms,
        host_kib: each(processes::memory(host)?.private, host_alone.private),
        guardian_kib: each(processes::memory(guardian)?.private, guardian_alone.private),
        descriptors: each((open(host)? - callers.len()) as u64, open_alone as u64),
        limit: limit.and_then(|limit| limit.parse().ok()).ok_or("expected a limit of open files")?,
    })
}

impl Rows for Crowd {
    fn print(&self) {
        heading(
            &format!("Once; the host may have {} files open", grouped(self.limit as f64)),
            &["all ready ms", "host KiB each", "guardian KiB each", "descriptors each"],
        );
        let figures = [
            format!("{:.0}", self.all_ms),
            format!("{:.1}", self.host_kib),
            format!("{:.1}", self.guardian_kib),
            format!("{:.2}", self.descriptors),
        ];
        row(&format!("{} of a bare module", grouped(self.count as f64)), &figures);
    }

    fn targets(&self) -> Vec<Target> {
        Vec::new()
    }
}
