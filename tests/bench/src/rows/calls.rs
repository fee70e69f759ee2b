//! Small calls: one after another, many in flight by one caller, many callers; to one module, to
//! several, and to one of two instances. Beside them, bare relays between the same programs.

use super::Rows;
use crate::callers::Callers;
use crate::figures::{Latencies, grouped, heading, median, row};
use crate::parts::{self, ECHO, RELAY_BLOCKING, RELAY_EPOLL};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::{Module, Relay, RelayOfMany, World};
use crate::{Failed, bare, cores, frames};
use std::process::Command;

const ROUNDS: usize = 5;
const CALLS_ALONE: usize = 10_000;
const CALLS_AHEAD: usize = 100_000;
const WINDOW: usize = 64;

/// How many callers the rows with many callers have.
const CALLERS: usize = 64;

/// A row of latencies, and the row that it is compared with.
#[derive(Clone, Debug)]
struct Alone {
    name: &'static str,
    base: usize,
    rounds: Vec<Latencies>,
}

/// A row of calls a second, and the row that it is compared with.
#[derive(Clone, Debug)]
struct Rate {
    name: String,
    base: usize,
    rounds: Vec<f64>,
}

/// All rows of small calls.
#[derive(Clone, Debug)]
pub struct Calls {
    place: String,
    alone: Vec<Alone>,
    ahead: Vec<Rate>,
    by_many: Vec<Rate>,
}

/// Measures all of it.
///
/// # Errors
/// When a call is not answered with success.
pub fn measure(programs: &Programs) -> Result<Calls, Failed> {
    let (place, alone) = one_after_another(programs)?;
    Ok(Calls { place, alone, ahead: ahead(programs)?, by_many: by_many(programs)? })
}

/// One caller with one request in flight, everything on one core.
fn one_after_another(programs: &Programs) -> Result<(String, Vec<Alone>), Failed> {
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
    // Each is compared with the relay between the same two programs.
    let mut routes = [
        ("relay (epoll) to a bare module", 0, &mut relay_bare.caller, &echo),
        ("relay (blocking) to a bare module", 0, &mut relay_blocking.caller, &echo),
        ("host to a bare module", 0, &mut host_bare, &echo),
        ("relay (epoll) to test-minimal", 3, &mut relay_minimal.caller, &ping),
        ("host to test-minimal", 3, &mut host_minimal, &ping),
    ];
    let mut rows: Vec<Alone> =
        routes.iter().map(|(name, base, ..)| Alone { name, base: *base, rounds: Vec::new() }).collect();
    for round in 0..=ROUNDS {
        for ((.., caller, request), row) in routes.iter_mut().zip(&mut rows) {
            let latencies = caller.latencies(request, CALLS_ALONE)?;
            // The first round only warms up.
            if round > 0 {
                row.rounds.push(latencies);
            }
        }
    }
    Ok((place, rows))
}

/// The modules for calls to several: 16 bare ones, and one that has two instances.
fn several(programs: &Programs) -> Result<World, Failed> {
    let words = bare::echo_words()?;
    let mut modules =
        (0..16).map(|number| Module::new(&format!("echo{number}"), &words)).collect::<Result<Vec<_>, _>>()?;
    modules.push(Module::new("twice", &words)?.with("instances = 2"));
    let world = World::with_modules(programs, &modules)?;
    let mut caller = world.caller()?;
    for request in several_requests(16).iter().chain([&frames::command("twice", "echo")]) {
        caller.call(request)?;
    }
    Ok(world)
}

fn several_requests(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| frames::command(&format!("echo{number}"), "echo")).collect()
}

