//! One connection to the daemon, and how a command waits on it: for an answer, a point in time, a signal, or the end of
//! the reader of standard output. What the answers mean is decided elsewhere.

use crate::exit::Halt;
use crate::output::Output;
use crate::waiting::WaitNotice;
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

/// How much longer than the deadline in the request the command waits for the answer.
pub(crate) const ANSWER_GRACE: Duration = Duration::from_secs(3);

/// How long an interrupted command waits to hear what became of its request.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// How often the command checks whether the daemon is back.
pub(crate) const RECONNECT_INTERVAL: Duration = Duration::from_millis(250);

/// Progress that may wait for its reader before the socket is no longer read.
pub(crate) const UNREAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection to the daemon.
pub(crate) struct Session {
    client: Client,
}

/// What a wait ended with.
#[derive(Debug)]
pub(crate) enum WaitEvent {
    /// A response, to any request.
    Response(Response),
    /// Something can be written to the host.
    Ready,
    /// Standard input can be read, or has ended.
    Input,
    /// Standard output can be written.
    Room,
    /// The time came.
    TimedOut,
    /// A signal.
    Signal(i32),
    /// Standard output has no reader any more.
    ReaderGone,
}

/// What a wait watches besides the connection.
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
    /// Whether the wait ends when it has room for more.
    pub(crate) room: bool,
    /// Whether the socket is not read meanwhile.
    pub(crate) deaf: bool,
}

/// How long an answer is waited for. A process that was stopped, or that was kept from running, finds the deadline long
/// past when it continues: then what was sent meanwhile gets time to arrive.
#[derive(Debug, Default)]
pub(crate) struct Timeout {
    pub(crate) until: Option<Instant>,
    /// What was added to it.
    extended: Option<Instant>,
}

/// So late that the process cannot have been running.
const LATE: Duration = Duration::from_secs(1);

impl Timeout {
    /// Until then.
    pub(crate) fn until(until: Option<Instant>) -> Timeout {
        Timeout { until, extended: None }
    }

    /// The deadline, if there is one.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.until.map(|until| self.extended.map_or(until, |extended| until.max(extended)))
    }

    /// Whether it has passed, once nothing more can be read.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        let Some(end) = self.end().filter(|end| *end <= now) else { return false };
        if now - end > LATE {
            self.extended = Some(now + ANSWER_GRACE);
            return false;
        }
        true
    }
}

impl Session {
    /// Connects to the socket that `flag` names, else to `$BULKHEAD_SOCKET`, else to the default path.
    pub(crate) fn open(flag: Option<PathBuf>) -> Result<Session, Halt> {
        let path = HostConfig::socket_for(flag.as_deref()).map_err(|problems| Halt::Usage(problems.to_string()))?;
        let mut client = Client::connect(&path)?;
        client.set_nonblocking(true).map_err(|error| Halt::System { what: "the socket", error })?;
        Ok(Session { client })
    }

    /// Queues a request after those that wait to be sent.
    pub(crate) fn queue(&mut self, request: &WireRequest<'_>) -> Result<u64, ClientError> {
        self.client.queue(request)
    }

    /// As [`Session::queue`], for a request that owns its parts.
    pub(crate) fn queue_request(&mut self, request: &Request) -> Result<u64, ClientError> {
        self.client.queue_request(request)
    }

    /// Queues the request to stop working on another one.
    pub(crate) fn queue_cancel(&mut self, id: u64) -> Result<u64, ClientError> {
        self.client.sender().queue_cancel(id)
    }

