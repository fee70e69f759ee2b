//! The host as a library: started on a thread of its own, used like every other host.

use crate::{
    alarm::Alarm,
    control_socket::{Bound, ControlSocket, SocketError},
    event_loop,
    files::{Files, Gate, Lane},
    guardian::{Guardian, Incoming, Launched},
    handle::Handle,
    inherited::take_over_process,
    layer1::{Store, StoreError},
    log_files::{LogFiles, Rotation},
    logs::Logs,
    notify::Notify,
    runtimes::{RuntimeError, Runtimes},
    signals::Signals,
    state::{Faults, HostState, Parts},
    state_dir::{StateDir, StateDirError},
    sys,
    watch::{Watch, Watched},
};
use bulkhead_client::Client;
use bulkhead_config::{HostConfig, Loaded, ModuleConfig, Problems};
use bulkhead_protocol::guardian::Report;
use std::{
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The timeout of the guardian's first report.
const GUARDIAN_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a configuration again. It is called on a thread that files may keep waiting; one that does not return
/// is given up, and the next reading is on another thread.
pub type Reloader = Box<dyn Fn() -> Result<Loaded, Problems> + Send + Sync>;

/// How a host is started, beyond its configuration.
#[derive(Default)]
pub struct Options {
    /// The `module-runtime` program; without one it is what `$BULKHEAD_RUNTIME` names, or is looked for
    /// beside the running program. `module-runtime-wasm`, which only WebAssembly needs, is what
    /// `$BULKHEAD_WASM_RUNTIME` names, or is looked for beside `module-runtime`; likewise `module-runtime-mcp`, which
    /// only MCP servers need, and `$BULKHEAD_MCP_RUNTIME`.
    pub runtime: Option<PathBuf>,
    /// Whether to listen on the configuration's control socket.
    pub listen: bool,
    /// Reads the configuration again when a client or SIGHUP asks for it.
    pub reloader: Option<Reloader>,
}

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] Reason);

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("the configuration does not check: {0}")]
    Configuration(#[from] Problems),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("the guardian {} {what}", .program.display())]
    Guardian { program: PathBuf, what: String },
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
    #[error("the host's thread ended before it was up; its log says why")]
    Ended,
}

/// What the program around a host can ask of its loop.
#[derive(Debug)]
pub(crate) enum Inject {
    Client(UnixStream),
    Stop,
}

/// A host that runs on a thread of its own.
///
/// It is used through [`Host::client`], with the same messages as over the control
/// socket. Dropping it stops every module and waits until nothing of them is left. In a program that must not
/// wait on the thread that drops it, such as one of an async runtime, [`Host::handle`] stops it and reports
/// when it has ended.
#[derive(Debug)]
pub struct Host {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts a host inside this program. It runs what belongs to root, this process's user or one of
    /// [`HostConfig::trusted_users`], and may be written by no others.
    ///
    /// No signal handler is installed, and no child of the program other than the host's own guardian is ever waited
    /// for.
    ///
    /// # Errors
    /// When the configuration does not check, a program of the host's own is missing, the state directory is in use or
    /// cannot be written, the data store cannot be opened, the control socket cannot be had, or the guardian does not start.
    pub fn start(host: HostConfig, modules: Vec<ModuleConfig>, options: Options) -> Result<Host, StartError> {
        let (inject, injected) = unbounded_channel();
        let (handle, lives) = Handle::new(inject);
        let (started_sender, started) = mpsc::channel();
        let (result_sender, result) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("bulkhead".into())
            .spawn(move || {
                let kind = Kind::Embedded;
                let loaded = Loaded::new(host, modules);
                let outcome = run(loaded, options, injected, started_sender, kind, open_gate());
                // The starter is gone if it was dropped, and does not need it.
                let _ = result_sender.send(outcome);
                drop(lives);
            })
            .map_err(Reason::Io)?;
        if started.recv().is_err() {
            let outcome = result.recv().unwrap_or(Err(StartError(Reason::Ended)));
            return Err(outcome.err().unwrap_or(StartError(Reason::Ended)));
        }
        Ok(Host { handle, thread: Some(thread) })
    }

    /// A new connection to the host, as if over the control socket.
    ///
    /// # Errors
    /// When there are no descriptors left, or the host has ended.
    pub fn client(&self) -> io::Result<Client> {
        self.handle.client()
    }

    /// What other parts of the program can use of the host. A host that is stopped by a handle is still to be
    /// dropped, which then takes no time.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops every module and then the host; returns when nothing of either is left.
    pub fn stop(self) {
        drop(self);
    }

    /// Runs a host as this process's work, until SIGTERM, SIGINT or SIGQUIT ends it. SIGHUP reads the
    /// configuration again, SIGUSR1 writes what waits for log files. Notifies a service manager of its state, if
    /// `$NOTIFY_SOCKET` names one. Signals, interval timers and the mask of modes of the process are set by
    /// [`take_over_process`], and it reaps children that are not its own.
    ///
    /// Modules with faults ([`Loaded::faulty`], and what is found at the start) are logged, shown in the status and not
    /// started; the others are.
    ///
    /// # Errors
    /// As [`Host::start`], without the faults of modules.
    pub fn run_daemon(loaded: Loaded, options: Options) -> Result<(), StartError> {
        Host::run_daemon_with_gate(open_gate(), loaded, options)
    }