/// Where the calls of one row go.
fn aims() -> [(&'static str, Vec<Vec<u8>>); 4] {
    [
        ("host to 1 module", several_requests(1)),
        ("host to 2 modules in turn", several_requests(2)),
        ("host to 16 modules in turn", several_requests(16)),
        ("host to 2 instances of one module", vec![frames::command("twice", "echo")]),
    ]
}

/// One caller with a window of requests in flight, on all cores.
fn ahead(programs: &Programs) -> Result<Vec<Rate>, Failed> {
    let (several, world) = (several(programs)?, World::start(programs)?);
    let (mut host_several, mut host_minimal) = (several.caller()?, world.caller()?);
    let mut relay_bare = Relay::start(RELAY_EPOLL, parts::part(ECHO)?)?;
    let mut relay_minimal = Relay::start(RELAY_EPOLL, Command::new(programs.path("test-minimal")))?;
    let (echo, ping) = (vec![frames::command("echo", "echo")], vec![frames::command("test-minimal", "ping")]);
    let aims = aims();
    let mut rows = vec![Rate { name: "relay to a bare module".into(), base: 0, rounds: Vec::new() }];
    rows.extend(aims.iter().map(|(name, _)| Rate { name: (*name).into(), base: 0, rounds: Vec::new() }));
    let minimal = rows.len();
    for name in ["relay to test-minimal", "host to test-minimal"] {
        rows.push(Rate { name: name.into(), base: minimal, rounds: Vec::new() });
    }
    for round in 0..=ROUNDS {
        for (at, row) in rows.iter_mut().enumerate() {
            let (caller, requests) = match at {
                0 => (&mut relay_bare.caller, &echo),
                _ if at < minimal => (&mut host_several, &aims[at - 1].1),
                _ if at == minimal => (&mut relay_minimal.caller, &ping),
                _ => (&mut host_minimal, &ping),
            };
            let took = caller.calls_to(requests, CALLS_AHEAD, WINDOW)?;
            if round > 0 {
                row.rounds.push(CALLS_AHEAD as f64 / took.as_secs_f64());
            }
        }
    }
    Ok(rows)
}

/// Many callers with one request each in flight, on all cores.
fn by_many(programs: &Programs) -> Result<Vec<Rate>, Failed> {
    let several = several(programs)?;
    let relay = RelayOfMany::start(parts::part(ECHO)?)?;
    let mut relayed = Callers::connect(&relay.socket(), CALLERS)?;
    relayed.first_call(&frames::init())?;
    let mut hosted = Callers::connect(&several.socket(), CALLERS)?;
    let echo = vec![frames::command("echo", "echo")];
    let aims = aims();
    let mut rows = vec![Rate { name: "relay of 64 callers to a bare module".into(), base: 0, rounds: Vec::new() }];
    rows.extend(aims.iter().map(|(name, _)| Rate { name: (*name).into(), base: 0, rounds: Vec::new() }));
    for round in 0..=ROUNDS {
        for (at, row) in rows.iter_mut().enumerate() {
            let (callers, requests) = if at == 0 { (&mut relayed, &echo) } else { (&mut hosted, &aims[at - 1].1) };
            let took = callers.calls(requests, CALLS_AHEAD)?;
            if round > 0 {
                row.rounds.push(CALLS_AHEAD as f64 / took.as_secs_f64());
            }
        }
    }
    Ok(rows)
}

fn p50(rounds: &[Latencies]) -> f64 {
    median(rounds.iter().map(|round| round.percentile(0.5)))
}

impl Calls {
    fn ratio_alone(&self, at: usize) -> f64 {
        p50(&self.alone[at].rounds) / p50(&self.alone[self.alone[at].base].rounds)
    }
}

fn rate(rows: &[Rate], at: usize) -> f64 {
    median(rows[at].rounds.iter().copied())
}

fn print_rates(title: &str, rows: &[Rate]) {
    heading(title, &["ratio", "calls/s"]);
    for (at, rate_row) in rows.iter().enumerate() {
        let ratio = rate(rows, at) / rate(rows, rate_row.base);
        row(&rate_row.name, &[format!("{ratio:.2}"), grouped(rate(rows, at))]);
    }
}

impl Rows for Calls {
    fn print(&self) {
        heading(
            &format!("One caller, one request in flight, payload of 128 bytes; {}", self.place),
            &["ratio p50", "p50 µs", "p99 µs", "calls/s"],
        );
        for (at, alone) in self.alone.iter().enumerate() {
            row(
                alone.name,
                &[
                    format!("{:.2}", self.ratio_alone(at)),
                    format!("{:.1}", p50(&alone.rounds)),
                    format!("{:.1}", median(alone.rounds.iter().map(|round| round.percentile(0.99)))),
                    grouped(median(alone.rounds.iter().map(Latencies::rate))),
                ],
            );
        }
        print_rates("One caller, 64 requests in flight, payload of 128 bytes; all cores", &self.ahead);
        print_rates("64 callers, one request each in flight, payload of 128 bytes; all cores", &self.by_many);
    }

    fn targets(&self) -> Vec<Target> {
        let ahead = rate(&self.ahead, 1);
        vec![
            Target::at_most("one caller, 128 bytes, p50", 1.3, "× relay", self.ratio_alone(2)),
            Target::at_least("64 in flight", 400_000.0, "calls/s", ahead),
            Target::at_least("64 in flight, beside the relay", 0.25, "× relay", ahead / rate(&self.ahead, 0)),
        ]
    }
}
