//! Everything that a module's process needs before it exists: descriptors, environment, the order to
//! the guardian, the first message.

use crate::{
    link::{Io, Link},
    log_lines::Stream,
    memory_kills::Counter,
    processes::TREE_VARIABLE,
    release::Releasable,
    runtimes::Runtimes,
    state::Ended,
    state_dir::StateDir,
};
use bulkhead_config::{ModuleConfig, ModuleKind, Transport};
use bulkhead_core::{ModuleSpec, Slowness};
use bulkhead_protocol::{GUEST_ENVIRONMENT_VARIABLE, Init, Json, Limits, PROTOCOL_VERSION, guardian};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io,
    os::fd::OwnedFd,
    os::unix::net::UnixStream as StdStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::{
    UnixStream,
    unix::pipe::{Receiver, Sender},
};

/// The host's side of one process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) link: Link,
    /// The thread that reads what it prints.
    pub(crate) log_reader: usize,
    pub(crate) config: Arc<ModuleConfig>,
    pub(crate) generation: u64,
    pub(crate) instance: String,
    pub(crate) pid: Option<i32>,
    /// The kills of the memory killer in its own memory group, where it has one.
    pub(crate) memory_kills: Option<Counter>,
    /// Its leader has ended: what still comes is not from it.
    pub(crate) has_exited: bool,
    /// How it ended, until that is decided upon.
    pub(crate) ended: Option<Ended>,
    /// It leaves too much unread and is being killed: nothing more is written for it.
    pub(crate) is_cut_off: bool,
    /// Events without a number that it may not send or that are none.
    pub(crate) events_refused: u64,
}

/// A process that is to be started, and its descriptors.
pub(crate) struct Prepared {
    pub(crate) process: Process,
    /// Its own, for the guardian to pass on.
    pub(crate) theirs: Vec<OwnedFd>,
    /// The reading ends of what is a log.
    pub(crate) log_pipes: Vec<(Stream, OwnedFd)>,
}

/// How many pipes of a process are logs.
pub(crate) fn log_pipes(config: &ModuleConfig) -> usize {
    match config.kind.transport() {
        Transport::Socket => 2,
        Transport::Stdio => 1,
    }
}

/// Makes the descriptors of a process.
pub(crate) fn prepare(
    config: Arc<ModuleConfig>,
    generation: u64,
    instance: String,
    frame_bytes_max: usize,
    log_reader: usize,
) -> io::Result<Prepared> {
    let (stderr_ours, stderr_theirs) = pipe2(OFlag::O_CLOEXEC)?;
    let mut log_pipes = vec![log_pipe(Stream::Stderr, stderr_ours)?];
    let (io, theirs) = match config.kind.transport() {
        Transport::Socket => {
            let (ours, theirs) = StdStream::pair()?;
            ours.set_nonblocking(true)?;
            let (stdout_ours, stdout_theirs) = pipe2(OFlag::O_CLOEXEC)?;
            log_pipes.push(log_pipe(Stream::Stdout, stdout_ours)?);
            #[expect(clippy::disallowed_methods, reason = "it is a device of the kernel's that waits for nothing")]
            let stdin = OwnedFd::from(File::open("/dev/null")?);
            (Io::Socket(UnixStream::from_std(ours)?), vec![stdin, stdout_theirs, stderr_theirs, theirs.into()])
        }
        Transport::Stdio => {
            let (stdin_theirs, stdin_ours) = pipe2(OFlag::O_CLOEXEC)?;
            let (stdout_ours, stdout_theirs) = pipe2(OFlag::O_CLOEXEC)?;
            let io = Io::Pipes {
                from: Releasable::new(Receiver::from_owned_fd(stdout_ours)?),
                to: Releasable::new(Sender::from_owned_fd(stdin_ours)?),
            };
            (io, vec![stdin_theirs, stdout_theirs, stderr_theirs])
        }
    };
    let link = Link::new(io, frame_bytes_max);
    let process = Process {
        link,
        log_reader,
        config,
        generation,
        instance,
        pid: None,
        memory_kills: None,
        has_exited: false,
        ended: None,
        is_cut_off: false,
        events_refused: 0,
    };
    Ok(Prepared { process, theirs, log_pipes })
}

/// A pipe whose reading end never blocks; the writing end blocks, as programs expect.
fn log_pipe(stream: Stream, pipe: OwnedFd) -> io::Result<(Stream, OwnedFd)> {
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((stream, pipe))
}

/// The order to start a process.
pub(crate) fn order(config: &ModuleConfig, runtimes: &Runtimes, run: u64, state_dir: &StateDir) -> guardian::Order {
    let data_dir = state_dir.data_path(config.name.as_str());
    guardian::Order::Spawn(spawn(config, runtimes, run, &state_dir.wasm_cache(), data_dir, state_dir.identity()))
}

