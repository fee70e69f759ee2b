//! What a crash costs. From the kill to the answer of the caller whose request was lost, to the next
//! process being ready, and to the next answer; with and without a spare, beside a loop that waits
//! and spawns. And from the kill to the main function of the next process, beside other supervisors.

use super::Rows;
use crate::crash::{self, Crashes, Spare};
use crate::figures::{Latencies, heading, row};
use crate::parts::{self, ECHO};
use crate::programs::Programs;
use crate::supervisors::{self, Started, Supervisor};
use crate::targets::Target;
use crate::world::{Module, World};
use crate::{Failed, bare, cores, frames};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Crashes of one round: the ways alternate.
const TIMES: usize = 20;
const ROUNDS: usize = 10;

/// How old a service is when it is killed, and how often that is done. Supervisors wait before they
/// start again what has just been started.
const AGES: [(&str, Duration, usize); 2] =
    [("after 1.2 s", Duration::from_millis(1200), 10), ("just started", Duration::from_millis(20), 5)];

/// The ways in which a module that crashed comes back.
const WAYS: [&str; 3] = ["loop of wait and spawn", "host", "host with a spare"];

/// One signal on one set of cores: a set of times for each way.
#[derive(Clone, Debug)]
struct Ways {
    place: &'static str,
    signal: Signal,
    crashes: [Crashes; 3],
}

/// One supervisor: from the kill to the next process, by age.
#[derive(Clone, Debug)]
struct Again {
    name: &'static str,
    times: [Latencies; 2],
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Recoveries {
    ways: Vec<Ways>,
    again: Vec<Again>,
}

/// Measures all of it.
///
/// # Errors
/// When the host or a supervisor does not do what it promises.
pub fn measure(programs: &Programs) -> Result<Recoveries, Failed> {
    let mut ways = Vec::new();
    for place in ["one core", "all cores"] {
        let _pinned = if place == "one core" { cores::one() } else { None };
        let words = bare::echo_words()?;
        let modules = [Module::new("alone", &words)?, Module::new("spared", &words)?.with("spares = 1")];
        let world = World::with_modules(programs, &modules)?;
        for module in ["alone", "spared"] {
            world.caller()?.call(&frames::command(module, "echo"))?;
        }
        // The first crash waits until the spare is there, and does not count.
        std::thread::sleep(Duration::from_millis(200));
        for signal in [Signal::SIGKILL, Signal::SIGSEGV] {
            let mut crashes: [Crashes; 3] = Default::default();
            for _ in 0..ROUNDS {
                crashes[0].add(crash::in_a_loop(signal, TIMES)?);
                crashes[1].add(crash::through_host(&world, "alone", Spare::None, signal, TIMES)?);
                crashes[2].add(crash::through_host(&world, "spared", Spare::Ready, signal, TIMES)?);
            }
            ways.push(Ways { place, signal, crashes });
        }
    }
    Ok(Recoveries { ways, again: again(programs)? })
}

/// A service, from its death to its next process, under one supervisor after the other.
fn again(programs: &Programs) -> Result<Vec<Again>, Failed> {
    let scratch = World::with_modules(programs, &[])?;
    let folder = scratch.folder();
    let hosted = Started::new(folder, "host")?;
    let mut echo: Command = parts::part(ECHO)?;
    echo.arg(hosted.path());
    let words: Vec<String> =
        [echo.get_program()].into_iter().chain(echo.get_args()).map(|word| word.display().to_string()).collect();
    let _world = World::with_modules(programs, &[Module::new("marked", &words)?])?;
    let others = Supervisor::all(folder)?;
    let mut own_loop = Loop::start(Started::new(folder, "loop")?)?;
    let mut all = vec![
        Again { name: WAYS[0], times: Default::default() },
        Again { name: "host, to main", times: Default::default() },
    ];
    all.extend(others.iter().map(|other| Again { name: other.name, times: Default::default() }));
    let mut processes = vec![own_loop.started.next()?, hosted.next()?];
    for other in &others {
        processes.push(other.started.next()?);
    }
    for (at_age, (_, age, times)) in AGES.into_iter().enumerate() {
        for _ in 0..times {
            for (at, again) in all.iter_mut().enumerate() {
                std::thread::sleep(age);
                let killed = Instant::now();
                kill(Pid::from_raw(processes[at]), Signal::SIGKILL)?;
                processes[at] = match at {
                    0 => own_loop.again()?,
                    1 => hosted.next()?,
                    _ => others[at - 2].started.next()?,
                };
                again.times[at_age].push(killed.elapsed());
            }
        }
    }
    Ok(all)
}

/// The loop of wait and spawn around a service.
struct Loop {
    started: Started,
    words: Vec<String>,
    child: Child,
}

impl Loop {
    fn start(started: Started) -> Result<Loop, Failed> {
        let words = supervisors::service(&started)?;
        let child = Command::new(&words[0]).args(&words[1..]).spawn()?;
        Ok(Loop { started, words, child })
    }

    fn again(&mut self) -> Result<i32, Failed> {
        self.child.wait()?;
        self.child = Command::new(&self.words[0]).args(&self.words[1..]).spawn()?;
        self.started.next()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Rows for Recoveries {
    fn print(&self) {
        for Ways { place, signal, crashes } in &self.ways {
            heading(
                &format!("{signal} of a bare module, {} times; {place}; ratio to the loop", ROUNDS * TIMES),
                &["ratio p50", "p50 µs", "p99 µs"],
            );
            type Part = fn(&Crashes) -> &Latencies;
            let parts: [(&str, Part); 3] = [
                ("caller answered", |crashes| &crashes.reported),
                ("ready", |crashes| &crashes.ready),
                ("next answer", |crashes| &crashes.answered),
            ];
            for (what, part) in parts {
                let base = part(&crashes[0]).percentile(0.5);
                for (way, crashes) in WAYS.iter().zip(crashes) {
                    let [p50, p99] = [0.5, 0.99].map(|share| part(crashes).percentile(share));
                    row(
                        &format!("{way}: {what}"),
                        &[format!("{:.2}", p50 / base), format!("{p50:.0}"), format!("{p99:.0}")],
                    );
                }
            }
        }
        heading(
            "From kill -9 to the main function of the next process, p50 (and the longest), ms; all cores",
            &AGES.map(|(age, ..)| age).into_iter().flat_map(|age| [age, "longest"]).collect::<Vec<_>>(),
        );
        for again in &self.again {
            let figures = again.times.iter().flat_map(|times| [times.percentile(0.5), times.percentile(1.0)]);
            row(again.name, &figures.map(|micros| format!("{:.1}", micros / 1e3)).collect::<Vec<_>>());
        }
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for Ways { place, crashes, .. } in self.ways.iter().filter(|ways| ways.signal == Signal::SIGKILL) {
            let [bare, host, spare] = crashes;
            let ratio = host.ready.percentile(0.5) / bare.ready.percentile(0.5);
            targets.push(Target::at_most(format!("SIGKILL to ready, p50, {place}"), 2.0, "× loop", ratio));
            let answer = spare.answered.percentile(0.5) / 1e3;
            targets.push(Target::at_most(
                format!("SIGKILL to next answer with a spare, p50, {place}"),
                0.5,
                "ms",
                answer,
            ));
        }
        targets
    }
}
