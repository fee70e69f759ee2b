//! What a message costs by kind of module, how long each takes to start, and what its process weighs,
//! beside an executable in the same run.
//!
//! `cargo bench -p bulkhead-bench --bench kinds`; names of modules after it, as in `kinds -- python python-sdk`, measure
//! these alone, beside the executable.

use bulkhead_bench::figures::{Latencies, grouped, heading, median, row};
use bulkhead_bench::kinds::{self, Kind, Started};
use bulkhead_bench::parts;
use bulkhead_bench::programs::Programs;
use bulkhead_bench::world::{Module, World};
use bulkhead_bench::{Failed, cores, frames};
use std::fs;

const ROUNDS: usize = 5;
const CALLS_ALONE: usize = 5_000;
const CALLS_AHEAD: usize = 50_000;
const WINDOW: usize = 64;
const STARTS: usize = 40;
const STARTS_COLD: usize = 5;
const MESSAGES: usize = 10_000;

fn main() -> Result<(), Failed> {
    parts::play_if_asked();
    if !std::env::args().any(|word| word == "--bench") {
        println!("skipped: this measures, and does so for `cargo bench -p bulkhead-bench` only");
        return Ok(());
    }
    let programs = Programs::build_all_kinds()?;
    let folder = std::env::temp_dir().join(format!("bulkhead-bench-kinds-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (mut kinds, skipped) = kinds::all(&programs, &folder)?;
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| !kinds.iter().any(|kind| kind.module == **name)) {
        let known: Vec<&str> = kinds.iter().map(|kind| kind.module).collect();
        return Err(format!("{unknown}: expected one of {}", known.join(", ")).into());
    }
    let base = kinds[0].module;
    kinds.retain(|kind| wanted.is_empty() || kind.module == base || wanted.iter().any(|name| name == kind.module));
    for reason in skipped {
        println!("skipped: {reason}");
    }
    let measured = messages(&programs, &kinds)
        .and_then(|()| straight(&kinds))
        .and_then(|()| starts(&kinds, &folder))
        .and_then(|()| memory(&kinds));
    fs::remove_dir_all(&folder)?;
    measured
}

/// One caller with one request in flight, and with a window of them, through the host.
fn messages(programs: &Programs, kinds: &[Kind]) -> Result<(), Failed> {
    let modules: Vec<_> = kinds.iter().map(|kind| Module::of(kind.module, &kind.manifest)).collect();
    let requests: Vec<_> = kinds.iter().map(|kind| frames::command(kind.module, "echo")).collect();
    let pinned = cores::one();
    let world = World::with_modules(programs, &modules)?;
    let mut caller = world.caller()?;
    let mut rounds: Vec<Vec<Latencies>> = vec![Vec::new(); kinds.len()];
    for round in 0..=ROUNDS {
        for (request, rounds) in requests.iter().zip(&mut rounds) {
            let latencies = caller.latencies(request, CALLS_ALONE)?;
            // The first round only warms up.
            if round > 0 {
                rounds.push(latencies);
            }
        }
    }
    let place = if pinned.is_some() { "all on one core" } else { "not pinned, as the system does not allow it" };
    heading(
        &format!("A message by kind, 128 bytes, through the host, one in flight; {place}"),
        &["ratio p50", "p50 µs", "p99 µs"],
    );
    let at = |rounds: &[Latencies], share| median(rounds.iter().map(|round| round.percentile(share)));
    for (kind, latencies) in kinds.iter().zip(&rounds) {
        let p50 = at(latencies, 0.5);
        let figures = [p50 / at(&rounds[0], 0.5), p50, at(latencies, 0.99)];
        row(kind.what, &[format!("{:.2}", figures[0]), format!("{:.1}", figures[1]), format!("{:.1}", figures[2])]);
    }
    drop((world, pinned));

    let world = World::with_modules(programs, &modules)?;
    let mut caller = world.caller()?;
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    for round in 0..=ROUNDS {
        for (request, rates) in requests.iter().zip(&mut rates) {
            let rate = CALLS_AHEAD as f64 / caller.calls(request, CALLS_AHEAD, WINDOW)?.as_secs_f64();
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    heading("The same with 64 in flight; all cores", &["ratio", "calls/s"]);
    let rates: Vec<f64> = rates.into_iter().map(median).collect();
    for (kind, rate) in kinds.iter().zip(&rates) {
        row(kind.what, &[format!("{:.2}", rate / rates[0]), grouped(*rate)]);
    }
    Ok(())
}

/// One caller with one request in flight, at the process itself: nothing of a host is in it.
fn straight(kinds: &[Kind]) -> Result<(), Failed> {
    let pinned = cores::one();
    let mut started =
        kinds.iter().map(|kind| Ok(Started::start(&kind.words)?.0)).collect::<Result<Vec<_>, Failed>>()?;
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    for round in 0..=ROUNDS {
        for ((kind, started), rounds) in kinds.iter().zip(&mut started).zip(&mut rounds) {
            let latencies = started.caller.latencies(&frames::command(kind.module, "echo"), CALLS_ALONE)?;
            if round > 0 {
                rounds.push(latencies.percentile(0.5));
            }
        }
    }
    let place = if pinned.is_some() { "on one core" } else { "not pinned, as the system does not allow it" };
    heading(&format!("The same without a host, one in flight; {place}"), &["ratio p50", "p50 µs", "to no SDK"]);
    let middle: Vec<f64> = rounds.into_iter().map(median).collect();
    let of = |name: &str| kinds.iter().zip(&middle).find(|(kind, _)| kind.module == name).map(|(_, p50)| *p50);
    for (kind, p50) in kinds.iter().zip(&middle) {
        let beside = kind.module.strip_suffix("-sdk").and_then(of);
        let beside = beside.map_or_else(String::new, |bare| format!("{:.2}", p50 / bare));
        row(kind.what, &[format!("{:.2}", p50 / middle[0]), format!("{p50:.1}"), beside]);
    }
    Ok(())
}

/// From the start of the process to its answer to `init`, without a host.
fn starts(kinds: &[Kind], folder: &std::path::Path) -> Result<(), Failed> {
    let mut times: Vec<Latencies> = vec![Latencies::default(); kinds.len()];
    for round in 0..=STARTS {
        for (kind, times) in kinds.iter().zip(&mut times) {
            let (_started, time) = Started::start(&kind.words)?;
            if round > 0 {
                times.push(time);
            }
        }
    }
    heading("From the start of the process to ready, without a host; all cores", &["+ ms p50", "p50 ms", "p99 ms"]);
    let base = times[0].percentile(0.5);
    let show = |name: &str, times: &Latencies| {
        let figures = [times.percentile(0.5) - base, times.percentile(0.5), times.percentile(0.99)];
        row(name, &figures.map(|micros| format!("{:.2}", micros / 1000.0)));
    };
    for (kind, times) in kinds.iter().zip(&times) {
        let cached = if kind.manifest.contains("wasm") { ", from the cache" } else { "" };
        show(&format!("{}{cached}", kind.what), times);
    }
    for kind in kinds.iter().filter(|kind| kind.manifest.contains("wasm")) {
        let mut times = Latencies::default();
        for _ in 0..STARTS_COLD {
            fs::remove_dir_all(folder.join("cache"))?;
            times.push(Started::start(&kind.words)?.1);
        }
        show(&format!("{}, compiled anew", kind.what), &times);
    }
    Ok(())
}

/// The memory of a module's process, with all that runs in it or under it.
fn memory(kinds: &[Kind]) -> Result<(), Failed> {
    heading("Resident memory of a module, KiB", &["ready", "10,000 later"]);
    for kind in kinds {
        let (mut started, _) = Started::start(&kind.words)?;
        let ready = started.memory_kib()?;
        started.caller.calls(&frames::command(kind.module, "echo"), MESSAGES, WINDOW)?;
        row(kind.what, &[grouped(ready as f64), grouped(started.memory_kib()? as f64)]);
    }
    Ok(())
}
