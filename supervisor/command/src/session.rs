//! One connection to the daemon, and how a command waits on it: for an answer, a moment, a signal,
//! or the reader of standard output going away. What the answers mean is decided elsewhere.

use crate::exit::Halt;
use bulkhead_client::{Client, ClientError};
use bulkhead_config::HostConfig;
use bulkhead_protocol::WireRequest;
use bulkhead_protocol::{Json, Request, Response, Status};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How much longer than the deadline that the host was told the command waits for the answer.
pub(crate) const ANSWER_GRACE: Duration = Duration::from_secs(3);

/// How long an interrupted command waits to hear what became of its request.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// A connection to the daemon.
pub(crate) struct Session {
    client: Client,
}

/// What a wait ended with.
#[derive(Debug)]
pub(crate) enum Turn {
    /// A response, to whichever request.
    Response(Response),
    /// Something can be written to the host.
    Ready,
    /// Standard input can be read, or has ended.
    Input,
    /// The moment came.
    TimedOut,
    /// A signal.
    Signal(i32),
    /// Nobody reads standard output any more.
    ReaderGone,
}

/// What a wait looks at besides the connection.
#[derive(Default)]
pub(crate) struct Watch<'a> {
    /// When it ends at the latest.
    pub(crate) until: Option<Instant>,
    /// Signals that end it.
    pub(crate) signals: Option<&'a Signals>,
    /// Whether standard input is waited for.
    pub(crate) input: bool,
    /// Whether the reader of standard output is watched.
    pub(crate) output: bool,
}

impl Session {
    /// Connects to the socket that `flag` names, else to `$BULKHEAD_SOCKET`, else to the default place.
    pub(crate) fn open(flag: Option<PathBuf>) -> Result<Session, Halt> {
        let path = HostConfig::socket_for(flag.as_deref()).map_err(|problems| Halt::Usage(problems.to_string()))?;
        let client = Client::connect(&path)?;
        client.set_nonblocking(true).map_err(|error| Halt::System { what: "the socket", error })?;
        Ok(Session { client })
    }

    /// Puts a request behind those that wait to be sent.
    pub(crate) fn queue(&mut self, request: &WireRequest<'_>) -> Result<u64, ClientError> {
        self.client.sender().queue(request)
    }

    /// As [`Session::queue`], for a request that owns its parts.
    pub(crate) fn queue_request(&mut self, request: &Request) -> Result<u64, ClientError> {
        self.client.sender().queue_request(request)
    }

    /// Queues the request to stop working on another one.
    pub(crate) fn queue_cancel(&mut self, id: u64) -> Result<u64, ClientError> {
        self.client.sender().queue_cancel(id)
    }

    /// Bytes that wait to be sent.
    pub(crate) fn queued_bytes(&mut self) -> usize {
        self.client.sender().queued_bytes()
    }

