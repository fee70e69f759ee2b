//! The standard streams, as the program that started the command has left them. They are shared with other processes:
//! one of those may have made a terminal or a pipe non-blocking for all who share it. Then the command waits for room
//! and loses nothing, and the flag is left as it was. What is written is decided elsewhere.
//!
//! A stream that was closed when the command was started is `/dev/null`: the standard library opens that instead before
//! anything else is opened, so that no file and no socket is ever taken for it.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{read, write};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

pub(crate) use bulkhead_command_line::Stdin;

/// Bytes that a pipe takes without a wait when `poll` says that it takes any (PIPE_BUF).
const PIPE_PIECE_BYTES: usize = 4096;

/// The same for a terminal, which guarantees room for one byte.
const TERMINAL_PIECE_BYTES: usize = 1;

/// The device of which each opening is the master of a new pseudo-terminal.
const PTMX: u64 = nix::libc::makedev(5, 2);

/// Standard input, read once. Unless it is non-blocking, it is to be polled before.
#[derive(Debug)]
pub(crate) struct PolledStdin;

impl Read for PolledStdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(read(io::stdin().as_fd(), buffer)?)
    }
}

/// Standard output, waited for.
#[derive(Debug)]
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_some(io::stdout().as_fd(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error, waited for.
#[derive(Debug)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_some(io::stderr().as_fd(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stderr {
    /// Writes what may be dropped, and drops it if the write would have to wait.
    pub(crate) fn show(text: &str) {
        let stderr = io::stderr();
        if is_writable(stderr.as_fd()) {
            let _ = write(stderr.as_fd(), text.as_bytes());
        }
    }
}

fn write_some(stream: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match write(stream, bytes) {
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait_for_room(stream)?,
            result => return Ok(result?),
        }
    }
}

fn wait_for_room(stream: BorrowedFd<'_>) -> io::Result<()> {
    match poll(&mut [PollFd::new(stream, PollFlags::POLLOUT)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_writable(stream: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Standard output without waits, for every kind of descriptor and all flags.
#[derive(Debug)]
pub(crate) enum Unwaited {
    /// A pipe or a terminal, opened once more: the new description has flags of its own.
    Own(File),
    /// A socket, where a flag of each call decides whether it waits.
    Socket,
    /// So many bytes are written when `poll` says that there is room.
    Pieces(usize),
    /// A file: no reader is waited for.
    Plain,
}

impl Unwaited {
    pub(crate) fn of_stdout() -> Unwaited {
        let stdout = io::stdout();
        let kind = fstat(stdout.as_fd()).map_or(SFlag::empty(), |stat| SFlag::from_bits_truncate(stat.st_mode));
        match kind & SFlag::S_IFMT {
            SFlag::S_IFSOCK => Unwaited::Socket,
            SFlag::S_IFIFO => opened_again().map_or(Unwaited::Pieces(PIPE_PIECE_BYTES), Unwaited::Own),
            _ if stdout.is_terminal() => opened_again().map_or(Unwaited::Pieces(TERMINAL_PIECE_BYTES), Unwaited::Own),
            _ => Unwaited::Plain,
        }
    }

    /// Writes what there is room for now.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none now.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let stdout = io::stdout();
        Ok(match self {
            Unwaited::Own(pipe) => write(pipe, bytes)?,
            Unwaited::Socket => send(stdout.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)?,
            Unwaited::Pieces(_) if !is_writable(stdout.as_fd()) => return Err(io::ErrorKind::WouldBlock.into()),
            Unwaited::Pieces(most) => write(stdout.as_fd(), &bytes[..bytes.len().min(*most)])?,
            Unwaited::Plain => write(stdout.as_fd(), bytes)?,
        })
    }
}

/// Standard output opened anew, non-blocking; none where it may not be opened, as after a change of user, where there
/// is no /proc, and where opening it makes something new, as with the master of a pseudo-terminal.
fn opened_again() -> Option<File> {
    let stdout = io::stdout();
    let path = format!("/proc/self/fd/{}", stdout.as_raw_fd());
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let before = fstat(stdout.as_fd()).ok().filter(|stat| stat.st_rdev != PTMX)?;
    let file = OpenOptions::new().write(true).custom_flags(flags).open(path).ok()?;
    let after = fstat(file.as_fd()).ok()?;
    ((before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)).then_some(file)
}
