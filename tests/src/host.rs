//! A host as a process. The only file with unsafe code: what a child has to do before it becomes another program.

use crate::{kill, timeout, until};
use nix::sys::prctl;
use nix::sys::signal::{self, SigHandler, Signal};
use std::io::{self, Read};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A host that was started. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Host {
    child: Child,
    stderr: Receiver<String>,
}

/// How a host ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none after a signal.
    pub code: Option<i32>,
    /// The number of the signal.
    pub signal: Option<i32>,
    /// All that it printed on standard error.
    pub stderr: String,
}

impl Host {
    /// Starts a host. It dies with the thread that started it, so that a test that is killed leaves nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Host {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // SAFETY: prctl is a single system call; nothing is allocated and no lock is taken between
        // fork and exec.
        unsafe {
            command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
        }
        let mut child = command.spawn().expect("the host can be started");
        let mut pipe = child.stderr.take().expect("it was asked for");
        let (sender, stderr) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        });
        Host { child, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> i64 {
        i64::from(self.child.id())
    }

    /// Waits until it reports over `notify` that it is up.
    ///
    /// # Panics
    /// When it ends instead, with what it printed.
    pub fn wait_until_up(&mut self, notify: &UnixDatagram) {
        let deadline = Instant::now() + timeout();
        notify.set_read_timeout(Some(Duration::from_millis(20))).expect("it is not zero");
        let mut buffer = [0; 256];
        while Instant::now() < deadline {
            match notify.recv(&mut buffer) {
                Ok(count) if buffer[..count].starts_with(b"READY=1") => return,
                Ok(_) | Err(_) => {}
            }
            if self.child.try_wait().expect("a child can be waited for").is_some() {
                panic!("the host ended at once: {:?}", self.wait());
            }
        }
        panic!("the host is not up after {:?}", timeout());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it lives on.
    pub fn wait(&mut self) -> Ended {
        let status = until("the end of the host", || self.child.try_wait().expect("a child can be waited for"));
        // Its guardian has the pipe too, and goes a moment later.
        let stderr = self.stderr.recv_timeout(timeout()).unwrap_or_default();
        Ended { code: status.code(), signal: status.signal(), stderr }
    }

    /// Whether it has not ended.
    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }
}

/// Makes a command begin with the default effect of the signals that a terminal or a shell sends. A shell that runs the
/// tests in the background ignores some of them, and what is ignored stays so in every child.
pub fn hear_signals(command: &mut Command) {
    // SAFETY: sigaction is async-signal-safe, and the default action refers to nothing of this process.
    unsafe {
        command.pre_exec(|| {
            for heard in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
                signal::signal(heard, SigHandler::SigDfl)?;
            }
            Ok(())
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
