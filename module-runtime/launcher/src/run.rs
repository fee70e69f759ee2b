//! One process that the host ordered, from its fork to the end of its whole tree.

use crate::cgroup::Group;
use crate::failure::{Failure, Started};
use bulkhead_protocol::guardian::Spawn;
use libc::pid_t;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;

/// The state of a run. Its reports follow: `Spawned`, `Exited` and `Gone`, or `SpawnFailed` alone.
pub(crate) enum State {
    /// Forked; the pipe will show whether exec succeeded.
    Starting { pipe: OwnedFd },
    /// The child reported why it failed and is about to exit.
    Failing(Failure),
    /// The program runs.
    Running,
    /// The leader is reaped; what it left behind is being killed.
    Clearing { since: Instant, complained: bool },
}

/// The memory group of a run's leader.
pub(crate) enum MemoryGroup {
    /// It may still be entering one.
    Unknown,
    /// That of the guardian.
    Shared,
    /// One of its own, with the file that counts kills, and how many it counted.
    Own(PathBuf, u64),
}

/// One run.
pub(crate) struct Run {
    /// The leader: the first process, and the parent or adopter of all others.
    pub(crate) pid: pid_t,
    pub(crate) state: State,
    pub(crate) started: Instant,
    pub(crate) group: Option<Group>,
    /// What is known of its memory group.
    pub(crate) memory: MemoryGroup,
    /// How many processes of the tree were killed that had outlived the leader, or left it.
    pub(crate) killed: u32,
    order: Started,
}

impl Run {
    pub(crate) fn new(pid: pid_t, pipe: OwnedFd, group: Option<Group>, spawn: Spawn) -> Run {
        let order = Started {
            program: spawn.argv.into_iter().next().unwrap_or_default(),
            cwd: spawn.cwd,
            is_host_program: spawn.is_host_program,
            memory_is_limited: spawn.memory_bytes_max.is_some(),
        };
        Run {
            pid,
            state: State::Starting { pipe },
            started: Instant::now(),
            group,
            memory: MemoryGroup::Unknown,
            killed: 0,
            order,
        }
    }

    /// Whether the leader is not reaped yet, so that its process id is still its own.
    pub(crate) fn has_leader(&self) -> bool {
        !self.is_clearing()
    }

    pub(crate) fn is_clearing(&self) -> bool {
        matches!(self.state, State::Clearing { .. })
    }

    /// Reads the pipe of a run that starts. True when the program now runs.
    pub(crate) fn settle(&mut self) -> bool {
        use crate::child::{Progress, progress};
        let State::Starting { pipe } = &self.state else { return false };
        match progress(std::os::fd::AsFd::as_fd(pipe)) {
            Progress::Underway => false,
            Progress::Executed => {
                self.state = State::Running;
                true
            }
            Progress::Failed(stage, errno) => {
                self.state = State::Failing(Failure::in_child(stage, errno, &self.order));
                false
            }
        }
    }
}