/// What the guardian needs to start a process. That all variables are UTF-8 was checked when the configuration was
/// read.
pub(crate) fn spawn(
    config: &ModuleConfig,
    runtimes: &Runtimes,
    run: u64,
    wasm_cache: &Path,
    data_dir: PathBuf,
    tree: &str,
) -> guardian::Spawn {
    let of_host = |name: &str| std::env::var_os(name);
    let mut env: Vec<(String, String)> = texts(config.environment(of_host)).collect();
    env.extend(for_guest(texts(config.guest_environment(of_host)).collect()));
    env.push((TREE_VARIABLE.into(), tree.to_owned()));
    let line = runtimes.command_line(config, wasm_cache);
    guardian::Spawn {
        run,
        argv: config.debugger.iter().flat_map(|debugger| debugger.words.iter().cloned()).chain(line).collect(),
        cwd: config.folder.to_string_lossy().into_owned(),
        data_dir: Some(data_dir.into_os_string()),
        env,
        channel: config.kind.transport() == Transport::Socket,
        is_host_program: !matches!(config.kind, ModuleKind::Process { .. }) && config.debugger.is_none(),
        memory_bytes_max: match config.kind {
            // Its memory is bounded inside the process, which needs more than that for itself.
            ModuleKind::Wasm { .. } => None,
            ModuleKind::Process { .. }
            | ModuleKind::Native { .. }
            | ModuleKind::Filter { .. }
            | ModuleKind::Mcp { .. } => config.resources.memory_limit,
        },
        core_bytes_max: config.resources.core_limit,
        oom_score: u16::try_from(config.resources.oom_score).unwrap_or(u16::MAX),
        cgroup: Some(format!("{}-{run}", config.name)),
    }
}

/// Variables that can be passed on.
fn texts(variables: Vec<(OsString, OsString)>) -> impl Iterator<Item = (String, String)> {
    variables.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The variables of a WebAssembly module as one that only its runtime reads. An argument would be shown
/// to every user of the machine, and a member of `init` would be bounded by the length of a frame.
fn for_guest(variables: BTreeMap<String, String>) -> Option<(String, String)> {
    (!variables.is_empty()).then(|| (GUEST_ENVIRONMENT_VARIABLE.into(), Json::of(&variables).as_str().into()))
}

/// The payload of the first message.
pub(crate) fn init(process: &Process, frame_bytes_max: usize, data_dir: &Path) -> Json {
    let limits = &process.config.limits;
    Json::of(&Init {
        protocol: PROTOCOL_VERSION,
        module: process.config.name.to_string(),
        instance: process.instance.clone(),
        config: process.config.config.clone(),
        limits: Limits { frame_bytes_max, window: limits.window, requests_max: limits.requests },
        capabilities: process.config.capabilities.to_wire(),
        data_dir: data_dir.to_string_lossy().into_owned(),
        on_panic: process.config.kind.on_panic(),
    })
}

/// The processor time of one message after which the host ends the process. The runtime of
/// WebAssembly enforces the limit itself, and answers; the host's limit is for a runtime that doesn't.
fn cpu_time_max(kind: &ModuleKind, limit: Duration) -> Duration {
    match kind {
        ModuleKind::Wasm { .. } => 2 * limit + Duration::from_millis(100),
        ModuleKind::Process { .. } | ModuleKind::Native { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
            limit
        }
    }
}

/// What the core needs to know of a configuration.
pub(crate) fn spec(config: &ModuleConfig, generation: u64) -> ModuleSpec {
    let mut spec = ModuleSpec::new(config.name.clone(), generation);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    spec.requires.clone_from(&config.requires);
    spec.instances = count(config.instances);
    spec.spares = count(config.spares);
    spec.restart = config.restart.rules();
    let cpu_time_max = config.resources.cpu_time_limit.map(|limit| cpu_time_max(&config.kind, limit));
    spec.rules = config.limits.rules(cpu_time_max);
    if let ModuleKind::Wasm { compile_timeout, .. } = &config.kind {
        spec.rules.compile_timeout = Some(*compile_timeout);
    }
    spec.subscribe.clone_from(&config.capabilities.event_subscribe);
    spec.emit.clone_from(&config.capabilities.event_emit);
    spec.call.clone_from(&config.capabilities.call);
    spec.entities.read.clone_from(&config.capabilities.entity_read);
    spec.entities.create.clone_from(&config.capabilities.entity_create);
    spec.entities.write.clone_from(&config.capabilities.entity_write);
    spec.entities.delete.clone_from(&config.capabilities.entity_delete);
    if config.debugger.is_some() {
        spec.slowness = Slowness::Ignored;
    }
    spec.storage_quota = config.resources.storage_quota;
    spec.descriptors = match config.kind.transport() {
        Transport::Socket => 1,
        Transport::Stdio => 2,
    };
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webassembly_keeps_its_limit_of_processor_time_itself_and_the_host_comes_later() {
        let mut config = ModuleConfig::process("a", ["/bin/sh"]).unwrap();
        assert_eq!(spec(&config, 1).rules.cpu_time_max, None);
        config.resources.cpu_time_limit = Some(Duration::from_millis(100));
        assert_eq!(spec(&config, 1).rules.cpu_time_max, Some(Duration::from_millis(100)));
        assert_eq!(spec(&config, 1).rules.compile_timeout, None);
        config.kind = ModuleKind::Wasm {
            module: "/a.wasm".into(),
            on_panic: bulkhead_config::OnPanic::Restart,
            on_limit: bulkhead_config::OnLimit::Restart,
            wasi: bulkhead_config::Wasi::default(),
            compile_timeout: Duration::from_secs(7),
        };
        assert_eq!(spec(&config, 1).rules.cpu_time_max, Some(Duration::from_millis(300)));
        assert_eq!(spec(&config, 1).rules.compile_timeout, Some(Duration::from_secs(7)));
    }
}
