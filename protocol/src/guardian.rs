//! The private messages between the host and its guardian, the process that starts every module
//! and clears every tree.
//!
//! They are not part of the public wire: both sides come from the same build. Each travels as one
//! JSON datagram over a `SOCK_SEQPACKET` pair; descriptors are sent with `Spawn`.

use serde::{Deserialize, Serialize};
use std::ffi::OsString;

/// The descriptor that the guardian finds its end of the pair on.
pub const GUARDIAN_FD: i32 = 3;

/// The descriptor that a module finds its channel on, named to it by `BULKHEAD_FD`.
pub const MODULE_CHANNEL_FD: i32 = 3;

/// Longest datagram in bytes: arguments and environment of a module must fit.
pub const DATAGRAM_BYTES_MAX: usize = 128 * 1024;

/// Host to guardian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Order {
    /// Start a process. With it come three descriptors, its standard input, output and error, and
    /// a fourth, its channel, when `channel` is set.
    Spawn(Spawn),
    /// Send a signal to every process of the run's tree.
    Signal {
        /// Which run.
        run: u64,
        /// The number of the signal.
        signal: i32,
    },
    /// SIGKILL every process of the run's tree until none is left.
    Kill {
        /// Which run.
        run: u64,
    },
}

/// Most processes that one record of the leaders' families has.
pub const FAMILY_MAX: usize = 2000;

/// A process below a leader. Number and start time identify it for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relative {
    /// Its number.
    pub pid: i32,
    /// Clock ticks after boot.
    #[serde(rename = "t")]
    pub started: u64,
    /// The session that it is in.
    #[serde(rename = "s")]
    pub session: i32,
}

/// How to start one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawn {
    /// The number that the host knows this process by; never used twice.
    pub run: u64,
    /// Program and arguments; the program is an absolute path.
    pub argv: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// The folder of the module's own, absolute: made for its owner alone where it is missing.
    pub data_dir: Option<OsString>,
    /// The whole environment, without `BULKHEAD_FD`, which the guardian adds when `channel` is set.
    pub env: Vec<(String, String)>,
    /// Whether a fourth descriptor came along.
    pub channel: bool,
    /// Whether the program is one of the host's own, so that it is not the module's fault if it cannot be run.
    pub is_host_program: bool,
    /// Most private writable memory of one process, in bytes (`RLIMIT_DATA`).
    pub memory_bytes_max: Option<u64>,
    /// Longest core file of one process, in bytes (`RLIMIT_CORE`); none: as long as the kernel writes it.
    pub core_bytes_max: Option<u64>,
    /// By how much its `oom_score_adj` is above the guardian's, so that the kernel's memory killer takes it,
    /// and what it starts, before the guardian and the host.
    pub oom_score: u16,
    /// Name of the run's control group below the guardian's, where groups are in use; without it
    /// the guardian takes one from the run's number.
    pub cgroup: Option<String>,
}

/// Why a program could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Something about the module's own files or settings: another attempt would fail as well.
    Lasting,
    /// Something about the module's own files that may pass.
    Passing,
    /// The system has no descriptor, memory or process for it just now: other starts would fail as well.
    Lack,
    /// Something of the host's own, such as a program, is not there or cannot be used.
    HostPart,
    /// Something that the host makes for this module alone, such as its data folder, is not there or cannot be used.
    OwnPart,
}

/// How many processes the kernel's memory killer has taken, of a control group or of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryCounter {
    /// The file that has a line `oom_kill` with the number.
    pub file: String,
    /// The number.
    pub kills: u64,
}

/// Guardian to host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Report {
    /// First message: how trees are killed here.
    Hello {
        /// `cgroup` or `subreaper`.
        containment: String,
        /// The folder of the guardian's control group, in which each run has its own, where
        /// `containment` is `cgroup`.
        cgroup: Option<String>,
        /// Process id of the guardian.
        pid: i32,
        /// What counts the work of the kernel's memory killer: for the memory group that host and guardian are in,
        /// and for the machine.
        memory_counters: Vec<MemoryCounter>,
    },
    /// The processes that are below the leaders now, at most [`FAMILY_MAX`]; they replace those of the last report.
    Family {
        /// The processes.
        processes: Vec<Relative>,
    },
    /// One of these counters rose, or that of a run.
    MemoryKills {
        /// Which run's, if it is that of one.
        run: Option<u64>,
        /// As it is now.
        counter: MemoryCounter,
    },
    /// The process is in a memory group of its own.
    MemoryGroup {
        /// Which run.
        run: u64,
        /// The group's counter, as it is now.
        counter: MemoryCounter,
    },
    /// The program runs.
    Spawned {
        /// Which run.
        run: u64,
        /// Its process id.
        pid: i32,
    },
    /// The program could not be started; nothing of the run is left, and no `Exited` or `Gone` follows.
    SpawnFailed {
        /// Which run.
        run: u64,
        /// The cause, and whether another attempt may succeed.
        fault: Fault,
        /// The reason, for people.
        message: String,
    },
    /// The leader of the run ended. `Gone` follows when its whole tree has.
    Exited {
        /// Which run.
        run: u64,
        /// Exit code, when it ended by itself.
        code: Option<i32>,
        /// Signal number, when a signal ended it.
        signal: Option<i32>,
        /// User and system time of the leader and what it waited for, in milliseconds.
        cpu_ms: u64,
        /// Largest resident size of the leader, in bytes.
        memory_bytes_peak: u64,
    },
    /// No process of the run's tree is left.
    Gone {
        /// Which run.
        run: u64,
        /// How many processes had outlived the leader, or had left it, and were killed.
        killed: u32,
    },
}
