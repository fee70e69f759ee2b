//! What a daemon inherits from the program that starts it, and what it makes of that: the effects and the
//! mask of signals, timers, the mask of modes, who its orphans are. Exec keeps all of these, and the next
//! launcher may leave them in any state.
//!
//! Only a process that is a daemon and nothing else does this. A host inside another program changes
//! nothing of that one. What modules inherit is the guardian's business; what the signals mean that are
//! listened to is in `signals.rs`.

use crate::sys;
use nix::{
    sys::{
        signal::{SigSet, Signal},
        stat::{Mode, umask},
    },
    unistd::getpid,
};

/// Signals that end a program which has no use for them. SIGXFSZ is sent at a limit of file sizes, where the
/// write fails too, which says more. SIGTTIN and SIGTTOU would stop a daemon that says something on a
/// terminal which belongs to somebody else at the moment.
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

/// Where the orphans of a guardian that was killed come to.
fn adopt_orphans() {
    if getpid().as_raw() != 1
        && let Err(error) = nix::sys::prctl::set_child_subreaper(true)
    {
        tracing::warn!("cannot become a sub-reaper: {error}");
    }
}
