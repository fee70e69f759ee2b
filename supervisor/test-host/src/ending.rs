//! What ends a test host: the test, a fault, or a signal.

use bulkhead_host::Handle;
use bulkhead_protocol::ErrorCode;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Why it ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The test has closed its streams, or ended.
    TestGone,
    /// The test sent what is no frame.
    BadTest(ErrorCode, String),
    /// The module under test did not start, or something of the host's own failed.
    Failed(String),
    /// The same, and the test has been sent the reason.
    Reported,
    /// The host ended by itself.
    HostGone,
    /// A signal asked for it.
    Signal,
}

/// Where the threads say why it ends. The first reason counts.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    reasons: UnboundedSender<End>,
    is_over: Arc<AtomicBool>,
}

impl Ending {
    pub(crate) fn new() -> (Ending, UnboundedReceiver<End>) {
        let (sender, receiver) = unbounded_channel();
        (Ending { reasons: sender, is_over: Arc::default() }, receiver)
    }

    pub(crate) fn report(&self, end: End) {
        self.is_over.store(true, Ordering::Relaxed);
        // The receiver is gone when it has ended already.
        let _ = self.reasons.send(end);
    }

    /// Whether there is a reason already. What fails after that fails because of the end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Reports when the test does not read any more, also while nothing is written to it.
///
/// # Errors
/// When the stream cannot be watched.
pub(crate) fn watch_reader(to_test: &File, end: &Ending) -> io::Result<()> {
    let (stream, end) = (to_test.try_clone()?, end.clone());
    thread::Builder::new().name("test's end".into()).spawn(move || {
        loop {
            // An error or a hang-up comes whether it is asked for or not.
            let mut watched = [PollFd::new(stream.as_fd(), PollFlags::empty())];
            match poll(&mut watched, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => {}
                Ok(_) | Err(_) => return end.report(End::TestGone),
            }
        }
    })?;
    Ok(())
}

/// The signals that end it, from the moment on in which they are listened to: what comes before the wait is not lost.
#[derive(Debug)]
pub(crate) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// # Errors
    /// When signals cannot be listened to.
    pub(crate) fn listen() -> io::Result<Signals> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let (terminate, interrupt, hang_up) = {
            let _entered = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
        };
        Ok(Signals { runtime, terminate, interrupt, hang_up })
    }

    /// Waits for the first reason.
    pub(crate) fn wait(mut self, ending: &Ending, mut ends: UnboundedReceiver<End>, host: &Handle) -> End {
        let reason = self.runtime.block_on(async {
            tokio::select! {
                Some(end) = ends.recv() => end,
                () = host.ended() => End::HostGone,
                _ = self.terminate.recv() => End::Signal,
                _ = self.interrupt.recv() => End::Signal,
                _ = self.hang_up.recv() => End::Signal,
            }
        });
        ending.is_over.store(true, Ordering::Relaxed);
        reason
    }
}
