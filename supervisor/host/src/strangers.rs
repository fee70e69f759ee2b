//! Children of this process that are not its own: what it had before it became a daemon, and orphans that
//! the kernel gives to it, as the first process of a container or as a sub-reaper. They are reaped, or they
//! would stay as zombies for as long as the daemon runs.
//!
//! Only a daemon does this. In a program that embeds a host, the program handles its children.

use nix::{
    errno::Errno,
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
};
use std::sync::Mutex;

/// How many are reaped at once; there may be more of them.
const REAPED_MAX: usize = 256;

/// The children that this process started itself, each of which a part of the program waits for.
static OWN: Mutex<Own> = Mutex::new(Own { starting: 0, pids: Vec::new() });

struct Own {
    /// Some that are being started, whose numbers are not known yet.
    starting: usize,
    pids: Vec<i32>,
}

/// A child of this process's own, from before its start until it has been waited for.
#[derive(Debug)]
pub(crate) struct OwnChild {
    pid: Option<i32>,
}

impl OwnChild {
    /// One is about to be started.
    pub(crate) fn starting() -> OwnChild {
        with_own(|own| own.starting += 1);
        OwnChild { pid: None }
    }

    /// It was started.
    pub(crate) fn started(&mut self, pid: u32) {
        let pid = i32::try_from(pid).expect("a process id");
        with_own(|own| {
            own.starting -= 1;
            own.pids.push(pid);
        });
        self.pid = Some(pid);
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        with_own(|own| match self.pid {
            None => own.starting -= 1,
            Some(pid) => own.pids.retain(|other| *other != pid),
        });
    }
}

fn with_own<T>(with: impl FnOnce(&mut Own) -> T) -> T {
    with(&mut OWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Whether a child was started by this process itself.
pub(crate) fn is_own(pid: i32) -> bool {
    with_own(|own| own.pids.contains(&pid))
}

/// What is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing, until a child ends.
    Nothing,
    /// There may be more, and no signal will say so.
    Some,
}

/// Reaps the children that have ended, but for this process's own.
pub(crate) fn reap() -> Left {
    with_own(|own| {
        if own.starting > 0 {
            return Left::Some;
        }
        for _ in 0..REAPED_MAX {
            // Only looks, as it may be one of our own.
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let ended = match waitid(Id::All, flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Left::Nothing,
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::error!("cannot look for children that have ended: {error}");
                    return Left::Nothing;
                }
                Ok(ended) => ended,
            };
            let Some(pid) = ended.pid() else { return Left::Nothing };
            if own.pids.contains(&pid.as_raw()) {
                // It hides those after it until it has been waited for.
                return Left::Some;
            }
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
        Left::Some
    })
}
