//! Many callers in one thread: each has a connection of its own and one request in flight. They wait
//! together, so that what is measured is the host and not the switching between threads.

use crate::Failed;
use crate::caller::Caller;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Events that one wait returns.
const EVENTS: usize = 64;

/// How long all of them may wait for any answer, in milliseconds.
const TIMEOUT_MS: u16 = 30_000;

/// The callers.
#[derive(Debug)]
pub struct Callers {
    all: Vec<Caller>,
    epoll: Epoll,
}

impl Callers {
    /// So many connections to this socket.
    ///
    /// # Errors
    /// When they are refused.
    pub fn connect(socket: &Path, count: usize) -> Result<Callers, Failed> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut all = Vec::with_capacity(count);
        for at in 0..count {
            let stream = UnixStream::connect(socket)?;
            epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
            all.push(Caller::new(stream)?);
        }
        Ok(Callers { all, epoll })
    }

    /// The first of them makes this call alone.
    ///
    /// # Errors
    /// When it is not answered with success.
    pub fn first_call(&mut self, request: &[u8]) -> Result<(), Failed> {
        self.all.first_mut().ok_or("expected a caller")?.call(request)
    }

    /// Makes `calls` calls, the callers alternating between the requests; returns how long it took.
    ///
    /// # Errors
    /// When one is not answered with success.
    pub fn calls(&mut self, requests: &[Vec<u8>], calls: usize) -> Result<Duration, Failed> {
        let began = Instant::now();
        let (mut sent, mut answered) = (0, 0);
        for caller in self.all.iter_mut().take(calls) {
            caller.push(&requests[sent % requests.len()]);
            caller.send()?;
            sent += 1;
        }
        let mut events = [EpollEvent::empty(); EVENTS];
        while answered < calls {
            let count = self.epoll.wait(&mut events, EpollTimeout::from(TIMEOUT_MS))?;
            if count == 0 {
                return Err(format!("{answered} of {calls} calls were answered, and then none any more").into());
            }
            for event in &events[..count] {
                let caller = &mut self.all[event.data() as usize];
                caller.success()?;
                answered += 1;
                if sent < calls {
                    caller.push(&requests[sent % requests.len()]);
                    caller.send()?;
                    sent += 1;
                }
            }
        }
        Ok(began.elapsed())
    }
}
