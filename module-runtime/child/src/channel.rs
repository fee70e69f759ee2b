//! The two descriptors that lead to the host, and how they are found. What travels over them is
//! [`crate::Wire`]'s business. One of the two files of this crate with unsafe code.

use crate::copies::{self, end_copy};
use bulkhead_protocol::CHANNEL_VARIABLE;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Both directions; with a socket they are two descriptors of the same.
#[derive(Debug)]
pub struct Channel {
    input: File,
    output: File,
}

/// Why there is no channel to a host.
#[derive(Debug)]
pub enum ChannelError {
    /// It was taken already, and there is one in a process.
    Taken,
    /// This process could not be marked, to tell it from a forked copy.
    Unmarked(io::Error),
    /// The process was given no channel: a person started it.
    NoHost,
    /// `BULKHEAD_FD` is not set, and a socket is needed.
    NoSocket,
    /// `BULKHEAD_FD` is not UTF-8.
    NotText,
    /// `BULKHEAD_FD` is not the number of a descriptor above 2.
    NotANumber(String),
    /// `BULKHEAD_FD` names this descriptor, and it is not open.
    NotOpen(RawFd),
    /// This descriptor cannot be used as the channel.
    UnusableSocket(RawFd, io::Error),
    /// Standard input and output cannot be used as the channel.
    UnusableStreams(io::Error),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelError::Taken => f.write_str("a module runs once in a process, and this one runs already"),
            ChannelError::Unmarked(error) => {
                write!(f, "cannot mark this process as the one of the channel: {error}")
            }
            ChannelError::NoHost => f.write_str(NO_HOST),
            ChannelError::NoSocket => write!(
                f,
                "{CHANNEL_VARIABLE} is not set: the host gives a module a socket where its manifest says transport = \
                 \"socket\", the default; {NO_HOST}"
            ),
            ChannelError::NotText => write!(f, "{CHANNEL_VARIABLE} is no number"),
            ChannelError::NotANumber(found) => {
                write!(f, "expected the number of a descriptor above 2 in {CHANNEL_VARIABLE}, found {found:?}")
            }
            ChannelError::NotOpen(fd) => {
                write!(f, "{CHANNEL_VARIABLE} says {fd}, and no such descriptor is open; {NO_HOST}")
            }
            ChannelError::UnusableSocket(fd, error) => {
                write!(f, "cannot use descriptor {fd} as the channel: {error}")
            }
            ChannelError::UnusableStreams(error) => {
                write!(f, "cannot use standard input and output as the channel: {error}")
            }
        }
    }
}

/// Without a source: the sentence has all of it.
impl std::error::Error for ChannelError {}

impl Channel {
    /// The channel that the host gave this process: the descriptor that `BULKHEAD_FD` names, else
    /// standard input and output. Taken once in a process.
    ///
    /// # Errors
    /// When there is none: a person started the program, or it was taken already.
    pub fn open() -> Result<Channel, ChannelError> {
        static OPENED: AtomicBool = AtomicBool::new(false);
        if OPENED.swap(true, Ordering::SeqCst) {
            return Err(ChannelError::Taken);
        }
        crate::log::keep_standard_error();
        copies::mark().map_err(ChannelError::Unmarked)?;
        match std::env::var(CHANNEL_VARIABLE) {
            Ok(number) => Channel::inherited(&number),
            Err(std::env::VarError::NotUnicode(_)) => Err(ChannelError::NotText),
            Err(std::env::VarError::NotPresent) => Channel::standard(),
        }
    }

    /// The socket that the host gave this process, for one that serves it by itself. Taken once in a process, by
    /// this or by [`Channel::open`].
    ///
    /// # Errors
    /// When there is none: a person started the program, the manifest says `transport = "stdio"`, or it
    /// was taken already.
    pub fn open_socket() -> Result<OwnedFd, ChannelError> {
        if std::env::var_os(CHANNEL_VARIABLE).is_none() {
            return Err(ChannelError::NoSocket);
        }
        Ok(Channel::open()?.input.into())
    }

    fn inherited(number: &str) -> Result<Channel, ChannelError> {
        let fd: Option<RawFd> = number.parse().ok().filter(|fd| *fd > 2);
        let fd = fd.ok_or_else(|| ChannelError::NotANumber(number.to_owned()))?;
        // SAFETY: the variable is the host's promise that this descriptor is ours alone, the guard in
        // `open` takes it once, and it is looked at by fcntl before anything else is done with it; one
        // that is not open is forgotten again, not closed.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        if fcntl(&owned, FcntlArg::F_GETFD).is_err() {
            std::mem::forget(owned);
            return Err(ChannelError::NotOpen(fd));
        }
        Channel::of_socket(owned).map_err(|error| ChannelError::UnusableSocket(fd, error))
    }

    /// A socket, for both directions.
    ///
    /// # Errors
    /// When it cannot be used as one.
    pub fn of_socket(socket: OwnedFd) -> io::Result<Channel> {
        let output = socket.try_clone()?;
        Channel { input: File::from(socket), output: File::from(output) }.prepared()
    }

    /// Takes standard input and output away from the rest of the process: what it prints becomes
    /// log, as a stray line between two frames would be a broken frame, which ends the module.
    fn standard() -> Result<Channel, ChannelError> {
        if io::stdin().is_terminal() {
            return Err(ChannelError::NoHost);
        }
        let take = || -> io::Result<Channel> {
            let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
            let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            unistd::dup2_stdin(File::open("/dev/null")?)?;
            unistd::dup2_stdout(io::stderr())?;
            Channel { input, output }.prepared()
        };
        take().map_err(ChannelError::UnusableStreams)
    }

    /// Sets what this crate relies on: reads and writes wait, and programs that the module starts do
    /// not hold the channel open.
    fn prepared(self) -> io::Result<Channel> {
        for file in [&self.input, &self.output] {
            let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
            fcntl(file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
            fcntl(file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        Ok(self)
    }

    /// Reads what is there, waiting for the first byte; 0 is the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        end_copy();
        loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Where what the host sends arrives.
    pub(crate) fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Writes all of it, waiting until the host reads.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        end_copy();
        self.output.write_all(bytes)
    }

    /// Whether a read would return at once, asked until `deadline`; `None` waits without an end.
    pub(crate) fn is_readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        end_copy();
        loop {
            let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => PollTimeout::NONE,
                // Rounded up, since a poll that returns a fraction too early would be repeated without a wait.
                Some(left) => PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX),
            };
            let timeout =
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) { PollTimeout::ZERO } else { timeout };
            let input: BorrowedFd<'_> = self.input.as_fd();
            match poll(&mut [PollFd::new(input, PollFlags::POLLIN)], timeout) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

pub(crate) const NO_HOST: &str = "this is a module of Bulkhead and waits for messages of a host, not for a person; \
    start it with `bulkhead run --modules FOLDER`, and talk to it with `bulkhead call`";
