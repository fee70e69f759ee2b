//! The end of a check before its time, by a signal: what runs of the module is ended, so that everything that waits for
//! it goes on, and the check ends in order, without a report.

use bulkhead_host::Handle;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{Shutdown, shutdown};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

/// Where a check is interrupted, and what ends then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    signal: Option<Signal>,
    /// The sockets of guardians that live. Without its socket a guardian ends all that it has started.
    guardians: Vec<Weak<OwnedFd>>,
    hosts: Vec<Handle>,
}

impl Interrupt {
    /// Waits for a signal on a thread of its own. It has to be called before there are other threads.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub(crate) fn listen() -> io::Result<Interrupt> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        // Threads and programs that are started from here on inherit it; a guardian sets its programs' own.
        signals.thread_block()?;
        let interrupt = Interrupt::default();
        let own = interrupt.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            if let Ok(signal) = signals.wait() {
                own.end_all(signal);
            }
        })?;
        Ok(interrupt)
    }

    /// The signal that interrupted the check.
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.state().signal
    }

    /// Ends this guardian with the check. One that comes too late is ended at once.
    pub(crate) fn add_guardian(&self, socket: &Arc<OwnedFd>) {
        let mut state = self.state();
        state.guardians.retain(|guardian| guardian.strong_count() > 0);
        state.guardians.push(Arc::downgrade(socket));
        if state.signal.is_some() {
            close(socket);
        }
    }

    /// Likewise a host.
    pub(crate) fn add_host(&self, host: Handle) {
        let mut state = self.state();
        if state.signal.is_some() {
            host.stop();
        }
        state.hosts.push(host);
    }

    fn end_all(&self, signal: Signal) {
        let mut state = self.state();
        state.signal = Some(signal);
        state.guardians.iter().filter_map(Weak::upgrade).for_each(|socket| close(&socket));
        state.hosts.iter().for_each(Handle::stop);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ends notice it, whatever else holds the descriptor.
fn close(socket: &OwnedFd) {
    let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
}
