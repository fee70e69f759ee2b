//! Does the host's memory stay flat? A million calls and ten thousand crashes, with the host's and the guardian's
//! resident memory during the run.
//!
//! `cargo run --release -p bulkhead-bench --bin soak [CALLS [CRASHES]]`

use bulkhead_bench::crash::{self, Spare};
use bulkhead_bench::figures::{grouped, heading, row};
use bulkhead_bench::programs::Programs;
use bulkhead_bench::world::World;
use bulkhead_bench::{Failed, frames, parts};
use nix::sys::signal::Signal;

/// Steps at which the memory is measured.
const STEPS: usize = 10;

fn main() -> Result<(), Failed> {
    parts::play_if_asked();
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let calls = numbers.next().transpose()?.unwrap_or(1_000_000);
    let crashes = numbers.next().transpose()?.unwrap_or(10_000);

    let world = World::start(&Programs::build()?)?;
    let mut caller = world.caller()?;
    let echo = frames::command("echo", "echo");
    heading("resident memory, KiB", &["host", "guardian"]);
    caller.calls(&echo, 1000, 64)?;
    show(&world, "after 1,000 calls")?;
    for step in 1..=STEPS {
        caller.calls(&echo, calls / STEPS, 64)?;
        show(&world, &format!("after {} calls more", grouped((step * (calls / STEPS)) as f64)))?;
    }
    for step in 1..=STEPS {
        let round = crash::through_host(&world, "echo", Spare::None, Signal::SIGKILL, crashes / STEPS)?;
        let reported = round.reported.percentile(0.5);
        let name =
            format!("after {} crashes (reported in {reported:.0} µs)", grouped((step * (crashes / STEPS)) as f64));
        show(&world, &name)?;
    }
    caller.calls(&echo, 1000, 64)?;
    show(&world, "and after 1,000 calls more")
}

fn show(world: &World, name: &str) -> Result<(), Failed> {
    let (host, guardian) = world.memory_kib()?;
    row(name, &[grouped(host as f64), grouped(guardian as f64)]);
    Ok(())
}
