//! The bare relay: frames go from standard input, a socket to the caller, to standard output, a socket to the module,
//! and back. It reads only the lengths, as a relay that keeps frames whole must, and it writes all whole frames of one
//! read at once. One of its forms does not even do that.

use crate::{Failed, frames};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{read, write};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// One direction.
struct Way<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    buffer: Vec<u8>,
    held: usize,
}

impl<'a> Way<'a> {
    fn new(from: BorrowedFd<'a>, to: BorrowedFd<'a>) -> Way<'a> {
        Way { from, to, buffer: vec![0; 64 * 1024], held: 0 }
    }

    /// Reads once and passes the whole frames on; `false` at the end.
    fn pass(&mut self) -> Result<bool, Failed> {
        if self.held == self.buffer.len() {
            self.buffer.resize(2 * self.held, 0);
        }
        let count = read(self.from, &mut self.buffer[self.held..])?;
        if count == 0 {
            return Ok(false);
        }
        self.held += count;
        let mut whole = 0;
        while let Some((_, used)) = frames::first(&self.buffer[whole..self.held]) {
            whole += used;
        }
        let mut written = 0;
        while written < whole {
            written += write(self.to, &self.buffer[written..whole])?;
        }
        self.buffer.copy_within(whole..self.held, 0);
        self.held -= whole;
        Ok(true)
    }

    /// Reads once and passes all of it on; `false` at the end.
    fn copy(&mut self) -> Result<bool, Failed> {
        let count = read(self.from, &mut self.buffer)?;
        let mut written = 0;
        while written < count {
            written += write(self.to, &self.buffer[written..count])?;
        }
        Ok(count > 0)
    }
}

/// Waits for both sides at once, and passes whole frames on.
pub(super) fn epoll() -> Result<(), Failed> {
    between(|way| way.pass())
}

/// The same with bytes as they come.
pub(super) fn copy() -> Result<(), Failed> {
    between(|way| way.copy())
}

fn between(pass: impl Fn(&mut Way<'_>) -> Result<bool, Failed>) -> Result<(), Failed> {
    let (caller, module) = (io::stdin(), io::stdout());
    let mut ways = [Way::new(caller.as_fd(), module.as_fd()), Way::new(module.as_fd(), caller.as_fd())];
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (at, way) in ways.iter().enumerate() {
        epoll.add(way.from, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
    }
    let mut events = [EpollEvent::empty(); 2];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            if !pass(&mut ways[event.data() as usize])? {
                return Ok(());
            }
        }
    }
}

/// Request, answer, request: for a caller that has one request in flight.
pub(super) fn blocking() -> Result<(), Failed> {
    let (caller, module) = (io::stdin(), io::stdout());
    let mut there = Way::new(caller.as_fd(), module.as_fd());
    let mut back = Way::new(module.as_fd(), caller.as_fd());
    while there.pass()? && back.pass()? {}
    Ok(())
}
