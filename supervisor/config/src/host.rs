//! What the host is configured to be, and everything that one run loads. Reading files is in `load.rs`.

use crate::{Faulty, Layer1, ModuleConfig, Origin, Origins, PassedOver};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use std::path::PathBuf;

/// The options of the command line; they take precedence over every file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`: the host's file.
    pub config: Option<PathBuf>,
    /// `--modules`: folders of modules; any of them replaces the file's list.
    pub modules: Vec<PathBuf>,
    /// `--state`: the state directory.
    pub state: Option<PathBuf>,
    /// `--socket`: the control socket.
    pub socket: Option<PathBuf>,
}

/// Everything that one run loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The host.
    pub host: HostConfig,
    /// The modules, by name.
    pub modules: Vec<ModuleConfig>,
    /// Modules that are not loaded, since something is wrong with them; in the order of their folders.
    pub faulty: Vec<Faulty>,
    /// What is in the folders of modules and is none.
    pub passed_over: Vec<PassedOver>,
}

impl Loaded {
    /// A host with these modules, as a program has made them.
    pub fn new(host: HostConfig, modules: Vec<ModuleConfig>) -> Loaded {
        Loaded { host, modules, faulty: Vec::new(), passed_over: Vec::new() }
    }
}

/// The host, as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// The file that was read, absolute; none when there is none.
    pub file: Option<PathBuf>,
    /// Where the host keeps what outlives it, absolute; the daemon creates it.
    pub state_dir: PathBuf,
    /// The control socket, absolute and short enough for the kernel.
    pub socket: PathBuf,
    /// Folders of modules, absolute.
    pub modules: Vec<PathBuf>,
    /// Users whose files count as root's, by their numbers: a user who may change a manifest or a program may do all
    /// that the host may. No file can set this.
    pub trusted_users: Vec<u32>,
    /// Longest frame in bytes (16 MiB).
    pub frame_bytes_max: usize,
    /// Clients of the control socket at one time (2,048).
    pub clients_max: usize,
    /// Bytes that all clients together may make the host hold (512 MiB).
    pub clients_bytes_max: usize,
    /// The level of the host's own log on standard error (info).
    pub log_level: LogLevel,
    /// The bounds of all starts together.
    pub restarts: Restarts,
    /// What is done with the modules' output.
    pub logs: Logs,
    /// The data store.
    pub layer1: Layer1,
    /// Where each value came from.
    pub origins: Origins,
}

/// How much the host logs about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And warnings.
    Warn,
    /// And what happens to modules (default).
    Info,
    /// And why it was decided.
    Debug,
    /// And every message.
    Trace,
}

/// What bounds the starts of all modules together: a token bucket for automatic restarts, and a number for
/// all that are in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// Tokens that come back each second (20).
    pub per_second: usize,
    /// Tokens that the bucket holds (50).
    pub burst: usize,
    /// Starts that may be in progress at once (16).
    pub starts_at_once: usize,
}

/// What is done with the output of modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Size at which a log file is rotated (10 MiB).
    pub file_bytes_max: usize,
    /// Files that are kept for each module, the current one included (5).
    pub files: usize,
    /// Lines that each process may write in a second for long (1,000).
    pub lines_per_second: usize,
    /// Lines that it may write at once (5,000).
    pub burst: usize,
    /// Length at which a line is cut and marked (16 KiB).
    pub line_bytes_max: usize,
    /// How much of the end is kept in memory for the crash report (64 KiB).
    pub tail: usize,
}

impl HostConfig {
    /// A host with the defaults, without files. A relative path is relative to the current directory of the process.
    pub fn new(state_dir: impl Into<PathBuf>, socket: impl Into<PathBuf>) -> HostConfig {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let mut origins = Origins::default();
        origins.note("host.state_dir", Origin::Program);
        origins.note("host.socket", Origin::Program);
        HostConfig {
            file: None,
            state_dir: absolute(state_dir.into()),
            socket: absolute(socket.into()),
            modules: Vec::new(),
            trusted_users: Vec::new(),
            frame_bytes_max: FRAME_BYTES_MAX_DEFAULT,
            clients_max: 2048,
            clients_bytes_max: 512 * 1024 * 1024,
            log_level: LogLevel::Info,
            restarts: Restarts::default(),
            logs: Logs::default(),
            layer1: Layer1::default(),
            origins,
        }
    }
}

impl Default for Logs {
    fn default() -> Logs {
        Logs {
            file_bytes_max: 10 * 1024 * 1024,
            files: 5,
            lines_per_second: 1000,
            burst: 5000,
            line_bytes_max: 16 * 1024,
            tail: 64 * 1024,
        }
    }
}

impl LogLevel {
    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}