    /// Refuses requests longer than this many bytes from now on, as the host at the other end does.
    pub(crate) fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        self.client.sender().set_frame_bytes_max(frame_bytes_max);
    }

    /// Bytes that wait to be sent.
    pub(crate) fn queued_bytes(&mut self) -> usize {
        self.client.sender().queued_bytes()
    }

    /// Where the request that was queued last ends in all that is sent over the connection.
    pub(crate) fn total_bytes(&mut self) -> u64 {
        self.client.sender().total_bytes()
    }

    /// How much of that has left.
    pub(crate) fn sent_bytes(&mut self) -> u64 {
        self.client.sender().sent_bytes()
    }

    /// Sends what the socket accepts. A host that stopped reading is noticed by a read, since what it sent before is
    /// still to be read.
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

    /// The next response among what has been read already: without reading the socket.
    pub(crate) fn buffered(&mut self) -> Result<Option<Response>, ClientError> {
        attributed(self.client.try_buffered()?)
    }

    /// Sends what is queued and waits until something happens.
    pub(crate) fn wait_event(&mut self, watch: &Watch<'_>) -> Result<WaitEvent, Halt> {
        self.flush()?;
        if !watch.deaf
            && let Some(response) = self.buffered()?
        {
            return Ok(WaitEvent::Response(response));
        }
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let mut events = if watch.deaf { PollFlags::empty() } else { PollFlags::POLLIN };
        events.set(PollFlags::POLLOUT, self.queued_bytes() > 0);
        let mut polled = Vec::with_capacity(4);
        // A connection that the host closed while nothing was in flight yields nothing more, not even its end.
        let listens = self.client.is_connected() && !events.is_empty();
        let host = listens.then(|| push(&mut polled, self.client.as_fd(), events));
        // Without events to wait for, the kernel still reports the end of the other side.
        let room = if watch.room { PollFlags::POLLOUT } else { PollFlags::empty() };
        let output = (watch.output || watch.room).then(|| push(&mut polled, stdout.as_fd(), room));
        let input = watch.input.then(|| push(&mut polled, stdin.as_fd(), PollFlags::POLLIN));
        if let Some(signals) = watch.signals {
            push(&mut polled, signals.0.as_fd(), PollFlags::POLLIN);
        }
        match poll(&mut polled, timeout_until(watch.until)) {
            Ok(0) => return Ok(WaitEvent::TimedOut),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(WaitEvent::Ready),
            Err(error) => return Err(Halt::System { what: "waiting", error: error.into() }),
        }
        let happened = |at: usize| polled[at].revents().unwrap_or(PollFlags::empty());
        let host = host.is_some_and(|at| !happened(at).difference(PollFlags::POLLOUT).is_empty());
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        let reader_gone = watch.output && output.is_some_and(|at| happened(at).intersects(gone));
        let room = watch.room && output.is_some_and(|at| !happened(at).is_empty());
        let input = input.is_some_and(|at| !happened(at).is_empty());
        drop(polled);

        if let Some(signal) = watch.signals.and_then(Signals::next) {
            return Ok(WaitEvent::Signal(signal));
        }
        if reader_gone {
            return Ok(WaitEvent::ReaderGone);
        }
        if host && let Some(response) = self.ready()? {
            return Ok(WaitEvent::Response(response));
        }
        Ok(match (room, input) {
            (true, _) => WaitEvent::Room,
            (false, true) => WaitEvent::Input,
            (false, false) => WaitEvent::Ready,
        })
    }

    /// Sends a request and waits for its one answer. SIGINT and SIGTERM cancel it.
    ///
    /// # Errors
    /// When there is no answer. An answer that is an error is `Ok`.
    pub(crate) fn ask(&mut self, request: &Request, mut progress: impl FnMut(&Json)) -> Result<Response, Halt> {
        self.ask_and_print(request, &mut WaitNotice::none(), &mut Output::default(), |data, _| {
            progress(data);
            Ok(())
        })
    }

    /// As [`Session::ask`], where a person is informed why it takes long and progress may be printed. If the reader of
    /// that stands still, it is waited for, and the host waits too, but neither a signal nor the answer's deadline
    /// does.
    ///
    /// # Errors
    /// As [`Session::ask`], and those of printing, once the answer is here.
    pub(crate) fn ask_and_print(
        &mut self,
        request: &Request,
        notice: &mut WaitNotice,
        output: &mut Output,
        mut progress: impl FnMut(&Json, &mut Output) -> Result<(), Halt>,
    ) -> Result<Response, Halt> {
        let signals = Signals::block()?;
        let id = self.queue_request(request)?;
        let deadline = request.deadline_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        let mut timeout = Timeout::until(deadline.map(|deadline| deadline + ANSWER_GRACE));
        let mut printed = Ok(());
        let mut interrupted = None;
        loop {
            let deaf = output.len() > UNREAD_BYTES_MAX;
            // While the socket is not read, no answer counts as late.
            let until = if deaf && interrupted.is_none() { None } else { timeout.end() };
            // A person who has interrupted it is informed of the outcome.
            let report_due = if deaf || interrupted.is_some() { None } else { notice.due() };
            if report_due.is_some() {
                notice.ask(self, Instant::now())?;
            }
            let until = until.into_iter().chain(report_due).min();
            let watch = Watch { until, signals: Some(&signals), room: !output.is_empty(), deaf, ..Watch::default() };
            match (self.wait_event(&watch)?, interrupted) {
                (WaitEvent::Response(response), _) if response.id == Some(id) => {
                    match (&response.status, interrupted) {
                        (Status::Progress(data), _) => {
                            // A reader that goes away meanwhile does not affect the request.
                            printed = printed.and_then(|()| progress(data, output)).and_then(|()| output.try_flush());
                        }
                        (_, None) => return printed.map(|()| response),
                        (_, Some(signal)) => {
                            return Err(Halt::Interrupted { signal, answer: Some(Box::new(response)) });
                        }
                    }
                }
                (WaitEvent::Response(response), _) if notice.takes(&response) => {}
                (WaitEvent::Room, _) => printed = printed.and_then(|()| output.try_flush()),
                (WaitEvent::Response(_) | WaitEvent::Ready | WaitEvent::Input | WaitEvent::ReaderGone, _) => {}
                (WaitEvent::TimedOut, None) if timeout.is_over(Instant::now()) => {
                    return Err(ClientError::TimedOut.into());
                }
                (WaitEvent::TimedOut, None) => {}
                (WaitEvent::Signal(signal), None) => {
                    interrupted = Some(signal);
                    self.queue_cancel(id)?;
                    timeout = Timeout::until(Some(Instant::now() + CANCEL_GRACE));
                }
                // The second signal, or a cancel without an answer: the person has waited long enough.
                (WaitEvent::TimedOut | WaitEvent::Signal(_), Some(signal)) => {
                    return Err(Halt::Interrupted { signal, answer: None });
                }
            }
        }
    }
}

