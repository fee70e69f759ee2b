//! What kind of thing a module is, and what only that kind has. The daemon decides how it becomes a process.

use bulkhead_protocol::OnPanic;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What kind of thing a module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// An executable that speaks the wire.
    Process {
        /// The command and its arguments, as they were written; never empty.
        command: Vec<String>,
        /// The file that the command's first word means: absolute, found and executable when it was loaded.
        program: PathBuf,
        /// How its frames travel (socket).
        transport: Transport,
        /// What follows a panic in a handler (restart).
        on_panic: OnPanic,
    },
    /// A shared library, which a child of the host's own loads.
    Native {
        /// The library, absolute; for this machine when it was loaded.
        library: PathBuf,
        /// What follows a panic in a handler (restart).
        on_panic: OnPanic,
    },
    /// A core WebAssembly module, which a child of the host's own runs.
    Wasm {
        /// The module, absolute.
        module: PathBuf,
        /// What follows a trap in a handler (restart).
        on_panic: OnPanic,
        /// What follows a message that passed a limit of `resources` (restart).
        on_limit: OnLimit,
        /// What it sees of the file system.
        wasi: Wasi,
        /// How long a start may take in addition where the module has to be compiled (10 min).
        compile_timeout: Duration,
    },
    /// A command that turns a line into a line.
    Filter {
        /// The command and its arguments, as they were written; never empty.
        command: Vec<String>,
        /// The file that the command's first word means: absolute, found and executable when it was loaded.
        program: PathBuf,
        /// Whether each message gets a process of its own (false).
        per_message: bool,
        /// What a line holds (args).
        line: Line,
    },
    /// An MCP server over its standard input and output.
    Mcp {
        /// The command and its arguments, as they were written; never empty.
        command: Vec<String>,
        /// The file that the command's first word means: absolute, found and executable when it was loaded.
        program: PathBuf,
    },
}

/// How the frames of a module travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A socketpair on the descriptor that `BULKHEAD_FD` names (default).
    Socket,
    /// Standard input and output.
    Stdio,
}

/// What follows a message that passed a limit, after it was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// The process ends, and the host starts a fresh one.
    #[default]
    Restart,
    /// Only that message ends; the module goes on in a fresh instance in the same process.
    Continue,
}

/// What a line of a filter holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Line {
    /// What the message is about: the arguments of a command, the payload of a query or a mutation.
    #[default]
    Args,
    /// The message: `{"type":…,"payload":…}`.
    Message,
}

/// What a WebAssembly module sees of the file system. Only what is written is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wasi {
    /// Whether it sees the data folder of its own, as `/data` (false).
    pub data_dir: bool,
    /// Folders that it may read (none).
    pub read: Vec<Folder>,
    /// Folders that it may read and write (none).
    pub write: Vec<Folder>,
}

/// A folder that a WebAssembly module sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its path inside the module, which is the path that was written.
    pub name: String,
    /// Where it is, absolute.
    pub path: PathBuf,
}

/// How long WebAssembly may compile. The largest modules take a minute where nothing else runs.
const COMPILE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(600);

/// The path inside a WebAssembly module of the data folder of its own.
pub(crate) const DATA_DIR: &str = "/data";

impl ModuleKind {
    /// The names of all kinds, in the order of the documentation.
    pub(crate) const NAMES: [&str; 5] = ["process", "native", "wasm", "filter", "mcp"];

    /// The kind of this name with its defaults, and with nothing where there is no default.
    pub(crate) fn of_name(name: &str) -> Option<ModuleKind> {
        let (command, program, on_panic) = (Vec::new(), PathBuf::new(), OnPanic::default());
        Some(match name {
            "process" => ModuleKind::Process { command, program, transport: Transport::Socket, on_panic },
            "native" => ModuleKind::Native { library: PathBuf::new(), on_panic },
            "wasm" => {
                let (on_limit, wasi) = (OnLimit::default(), Wasi::default());
                let compile_timeout = COMPILE_TIMEOUT_DEFAULT;
                ModuleKind::Wasm { module: PathBuf::new(), on_panic, on_limit, wasi, compile_timeout }
            }
            "filter" => ModuleKind::Filter { command, program, per_message: false, line: Line::default() },
            "mcp" => ModuleKind::Mcp { command, program },
            _ => return None,
        })
    }

    /// The name in the file.
    pub fn name(&self) -> &'static str {
        match self {
            ModuleKind::Process { .. } => "process",
            ModuleKind::Native { .. } => "native",
            ModuleKind::Wasm { .. } => "wasm",
            ModuleKind::Filter { .. } => "filter",
            ModuleKind::Mcp { .. } => "mcp",
        }
    }

    /// The program of a kind that is a command.
    pub fn program(&self) -> Option<&Path> {
        match self {
            ModuleKind::Process { program, .. }
            | ModuleKind::Filter { program, .. }
            | ModuleKind::Mcp { program, .. } => Some(program),
            ModuleKind::Native { .. } | ModuleKind::Wasm { .. } => None,
        }
    }

    /// How the frames of its process travel.
    pub fn transport(&self) -> Transport {
        match self {
            ModuleKind::Process { transport, .. } => *transport,
            ModuleKind::Native { .. }
            | ModuleKind::Wasm { .. }
            | ModuleKind::Filter { .. }
            | ModuleKind::Mcp { .. } => Transport::Socket,
        }
    }

    /// What follows a panic in a handler; a filter and an MCP server have none.
    pub fn on_panic(&self) -> OnPanic {
        match self {
            ModuleKind::Process { on_panic, .. }
            | ModuleKind::Native { on_panic, .. }
            | ModuleKind::Wasm { on_panic, .. } => *on_panic,
            ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => OnPanic::default(),
        }
    }

    /// The key that a module of this kind requires, and its value.
    pub(crate) fn required(&self) -> (&'static str, &'static str) {
        match self {
            ModuleKind::Process { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
                ("module.command", "the command and its arguments")
            }
            ModuleKind::Native { .. } => ("module.library", "the path of a shared library"),
            ModuleKind::Wasm { .. } => ("module.wasm", "the path of a WebAssembly module"),
        }
    }
}
