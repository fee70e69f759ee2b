//! The processes below this one: noticing that they end, and reaping them. The program that a
//! filter is made of is one; what it double-forks and leaves behind becomes another. How the latter
//! are ended is in `leftovers.rs`.

use super::leftovers;
use crate::descendants::OwnChildren;
use crate::sys::{self, Waited};
use bulkhead_child::Error;
use bulkhead_protocol::Exit;
use libc::{c_int, pid_t};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command};
use std::time::Duration;

/// Reports when a child ends.
#[derive(Debug)]
pub(crate) struct Children {
    pub(super) signals: SignalFd,
    pub(super) own: OwnChildren,
    pub(super) timeout: Cell<Duration>,
    pub(super) has_cleared: Cell<bool>,
}

impl Children {
    /// From now on the end of a child makes the descriptor readable, and processes that lose their parent come to this
    /// one. The guardian has set the latter already; it is set again for programs started by hand.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub(crate) fn watch() -> Result<Children, Error> {
        let watch = || {
            prctl::set_child_subreaper(true)?;
            child_ended().thread_block()?;
            SignalFd::with_flags(&child_ended(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        };
        let signals =
            watch().map_err(|errno| Error::failed(format!("cannot watch for the end of a child: {errno}")))?;
        let own =
            OwnChildren::open().map_err(|error| Error::failed(format!("cannot read the list of children: {error}")))?;
        Ok(Children { signals, own, timeout: Cell::new(leftovers::CLEAR_MAX), has_cleared: Cell::new(false) })
    }

    /// Starts a program, in which no signal is blocked. It may have ended meanwhile without making the descriptor
    /// readable, so the caller reaps once before waiting for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn spawn(&self, program: &mut Command) -> io::Result<Child> {
        // A new process inherits what is blocked.
        child_ended().thread_unblock()?;
        let spawned = program.spawn();
        child_ended().thread_block()?;
        spawned
    }

    /// Reaps every child that ended, and says how the one with the number `leader` did, if it is
    /// among them. What is left of its group is killed first, while its number is still its own.
    pub(crate) fn reap(&self, leader: Option<pid_t>) -> Option<Exit> {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        if let Some(leader) = leader.filter(|leader| has_ended(*leader)) {
            // A group that is empty already is what is wanted.
            let _ = sys::kill(-leader, libc::SIGKILL);
        }
        let mut exit = None;
        while let Waited::Ended(ended) = sys::wait() {
            if Some(ended.pid) == leader {
                exit = Some(read_exit(ended.code, ended.signal));
                // It may have ended only just now.
                let _ = sys::kill(-ended.pid, libc::SIGKILL);
            }
        }
        exit
    }
}

impl AsFd for Children {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

/// The signal of a child's end.
fn child_ended() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals
}

/// Whether a child has ended and is not reaped yet.
fn has_ended(child: pid_t) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    // An error means an end by a signal that the library has no name for.
    !matches!(waitid(Id::Pid(Pid::from_raw(child)), flags), Ok(WaitStatus::StillAlive))
}

fn read_exit(code: Option<i32>, signal: Option<c_int>) -> Exit {
    match (code, signal) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            let name = Signal::try_from(signal).map(|signal| signal.as_str().to_owned());
            Exit::Signal(name.unwrap_or_else(|_| format!("signal {signal}")))
        }
    }
}
