//! Peers that bring their own caller, since it belongs to what they are: the two Rust libraries, an
//! Erlang node and a Node process. The caller is a process that is told a line at a time what to
//! measure, and answers with the nanoseconds that it took; the figures are made here.

use super::{Place, Process, Route, Setting, bounded, bounded_installed, in_tree};
use crate::Failed;
use crate::figures::Latencies;
use crate::frames::{self, ID_AT, ID_DIGITS};
use crate::parts::{self, ECHO};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that measures for us.
#[derive(Debug)]
struct Driven {
    lines: BufReader<UnixStream>,
    _caller: Process,
    _server: Option<Process>,
}

impl Driven {
    fn start(mut caller: Command, server: Option<Process>) -> Result<Box<dyn Route>, Failed> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let caller = caller.stdin(OwnedFd::from(theirs.try_clone()?)).stdout(OwnedFd::from(theirs)).spawn()?;
        let mut driven = Driven { lines: BufReader::new(ours), _caller: Process(caller), _server: server };
        let first = driven.answer()?;
        if first != "ready" {
            return Err(format!("expected it to be ready, found {first}").into());
        }
        Ok(Box::new(driven))
    }

    fn ask(&mut self, question: &str) -> Result<Value, Failed> {
        writeln!(self.lines.get_mut(), "{question}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value, Failed> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err("the caller ended before it answered".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Route for Driven {
    fn alone(&mut self, calls: usize) -> Result<Latencies, Failed> {
        let answer = self.ask(&format!("alone {calls}"))?;
        let times: Vec<Duration> = answer.as_array().into_iter().flatten().filter_map(duration).collect();
        if times.len() != calls {
            return Err(format!("expected the times of {calls} calls, found {}", times.len()).into());
        }
        let mut latencies = Latencies::default();
        times.into_iter().for_each(|time| latencies.push(time));
        Ok(latencies)
    }

    fn ahead(&mut self, calls: usize, window: usize) -> Result<Duration, Failed> {
        let answer = self.ask(&format!("ahead {calls} {window}"))?;
        duration(&answer).ok_or_else(|| format!("expected nanoseconds, found {answer}").into())
    }
}

fn duration(nanos: &Value) -> Option<Duration> {
    nanos.as_u64().map(Duration::from_nanos)
}

/// tarpc over a Unix socket, bincode.
pub(super) fn tarpc_bincode(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    library(setting, "tarpc-bincode")
}

/// tarpc over a Unix socket, JSON.
pub(super) fn tarpc_json(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    library(setting, "tarpc-json")
}

/// tonic over a Unix socket.
pub(super) fn tonic(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    library(setting, "tonic")
}

/// Both sides of a library: two processes, with a Unix socket between them and nothing else.
fn library(setting: &Setting, peer: &str) -> Result<Box<dyn Route>, Failed> {
    let program = setting.libraries.as_deref().ok_or("expected tests/bench/peers to be built")?;
    let runtime = match setting.place {
        Place::OneCore => "current-thread",
        Place::AllCores => RUNTIME_ON_ALL_CORES,
    };
    let socket = setting.path(peer);
    let listener = UnixListener::bind(&socket)?;
    let server = Process(bounded(program)?.args([peer, "serve", runtime]).stdin(OwnedFd::from(listener)).spawn()?);
    let mut caller = bounded(program)?;
    caller.args([peer, "call", runtime]).arg(&socket);
    Driven::start(caller, Some(server))
}

/// What the libraries are fastest with on this many cores: two processes with one thread each.
const RUNTIME_ON_ALL_CORES: &str = "current-thread";

/// An Erlang port: the node starts the bare module as its port program, and its process calls it. There
/// is no relay between them, and nobody starts the program again.
pub(super) fn erlang(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    let text = |frame: Vec<u8>, from: usize| String::from_utf8(frame[from..].to_vec());
    let mut caller = bounded_installed("escript")?;
    caller.arg(in_tree("port.escript")).arg(parts::part(ECHO)?.get_program()).args(parts::part(ECHO)?.get_args());
    // What the port's packets contain: the first message, and a request from behind its number on.
    caller.arg(text(frames::init(), 4)?).arg(text(frames::command("echo", "echo"), ID_AT + ID_DIGITS)?);
    if setting.place == Place::OneCore {
        // Schedulers that spin for work take the core from the port program.
        caller.env("ERL_AFLAGS", "+sbwt none +sbwtdcpu none +sbwtdio none");
    }
    Driven::start(caller, None)
}

/// A Node process that forked another: `process.send` both ways, which is JSON and a line end.
pub(super) fn node(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    node_with(setting, "json")
}

/// The same with the serialization that can carry more than JSON can.
pub(super) fn node_advanced(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    node_with(setting, "advanced")
}

fn node_with(_: &Setting, serialization: &str) -> Result<Box<dyn Route>, Failed> {
    let mut caller = bounded_installed("node")?;
    caller.arg(in_tree("ipc.js")).arg(serialization).stderr(Stdio::inherit());
    Driven::start(caller, None)
}
