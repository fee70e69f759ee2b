//! `bulkhead pipe` of a million lines from a file to a file, as a whole process; beside `jq` over the
//! same lines, through a pipe as in a shell, and beside a bare relay of as many frames.

use super::Rows;
use crate::figures::{grouped, heading, median, row};
use crate::frames::PAYLOAD_BYTES;
use crate::parts::{self, ECHO, RELAY_EPOLL};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::{Relay, World};
use crate::{Failed, frames, installed};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The argument that sets the number of lines, for a shorter run.
const LINES_FLAG: &str = "--lines";
const LINES: usize = 1_000_000;
const ROUNDS: usize = 3;
const WINDOW: usize = 64;

const NAMES: [&str; 5] = [
    "bare relay of as many frames",
    "cat | jq -c .",
    "jq -c . from the file",
    "bulkhead pipe to a bare module",
    "bulkhead pipe to test-minimal",
];

/// Lines a second of each row, by round; none where jq is not installed.
#[derive(Clone, Debug)]
pub struct Pipe {
    lines: usize,
    rates: [Vec<f64>; 5],
}

/// Measures all of it.
///
/// # Errors
/// When a line is missing.
pub fn measure(programs: &Programs) -> Result<Pipe, Failed> {
    let lines = lines()?;
    let world = World::start(programs)?;
    let mut relay = Relay::start(RELAY_EPOLL, parts::part(ECHO)?)?;
    let (input, output) = (world.folder().join("in.jsonl"), world.folder().join("out.jsonl"));
    write_lines(&input, lines)?;
    let pipe_to = |module: &str, command: &str| {
        let mut pipe = Command::new(programs.path("bulkhead"));
        pipe.args(["pipe", module, "--command", command, "--socket"]).arg(world.socket());
        pipe
    };
    let has_jq = installed::or_say("jq", "jq", "the lines through jq");
    let echo = frames::command("echo", "echo");
    let rate = |began: Instant| lines as f64 / began.elapsed().as_secs_f64();
    let mut pipe = Pipe { lines, rates: Default::default() };
    for _ in 0..ROUNDS {
        let began = Instant::now();
        relay.caller.calls(&echo, lines, WINDOW)?;
        pipe.rates[0].push(rate(began));
        if has_jq {
            let began = Instant::now();
            let mut cat = Command::new("cat").stdin(File::open(&input)?).stdout(Stdio::piped()).spawn()?;
            let from_cat = cat.stdout.take().ok_or("expected the output of cat")?;
            run(Command::new("jq").args(["-c", "."]).stdin(from_cat), &output)?;
            pipe.rates[1].push(rate(began));
            cat.wait()?;
            check(&output, lines)?;
        }
        let mut others = vec![(3, pipe_to("echo", "echo")), (4, pipe_to("test-minimal", "ping"))];
        if has_jq {
            let mut jq = Command::new("jq");
            jq.args(["-c", "."]);
            others.push((2, jq));
        }
        for (at, mut command) in others {
            let began = Instant::now();
            run(command.stdin(File::open(&input)?), &output)?;
            pipe.rates[at].push(rate(began));
            check(&output, lines)?;
        }
    }
    Ok(pipe)
}

fn lines() -> Result<usize, Failed> {
    let mut words = std::env::args().skip_while(|word| word != LINES_FLAG).skip(1);
    Ok(words
        .next()
        .map_or(Ok(LINES), |word| word.parse().map_err(|_| format!("expected a number of lines, found {word}")))?)
}

fn write_lines(to: &Path, lines: usize) -> Result<(), Failed> {
    let mut file = BufWriter::new(File::create(to)?);
    let line = format!("{}\n", frames::args_of(PAYLOAD_BYTES));
    for _ in 0..lines {
        file.write_all(line.as_bytes())?;
    }
    Ok(file.flush()?)
}

fn run(command: &mut Command, output: &Path) -> Result<(), Failed> {
    let status = command.stdout(File::create(output)?).status()?;
    if !status.success() {
        return Err(format!("{command:?} ended with {status}").into());
    }
    Ok(())
}

fn check(output: &Path, lines: usize) -> Result<(), Failed> {
    let found = std::fs::read(output)?.iter().filter(|byte| **byte == b'\n').count();
    if found != lines {
        return Err(format!("expected {lines} lines, found {found}").into());
    }
    Ok(())
}

impl Rows for Pipe {
    fn print(&self) {
        heading(
            &format!("{} lines of 128 bytes, 64 in flight, whole processes; all cores", grouped(self.lines as f64)),
            &["ratio to jq", "to relay", "lines/s"],
        );
        let rates: Vec<f64> = self.rates.iter().map(|rounds| median(rounds.iter().copied())).collect();
        for (name, rate) in NAMES.iter().zip(&rates).filter(|(_, rate)| rate.is_finite()) {
            row(name, &[format!("{:.2}", rate / rates[1]), format!("{:.2}", rate / rates[0]), grouped(*rate)]);
        }
    }

    fn targets(&self) -> Vec<Target> {
        let rate = |at: usize| median(self.rates[at].iter().copied());
        let lines = grouped(self.lines as f64);
        let row = |what: &str, jq: &str| format!("pipe of {lines} lines to {what}, beside {jq}");
        vec![
            Target::at_least(row("a bare module", "cat | jq"), 1.0, "× jq", rate(3) / rate(1)),
            Target::at_least(row("test-minimal", "cat | jq"), 1.0, "× jq", rate(4) / rate(1)),
        ]
    }
}
