//! Peers with their own caller, as it is part of them: the two Rust libraries, an Erlang node and a Node process. The
//! caller is a process that gets a line for each measurement, and answers with the nanoseconds that it took; the
//! figures are made here.

use super::{Process, Route, Setting, bounded, bounded_installed, in_tree};
use crate::Failed;
use crate::figures::Latencies;
use crate::frames::{self, ID_AT, ID_DIGITS};
use crate::parts::{self, ECHO};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::Duration;

/// How long a round may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A process that measures for us.
#[derive(Debug)]
struct Driven {
    lines: BufReader<UnixStream>,
    _caller: Process,
    _server: Option<Process>,
}

impl Driven {
    fn start(mut command: Command, server: Option<Process>) -> Result<Box<dyn Route>, Failed> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(TIMEOUT))?;
        let caller = command.stdin(OwnedFd::from(theirs.try_clone()?)).stdout(OwnedFd::from(theirs)).spawn()?;
        // It holds the caller's end open, and a caller that ends would go unnoticed.
        drop(command);
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

/// Both sides of a library: two processes, with a Unix socket between them and nothing else. Each has one
/// thread, with which they are faster than with several, on one core and on two.
fn library(setting: &Setting, peer: &str) -> Result<Box<dyn Route>, Failed> {
    let program = setting.libraries.as_deref().ok_or("expected tests/bench/peers to be built")?;
    let socket = setting.path(peer);
    let listener = UnixListener::bind(&socket)?;
    let server = Process(bounded(program)?.args([peer, "serve"]).stdin(OwnedFd::from(listener)).spawn()?);
    let mut caller = bounded(program)?;
    caller.args([peer, "call"]).arg(&socket);
    Driven::start(caller, Some(server))
}

/// An Erlang port: the node starts the bare module as its port program, and its process calls it. There is no relay
/// between them, and no supervisor restarts the program. The node has its default settings: other numbers of
/// schedulers, or none that spin, made it no faster.
pub(super) fn erlang(_: &Setting) -> Result<Box<dyn Route>, Failed> {
    let text = |frame: Vec<u8>, from: usize| String::from_utf8(frame[from..].to_vec());
    let mut caller = bounded_installed("escript")?;
    caller.arg(in_tree("port.escript")).arg(parts::part(ECHO)?.get_program()).args(parts::part(ECHO)?.get_args());
    // What the port's packets contain: the first message, and a request from after its number on.
    caller.arg(text(frames::init(), 4)?).arg(text(frames::command("echo", "echo"), ID_AT + ID_DIGITS)?);
    Driven::start(caller, None)
}

/// A Node process that forked another: `process.send` both ways, which is JSON and a line end. Its other
/// serialization, which can carry more, is slower.
pub(super) fn node(_: &Setting) -> Result<Box<dyn Route>, Failed> {
    let mut caller = bounded_installed("node")?;
    caller.arg(in_tree("ipc.js"));
    Driven::start(caller, None)
}
