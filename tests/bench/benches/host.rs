//! What a call through the host costs, beside a bare relay of the same frames between the same two
//! programs, in one run: rounds take turns, and the medians of the rounds are printed.
//!
//! `cargo bench -p bulkhead-bench`

use bulkhead_bench::caller::Caller;
use bulkhead_bench::crash::{self, Crashes};
use bulkhead_bench::figures::{Latencies, grouped, heading, median, row};
use bulkhead_bench::frames::PAYLOAD_BYTES;
use bulkhead_bench::parts::{self, ECHO, RELAY_BLOCKING, RELAY_EPOLL};
use bulkhead_bench::programs::Programs;
use bulkhead_bench::world::{Relay, World};
use bulkhead_bench::{Failed, cores, frames, weight};
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 5;
const CALLS_ALONE: usize = 10_000;
const CALLS_AHEAD: usize = 200_000;
const WINDOW: usize = 64;
const LINES: usize = 100_000;
const CRASHES: usize = 100;
const MESSAGES: usize = 1_000_000;
const CRASHES_FOR_MEMORY: usize = 500;

fn main() -> Result<(), Failed> {
    parts::play_if_asked();
    if !std::env::args().any(|word| word == "--bench") {
        println!("skipped: this measures, and does so for `cargo bench -p bulkhead-bench` only");
        return Ok(());
    }
    let programs = Programs::build()?;
    one_caller(&programs)?;
    many_in_flight(&programs)?;
    crashes(&programs)?;
    memory(&programs)?;
    weights(&programs)
}

/// One caller with one request in flight.
fn one_caller(programs: &Programs) -> Result<(), Failed> {
    let pinned = cores::one();
    let place = match &pinned {
        Some((core, _)) => format!("caller, host or relay, and module all on core {core}"),
        None => "not pinned, as the system does not allow it: wake-ups across cores are counted in".to_owned(),
    };
    let world = World::start(programs)?;
    let mut host_bare = world.caller()?;
    let mut host_minimal = world.caller()?;
    let mut relay_bare = Relay::start(RELAY_EPOLL, parts::part(ECHO)?)?;
    let mut relay_blocking = Relay::start(RELAY_BLOCKING, parts::part(ECHO)?)?;
    let mut relay_minimal = Relay::start(RELAY_EPOLL, Command::new(programs.path("test-minimal")))?;
    let (echo, ping) = (frames::command("echo", "echo"), frames::command("test-minimal", "ping"));
    let mut routes = [
        ("relay (epoll) to a bare module", &mut relay_bare.caller, &echo),
        ("relay (blocking) to a bare module", &mut relay_blocking.caller, &echo),
        ("host to a bare module", &mut host_bare, &echo),
        ("relay (epoll) to test-minimal", &mut relay_minimal.caller, &ping),
        ("host to test-minimal", &mut host_minimal, &ping),
    ];
    let mut rounds: Vec<Vec<Latencies>> = vec![Vec::new(); routes.len()];
    for round in 0..=ROUNDS {
        for ((_, caller, request), rounds) in routes.iter_mut().zip(&mut rounds) {
            let latencies = caller.latencies(request, CALLS_ALONE)?;
            // The first round only warms up.
            if round > 0 {
                rounds.push(latencies);
            }
        }
    }
    heading(
        &format!("One caller, one request in flight, payload of 128 bytes; {place}"),
        &["ratio p50", "p50 µs", "p99 µs", "calls/s"],
    );
    let p50 = |rounds: &[Latencies]| median(rounds.iter().map(|round| round.percentile(0.5)));
    for (at, (name, ..)) in routes.iter().enumerate() {
        // Each is compared with the relay between the same two programs.
        let base = if at < 3 { p50(&rounds[0]) } else { p50(&rounds[3]) };
        let rounds = &rounds[at];
        row(
            name,
            &[
                format!("{:.2}", p50(rounds) / base),
                format!("{:.1}", p50(rounds)),
                format!("{:.1}", median(rounds.iter().map(|round| round.percentile(0.99)))),
                grouped(median(rounds.iter().map(Latencies::rate))),
            ],
        );
    }
    Ok(())
}

/// One caller with a window of requests in flight, and `bulkhead pipe`, on all cores.
fn many_in_flight(programs: &Programs) -> Result<(), Failed> {
    let world = World::start(programs)?;
    let mut host_bare = world.caller()?;
    let mut host_minimal = world.caller()?;
    let mut relay_bare = Relay::start(RELAY_EPOLL, parts::part(ECHO)?)?;
    let mut relay_minimal = Relay::start(RELAY_EPOLL, Command::new(programs.path("test-minimal")))?;
    let (echo, ping) = (frames::command("echo", "echo"), frames::command("test-minimal", "ping"));
    let mut routes = [
        ("relay to a bare module", &mut relay_bare.caller, &echo),
        ("host to a bare module", &mut host_bare, &echo),
        ("relay to test-minimal", &mut relay_minimal.caller, &ping),
        ("host to test-minimal", &mut host_minimal, &ping),
    ];
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); routes.len()];
    for _ in 0..ROUNDS {
        for ((_, caller, request), rounds) in routes.iter_mut().zip(&mut rounds) {
            rounds.push(CALLS_AHEAD as f64 / caller.calls(request, CALLS_AHEAD, WINDOW)?.as_secs_f64());
        }
    }
    heading("One caller, 64 requests in flight, payload of 128 bytes; all cores", &["ratio", "calls/s"]);
    let rates: Vec<f64> = rounds.into_iter().map(median).collect();
    for (at, (name, ..)) in routes.iter().enumerate() {
        row(name, &[format!("{:.2}", rates[at] / rates[at / 2 * 2]), grouped(rates[at])]);
    }
    pipe(programs, &world, &mut relay_bare.caller)
}

