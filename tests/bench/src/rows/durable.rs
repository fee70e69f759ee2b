//! The main job: `bulkhead pipe` into a module that keeps what it is sent in the data store, `research-log`, on a disk
//! and on a memory disk; beside bare SQLite that flushes each commit, and beside the same lines to a module without a
//! store. One caller that waits for each answer, and many of one module and of eight, beside bare batches. And a module
//! that keeps each event that it gets.

use super::Rows;
use crate::callers::Callers;
use crate::figures::{Latencies, grouped, heading, median, row};
use crate::parts::{self, KEEPER};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::{Module, World};
use crate::{Failed, frames};
use rusqlite::{Connection, params};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const LINES: usize = 20_000;
const WINDOW: usize = 1024;
const ROUNDS: usize = 3;
/// Callers at the same time, each with one call in flight, and how many calls they make together.
const CALLERS: usize = 64;
const CALLS: usize = 6_400;
/// Modules that those callers take turns with.
const MODULES: usize = 8;
/// How long the JSON of an entry is that many callers add, and of a row of bare SQLite.
const ENTRY_BYTES: usize = 211;
const ROW_BYTES: usize = 291;
/// Events that are kept by a module, each as an entity of this type.
const EVENTS: usize = 5_000;
pub(crate) const KEPT: &str = "Kept";
/// How long bare commits and the lone caller are measured in each round.
const TIME: Duration = Duration::from_secs(2);

/// What the manifest of `research-log` has under `[capabilities]`.
const CAPABILITIES: &str = r#"entity_read = ["ResearchBook", "ResearchLog", "ResearchEntry"]
entity_create = ["ResearchBook", "ResearchLog", "ResearchEntry"]
entity_write = ["ResearchBook"]
event_emit = ["research_log.*"]
"#;

/// What it declares to the store. One of several modules with the same entities does.
const DECLARATIONS: &str = r#"
[layer1.index]
ResearchLog = ["title", "session"]
ResearchEntry = ["log", "researcher"]
[layer1.search]
ResearchEntry = ["text"]
"#;

