//! The host's end of a thread that reads what modules print: pipes go there, and the last lines of a process
//! come back. What the thread does with them is in [`thread`].
//!
//! The thread has a table of descriptors of its own. A module's two log pipes then cost the host none of its own
//! descriptors, and a flood of lines costs the loop nothing. Orders and news are queues; a socket pair
//! between the two wakes the side that has to look at them and carries the pipes. One datagram is sent for each order.

mod thread;

use crate::{
    log_lines::{Bounds, Stream},
    module_log::{ModuleLog, Sink},
    sys,
};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair},
};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};
use tokio::{io::Interest, net::UnixDatagram};

/// Descriptors in the thread's table beside the pipes, with a margin.
pub(crate) const OWN_DESCRIPTORS: usize = 8;

/// What the thread is asked to do.
#[derive(Debug)]
enum Order {
    /// Read these streams of a process; their pipes come with it.
    Open { run: u64, log: Arc<ModuleLog>, streams: Vec<Stream> },
    /// The process has ended: take in everything that it has written, and report it.
    Drain { run: u64 },
    /// Nothing is left of it: close its pipes.
    Close { run: u64 },
}

/// What the thread reports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// All that a process had written is in its log; the last lines of its standard error.
    Drained { run: u64, stderr: Vec<String> },
    /// The pipes of a process are closed.
    Closed { pipes: usize },
    /// The pipes of a process did not arrive: nothing of what it prints is read.
    Lost { run: u64 },
    /// It has no table of its own, for this reason.
    Shared(String),
}

/// Whether orders still wait for the thread, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    /// The socket is full; this can be waited for.
    NoRoom,
    /// The system lacks something, and does not report its return.
    Lacking,
}

/// The host's end.
#[derive(Debug)]
pub(crate) struct LogReader {
    /// A `SOCK_SEQPACKET` socket; the type is used for its readiness only, which is the same.
    pub(crate) socket: Rc<UnixDatagram>,
    orders: mpsc::Sender<Order>,
    news: mpsc::Receiver<News>,
    is_woken: Arc<AtomicBool>,
    /// What the socket had no room for: for each order the pipes that go with it.
    waiting: VecDeque<Vec<OwnedFd>>,
    /// Whether a source waits until more can be sent.
    pub(crate) awaits_room: bool,
    /// Whether the thread is gone.
    pub(crate) has_ended: bool,
    /// The thread's number for the kernel.
    number: i32,
    /// Pipes that it has, or will have.
    pub(crate) pipes: usize,
    thread: Option<JoinHandle<()>>,
}

impl LogReader {
    /// Starts a thread.
    ///
    /// # Errors
    /// When there are no descriptors left, or no thread can be started.
    pub(crate) fn start(sink: Sink, bounds: Bounds) -> io::Result<LogReader> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let (orders, receiver) = mpsc::channel();
        let (sender, news) = mpsc::channel();
        let is_woken = Arc::new(AtomicBool::new(false));
        let informer = thread::Informer { news: sender, is_woken: is_woken.clone() };
        let socket = Rc::new(UnixDatagram::from_std(ours.into())?);
        let number = theirs.as_raw_fd();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("bulkhead-lines".into())
            .spawn(move || thread::main(number, ready, receiver, informer, sink, bounds))?;
        // It has its own copy as soon as it reports that, or why not; that takes as long as a thread's start.
        let of_thread =
            is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that reads logs ended at once")))?;
        drop(theirs);
        Ok(LogReader {
            socket,
            orders,
            news,
            is_woken,
            waiting: VecDeque::new(),
            awaits_room: false,
            has_ended: false,
            number: of_thread,
            pipes: 0,
            thread: Some(thread),
        })
    }

    /// Passes on the pipes of a process.
    pub(crate) fn open(&mut self, run: u64, log: Arc<ModuleLog>, pipes: Vec<(Stream, OwnedFd)>) {
        self.pipes += pipes.len();
        let (streams, descriptors) = pipes.into_iter().unzip();
        self.order(Order::Open { run, log, streams }, descriptors);
    }

    /// Asks for everything that a process has written; [`News::Drained`] answers it. Until then the thread does not
    /// yield the processor: a caller of that process waits.
    pub(crate) fn drain(&mut self, run: u64) {
        if !self.has_ended {
            sys::hurry(self.number);
        }
        self.order(Order::Drain { run }, Vec::new());
    }

    /// Closes the pipes of a process; [`News::Closed`] says when they are closed.
    pub(crate) fn close(&mut self, run: u64) {
        self.order(Order::Close { run }, Vec::new());
    }

    fn order(&mut self, order: Order, descriptors: Vec<OwnedFd>) {
        // One that has ended takes no orders, which is noticed where its news are taken.
        let _ = self.orders.send(order);
        self.waiting.push_back(descriptors);
    }

    /// Sends what waits, in order.
    pub(crate) fn flush(&mut self) -> Flushed {
        while let Some(descriptors) = self.waiting.front() {
            let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
            let control = [ControlMessage::ScmRights(&numbers)];
            let control = if numbers.is_empty() { &control[..0] } else { &control[..] };
            let send = || {
                let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
                sendmsg::<()>(socket, &[IoSlice::new(&[0])], control, flags, None).map_err(io::Error::from)
            };
            // The runtime need know of it only where the socket is full.
            let sent = match send() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.try_io(Interest::WRITABLE, send),
                sent => sent,
            };
            match sent.map_err(|error| (error.raw_os_error().map(Errno::from_raw), error)) {
                Err((_, error)) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::NoRoom,
                Err((Some(Errno::EINTR), _)) => {}
                Err((Some(Errno::ETOOMANYREFS | Errno::ENOBUFS | Errno::ENOMEM), _)) => return Flushed::Lacking,
                // The only other error is that the thread is gone, which its news report.
                Ok(_) | Err(_) => drop(self.waiting.pop_front()),
            }
        }
        Flushed::All
    }

    /// The reports of the thread since the last call. To be called again when the socket is readable.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        loop {
            let socket = &self.socket;
            let received = socket.try_io(Interest::READABLE, || {
                recv(socket.as_raw_fd(), &mut [0; 8], MsgFlags::empty()).map_err(io::Error::from)
            });
            match received {
                Ok(count) if count > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.has_ended = true;
                    self.waiting.clear();
                    break;
                }
            }
        }
        // What is reported from here on is announced once more.
        self.is_woken.store(false, Ordering::SeqCst);
        self.news.try_iter().collect()
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        // The thread reads what is there and ends when it sees the end of the pair.
        let _ = nix::sys::socket::shutdown(self.socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
