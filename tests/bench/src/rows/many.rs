//! Many modules: from the start of the host to all of them ready, what each of them costs the host,
//! what they all cost when they idle, and what a call costs among them.
//!
//! Beside the start is a loop that spawns the same program as often and waits for each one's first
//! reply, and one that spawns all before it reads any. It supervises nothing and keeps nothing.

use super::{Rows, all};
use crate::figures::{Latencies, grouped, heading, median, row};
use crate::processes::{self, Memory};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::{Module, World};
use crate::{Failed, bare, cores, frames};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many modules there are in each round.
const COUNTS: [usize; 3] = [1, 100, 1000];

/// Rounds of each, fewer of those that take long.
const ROUNDS: [usize; 3] = [9, 5, 3];

/// The number of modules for the rows of memory, idling and calls.
const MANY: usize = 1000;

/// How long the host is watched without requests: two pings of each module and more.
const IDLE: Duration = Duration::from_secs(25);

const CALLS: usize = 5000;

/// The starts of one number of modules of one program.
#[derive(Clone, Debug)]
struct Starts {
    program: &'static str,
    count: usize,
    /// The loop that waits for each before it spawns the next.
    one_by_one: Vec<f64>,
    /// The loop that spawns all and then waits.
    at_once: Vec<f64>,
    host: Vec<HostStart>,
}

/// One start of a host, in milliseconds from the start of its process.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostStart {
    listens: f64,
    first: f64,
    all: f64,
    /// Repeated calls to the module that answered first, until all had answered: the slowest.
    worst_call: f64,
}

impl HostStart {
    pub(super) fn all(self) -> f64 {
        self.all
    }
}

/// Everything about many modules.
#[derive(Clone, Debug)]
pub struct Many {
    starts: Vec<Starts>,
    all: Vec<all::All>,
    host_alone: Memory,
    guardian_alone: Memory,
    host: Memory,
    guardian: Memory,
    children: Memory,
    processes: usize,
    idle_share: f64,
    guardian_idle_share: f64,
    alone: Vec<Latencies>,
    among: Vec<Latencies>,
}

/// Measures all of it.
///
/// # Errors
/// When not all modules become ready.
pub fn measure(programs: &Programs) -> Result<Many, Failed> {
    let mut starts = Vec::new();
    for (count, rounds) in COUNTS.into_iter().zip(ROUNDS) {
        for minimal in [false, true] {
            starts.push(start(programs, count, rounds, minimal)?);
        }
    }
    let all = all::measure(programs)?;
    let (host_alone, guardian_alone) = {
        let world = World::with_modules(programs, &[])?;
        // It listens by then, and has done its start.
        let mut caller = world.caller()?;
        caller.call(&frames::status())?;
        (processes::memory(world.host_id())?, processes::memory(world.guardian_id()?)?)
    };

    let pinned = cores::one();
    let world = World::with_modules(programs, &modules(MANY, &bare::echo_words()?)?)?;
    all_answer(&world, MANY)?;
    let (alone, among) = calls(programs, &world)?;
    drop(pinned);
    let (host, guardian) = (world.host_id(), world.guardian_id()?);
    let (memory_host, memory_guardian) = (processes::memory(host)?, processes::memory(guardian)?);
    let children = processes::descendants(guardian)?;
    let before = [processes::processor_time(host)?, processes::processor_time(guardian)?];
    let began = Instant::now();
    std::thread::sleep(IDLE);
    let shares = [(host, before[0]), (guardian, before[1])].map(|(process, before)| {
        processes::processor_time(process)
            .map(|now| 100.0 * (now - before).as_secs_f64() / began.elapsed().as_secs_f64())
    });
    let [host_share, guardian_share] = shares;
    Ok(Many {
        starts,
        all,
        host_alone,
        guardian_alone,
        host: memory_host,
        guardian: memory_guardian,
        children: processes::memory_of(&children)?,
        processes: children.len(),
        idle_share: host_share?,
        guardian_idle_share: guardian_share?,
        alone,
        among,
    })
}

/// So many modules of one program; their names are in the order in which the host starts them.
pub(super) fn modules(count: usize, words: &[String]) -> Result<Vec<Module>, Failed> {
    (0..count).map(|number| Module::new(&name(number), words)).collect()
}

pub(super) fn name(number: usize) -> String {
    format!("m{number:04}")
}

fn start(programs: &Programs, count: usize, rounds: usize, minimal: bool) -> Result<Starts, Failed> {
    let words = if minimal { vec![programs.path("test-minimal").display().to_string()] } else { bare::echo_words()? };
    let program = if minimal { "test-minimal" } else { "a bare module" };
    let mut starts = Starts { program, count, one_by_one: Vec::new(), at_once: Vec::new(), host: Vec::new() };
    let modules = modules(count, &words)?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    for _ in 0..rounds {
        starts.one_by_one.push(milliseconds(bare::start_one_by_one(&words, count)?));
        starts.at_once.push(milliseconds(bare::start_at_once(&words, count)?));
        let world = World::with_modules(programs, &modules)?;
        let start = all_answer(&world, count)?;
        starts.host.push(start);
    }
    Ok(starts)
}