/// What was measured on one disk, by round: a second, or microseconds for the lone call.
#[derive(Clone, Debug, Default)]
struct Disk {
    bare: Vec<f64>,
    keyed: Vec<f64>,
    plain: Vec<f64>,
    without_store: Vec<f64>,
    /// The median of one call, and of one bare commit.
    lone: Vec<f64>,
    lone_bare: Vec<f64>,
    /// Rows a second of bare batches, and calls a second of many callers.
    batches: Vec<f64>,
    callers_of_one: Vec<f64>,
    callers_of_many: Vec<f64>,
    /// Events a second.
    kept: Vec<f64>,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Durable {
    disks: Vec<(&'static str, Disk)>,
}

/// Measures all of it.
///
/// # Errors
/// When a line is missing.
pub fn measure(programs: &Programs) -> Result<Durable, Failed> {
    let mut disks = vec![("the disk of $TMPDIR", std::env::temp_dir())];
    let memory = PathBuf::from("/dev/shm");
    match memory.is_dir() {
        true => disks.push(("a memory disk", memory)),
        false => println!("left out: there is no memory disk at /dev/shm"),
    }
    let measured = disks.into_iter().map(|(name, folder)| Ok((name, disk(programs, &folder)?)));
    Ok(Durable { disks: measured.collect::<Result<_, Failed>>()? })
}

fn disk(programs: &Programs, folder: &Path) -> Result<Disk, Failed> {
    let world = World::with_modules_in(folder, programs, &modules(programs)?)?;
    let mut caller = world.caller()?;
    caller.call(&frames::command_with("research-log", "create_log", r#"{"title":"bench"}"#))?;
    let (input, output) = (world.folder().join("in.jsonl"), world.folder().join("out.jsonl"));
    write_lines(&input)?;
    let pipe = |module: &str, command: &str, more: &[String]| -> Result<f64, Failed> {
        let mut pipe = Command::new(programs.path("bulkhead"));
        pipe.args(["pipe", module, "--command", command, "--in-flight", &WINDOW.to_string()]);
        pipe.args(more).arg("--socket").arg(world.socket());
        let began = Instant::now();
        let status = pipe.stdin(File::open(&input)?).stdout(File::create(&output)?).status()?;
        let rate = LINES as f64 / began.elapsed().as_secs_f64();
        let lines = fs::read(&output)?.iter().filter(|byte| **byte == b'\n').count();
        match status.success() && lines == LINES {
            true => Ok(rate),
            false => Err(format!("expected {LINES} lines, found {lines}: {status}").into()),
        }
    };
    let mut bare = Bare::new(&world.folder().join("bare.db"))?;
    let entry = frames::command_with("research-log", "add_entry", r#"{"text":"one of many"}"#);
    let mut disk = Disk::default();
    for round in 0..ROUNDS {
        let (rate, middle) = bare.commits(round)?;
        disk.bare.push(rate);
        disk.lone_bare.push(middle);
        disk.keyed.push(pipe("research-log", "add_entry", &["--key-prefix".into(), format!("round-{round}-")])?);
        disk.plain.push(pipe("research-log", "add_entry", &[])?);
        disk.without_store.push(pipe("test-minimal", "ping", &[])?);
        let (mut calls, began) = (Latencies::default(), Instant::now());
        while began.elapsed() < TIME {
            let sent = Instant::now();
            caller.call(&entry)?;
            calls.push(sent.elapsed());
        }
        disk.lone.push(calls.percentile(0.5));
        disk.batches.push(bare.batches(round)?);
        disk.callers_of_one.push(crowd(&world, 1)?);
        disk.callers_of_many.push(crowd(&world, MODULES)?);
        disk.kept.push(keep_events(&world)?);
    }
    Ok(disk)
}

fn modules(programs: &Programs) -> Result<Vec<Module>, Failed> {
    let log = format!("command = [{:?}]", programs.path("research-log").display().to_string());
    let minimal = [programs.path("test-minimal").display().to_string()];
    let keeper = parts::words(KEEPER)?;
    let subscribes = format!("event_subscribe = [\"bench.*\"]\nentity_create = [\"{KEPT}\"]");
    let mut modules = vec![
        Module::of("research-log", &log).allow(&format!("{CAPABILITIES}{DECLARATIONS}")),
        Module::new("test-minimal", &minimal)?,
        Module::new(KEEPER, &keeper)?.allow(&subscribes),
    ];
    modules.extend((1..MODULES).map(|number| Module::of(&one_of(number), &log).allow(CAPABILITIES)));
    Ok(modules)
}

/// The name of one of the modules with the same data.
fn one_of(number: usize) -> String {
    match number {
        0 => "research-log".to_owned(),
        _ => format!("research-log-{number}"),
    }
}

/// Calls a second of many callers of so many modules.
fn crowd(world: &World, modules: usize) -> Result<f64, Failed> {
    let data = frames::args_of(ENTRY_BYTES);
    let entry = |number| frames::command_with(&one_of(number), "add_entry", &data);
    let requests: Vec<_> = (0..modules).map(entry).collect();
    let mut callers = Callers::connect(&world.socket(), CALLERS)?;
    requests.iter().try_for_each(|request| callers.first_call(request))?;
    Ok(CALLS as f64 / callers.calls(&requests, CALLS)?.as_secs_f64())
}

/// Events a second that come in, are stored, and are kept by the module that subscribes to them. They are counted as
/// a follower gets them, which is when they are on the disk.
fn keep_events(world: &World) -> Result<f64, Failed> {
    let mut follower = world.caller()?;
    let follow = format!(r#"{{"pattern":"{KEPT}.created"}}"#);
    follower.push(&frames::command_with("supervisor", "events", &follow));
    follower.send()?;
    // It says from where on it follows.
    follower.answer()?;
    let mut sender = world.caller()?;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let kept = scope.spawn(move || -> Result<(), String> {
            (0..EVENTS).try_for_each(|_| follower.answer().map(|_| ()).map_err(|failed| failed.to_string()))
        });
        sender.calls(&frames::event("bench.happened"), EVENTS, WINDOW)?;
        kept.join().expect("it does not panic").map_err(Failed::from)
    })?;
    Ok(EVENTS as f64 / began.elapsed().as_secs_f64())
}

fn write_lines(to: &Path) -> Result<(), Failed> {
    let mut file = BufWriter::new(File::create(to)?);
    for line in 0..LINES {
        writeln!(file, r#"{{"text":"line {line} of many, as long as most lines of a log are","tags":["bench"]}}"#)?;
    }
    Ok(file.flush()?)
}

/// SQLite as it is, with a flush for each commit.
struct Bare(Connection);

impl Bare {
    fn new(path: &Path) -> Result<Bare, Failed> {
        let connection = Connection::open(path)?;
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute_batch("CREATE TABLE rows (id TEXT PRIMARY KEY, data TEXT NOT NULL)")?;
        Ok(Bare(connection))
    }

    /// Commits of one row each: how many a second, and the median of one, in microseconds.
    fn commits(&self, round: usize) -> Result<(f64, f64), Failed> {
        let data = frames::args_of(ROW_BYTES);
        let mut insert = self.0.prepare("INSERT INTO rows VALUES (?1, ?2)")?;
        let (mut commits, began, mut number) = (Latencies::default(), Instant::now(), 0);
        while began.elapsed() < TIME {
            let sent = Instant::now();
            insert.execute(params![format!("{round:04}-{number:032}"), data])?;
            commits.push(sent.elapsed());
            number += 1;
        }
        Ok((f64::from(number) / began.elapsed().as_secs_f64(), commits.percentile(0.5)))
    }

    /// Commits of as many rows as there are callers: rows a second.
    fn batches(&mut self, round: usize) -> Result<f64, Failed> {
        let data = frames::args_of(ROW_BYTES);
        let (began, mut number) = (Instant::now(), 0);
        while began.elapsed() < TIME {
            let batch = self.0.transaction()?;
            let mut insert = batch.prepare("INSERT INTO rows VALUES (?1, ?2)")?;
            for _ in 0..CALLERS {
                insert.execute(params![format!("{round:03}b-{number:032}"), data])?;
                number += 1;
            }
            drop(insert);
            batch.commit()?;
        }
        Ok(f64::from(number) / began.elapsed().as_secs_f64())
    }
}

impl Rows for Durable {
    fn print(&self) {
        for (name, disk) in &self.disks {
            let bare = median(disk.bare.iter().copied());
            heading(
                &format!("{} lines, {WINDOW} in flight, on {name}; all cores", grouped(LINES as f64)),
                &["to bare commits", "µs each", "lines/s"],
            );
            let rows = [
                ("bare SQLite, a flush for each commit", &disk.bare),
                ("pipe to research-log, keyed", &disk.keyed),
                ("pipe to research-log, no keys", &disk.plain),
                ("pipe to test-minimal, no store", &disk.without_store),
            ];
            for (name, rates) in rows {
                let rate = median(rates.iter().copied());
                row(name, &[format!("{:.2}", rate / bare), format!("{:.0}", 1e6 / rate), grouped(rate)]);
            }
            heading(&format!("one caller that waits for each answer, on {name}"), &["to bare commits", "µs, p50"]);
            let (lone, lone_bare) = (median(disk.lone.iter().copied()), median(disk.lone_bare.iter().copied()));
            row("bare SQLite", &["1.00".to_owned(), format!("{lone_bare:.0}")]);
            row("call of research-log", &[format!("{:.2}", lone / lone_bare), format!("{lone:.0}")]);
            let batches = median(disk.batches.iter().copied());
            heading(&format!("{CALLERS} callers, one call in flight each, on {name}"), &["to batches", "calls/s"]);
            let rows = [
                (format!("bare SQLite, {CALLERS} rows for each commit"), &disk.batches),
                ("calls of research-log".to_owned(), &disk.callers_of_one),
                (format!("calls of {MODULES} such modules"), &disk.callers_of_many),
            ];
            for (name, rates) in rows {
                let rate = median(rates.iter().copied());
                row(&name, &[format!("{:.2}", rate / batches), grouped(rate)]);
            }
            heading(&format!("events that a module keeps, on {name}"), &["to bare commits", "events/s"]);
            let kept = median(disk.kept.iter().copied());
            row("a new entity for each event", &[format!("{:.2}", kept / bare), grouped(kept)]);
        }
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for (name, disk) in &self.disks {
            let of = |rates: &[f64]| median(rates.iter().copied());
            match *name {
                "a memory disk" => targets.push(Target::at_most(
                    "durable pipe, keyed, on a memory disk",
                    50.0,
                    "µs",
                    1e6 / of(&disk.keyed),
                )),
                _ => {
                    let ratio = of(&disk.keyed) / of(&disk.bare);
                    targets.push(Target::at_least("durable pipe, keyed, on disk", 2.0, "× bare commits", ratio));
                    let lone = of(&disk.lone) / of(&disk.lone_bare);
                    targets.push(Target::at_most("lone durable call, p50", 1.3, "× bare commit", lone));
                    let crowd = of(&disk.callers_of_one) / of(&disk.batches);
                    targets.push(Target::at_least("64 callers of the store", 0.5, "× bare batches", crowd));
                    let kept = of(&disk.kept) / of(&disk.bare);
                    targets.push(Target::at_least("events that a module keeps", 2.0, "× bare commits", kept));
                }
            }
        }
        targets
    }
}
