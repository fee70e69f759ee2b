//! One connection to the daemon with many requests in flight, and the one wait of a program: for an answer, a time or a
//! signal. What is sent and what an answer means is decided elsewhere.

use crate::problem::Problem;
use bulkhead_client::{Client, ClientError};
use bulkhead_protocol::{Request, Response, Status};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

/// Signals that ask a program to end. They are blocked before any thread is started, so that no thread but the one that
/// waits has them.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// # Errors
    /// When signals cannot be waited for.
    pub(crate) fn block() -> Result<Signals, Problem> {
        let failed = |error: Errno| Problem::failed(format!("signals cannot be waited for: {error}"));
        let ignored = fs::read_to_string("/proc/self/status").map(|text| ignored_in(&text)).unwrap_or_default();
        // The kernel keeps blocked signals until they are read, also those that are ignored, as SIGHUP is after nohup.
        let wanted = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter();
        let signals: SigSet = wanted.filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0).collect();
        signals.thread_block().map_err(failed)?;
        SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Signals).map_err(failed)
    }

    fn take(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok()??;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }
}

/// The ignored signals, a bit for each, in the text of `/proc/PID/status`.
fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// What a wait ended with.
#[derive(Debug)]
pub(crate) enum Wake {
    /// A response to a request.
    Answer(Response),
    /// The time came.
    Time,
    /// A signal.
    Signal(Signal),
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    client: Client,
    signals: Signals,
}

impl Link {
    /// # Errors
    /// When the daemon cannot be reached.
    pub(crate) fn open(socket: &Path, signals: Signals) -> Result<Link, Problem> {
        let mut client = Client::connect(socket)?;
        client.set_nonblocking(true).map_err(|error| Problem::failed(format!("the socket: {error}")))?;
        Ok(Link { client, signals })
    }

    /// Queues a request, which leaves with the next wait, and returns its number.
    ///
    /// # Errors
    /// When it is too long, or the daemon cannot be reached again.
    pub(crate) fn queue(&mut self, request: &Request) -> Result<u64, ClientError> {
        self.client.queue_request(request)
    }

    /// Waits until `until` at the latest.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(crate) fn next(&mut self, until: Instant) -> Result<Wake, ClientError> {
        loop {
            if let Some(response) = self.client.try_buffered()? {
                return taken(response);
            }
            let has_more = match self.client.sender().try_flush() {
                Ok(is_all) => !is_all,
                // The host may have said why; the next read has that.
                Err(error) if error.is_disconnect() => false,
                Err(error) => return Err(error),
            };
            let left = until.saturating_duration_since(Instant::now());
            match self.wait(has_more, left)? {
                Some(Ready::Signal(signal)) => return Ok(Wake::Signal(signal)),
                Some(Ready::Daemon) => {
                    if let Some(response) = self.client.try_receive()? {
                        return taken(response);
                    }
                }
                None if until <= Instant::now() => return Ok(Wake::Time),
                None => {}
            }
        }
    }

    fn wait(&self, has_more: bool, left: std::time::Duration) -> Result<Option<Ready>, ClientError> {
        // Rounded up, so that a wait does not end just before its time again and again.
        let millis = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        let events = if has_more { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        let mut all = vec![PollFd::new(self.signals.0.as_fd(), PollFlags::POLLIN)];
        // A connection that the host closed while nothing was in flight is made anew by the next request.
        if self.client.is_connected() {
            all.push(PollFd::new(self.client.as_fd(), events));
        }
        match poll(&mut all, PollTimeout::from(millis)) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(ClientError::Broken(error.into())),
        }
        if all[0].any().unwrap_or_default()
            && let Some(signal) = self.signals.take()
        {
            return Ok(Some(Ready::Signal(signal)));
        }
        let is_ready = all.get(1).is_some_and(|daemon| daemon.any().unwrap_or_default());
        Ok(is_ready.then_some(Ready::Daemon))
    }
}

/// What a poll found.
enum Ready {
    Signal(Signal),
    Daemon,
}

fn taken(response: Response) -> Result<Wake, ClientError> {
    match response {
        Response { id: None, status: Status::Error(failure), .. } => Err(ClientError::Refused(failure)),
        response => Ok(Wake::Answer(response)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_as_the_kernel_writes_them() {
        assert_eq!(ignored_in("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), 0x1001);
        assert_eq!(ignored_in("Name:\tx\n"), 0);
    }
}