    /// As [`Host::run_daemon`]; what the host asks of files once it is up passes this gate first, on
    /// the thread that does it. A test that closes it has a file system that does not answer.
    #[doc(hidden)]
    #[allow(clippy::missing_errors_doc)]
    pub fn run_daemon_with_gate(gate: Gate, loaded: Loaded, options: Options) -> Result<(), StartError> {
        let (_inject, injected) = unbounded_channel();
        let (started, _) = mpsc::channel();
        take_over_process();
        raise_descriptor_limit();
        sys::give_large_buffers_back();
        run(loaded, options, injected, started, Kind::Daemon, gate)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A host that has ended already does not listen, and its thread can be joined at once.
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How a host was started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is the purpose of its process.
    Daemon,
    /// By a program that has other things to do.
    Embedded,
}

fn run(
    mut loaded: Loaded,
    options: Options,
    injected: UnboundedReceiver<Inject>,
    started: mpsc::Sender<()>,
    kind: Kind,
    gate: Gate,
) -> Result<(), StartError> {
    // A daemon runs the modules without faults; a program gets the faults of what it asks for as an error.
    match kind {
        Kind::Daemon => loaded = loaded.sifted().map_err(Reason::Configuration)?,
        Kind::Embedded => loaded.check().map_err(Reason::Configuration)?,
    }
    let runtimes = Runtimes::find(options.runtime, &loaded.host.trusted_users).map_err(Reason::Runtime)?;
    match kind {
        Kind::Daemon => runtimes.sift(&mut loaded),
        Kind::Embedded => runtimes.check(&loaded.modules).map_err(Reason::Runtime)?,
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(Reason::Io)?;
    runtime.block_on(async {
        let notify = if kind == Kind::Daemon { Notify::of_process() } else { Notify::without_manager() };
        let (state_dir, store) = notify.while_starting(|| open(&loaded))?;
        // Before the socket is there, which is what others take for a sign that the host can be asked to stop.
        let signals = match kind {
            Kind::Daemon => Signals::of_daemon().map_err(Reason::Io)?,
            Kind::Embedded => Signals::default(),
        };
        let path = loaded.host.socket.clone();
        let bound = options.listen.then(|| Bound::at(&path)).transpose().map_err(Reason::Socket)?;
        let mut files = Files::new(gate);
        files.prepare(Lane::Guardian).map_err(Reason::Io)?;
        // A caller of a process that is killed waits for this one.
        files.prepare(Lane::Memory).map_err(Reason::Io)?;
        let watched =
            Watched::of(state_dir.path(), state_dir.renewable(), bound.as_ref().map(|bound| (&*path, &bound.file)));
        let watch =
            watched.and_then(|watched| Watch::start(watched, files.gate(), files.outlet())).map_err(Reason::Io)?;
        let socket = bound.map(ControlSocket::of).transpose().map_err(Reason::Io)?;
        let mut alarm = Alarm::new().map_err(Reason::Io)?;
        let guardian = start_guardian(&runtimes.runtime, &mut alarm).await?;
        let logs = &loaded.host.logs;
        let rotation =
            Rotation { dir: state_dir.logs(), file_bytes_max: logs.file_bytes_max as u64, files: logs.files };
        let log_files = LogFiles::start(rotation).map_err(Reason::Io)?;
        let host = HostState::new(Parts {
            modules: loaded.modules,
            faults: Faults::new(loaded.faulty, loaded.passed_over),
            logs: Logs::start(&loaded.host, log_files.queue()).map_err(Reason::Io)?,
            log_files,
            config: loaded.host,
            state_dir,
            store,
            socket,
            guardian,
            alarm,
            runtimes,
            notify,
            reloader: options.reloader.map(Arc::from),
            files,
            watch,
            kind,
            seed: seed(),
            started,
        });
        event_loop::run(host, injected, signals).await;
        Ok(())
    })
}

/// Opens what is on the disk. Clearing what a killed host left, carrying over its log, changing tables of an older
/// version and making new indexes may take minutes.
fn open(loaded: &Loaded) -> Result<(StateDir, Store), Reason> {
    let state_dir = StateDir::open(&loaded.host.state_dir, &loaded.host.trusted_users)?;
    let store = Store::open(&state_dir.layer1(), &loaded.host, loaded.declared())?;
    Ok((state_dir, store))
}

/// The guardian's first report comes before anything else is done: it says how trees are killed here.
async fn start_guardian(program: &Path, alarm: &mut Alarm) -> Result<Guardian, Reason> {
    let failed = |what: String| Reason::Guardian { program: program.to_owned(), what };
    let started = Launched::start(program).and_then(Guardian::of);
    let mut guardian = started.map_err(|error| failed(format!("cannot be started: {error}")))?;
    alarm.set(Instant::now() + GUARDIAN_TIMEOUT);
    loop {
        match guardian.receive() {
            Incoming::Report(Report::Hello { containment, cgroup, memory_counters, .. }) => {
                guardian.memory_counters = memory_counters;
                guardian.containment = Some(containment);
                guardian.cgroup = cgroup;
                return Ok(guardian);
            }
            Incoming::Report(other) => return Err(failed(format!("began with {other:?} instead of a greeting"))),
            Incoming::End => {
                let how = guardian.dismiss().end(GUARDIAN_TIMEOUT);
                return Err(failed(format!("ended at once ({how}); its error is above")));
            }
            Incoming::Nothing => match event_loop::readable(&guardian, alarm).await {
                Some(ready) => ready.map_err(Reason::Io)?,
                None => return Err(failed(format!("said nothing for {GUARDIAN_TIMEOUT:?}"))),
            },
        }
    }
}

/// A host with many modules and clients needs many descriptors. Modules get the usual limit back.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("cannot raise the limit of open files from {soft} to {hard}: {error}");
    }
}

/// The gate of every host except one under test.
fn open_gate() -> Gate {
    Arc::new(|_| ())
}

/// Restarts are spread differently by each host.
fn seed() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(std::process::id()) ^ u64::from(time.subsec_nanos()) << 32 ^ time.as_secs()
}
