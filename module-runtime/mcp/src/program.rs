//! The server's process: its pipes, its end. What travels over the pipes is not known here. The one file of this
//! program with unsafe code.

use bulkhead_protocol::{CHANNEL_VARIABLE, Exit};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// How long the server has to end by itself after the end of its input, and again after SIGTERM.
const END_MAX: Duration = Duration::from_secs(1);

/// The process of the server.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    ended: Signals,
    exit: Option<Exit>,
}

/// What the server reads and what it writes.
pub(crate) struct Pipes {
    pub(crate) input: Sender,
    pub(crate) output: Receiver,
}

impl Program {
    /// Starts it, in the group and with the standard error of this process, so that it belongs to the module and its
    /// errors are the module's log. It is killed when this process ends.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(command: &[String]) -> io::Result<(Program, Pipes)> {
        let (program, arguments) = command.split_first().expect("the command line was checked");
        // Before the start, as the process may end at once.
        let ended = signal(SignalKind::child())?;
        let mut process = Command::new(program);
        process.args(arguments).env_remove(CHANNEL_VARIABLE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let this = Pid::this();
        let end_with_this = move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // It may have ended before that.
            if getppid() == this { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
        };
        // SAFETY: the closure makes two system calls, both allowed between fork and exec, and allocates nothing.
        unsafe { process.pre_exec(end_with_this) };
        let mut child = process.spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut program = Program { child, ended, exit: None };
        let pipes = input.zip(output).ok_or_else(|| io::Error::other("it has no pipes")).and_then(|(input, output)| {
            let input = Sender::from_owned_fd(OwnedFd::from(input))?;
            Ok(Pipes { input, output: Receiver::from_owned_fd(OwnedFd::from(output))? })
        });
        if pipes.is_err() {
            program.signal(Signal::SIGKILL);
        }
        pipes.map(|pipes| (program, pipes))
    }

    /// How it ended, when it has. A wait that is dropped loses nothing.
    pub(crate) async fn exited(&mut self) -> Exit {
        loop {
            if let Some(exit) = self.reap() {
                return exit;
            }
            self.ended.recv().await;
        }
    }

    fn reap(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            // An error means that the kernel has no such child any more.
            let status = self.child.try_wait().unwrap_or_else(|_| Some(ExitStatus::from_raw(0)));
            self.exit = status.map(read_exit);
        }
        self.exit.clone()
    }

    /// As [`Program::exited`], for so long.
    pub(crate) async fn exited_within(&mut self, time: Duration) -> Option<Exit> {
        tokio::time::timeout(time, self.exited()).await.ok()
    }

    /// Ends it: its input has ended already, then SIGTERM, then SIGKILL, each after a second.
    pub(crate) async fn end(&mut self) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if self.exited_within(END_MAX).await.is_some() {
                return;
            }
            self.signal(signal);
        }
        // Nothing survives SIGKILL; a process that the kernel itself holds is left to the guardian.
        self.exited_within(END_MAX).await;
    }

    fn signal(&mut self, signal: Signal) {
        if self.reap().is_none() {
            // Its number is its own, as it is not reaped.
            let number = i32::try_from(self.child.id()).expect("the kernel's numbers of processes are positive");
            let _ = kill(Pid::from_raw(number), signal);
        }
    }
}

fn read_exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => {
            let number = signal.unwrap_or_default();
            let name = Signal::try_from(number).map(|signal| signal.as_str().to_owned());
            Exit::Signal(name.unwrap_or_else(|_| format!("signal {number}")))
        }
    }
}