    /// Sends what the socket takes. A host that stopped listening is found out by reading, since
    /// what it said before that is still to be heard.
    pub(crate) fn flush(&mut self) -> Result<(), ClientError> {
        match self.client.sender().try_flush() {
            Err(error) if !error.is_disconnect() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The next response that is here already.
    pub(crate) fn ready(&mut self) -> Result<Option<Response>, ClientError> {
        attributed(self.client.try_receive()?)
    }

    /// The next response among what has been read already: no look at the socket.
    pub(crate) fn buffered(&mut self) -> Result<Option<Response>, ClientError> {
        attributed(self.client.try_buffered()?)
    }

    /// Sends what is queued and waits until something happens.
    pub(crate) fn turn(&mut self, watch: &Watch<'_>) -> Result<Turn, Halt> {
        self.flush()?;
        if let Some(response) = self.buffered()? {
            return Ok(Turn::Response(response));
        }
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let writable = if self.queued_bytes() > 0 { PollFlags::POLLOUT } else { PollFlags::empty() };
        let mut polled = vec![PollFd::new(self.client.as_fd(), PollFlags::POLLIN | writable)];
        // Without events to wait for, the kernel still tells of the end of the other side.
        let output = watch.output.then(|| push(&mut polled, stdout.as_fd(), PollFlags::empty()));
        let input = watch.input.then(|| push(&mut polled, stdin.as_fd(), PollFlags::POLLIN));
        if let Some(signals) = watch.signals {
            push(&mut polled, signals.0.as_fd(), PollFlags::POLLIN);
        }
        match poll(&mut polled, timeout_until(watch.until)) {
            Ok(0) => return Ok(Turn::TimedOut),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Turn::Ready),
            Err(error) => return Err(Halt::System { what: "waiting", error: error.into() }),
        }
        let happened = |at: usize| polled[at].revents().unwrap_or(PollFlags::empty());
        let host = !happened(0).difference(PollFlags::POLLOUT).is_empty();
        let reader_gone = output.is_some_and(|at| happened(at).intersects(PollFlags::POLLERR | PollFlags::POLLHUP));
        let input = input.is_some_and(|at| !happened(at).is_empty());
        drop(polled);

        if let Some(signal) = watch.signals.and_then(Signals::next) {
            return Ok(Turn::Signal(signal));
        }
        if reader_gone {
            return Ok(Turn::ReaderGone);
        }
        if host && let Some(response) = self.ready()? {
            return Ok(Turn::Response(response));
        }
        Ok(if input { Turn::Input } else { Turn::Ready })
    }

    /// Sends a request and waits for its one answer. SIGINT and SIGTERM cancel it.
    ///
    /// # Errors
    /// When there is no answer. An answer that is an error is `Ok`.
    pub(crate) fn ask(&mut self, request: &Request, mut progress: impl FnMut(&Json)) -> Result<Response, Halt> {
        let signals = Signals::block()?;
        let id = self.queue_request(request)?;
        let until = request.deadline_ms.map(|ms| Instant::now() + Duration::from_millis(ms) + ANSWER_GRACE);
        let mut watch = Watch { until, signals: Some(&signals), ..Watch::default() };
        let mut interrupted = None;
        loop {
            match (self.turn(&watch)?, interrupted) {
                (Turn::Response(response), _) if response.id == Some(id) => match (&response.status, interrupted) {
                    (Status::Progress(data), _) => progress(data),
                    (_, None) => return Ok(response),
                    (_, Some(signal)) => return Err(Halt::Interrupted { signal, answer: Some(Box::new(response)) }),
                },
                (Turn::Response(_) | Turn::Ready | Turn::Input | Turn::ReaderGone, _) => {}
                (Turn::TimedOut, None) => return Err(ClientError::TimedOut.into()),
                (Turn::Signal(signal), None) => {
                    interrupted = Some(signal);
                    self.queue_cancel(id)?;
                    watch.until = Some(Instant::now() + CANCEL_GRACE);
                }
                // The second signal, or a cancel that nobody hears: the person has waited enough.
                (Turn::TimedOut | Turn::Signal(_), Some(signal)) => {
                    return Err(Halt::Interrupted { signal, answer: None });
                }
            }
        }
    }
}

/// Waits, and ends early when nobody reads standard output any more.
///
/// # Errors
/// [`Halt::ReaderGone`] then.
pub(crate) fn wait_unless_reader_is_gone(duration: Duration) -> Result<(), Halt> {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    match poll(&mut polled, timeout_until(Some(Instant::now() + duration))) {
        Ok(0) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Ok(_) => Err(Halt::ReaderGone),
        Err(error) => Err(Halt::System { what: "waiting", error: error.into() }),
    }
}

/// SIGINT and SIGTERM, taken from their usual course for as long as this lives.
pub(crate) struct Signals(SignalFd, SigSet);

impl Signals {
    /// Takes them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn block() -> Result<Signals, Halt> {
        let fail = |error: nix::Error| Halt::System { what: "signals", error: error.into() };
        let mut wanted = SigSet::empty();
        wanted.add(Signal::SIGINT);
        wanted.add(Signal::SIGTERM);
        let before = wanted.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).map_err(fail)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        SignalFd::with_flags(&wanted, flags).map(|fd| Signals(fd, before)).map_err(fail)
    }

    /// The number of the one that has come, if one has.
    pub(crate) fn next(&self) -> Option<i32> {
        self.0.read_signal().ok().flatten().and_then(|info| i32::try_from(info.ssi_signo).ok())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // A mask that was in force can be put in force again; there is nobody to tell otherwise.
        let _ = self.1.thread_set_mask();
    }
}

/// A response that belongs to no request says that the host refuses this client.
fn attributed(response: Option<Response>) -> Result<Option<Response>, ClientError> {
    match response {
        Some(Response { id: None, status: Status::Error(failure), .. }) => Err(ClientError::Refused(failure)),
        other => Ok(other),
    }
}

fn push<'fd>(polled: &mut Vec<PollFd<'fd>>, fd: BorrowedFd<'fd>, events: PollFlags) -> usize {
    polled.push(PollFd::new(fd, events));
    polled.len() - 1
}

fn timeout_until(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else { return PollTimeout::NONE };
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up, so that a wait never ends just before its moment.
    let ms = left.as_micros().div_ceil(1000);
    i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::MAX)
}
