//! What the host is compared with: the same call, 128 bytes there and 128 bytes back, through well-known programs and
//! libraries, each with its usual fast settings.
//!
//! None of them does what the host does. Of the others only nats has a process between the two sides; none restarts a
//! side that crashed, informs a caller of the outcome of its call, or limits what a side may send. Each file says what
//! its peer does and what it leaves out. What is missing on this machine is skipped with a line that says how to
//! install it.

mod driven;
mod exchange;
mod ours;
mod redis;

pub mod nats;

use crate::figures::Latencies;
use crate::parts::{self, RUN};
use crate::programs::Programs;
use crate::{Failed, installed};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A caller and the process that answers it, with all processes that they need. They end when it is dropped.
pub trait Route {
    /// Makes `calls` calls, each after the answer to the one before.
    ///
    /// # Errors
    /// When an answer is none or not the one that was expected.
    fn alone(&mut self, calls: usize) -> Result<Latencies, Failed>;

    /// Makes `calls` calls with `window` of them in flight at all times; returns how long it took.
    ///
    /// # Errors
    /// As [`Route::alone`].
    fn ahead(&mut self, calls: usize, window: usize) -> Result<Duration, Failed>;
}

/// What a peer can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Able {
    /// One call at a time only.
    Alone,
    /// That, and several in flight.
    AloneAndAhead,
}

/// What a peer is made of.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// Nothing but this workspace.
    Nothing,
    /// A program, and the Debian package that has it.
    Program { name: &'static str, package: &'static str },
    /// The Rust libraries in the workspace beside this one.
    Libraries,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its name in the table.
    pub name: &'static str,
    /// What it can do.
    pub able: Able,
    needs: Needs,
    start: fn(&Setting) -> Result<Box<dyn Route>, Failed>,
}

impl Peer {
    const fn ours(name: &'static str, start: fn(&Setting) -> Result<Box<dyn Route>, Failed>) -> Peer {
        Peer { name, able: Able::AloneAndAhead, needs: Needs::Nothing, start }
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it is not there, or does not start.
    pub fn start(&self, setting: &Setting) -> Result<Box<dyn Route>, Failed> {
        (self.start)(setting)
    }

    /// Why it cannot be measured here, and what to do about it.
    pub fn missing(&self, setting: &Setting) -> Option<String> {
        match self.needs {
            Needs::Program { name, package } if installed::find(name).is_none() => {
                Some(format!("{name} is not installed (apt-get install {package})"))
            }
            Needs::Libraries if setting.libraries.is_none() => {
                Some("tests/bench/peers does not build; cargo's own lines above say why".to_owned())
            }
            Needs::Nothing | Needs::Program { .. } | Needs::Libraries => None,
        }
    }
}

/// All rows. The first one is what the others are compared with.
pub const ALL: [Peer; 11] = [
    Peer::ours("bare relay (epoll)", ours::relay_epoll),
    Peer { able: Able::Alone, ..Peer::ours("bare relay (blocking)", ours::relay_blocking) },
    Peer::ours("no relay: the bare module itself", ours::no_relay),
    Peer::ours("bulkhead, to the bare module", ours::host),
    library("tarpc, bincode", driven::tarpc_bincode),
    library("tarpc, JSON", driven::tarpc_json),
    library("tonic (gRPC)", driven::tonic),
    installed("Erlang port, {packet, 4}", "escript", "erlang-base", driven::erlang),
    installed("Node child process, its own IPC", "node", "nodejs", driven::node),
    installed("redis-server, ECHO", "redis-server", "redis-server", redis::start),
    installed("nats-server, request and reply", "nats-server", "nats-server", nats::start),
];

const fn library(name: &'static str, start: fn(&Setting) -> Result<Box<dyn Route>, Failed>) -> Peer {
    Peer { name, able: Able::AloneAndAhead, needs: Needs::Libraries, start }
}

const fn installed(
    name: &'static str,
    program: &'static str,
    package: &'static str,
    start: fn(&Setting) -> Result<Box<dyn Route>, Failed>,
) -> Peer {
    Peer { name, able: Able::AloneAndAhead, needs: Needs::Program { name: program, package }, start }
}

/// What peers are started with. Its folder is removed with it.
#[derive(Debug)]
pub struct Setting {
    programs: Programs,
    folder: PathBuf,
    libraries: Option<PathBuf>,
}

impl Setting {
    /// Builds what is measured and what can be built of its peers, and prints that.
    ///
    /// # Errors
    /// When what is measured does not build.
    pub fn build() -> Result<Setting, Failed> {
        let programs = Programs::build()?;
        let folder = std::env::temp_dir().join(format!("bulkhead-bench-peers-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let libraries = build_libraries(&programs)?;
        Ok(Setting { programs, folder, libraries })
    }

    /// A new path for a socket or a server's files.
    fn path(&self, name: &str) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        self.folder.join(format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Builds the workspace of the Rust libraries; `None` if that does not succeed, as without a network.
fn build_libraries(programs: &Programs) -> Result<Option<PathBuf>, Failed> {
    let target = programs.path("../peers");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("building its peers: cargo build --release --locked, in tests/bench/peers");
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--target-dir"])
        .arg(&target)
        .current_dir(in_tree("."))
        .status()?;
    Ok(status.success().then(|| target.join("release/bulkhead-bench-peers")))
}

/// A file of `tests/bench/peers`.
fn in_tree(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// A command for a program that is killed when this one ends in any way.
fn bounded(program: &Path) -> Result<Command, Failed> {
    let mut command = parts::part(RUN)?;
    command.arg(program);
    Ok(command)
}

/// As [`bounded`], for a program that was found before.
fn bounded_installed(name: &str) -> Result<Command, Failed> {
    bounded(&installed::find(name).ok_or_else(|| format!("expected {name} to be installed"))?)
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
