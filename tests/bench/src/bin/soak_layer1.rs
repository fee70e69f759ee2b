//! Does the host's memory stay bounded while one client streams a million changes into the data store? The host's
//! resident memory, the files of the store and the rate during the run. The client has as many requests in flight as a
//! client may have; each of them is on the disk before it is answered.
//!
//! `cargo run --release -p bulkhead-bench --bin soak-layer1 [CHANGES]`

use bulkhead_bench::figures::{grouped, heading, row};
use bulkhead_bench::programs::Programs;
use bulkhead_bench::world::World;
use bulkhead_bench::{Failed, frames, parts};
use std::fs;
use std::path::Path;

/// So many changes between two measurements of the memory.
const STEP: usize = 100_000;

/// Requests that a client may have unanswered.
const WINDOW: usize = 4096;

fn main() -> Result<(), Failed> {
    parts::play_if_asked();
    let changes = std::env::args().nth(1).map(|word| word.parse()).transpose()?.unwrap_or(1_000_000);

    let world = World::with_modules(&Programs::build()?, &[])?;
    let mut caller = world.caller()?;
    let create = frames::create("Note");
    heading("while one client creates entities", &["host, KiB", "files, KiB", "each second"]);
    caller.calls(&create, 1000, WINDOW)?;
    show(&world, "after 1,000", None)?;
    let mut done = 0;
    while done < changes {
        let step = STEP.min(changes - done);
        let took = caller.calls(&create, step, WINDOW)?;
        done += step;
        show(&world, &format!("after {} more", grouped(done as f64)), Some(step as f64 / took.as_secs_f64()))?;
    }
    Ok(())
}

fn show(world: &World, name: &str, rate: Option<f64>) -> Result<(), Failed> {
    let (host, _) = world.memory_kib()?;
    let files = kib_in(&world.folder().join("state/layer1"))?;
    row(name, &[grouped(host as f64), grouped(files), rate.map(grouped).unwrap_or_default()]);
    Ok(())
}

/// How large the files of a folder are.
fn kib_in(folder: &Path) -> Result<f64, Failed> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes as f64 / 1024.0)
}
