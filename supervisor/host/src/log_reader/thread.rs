//! The thread that reads what modules print: it waits for their pipes, makes lines of what comes and passes
//! these on. It never waits for anything else, and never writes to descriptors that it was not
//! given: what the program around the host has open is closed here, and its log is not written from here.

use super::{News, Order};
use crate::{
    clock::Clock,
    log_lines::{Bounds, Line, Splitter, Stream},
    module_log::{ModuleLog, Sink},
    sys,
};
use bulkhead_core::Time;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        socket::{MsgFlags, send},
    },
};
use std::{
    collections::HashMap,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Instant,
};

/// Bytes that are read at once: as many as a pipe holds, unless it was made longer.
const READ_BYTES: usize = 64 * 1024;

/// Pipes that are read before orders are looked at again.
const PIPES_AT_ONCE: usize = 16;

/// How long a pipe that was just read is left alone, unless an order comes: what is written meanwhile is read
/// together, so that a flood of short lines does not wake the thread for each.
const PAUSE_MS: u8 = 2;

/// Reads of what a process left in a pipe; a pipe holds less, so this is for what others write to it.
const DRAIN_READS_MAX: usize = 128;

/// Lines of standard error that the record of a crash carries.
const LAST_LINES: usize = 20;

/// Bytes of those lines, the last one whole in any case.
const LAST_LINES_BYTES_MAX: usize = 16 * 1024;

/// The mark of the socket, among the numbers of pipes.
const CONTROL: u64 = u64::MAX;

/// Informs the host that there is something to take.
#[derive(Debug)]
pub(super) struct Informer {
    pub(super) news: mpsc::Sender<News>,
    pub(super) is_woken: Arc<AtomicBool>,
}

/// Runs until the host closes its end of the pair. `control` is this end, in the table of the thread that
/// has started this one and closes it there once it knows that this one is `ready`.
pub(super) fn main(
    control: RawFd,
    ready: mpsc::Sender<io::Result<i32>>,
    orders: mpsc::Receiver<Order>,
    informer: Informer,
    sink: Sink,
    bounds: Bounds,
) {
    let (control, shared) = match sys::own_descriptors(control) {
        Ok(own) => own,
        Err(error) => return drop(ready.send(Err(error))),
    };
    // What a panic or a library writes to a standard stream must reach no pipe that has its number here.
    let _reserved: Vec<File> = match &shared {
        None => (0..3).map_while(|_| File::open("/dev/null").ok()).collect(),
        Some(_) => Vec::new(),
    };
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).and_then(|epoll| {
        epoll.add(&control, EpollEvent::new(EpollFlags::EPOLLIN, CONTROL))?;
        Ok(epoll)
    });
    let epoll = match epoll {
        Ok(epoll) => epoll,
        Err(error) => return drop(ready.send(Err(error.into()))),
    };
    // It only fails if the starter is gone, and the end of the pair shows that too.
    let _ = ready.send(Ok(nix::unistd::gettid().as_raw()));
    sys::give_way();
    let runs = HashMap::new();
    let buffer = vec![0; READ_BYTES].into_boxed_slice();
    let mut reader = Reader { control, orders, informer, sink, bounds, epoll, runs, clock: Clock::new(), buffer };
    if let Some(error) = shared {
        reader.inform(News::Shared(error.to_string()));
    }
    reader.run();
}

struct Reader {
    control: OwnedFd,
    orders: mpsc::Receiver<Order>,
    informer: Informer,
    sink: Sink,
    bounds: Bounds,
    epoll: Epoll,
    runs: HashMap<u64, Run>,
    clock: Clock,
    buffer: Box<[u8]>,
}

/// One process.
struct Run {
    log: Arc<ModuleLog>,
    /// Standard error and, where that is a log, standard output; `None` once it has ended.
    pipes: [Option<Pipe>; 2],
    count: usize,
}

struct Pipe {
    descriptor: OwnedFd,
    splitter: Splitter,
}

