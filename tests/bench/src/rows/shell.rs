//! One call from the shell as a whole process, from its start to its end, by `bulkhead` as it is built and as
//! `cargo static` builds it. Beside it the least client, written in C and linked statically, and `redis-cli PING` with
//! a server of its own. The target is for the static one, as the least client is static.
//!
//! What was linked here is copied first, as installing copies it: a linker writes a file in such small pieces that it
//! stays so in the page cache, and starting it costs a quarter more page faults.
//!
//! Everything is on one core. Processes are started by posix_spawn, so the size of this program does
//! not count. How long the shell itself takes is left out.

use super::Rows;
use crate::figures::{Latencies, heading, median, row};
use crate::parts::{self, RUN};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::World;
use crate::{Failed, cores, installed};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const RUNS: usize = 200;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A program and how long it took, by round.
#[derive(Clone, Debug)]
struct Timed {
    name: &'static str,
    rounds: Vec<Latencies>,
}

/// All programs; the first is what the others are compared with, if there is a compiler.
#[derive(Clone, Debug)]
pub struct Shell(Vec<Timed>);

const CLIENT: &str = "minimal static client in C";
const CALL: &str = "bulkhead call";
const STATIC_CALL: &str = "bulkhead call, linked statically";

/// Measures all of it.
///
/// # Errors
/// When one of the programs fails.
pub fn measure(programs: &Programs) -> Result<Shell, Failed> {
    let linked = programs.build_static()?.map(|program| (STATIC_CALL, program));
    let pinned = cores::one();
    if pinned.is_none() {
        println!("  not pinned, as the system does not allow it: wake-ups across cores are counted in");
    }
    let world = World::start(programs)?;
    let mut commands: Vec<(&'static str, Command)> = Vec::new();
    let client = world.folder().join("client");
    if build_client(&client)? {
        let request = r#"{"id":1,"type":"command","to":"echo","payload":{"name":"echo","args":{"text":"hello"}}}"#;
        let mut call = Command::new(&client);
        call.arg(world.socket()).arg(request);
        commands.push((CLIENT, call));
        commands.push(("the same, started and nothing done", Command::new(&client)));
    }
    for (name, program) in linked.into_iter().chain([(CALL, programs.path("bulkhead"))]) {
        let installed = world.folder().join(name);
        std::fs::copy(program, &installed)?;
        let mut call = Command::new(installed);
        call.args(["call", "echo", "echo", r#"{"text":"hello"}"#, "--socket"]).arg(world.socket());
        commands.push((name, call));
    }
    let redis = Redis::start(world.folder())?;
    if let Some(redis) = &redis {
        commands.push(("redis-cli PING", redis.ping()));
    }
    let mut all: Vec<Timed> = commands.iter().map(|(name, _)| Timed { name, rounds: Vec::new() }).collect();
    for round in 0..=ROUNDS {
        let mut latencies = vec![Latencies::default(); commands.len()];
        for _ in 0..RUNS {
            for ((name, command), latencies) in commands.iter_mut().zip(&mut latencies) {
                command.stdin(Stdio::null()).stdout(Stdio::null());
                let began = Instant::now();
                let status = command.status()?;
                latencies.push(began.elapsed());
                if !status.success() {
                    return Err(format!("{name} ended with {status}").into());
                }
            }
        }
        for (latencies, timed) in latencies.into_iter().zip(&mut all) {
            if round > 0 {
                timed.rounds.push(latencies);
            }
        }
    }
    Ok(Shell(all))
}

/// Builds the least client; `false`, with a printed line, where that is not possible.
fn build_client(to: &Path) -> Result<bool, Failed> {
    if !installed::or_say("cc", "gcc", CLIENT) {
        return Ok(false);
    }
    let source = to.with_extension("c");
    std::fs::write(&source, include_str!("../client.c"))?;
    let linked = to.with_extension("linked");
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).arg(&linked).arg(&source).output()?;
    if !built.status.success() {
        println!("  skipped: {CLIENT}: cc -static failed: {}", String::from_utf8_lossy(&built.stderr).trim());
        return Ok(false);
    }
    std::fs::copy(&linked, to)?;
    Ok(true)
}

/// A server that ends with this program.
#[derive(Debug)]
struct Redis {
    server: Child,
    socket: std::path::PathBuf,
}

impl Redis {
    fn start(folder: &Path) -> Result<Option<Redis>, Failed> {
        let what = "redis-cli PING";
        if !installed::or_say("redis-cli", "redis-tools", what)
            || !installed::or_say("redis-server", "redis-server", what)
        {
            return Ok(None);
        }
        let socket = folder.join("redis.sock");
        let server = parts::part(RUN)?
            .args(["redis-server", "--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Redis { server, socket };
        let deadline = Instant::now() + TIMEOUT;
        while !redis.ping().stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
            if Instant::now() > deadline {
                return Err("redis-server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(redis))
    }

    fn ping(&self) -> Command {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(&self.socket).arg("PING");
        command
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Shell {
    fn at(&self, name: &str, share: f64) -> f64 {
        self.0
            .iter()
            .find(|timed| timed.name == name)
            .map_or(f64::NAN, |timed| median(timed.rounds.iter().map(|round| round.percentile(share))))
    }
}

impl Rows for Shell {
    fn print(&self) {
        heading("One call from the shell, whole process; all on one core", &["ratio p50", "p50 ms", "p99 ms"]);
        for timed in &self.0 {
            let [p50, p99] = [0.5, 0.99].map(|share| self.at(timed.name, share));
            let ratio = format!("{:.2}", p50 / self.at(CLIENT, 0.5));
            row(timed.name, &[ratio, format!("{:.2}", p50 / 1e3), format!("{:.2}", p99 / 1e3)]);
        }
    }

    fn targets(&self) -> Vec<Target> {
        let ratio = self.at(STATIC_CALL, 0.5) / self.at(CLIENT, 0.5);
        vec![Target::at_most("shell call, whole process, linked statically, p50", 1.5, "× static client", ratio)]
    }
}
