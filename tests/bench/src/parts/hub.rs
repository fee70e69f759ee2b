//! The bare relay of many callers: standard input is a socket that they connect to, standard output leads to the one
//! module. The module answers in order, so it only needs a list of the callers in order.

use crate::{Failed, frames};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

/// The numbers of the two descriptors that are no caller's.
const LISTENER: u64 = u64::MAX;
const MODULE: u64 = u64::MAX - 1;

/// A connection and what was read of it.
struct End {
    stream: UnixStream,
    buffer: Vec<u8>,
    held: usize,
}

impl End {
    fn new(stream: UnixStream) -> End {
        End { stream, buffer: vec![0; 64 * 1024], held: 0 }
    }

    /// Reads once and passes each whole frame on; `false` at the end.
    fn frames(&mut self, mut take: impl FnMut(&[u8])) -> Result<bool, Failed> {
        let count = self.stream.read(&mut self.buffer[self.held..])?;
        self.held += count;
        let mut whole = 0;
        while let Some((_, used)) = frames::first(&self.buffer[whole..self.held]) {
            take(&self.buffer[whole..whole + used]);
            whole += used;
        }
        self.buffer.copy_within(whole..self.held, 0);
        self.held -= whole;
        Ok(count > 0)
    }
}

pub(super) fn run() -> Result<(), Failed> {
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut module = End::new(UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?));
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(&module.stream, EpollEvent::new(EpollFlags::EPOLLIN, MODULE))?;
    let mut callers: Vec<End> = Vec::new();
    let mut asked = VecDeque::new();
    let mut events = [EpollEvent::empty(); 64];
    let mut there = Vec::new();
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            match event.data() {
                LISTENER => {
                    let (stream, _) = listener.accept()?;
                    epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, callers.len() as u64))?;
                    callers.push(End::new(stream));
                }
                MODULE => {
                    let mut failed = None;
                    let open = module.frames(|frame| {
                        let caller: usize = asked.pop_front().expect("a bare module answers what it is asked");
                        failed = failed.take().or(callers[caller].stream.write_all(frame).err());
                    })?;
                    if let Some(error) = failed {
                        return Err(error.into());
                    }
                    if !open {
                        return Ok(());
                    }
                }
                number => {
                    let number = number as usize;
                    let open = callers[number].frames(|frame| {
                        there.extend_from_slice(frame);
                        asked.push_back(number);
                    })?;
                    if !open {
                        return Ok(());
                    }
                }
            }
        }
        // The requests of one iteration are written together.
        module.stream.write_all(&there)?;
        there.clear();
    }
}