/// Waits for so long, and writes meanwhile what standard output has room for.
///
/// # Errors
/// [`Halt::ReaderGone`] as soon as standard output has no reader any more.
pub(crate) fn wait_for_reader(duration: Duration, output: &mut Output) -> Result<(), Halt> {
    let until = Instant::now() + duration;
    let stdout = io::stdout();
    loop {
        output.try_flush()?;
        let events = if output.is_stalled() { PollFlags::POLLOUT } else { PollFlags::empty() };
        let mut polled = [PollFd::new(stdout.as_fd(), events)];
        match poll(&mut polled, timeout_until(Some(until))) {
            Ok(0) => return Ok(()),
            Ok(_) if polled[0].revents().is_some_and(|found| found.intersects(PollFlags::POLLOUT)) => {}
            Ok(_) => return Err(Halt::ReaderGone),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(Halt::System { what: "waiting", error: error.into() }),
        }
    }
}

/// SIGINT and SIGTERM, handled by the command for as long as this lives. An ignored signal stays ignored: a parent that
/// starts a command so, as a shell does in the background of a script, wants it to get none.
pub(crate) struct Signals(SignalFd, SigSet);

/// Sets signals for a command that talks to the daemon: those that end it are unblocked, as the program that started it
/// may have blocked them, and a limit on the size of files is an error of writing, not a signal.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn set_signals() -> Result<(), Halt> {
    let fail = |error: nix::Error| Halt::System { what: "signals", error: error.into() };
    let ending = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT]);
    ending.thread_unblock().map_err(fail)?;
    SigSet::from(Signal::SIGXFSZ).thread_block().map_err(fail)
}

impl Signals {
    /// Takes them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn block() -> Result<Signals, Halt> {
        let fail = |error: nix::Error| Halt::System { what: "signals", error: error.into() };
        let mut wanted = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            // The kernel keeps blocked signals until they are read, also ignored ones.
            if !bulkhead_host::is_ignored(signal) {
                wanted.add(signal);
            }
        }
        let before = wanted.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).map_err(fail)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        SignalFd::with_flags(&wanted, flags).map(|fd| Signals(fd, before)).map_err(fail)
    }

    /// What can be read when one has come.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The number of the one that has come, if one has.
    pub(crate) fn next(&self) -> Option<i32> {
        self.0.read_signal().ok().flatten().and_then(|info| i32::try_from(info.ssi_signo).ok())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Restoring an earlier mask cannot fail, and an error could not be reported here.
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
    // Rounded up, so that a wait never ends just before its deadline.
    let ms = left.as_micros().div_ceil(1000);
    i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_is_long_past_is_followed_by_a_last_look() {
        let now = Instant::now();
        let (second, ms) = (Duration::from_secs(1), Duration::from_millis(1));
        let mut timeout = Timeout::default();
        assert!(!timeout.is_over(now), "without a moment it never ends");
        timeout.until = Some(now);
        assert!(!timeout.is_over(now - ms));
        assert!(timeout.is_over(now) && timeout.is_over(now + second), "it was here when the moment came");
        assert!(!timeout.is_over(now + 2 * second), "it cannot have been running");
        assert_eq!(timeout.end(), Some(now + 2 * second + ANSWER_GRACE));
        assert!(!timeout.is_over(now + 3 * second), "the last look takes its time");
        assert!(timeout.is_over(now + 2 * second + ANSWER_GRACE), "and then it is over");
    }
}