impl Reader {
    fn run(&mut self) {
        let mut events = [EpollEvent::empty(); PIPES_AT_ONCE];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                // The set is open and the buffer is ours: there is no other error.
                Err(_) => return,
            };
            let ready = &events[..count];
            if ready.iter().any(|event| event.data() == CONTROL) && !self.take_orders() {
                return self.end();
            }
            let pipes = ready.iter().filter(|event| event.data() != CONTROL);
            let mut has_read = false;
            for event in pipes {
                let (run, index) = (event.data() >> 1, usize::from(event.data() & 1 == 1));
                self.read(run, index, 1);
                has_read = true;
            }
            if has_read && count < PIPES_AT_ONCE {
                let mut control = [PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
                // An order ends the pause, and an error shows again in the next wait.
                let _ = poll(&mut control, PollTimeout::from(PAUSE_MS));
            }
        }
    }

    /// Takes the orders that have come; `false` when no more will.
    fn take_orders(&mut self) -> bool {
        loop {
            let descriptors = match sys::receive_descriptors(&self.control) {
                Ok(Some(descriptors)) => descriptors,
                Ok(None) => return false,
                Err(Errno::EAGAIN) => return true,
                Err(Errno::EINTR) => continue,
                Err(_) => return false,
            };
            let Ok(order) = self.orders.try_recv() else { return false };
            match order {
                Order::Open { run, log, streams } => self.open(run, log, &streams, descriptors),
                Order::Drain { run } => self.drain(run),
                Order::Close { run } => self.close(run),
            }
        }
    }

    fn open(&mut self, run: u64, log: Arc<ModuleLog>, streams: &[Stream], descriptors: Vec<OwnedFd>) {
        let count = streams.len();
        let mut pipes = [None, None];
        let mut is_whole = descriptors.len() == count;
        for ((index, descriptor), stream) in descriptors.into_iter().enumerate().zip(streams) {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, run << 1 | index as u64);
            is_whole &= self.epoll.add(&descriptor, event).is_ok();
            pipes[index] = Some(Pipe { descriptor, splitter: Splitter::new(*stream, self.bounds) });
        }
        self.runs.insert(run, Run { log, pipes, count });
        if !is_whole {
            self.inform(News::Lost { run });
        }
    }

    /// Reads a pipe, at most so many times.
    fn read(&mut self, number: u64, index: usize, reads: usize) {
        let now = self.now();
        let Some(run) = self.runs.get_mut(&number) else { return };
        let Some(pipe) = &mut run.pipes[index] else { return };
        let mut lines: Vec<Line> = Vec::new();
        let mut has_ended = false;
        for _ in 0..reads {
            match nix::unistd::read(&pipe.descriptor, &mut self.buffer) {
                Ok(count) if count > 0 => {
                    pipe.splitter.feed(now, &self.buffer[..count], &mut |line| lines.push(line));
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => {
                    pipe.splitter.finish(now, &mut |line| lines.push(line));
                    has_ended = true;
                    break;
                }
            }
        }
        if has_ended {
            // Closing it removes it from the set: nothing else has this pipe's reading end.
            run.pipes[index] = None;
        }
        let log = run.log.clone();
        self.say(&log, number, lines);
    }

    /// Takes in all that there is of a process, whose end is to be decided upon.
    fn drain(&mut self, number: u64) {
        self.read_rest(number);
        let stderr = match self.runs.get(&number) {
            Some(run) => run.log.last_stderr(number, LAST_LINES, LAST_LINES_BYTES_MAX),
            None => Vec::new(),
        };
        self.inform(News::Drained { run: number, stderr });
        sys::give_way();
    }

    /// Reads both pipes to their end, or as far as there is anything. What is unfinished is a line: the process
    /// that would have finished it has ended, also where others have the pipe.
    fn read_rest(&mut self, number: u64) {
        let now = self.now();
        for index in 0..2 {
            self.read(number, index, DRAIN_READS_MAX);
            let mut lines = Vec::new();
            let Some(run) = self.runs.get_mut(&number) else { return };
            if let Some(pipe) = &mut run.pipes[index] {
                pipe.splitter.finish(now, &mut |line| lines.push(line));
            }
            let log = run.log.clone();
            self.say(&log, number, lines);
        }
    }

    fn close(&mut self, number: u64) {
        self.read_rest(number);
        let pipes = self.runs.remove(&number).map_or(0, |run| run.count);
        self.inform(News::Closed { pipes });
    }

    /// The host is done.
    fn end(&mut self) {
        let runs: Vec<u64> = self.runs.keys().copied().collect();
        for run in runs {
            self.read_rest(run);
        }
    }

    fn say(&self, log: &ModuleLog, run: u64, lines: Vec<Line>) {
        if !lines.is_empty() && self.sink.say(log, run, lines) {
            self.wake();
        }
    }

    fn inform(&self, news: News) {
        // A host that is gone needs no news.
        let _ = self.informer.news.send(news);
        self.wake();
    }

    /// Wakes the host, unless it has been woken and has not looked yet.
    fn wake(&self) {
        if !self.informer.is_woken.swap(true, Ordering::SeqCst) {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let _ = send(self.control.as_raw_fd(), &[0], flags);
        }
    }

    fn now(&self) -> Time {
        self.clock.time(Instant::now())
    }
}
