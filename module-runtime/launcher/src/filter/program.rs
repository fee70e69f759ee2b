//! One process of the program that a filter is made of: its pipes, its group, its end. What it reads and what it
//! answers is not known here.

use super::children::Children;
use crate::child::Stage;
use crate::failure::{Failure, Started};
use bulkhead_protocol::{CHANNEL_VARIABLE, Exit};
use libc::{c_int, pid_t};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program has between SIGTERM and SIGKILL.
pub(crate) const TERM_GRACE: Duration = Duration::from_secs(1);

/// Where the standard error of a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errors {
    /// Straight to the log.
    Inherited,
    /// To us.
    Piped,
}

/// A process, in a group of its own. The ends of its pipes that are ours never wait.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its number, and that of its group; still its own as long as it is not reaped.
    leader: pid_t,
    pub(crate) input: Option<File>,
    pub(crate) output: Option<File>,
    pub(crate) errors: Option<File>,
    pub(crate) exit: Option<Exit>,
}

/// Our end of a pipe, which never waits.
fn ours(pipe: Option<OwnedFd>) -> io::Result<Option<File>> {
    let Some(pipe) = pipe else { return Ok(None) };
    let flags = OFlag::from_bits_retain(fcntl(&pipe, FcntlArg::F_GETFL)?);
    fcntl(&pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(Some(File::from(pipe)))
}

/// What reading a pipe once came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunk<'a> {
    Bytes(&'a [u8]),
    NotYet,
    Closed,
}

impl Program {
    /// Starts it. Its signals have their default effect and no descriptor of ours is open in it.
    ///
    /// # Errors
    /// When it cannot be started, with the reason.
    pub(crate) fn start(command: &[String], errors: Errors, children: &Children) -> Result<Program, Failure> {
        let (program, arguments) = command.split_first().expect("the command line was checked");
        let mut process = Command::new(program);
        process.args(arguments).env_remove(CHANNEL_VARIABLE).process_group(0);
        process.stdin(Stdio::piped()).stdout(Stdio::piped());
        if errors == Errors::Piped {
            process.stderr(Stdio::piped());
        }
        let mut child = children.spawn(&mut process).map_err(|error| match error.raw_os_error() {
            Some(errno) => Failure::in_child(Stage::Exec, errno, &Started::of_module(program)),
            None => Failure::permanent(format!("program '{program}' cannot be started: {error}")),
        })?;
        let leader = pid_t::try_from(child.id()).expect("the kernel's numbers of processes are positive");
        let mut pipes = || -> io::Result<[Option<File>; 3]> {
            Ok([
                ours(child.stdin.take().map(OwnedFd::from))?,
                ours(child.stdout.take().map(OwnedFd::from))?,
                ours(child.stderr.take().map(OwnedFd::from))?,
            ])
        };
        let pipes = pipes().map_err(|error| Failure::lack("cannot use the program's pipes", &error));
        // It is reaped by its number, together with what it leaves behind; `child` is dropped.
        let mut program = Program { leader, input: None, output: None, errors: None, exit: None };
        program.reap(children);
        match pipes {
            Ok([input, output, errors]) => Ok(Program { input, output, errors, ..program }),
            Err(failure) => {
                program.end(children);
                Err(failure)
            }
        }
    }

    /// Whether it can be executed, as far as that is known without doing it.
    ///
    /// # Errors
    /// When it cannot, with the reason.
    pub(crate) fn check(command: &[String]) -> Result<(), Failure> {
        let program = command.first().expect("the command line was checked");
        let fail = |errno| Failure::in_child(Stage::Exec, errno, &Started::of_module(program));
        nix::unistd::access(program.as_str(), nix::unistd::AccessFlags::X_OK).map_err(|errno| fail(errno as c_int))?;
        if std::fs::metadata(program).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(fail(libc::EACCES));
        }
        Ok(())
    }

    /// Takes note of its end, if it has come.
    pub(crate) fn reap(&mut self, children: &Children) {
        let leader = self.exit.is_none().then_some(self.leader);
        if let Some(exit) = children.reap(leader) {
            self.exit = Some(exit);
        }
    }

    /// Sends a signal to its group, if it is not reaped yet.
    pub(crate) fn signal(&self, signal: c_int) {
        if self.exit.is_none() {
            // A process that ended meanwhile needs no signal.
            let _ = crate::sys::kill(-self.leader, signal);
        }
    }

    /// Ends it and its group: the end of its input and SIGTERM, and after a grace SIGKILL. Returns
    /// when it is reaped.
    pub(crate) fn end(&mut self, children: &Children) {
        self.input = None;
        self.signal(libc::SIGTERM);
        self.await_exit(children, Instant::now() + TERM_GRACE);
        self.signal(libc::SIGKILL);
        // Nothing survives SIGKILL; a process that the kernel itself holds is left to the guardian.
        self.await_exit(children, Instant::now() + TERM_GRACE);
    }

    fn await_exit(&mut self, children: &Children, until: Instant) {
        loop {
            self.reap(children);
            if self.exit.is_some() || Instant::now() >= until {
                return;
            }
            let _ = await_any(&[(children.as_fd(), PollFlags::POLLIN)], Some(until));
        }
    }
}

/// Reads a pipe once, without waiting.
pub(crate) fn read_once<'a>(pipe: &mut Option<File>, buffer: &'a mut [u8]) -> Chunk<'a> {
    let Some(file) = pipe else { return Chunk::Closed };
    loop {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => return Chunk::Bytes(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Chunk::NotYet,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A pipe has no other errors; any other counts as closed.
            Err(_) => break,
        }
    }
    *pipe = None;
    Chunk::Closed
}

/// Waits until one of the descriptors is ready or was closed, at most until then. The events of each
/// are returned in the order given.
pub(crate) fn await_any(
    descriptors: &[(BorrowedFd<'_>, PollFlags)],
    until: Option<Instant>,
) -> io::Result<Vec<PollFlags>> {
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|(descriptor, flags)| PollFd::new(*descriptor, *flags)).collect();
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let timeout = match left {
        None => PollTimeout::NONE,
        Some(Duration::ZERO) => PollTimeout::ZERO,
        // Rounded up, since a poll that returns a fraction too early would be repeated without a wait.
        Some(left) => PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX),
    };
    match poll(&mut polled, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(polled.iter().map(|polled| polled.revents().unwrap_or(PollFlags::empty())).collect())
}