/// Waits until every module has answered a call. All calls are made as soon as the host listens: one
/// to a module that is starting waits with it.
pub(super) fn all_answer(world: &World, count: usize) -> Result<HostStart, Failed> {
    let since_start = || world.began().elapsed().as_secs_f64() * 1e3;
    let mut caller = world.caller()?;
    let listens = since_start();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut other = world.caller()?;
        let first_module = frames::command(&name(0), "ping");
        let done = &done;
        // A client that calls the first module while the others start.
        let user = scope.spawn(move || -> Result<f64, String> {
            let mut worst: f64 = 0.0;
            other.call(&first_module).map_err(|error| error.to_string())?;
            while !done.load(Ordering::Relaxed) {
                let began = Instant::now();
                other.call(&first_module).map_err(|error| error.to_string())?;
                worst = worst.max(began.elapsed().as_secs_f64() * 1e3);
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(worst)
        });
        let answered = (|| -> Result<(f64, f64), Failed> {
            for number in 0..count {
                caller.push(&frames::command(&name(number), "ping"));
            }
            caller.send()?;
            caller.success()?;
            let first = since_start();
            for _ in 1..count {
                caller.success()?;
            }
            Ok((first, since_start()))
        })();
        done.store(true, Ordering::Relaxed);
        let worst_call = user.join().expect("the other caller does not panic")?;
        let (first, all) = answered?;
        Ok(HostStart { listens, first, all, worst_call })
    })
}

/// Calls to one module of many, each to the next of them, beside calls to the one module of a host.
fn calls(programs: &Programs, world: &World) -> Result<(Vec<Latencies>, Vec<Latencies>), Failed> {
    let lonely = World::with_modules(programs, &modules(1, &bare::echo_words()?)?)?;
    let (mut one, mut many) = (lonely.caller()?, world.caller()?);
    let requests: Vec<_> = (0..MANY).map(|number| frames::command(&name(number), "echo")).collect();
    let (mut alone, mut among) = (Vec::new(), Vec::new());
    for round in 0..=3 {
        let a = one.latencies(&requests[0], CALLS)?;
        let mut b = Latencies::default();
        for number in 0..CALLS {
            // A step that reaches all of them, but not in the order in which they were started.
            let request = &requests[number * 367 % MANY];
            let began = Instant::now();
            many.call(request)?;
            b.push(began.elapsed());
        }
        if round > 0 {
            alone.push(a);
            among.push(b);
        }
    }
    Ok((alone, among))
}

impl Many {
    fn each(&self) -> [f64; 2] {
        let each = |with: u64, without: u64| (with as f64 - without as f64) / MANY as f64;
        [each(self.host.private, self.host_alone.private), each(self.guardian.private, self.guardian_alone.private)]
    }
}

fn part(starts: &Starts, part: fn(&HostStart) -> f64) -> f64 {
    median(starts.host.iter().map(part))
}

impl Rows for Many {
    fn print(&self) {
        heading(
            "From the start of the host to every module ready and asked; all cores; ratio to a loop of spawns and first replies",
            &["ratio", "all ms", "listens ms", "first ms", "worst call", "loop ms", "at once ms"],
        );
        for starts in &self.starts {
            let base = median(starts.one_by_one.iter().copied());
            let all = part(starts, |start| start.all);
            let others = [
                part(starts, |start| start.listens),
                part(starts, |start| start.first),
                part(starts, |start| start.worst_call),
                base,
                median(starts.at_once.iter().copied()),
            ];
            let mut columns = vec![format!("{:.2}", all / base), format!("{all:.1}")];
            columns.extend(others.map(|figure| format!("{figure:.1}")));
            row(&format!("{} of {}", grouped(starts.count as f64), starts.program), &columns);
        }
        all::print(&self.all);
        heading(
            &format!("{} idle modules: memory in KiB", grouped(MANY as f64)),
            &["private", "anonymous", "resident", "each, private"],
        );
        let [host_each, guardian_each] = self.each();
        for (name, memory, each) in [
            ("host without modules", self.host_alone, None),
            ("host", self.host, Some(host_each)),
            ("guardian without modules", self.guardian_alone, None),
            ("guardian", self.guardian, Some(guardian_each)),
            ("the modules' processes", self.children, Some(self.children.private as f64 / MANY as f64)),
        ] {
            let [private, anonymous, resident] =
                [memory.private, memory.anonymous, memory.resident].map(|kib| grouped(kib as f64));
            let each = each.map_or(String::new(), |each| format!("{each:.1}"));
            row(name, &[private, anonymous, resident, each]);
        }
        row("processes of modules, launchers included", &[self.processes]);
        heading(&format!("… processor time over {} s, % of a core", IDLE.as_secs()), &["idle"]);
        row("host", &[format!("{:.2}", self.idle_share)]);
        row("guardian", &[format!("{:.2}", self.guardian_idle_share)]);
        heading("A call of 128 bytes; caller, host and modules on one core", &["ratio p50", "p50 µs", "p99 µs"]);
        let at = |rounds: &[Latencies], share| median(rounds.iter().map(|round| round.percentile(share)));
        for (name, rounds) in [("to the one module of a host", &self.alone), ("to each of 1,000 in turn", &self.among)]
        {
            let p50 = at(rounds, 0.5);
            let figures =
                [format!("{:.2}", p50 / at(&self.alone, 0.5)), format!("{p50:.1}"), format!("{:.1}", at(rounds, 0.99))];
            row(name, &figures);
        }
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for starts in self.starts.iter().filter(|starts| starts.count == MANY) {
            let ratio = part(starts, |start| start.all) / median(starts.one_by_one.iter().copied());
            targets.push(Target::at_most(
                format!("1,000 modules ({}): start to all ready", starts.program),
                2.0,
                "× loop",
                ratio,
            ));
        }
        targets.extend(all::targets(&self.all));
        let [host, guardian] = self.each();
        targets.push(Target::at_most(
            "1,000 idle modules: memory of host and guardian for each",
            20.0,
            "KiB",
            host + guardian,
        ));
        let processes = self.processes as f64 / MANY as f64;
        targets.push(Target::at_most("processes for each module", 1.0, "", processes));
        let share = self.idle_share + self.guardian_idle_share;
        targets.push(Target::at_most(
            "1,000 idle modules: processor time of host and guardian",
            1.0,
            "% of a core",
            share,
        ));
        targets
    }
}