/// `bulkhead pipe` from a file to a file, as a whole process.
fn pipe(programs: &Programs, world: &World, relay: &mut Caller) -> Result<(), Failed> {
    let (input, output) = (world.folder().join("in.jsonl"), world.folder().join("out.jsonl"));
    let line = frames::args_of(PAYLOAD_BYTES);
    std::fs::write(&input, format!("{line}\n").repeat(LINES))?;
    let run = |command: &mut Command| -> Result<f64, Failed> {
        let began = Instant::now();
        let status = command.stdin(File::open(&input)?).stdout(File::create(&output)?).status()?;
        let rate = LINES as f64 / began.elapsed().as_secs_f64();
        let lines = std::fs::read(&output)?.iter().filter(|byte| **byte == b'\n').count();
        if !status.success() || lines != LINES {
            return Err(format!("expected {LINES} lines and no error, found {lines} lines and {status}").into());
        }
        Ok(rate)
    };
    let pipe_to = |module: &str, command: &str| {
        let mut pipe = Command::new(programs.path("bulkhead"));
        pipe.args(["pipe", module, "--command", command, "--socket"]).arg(world.socket());
        pipe
    };
    let has_jq = Command::new("jq").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let echo = frames::command("echo", "echo");
    let mut rounds: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(LINES as f64 / relay.calls(&echo, LINES, WINDOW)?.as_secs_f64());
        rounds[1].push(run(&mut pipe_to("echo", "echo"))?);
        rounds[2].push(run(&mut pipe_to("test-minimal", "ping"))?);
        if has_jq {
            rounds[3].push(run(Command::new("jq").args(["-c", "."]))?);
        }
    }
    heading(&format!("{} lines of 128 bytes, 64 in flight; all cores", grouped(LINES as f64)), &["ratio", "lines/s"]);
    let names = [
        "bare relay of as many frames",
        "bulkhead pipe to a bare module, whole process",
        "bulkhead pipe to test-minimal, whole process",
        "jq -c ., whole process",
    ];
    let rates = rounds.map(median);
    for (at, name) in names.iter().enumerate() {
        if at == 3 && !has_jq {
            println!("  skipped: {name}: jq is not installed");
            continue;
        }
        row(name, &[format!("{:.2}", rates[at] / rates[0]), grouped(rates[at])]);
    }
    Ok(())
}

/// From `kill -9` to the answer of the caller whose request was lost, and to the next answer.
fn crashes(programs: &Programs) -> Result<(), Failed> {
    let world = World::start(programs)?;
    let (mut holder, mut next) = (world.caller()?, world.caller()?);
    let bare = crash::in_a_loop(CRASHES)?;
    let host = crash::through_host(&mut holder, &mut next, CRASHES)?;
    heading(&format!("kill -9 of a bare module, {CRASHES} times; all cores"), &["ratio p50", "p50 µs", "p99 µs"]);
    let told: fn(&Crashes) -> &Latencies = |crashes| &crashes.told;
    let answered: fn(&Crashes) -> &Latencies = |crashes| &crashes.answered;
    for (name, crashes, part) in [
        ("loop of wait and spawn: noticed", &bare, told),
        ("host: caller told", &host, told),
        ("loop of wait and spawn: next answer", &bare, answered),
        ("host: next answer", &host, answered),
    ] {
        let p50 = part(crashes).percentile(0.5);
        row(
            name,
            &[
                format!("{:.2}", p50 / part(&bare).percentile(0.5)),
                format!("{p50:.0}"),
                format!("{:.0}", part(crashes).percentile(0.99)),
            ],
        );
    }
    Ok(())
}

/// The host's memory on the way; `soak` does more of it.
fn memory(programs: &Programs) -> Result<(), Failed> {
    let world = World::start(programs)?;
    let (mut holder, mut caller) = (world.caller()?, world.caller()?);
    let echo = frames::command("echo", "echo");
    let show = |name: &str| -> Result<(), Failed> {
        let (host, guardian) = world.memory_kib()?;
        row(name, &[grouped(host as f64), grouped(guardian as f64)]);
        Ok(())
    };
    heading("Resident memory, KiB", &["host", "guardian"]);
    caller.calls(&echo, 1000, WINDOW)?;
    show("after 1,000 calls")?;
    caller.calls(&echo, MESSAGES, WINDOW)?;
    show(&format!("after {} calls more", grouped(MESSAGES as f64)))?;
    crash::through_host(&mut holder, &mut caller, CRASHES_FOR_MEMORY)?;
    show(&format!("after {CRASHES_FOR_MEMORY} crashes"))
}

/// What there is to build and to install.
fn weights(programs: &Programs) -> Result<(), Failed> {
    heading("Crates in the dependency tree", &["all", "foreign"]);
    for package in ["bulkhead-supervisor", "bulkhead", "bulkhead-launcher", "bulkhead-module"] {
        let (all, foreign) = weight::crates(package)?;
        row(package, &[all, foreign]);
    }
    heading("Size of the programs, KiB", &["release"]);
    for program in ["bulkhead", "module-runtime", "test-minimal"] {
        row(program, &[grouped(weight::program_kib(programs, program)?)]);
    }
    Ok(())
}
