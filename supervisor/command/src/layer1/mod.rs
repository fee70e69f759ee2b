//! `layer1`: what is done to the data store as a whole. Export, check and backup read the file itself, whether a daemon
//! has it open or none; what changes something goes through the daemon that has it, or is done by the command itself
//! without one. The meaning of the data is deliberately unknown here.

mod check;
mod compact;
mod copy;
mod forget;
mod import;
mod set_aside;
mod status;

use crate::cli::{Layer1 as Command, Location};
use crate::exit::{Exit, Halt};
use crate::output::complain;
use crate::progress::{ProgressLine, Unit};
use crate::session::{Session, Signals};
use crate::streams::Stdout;
use bulkhead_layer1::{Layer1, OpenError, Progress, Settings, ToolError, Tools};
use serde::Deserialize;
use std::fs::DirBuilder;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The database inside a state directory.
const FILE: &str = "layer1/layer1.db";

/// `bulkhead layer1`.
pub(crate) fn run(socket: Option<PathBuf>, command: Command) -> Result<Exit, Halt> {
    match command {
        Command::Status { json } => status::show(socket, json),
        Command::Export(options) => copy::export(socket, &options),
        Command::Import(options) => import::run(socket, &options),
        Command::Check { location, json } => check::run(socket, &location, json),
        Command::Backup { file, location, json } => copy::backup(socket, &file, &location, json),
        Command::Compact(options) => compact::run(&options),
        Command::SetAside { command } => set_aside::run(socket, command),
        Command::Forget(options) => forget::run(socket, &options),
    }
}

/// The tools for the database that the command line names.
fn tools(socket: Option<PathBuf>, location: &Location) -> Result<Tools, Halt> {
    let path = match &location.state {
        Some(state) => state.join(FILE),
        None => file_of_host(&mut connect(socket)?)?,
    };
    Tools::of(path).map_err(refused)
}

/// Opens the data of a state directory without a daemon, and creates it if there is none yet.
fn open_store(state: &Path) -> Result<Layer1, Halt> {
    let fail = |error| Halt::Usage(format!("{}: {error}", state.display()));
    must_be_own(state)?;
    let path = state.join(FILE);
    let folder = path.parent().expect("the file is in a folder");
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
    let settings = Settings::as_found(path).map_err(refused)?;
    Layer1::open(settings, || {}).map_err(|error| match error {
        OpenError::InUse { .. } => {
            Halt::Failed(format!("{error}; or leave --state away, and it goes through the host that runs"))
        }
        other => refused(other),
    })
}

/// Files of another user would make the daemon unable to open its data.
fn must_be_own(state: &Path) -> Result<(), Halt> {
    let fail = |error| Halt::Usage(format!("{}: {error}", state.display()));
    let owner = std::fs::metadata(state).map_err(fail)?.uid();
    let user = nix::unistd::geteuid().as_raw();
    if owner == user {
        return Ok(());
    }
    let state = state.display();
    Err(Halt::Usage(format!("{state} belongs to the user {owner}, and this is the user {user}: run it as that one")))
}

/// Writes everything into one file.
fn close_store(store: &Layer1) {
    if let Err(error) = store.close() {
        complain(&format_args!("the log of the data store was not carried over, the next start does it: {error}"));
    }
}

/// A connection to the daemon, or what can be done without one.
fn connect(socket: Option<PathBuf>) -> Result<Session, Halt> {
    Session::open(socket).map_err(|halt| match halt {
        Halt::Connect(error) => Halt::NoHost(error),
        other => other,
    })
}

/// The file of the daemon's data store.
fn file_of_host(session: &mut Session) -> Result<PathBuf, Halt> {
    #[derive(Deserialize)]
    struct Status {
        host: Host,
    }
    #[derive(Deserialize)]
    struct Host {
        state_dir: PathBuf,
        #[serde(default)]
        layer1: Option<Store>,
    }
    #[derive(Deserialize)]
    struct Store {
        file: PathBuf,
        #[serde(default)]
        broken: Option<String>,
        #[serde(default)]
        readable: Option<bool>,
    }
    let misunderstood = |error| Halt::Failed(format!("the host's status is not understood: {error}"));
    let Status { host } = crate::status::ask(session, None)?.read().map_err(misunderstood)?;
    match host.layer1 {
        // The file there now is not the one that the host has open.
        Some(Store { readable: Some(false), broken, .. }) => {
            Err(Halt::Failed(broken.unwrap_or_else(|| "the host cannot read its data store".into())))
        }
        Some(layer1) => Ok(layer1.file),
        None => Ok(host.state_dir.join(FILE)),
    }
}

/// Why a database is not opened.
fn refused(error: OpenError) -> Halt {
    match error {
        OpenError::Missing { .. } => Halt::Usage(error.to_string()),
        other => Halt::Failed(other.to_string()),
    }
}

/// Why a tool did not finish; what it wrote went to `target`.
fn unfinished(error: ToolError, target: Option<&Path>, signal: Option<i32>) -> Halt {
    match (error, target, signal) {
        (ToolError::Stopped, _, Some(signal)) => Halt::Stopped { signal, left: "no file is left" },
        (ToolError::Io(error), None, _) => Halt::output(error),
        (ToolError::Io(error), Some(target), _) => Halt::Failed(format!("{}: {error}", target.display())),
        (error, _, _) => Halt::Failed(error.to_string()),
    }
}

/// Shows how far a tool is, and stops it when a signal comes.
struct Watch {
    line: ProgressLine,
    unit: Unit,
    signals: Option<Signals>,
    /// The signal that stopped it.
    signal: Option<i32>,
}

impl Watch {
    /// Signals have their usual effect.
    fn new(line: ProgressLine, unit: Unit) -> Watch {
        Watch { line, unit, signals: None, signal: None }
    }

    /// A signal stops the tool, which removes what it has written.
    fn with_signals(self) -> Result<Watch, Halt> {
        Ok(Watch { signals: Some(Signals::block()?), ..self })
    }

    fn look(&mut self, Progress { done, total }: Progress) -> ControlFlow<()> {
        self.line.show_amount(done, total, self.unit);
        self.signal = self.signals.as_ref().and_then(Signals::next);
        if self.signal.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Standard output, in large pieces: what is written through the standard library's own is flushed at
/// every line.
fn stdout() -> io::BufWriter<Stdout> {
    io::BufWriter::with_capacity(64 * 1024, Stdout)
}
