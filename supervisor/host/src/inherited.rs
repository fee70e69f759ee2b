//! What a daemon inherits from the program that starts it, and what it makes of that: the effects and the
//! mask of signals, timers, the mask of modes, which process its orphans go to. Exec keeps all of these, and the
//! launcher may leave them in any state.
//!
//! Only a process that is a daemon and nothing else does this. A host inside another program changes
//! nothing of that one. What modules inherit is set by the guardian; the meaning of the signals that are
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
/// write fails too, which gives the reason. SIGTTIN and SIGTTOU would stop a daemon that writes to a
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
    // This process must be able to use what it makes; the permissions of others are left as they were.
    let inherited = umask(Mode::empty());
    umask(inherited & !Mode::S_IRWXU);
    adopt_orphans();
}

/// From now on all signals are delivered. To be called by the first thread of the process, once each signal that
/// means something has its effect.
pub(crate) fn hear_all_signals() -> nix::Result<()> {
    SigSet::empty().thread_set_mask()
}

/// Whether this process gets orphans only because it has asked for them.
static ADOPTS_ONLY_ITS_OWN: OnceLock<bool> = OnceLock::new();

/// Whether each child that this process has not started itself is an orphan of its guardian. It is not where the
/// process is the first one of a container, or was a sub-reaper or had children before it became a daemon.
pub(crate) fn adopts_only_its_own() -> bool {
    ADOPTS_ONLY_ITS_OWN.get().copied().unwrap_or(false)
}

/// Makes this process the one that gets the orphans of a guardian that was killed.
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
