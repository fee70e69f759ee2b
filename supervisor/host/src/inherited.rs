//! What a daemon inherits from the program that starts it, and what it makes of that: the effects and the
//! mask of signals, timers, the mask of modes, who its orphans are. Exec keeps all of these, and the next
//! launcher may leave them in any state.
//!
//! Only a process that is a daemon and nothing else does this. A host inside another program changes
//! nothing of that one. What modules inherit is the guardian's business; what the signals mean that are
//! listened to is in `signals.rs`.

use crate::sys;
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        stat::{Mode, umask},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::getpid,
};
use std::sync::OnceLock;

/// Signals that end a program which has no use for them. SIGXFSZ is sent at a limit of file sizes, where the
/// write fails too, which says more. SIGTTIN and SIGTTOU would stop a daemon that says something on a
/// terminal of which another process group has the foreground.
const IGNORED: [Signal; 10] = [
    Signal::SIGXFSZ,
    Signal::SIGPIPE,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGSTKFLT,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// Signals that a launcher may have had ignored, and whose effect is wanted from the first moment on: those that
/// end a daemon, also one that is still opening its data. While SIGCHLD is ignored, the kernel reaps children by
/// itself, and how they ended cannot be learnt.
const RESTORED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGPWR, Signal::SIGXCPU, Signal::SIGCHLD];

/// Signals that ask for what a daemon can do only when it is up. They wait until it is.
const WAITING: [Signal; 2] = [Signal::SIGHUP, Signal::SIGUSR1];

/// Puts this process into the state that a daemon needs, whatever it was started in. To be called before
/// anything else is done, by a process that has one thread; a second call changes nothing.
pub fn take_over_process() {
    for signal in IGNORED {
        sys::ignore_signal(signal as i32);
    }
    for signal in sys::real_time_signals() {
        sys::ignore_signal(signal);
    }
    for signal in RESTORED {
        sys::restore_signal(signal as i32);
    }
    sys::stop_timers();
    let waiting: SigSet = WAITING.into_iter().collect();
    if let Err(error) = waiting.thread_set_mask() {
        tracing::error!("cannot set the mask of signals: {error}");
    }
    // What this process makes must be its own to use; who else may is left as it was.
    let inherited = umask(Mode::empty());
    umask(inherited & !Mode::S_IRWXU);
    adopt_orphans();
}

/// From now on everything is heard. To be called by the thread that was there first, once each signal that
/// means something has its effect.
pub(crate) fn hear_all_signals() -> nix::Result<()> {
    SigSet::empty().thread_set_mask()
}

/// Whether orphans come to this process by its own doing only.
static ADOPTS_ONLY_ITS_OWN: OnceLock<bool> = OnceLock::new();

/// Whether each child that this process has not started itself is an orphan of its guardian. It is not where the
/// process is the first one of a container, or was a sub-reaper or had children before it became a daemon.
pub(crate) fn adopts_only_its_own() -> bool {
    ADOPTS_ONLY_ITS_OWN.get().copied().unwrap_or(false)
}

/// Makes this process the one to which the orphans of a guardian come that was killed.
fn adopt_orphans() {
    ADOPTS_ONLY_ITS_OWN.get_or_init(|| {
        let has_children = !matches!(waitid(Id::All, looking()), Err(Errno::ECHILD));
        let was_reaper = getpid().as_raw() == 1 || nix::sys::prctl::get_child_subreaper() != Ok(false);
        let is_reaper = was_reaper || nix::sys::prctl::set_child_subreaper(true).is_ok();
        is_reaper && !was_reaper && !has_children
    });
}

/// Asks about children that have ended, and changes nothing.
fn looking() -> WaitPidFlag {
    WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT
}
