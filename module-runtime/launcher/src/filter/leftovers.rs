//! What a process that lived for one message leaves behind, in any session or group: it is killed as soon as that
//! process has ended. All of it is below this process, which adopts every process that loses its parent, and while no
//! program of ours runs, everything below is left over. So the processes of the next message are never affected.
//!
//! The effort is bounded: an answer does not wait for what cannot be killed, because another user runs it,
//! the kernel holds it, or it forks faster than it is killed. That is tried again later, and the guardian
//! kills it at the module's end.

use super::children::Children;
use super::program::await_any;
use crate::descendants::descend;
use crate::processes::{Process, walk};
use crate::sys::{self, Waited};
use crate::trees::Trees;
use bulkhead_child::log;
use libc::{SIGKILL, pid_t};
use nix::poll::PollFlags;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long the answer to a message waits at most for what the message left behind.
pub(super) const CLEAR_MAX: Duration = Duration::from_secs(2);

/// The same once that was not enough, until nothing is left.
const CLEAR_AGAIN_MAX: Duration = Duration::from_millis(20);

/// After so many rounds that did not suffice, processes are stopped before they are killed.
const SURVIVOR_ROUNDS: u32 = 2;

/// First and longest wait between two rounds. The end of a child ends the wait sooner.
const ROUND_DELAY_FIRST: Duration = Duration::from_millis(1);
const ROUND_DELAY_MAX: Duration = Duration::from_millis(100);

impl Children {
    /// Kills and reaps everything below this process. Nothing that runs there may be wanted any more.
    pub(crate) fn clear(&self) {
        let deadline = Instant::now() + self.timeout.get();
        let (mut rounds, mut delay) = (0, ROUND_DELAY_FIRST);
        while self.reap_all() {
            if Instant::now() >= deadline {
                if self.timeout.replace(CLEAR_AGAIN_MAX) == CLEAR_MAX {
                    log!(
                        warn,
                        "processes that an answered message left behind could not be ended within {} s; it is tried \
                         again, and they are ended with the module at the latest",
                        CLEAR_MAX.as_secs()
                    );
                }
                return;
            }
            if !self.has_cleared.replace(true) {
                log!(
                    info,
                    "a process that an answered message left behind was ended, as everything is that outlives the \
                     message for which it was started; a helper that has to stay is a matter for a module of its own"
                );
            }
            if let Err(error) = self.kill_all(rounds >= SURVIVOR_ROUNDS) {
                log!(warn, "cannot read /proc to find what an answered message left behind: {error}");
            }
            rounds += 1;
            let until = deadline.min(Instant::now() + delay);
            let _ = await_any(&[(self.as_fd(), PollFlags::POLLIN)], Some(until));
            delay = (delay * 2).min(ROUND_DELAY_MAX);
        }
        self.timeout.set(CLEAR_MAX);
    }

    /// Reaps every child that has ended. True if there are others.
    fn reap_all(&self) -> bool {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        loop {
            match sys::wait() {
                Waited::Ended(_) => {}
                Waited::NoneYet => return true,
                Waited::NoChildren => return false,
            }
        }
    }

    /// Kills the processes that one look finds. One that is missed loses its parent by these kills and is found by a
    /// later look.
    fn kill_all(&self, is_surviving: bool) -> io::Result<()> {
        let own_pid: pid_t = nix::unistd::getpid().as_raw();
        let trees = Trees { own_pid, children_listed: self.own.are_listed() };
        let root = |process: &Process| (process.parent == own_pid).then_some(());
        let kill = |process: &Process| {
            if !process.dead {
                let _ = trees.send(process, SIGKILL);
            }
        };
        match self.own.list()? {
            Some(children) if !is_surviving => children.into_iter().try_for_each(|child| {
                descend(child, kill)?;
                // Nothing is reaped meanwhile, so the number is still its own; `/proc` may not show it.
                let _ = sys::kill(child, SIGKILL);
                Ok(())
            }),
            Some(_) | None => {
                let stopped = if is_surviving { trees.stop(root) } else { Ok(()) };
                walk(root, |process, ()| kill(process)).and(stopped)
            }
        }
    }
}
