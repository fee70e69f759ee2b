//! The sending half: requests are numbered, framed and collected, and leave in as few writes as possible. It never
//! reads answers.

use crate::error::ClientError;
use bulkhead_protocol::WireRequest;
use bulkhead_protocol::{Json, Request, RequestType, limits::FRAME_BYTES_MAX_DEFAULT};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A buffer that one large request left is freed above this many bytes.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// How much of requests has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Not a byte.
    Nothing,
    /// Some bytes, and not all.
    Part,
    /// All of them.
    All,
}

/// Numbers and sends requests; the half of a [`crate::Client`] that one thread may keep.
#[derive(Debug)]
pub struct Sender {
    pub(crate) stream: Arc<UnixStream>,
    next_id: u64,
    frame_bytes_max: usize,
    /// Frames that have not left; the first `written` bytes of it have. A frame that has left completely stays here
    /// until the next frame comes.
    out: Vec<u8>,
    written: usize,
    /// How many frames are in `out`, as long as the first of them is still whole.
    whole: Option<u64>,
    /// Bytes of all frames that were ever queued.
    total_bytes: u64,
    timeout: Option<Duration>,
}

impl Sender {
    pub(crate) fn new(stream: Arc<UnixStream>) -> Sender {
        Sender {
            stream,
            next_id: 1,
            frame_bytes_max: FRAME_BYTES_MAX_DEFAULT,
            out: Vec::new(),
            written: 0,
            whole: Some(0),
            total_bytes: 0,
            timeout: None,
        }
    }

    /// How many requests were numbered.
    pub(crate) fn numbered(&self) -> u64 {
        self.next_id - 1
    }

    /// Whether the last `count` requests are all still here, and if so, how much of them has left.
    pub(crate) fn left(&self, count: u64) -> Option<Left> {
        match self.written {
            _ if self.whole != Some(count) => None,
            0 => Some(Left::Nothing),
            written if written < self.out.len() => Some(Left::Part),
            _ => Some(Left::All),
        }
    }

    /// Sends the next requests over another connection, and before them all that are here.
    pub(crate) fn resume(&mut self, stream: Arc<UnixStream>) {
        self.stream = stream;
        self.written = 0;
        self.timeout = None;
    }

    /// Drops the frames that have left completely.
    fn forget_sent(&mut self) {
        self.out.clear();
        self.written = 0;
        self.whole = Some(0);
    }

    /// As [`Sender::resume`], but drops what is here, since it is answered.
    pub(crate) fn begin_anew(&mut self, stream: Arc<UnixStream>) {
        self.forget_sent();
        self.resume(stream);
    }

    /// Refuses requests longer than this many bytes from now on (default 16 MiB, the host's default).
    pub fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// Queues a request after those that wait to be sent, and returns its number, which replaces its `id`. Nothing
    /// leaves before [`Sender::flush`] or [`Sender::try_flush`].
    ///
    /// # Errors
    /// [`ClientError::TooLarge`]; the connection is intact then.
    pub fn queue(&mut self, request: &WireRequest<'_>) -> Result<u64, ClientError> {
        if self.queued_bytes() == 0 {
            self.forget_sent();
        }
        let id = self.next_id;
        let numbered = WireRequest { id: Some(id), ..*request };
        let before = self.out.len();
        numbered.encode(&mut self.out, self.frame_bytes_max).map_err(ClientError::TooLarge)?;
        self.total_bytes += (self.out.len() - before) as u64;
        self.next_id += 1;
        self.whole = self.whole.map(|frames| frames + 1);
        Ok(id)
    }

    /// [`Sender::queue`] for a request that owns its parts.
    ///
    /// # Errors
    /// As [`Sender::queue`].
    pub fn queue_request(&mut self, request: &Request) -> Result<u64, ClientError> {
        self.queue(&WireRequest::from(request))
    }

    /// Queues the request to stop working on request `id`, and returns the number of this request;
    /// both get an answer.
    ///
    /// # Errors
    /// Those of [`Sender::queue`] for a short request.
    pub fn queue_cancel(&mut self, id: u64) -> Result<u64, ClientError> {
        let payload = Json::parse(&format!("{{\"id\":{id}}}")).expect("a number makes an object");
        self.queue_request(&Request::new(None, RequestType::Cancel, payload))
    }

    /// How many bytes wait to be sent.
    pub fn queued_bytes(&self) -> usize {
        self.out.len() - self.written
    }

    /// How many bytes of requests were ever queued. After [`Sender::queue`], it is where that request ends: the host
    /// may have read it if [`Sender::sent_bytes`] is as much or more, and certainly has not otherwise.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// How many of them have left.
    pub fn sent_bytes(&self) -> u64 {
        self.total_bytes - self.queued_bytes() as u64
    }

    /// Sends all that is queued, waiting without a limit until the host has read enough.
    ///
    /// While it waits, no answers are read here: a caller that sends much ahead reads in another thread
    /// ([`crate::Client::split`]) or makes the connection non-blocking.
    ///
    /// # Errors
    /// When the connection broke; [`ClientError::TimedOut`] on a non-blocking connection.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.flush_until(None)
    }

    pub(crate) fn flush_until(&mut self, until: Option<Instant>) -> Result<(), ClientError> {
        if self.queued_bytes() == 0 {
            return Ok(());
        }
        let timeout = remaining(until)?;
        if timeout != self.timeout {
            self.stream.set_write_timeout(timeout).map_err(ClientError::Broken)?;
            self.timeout = timeout;
        }
        if self.try_flush()? { Ok(()) } else { Err(ClientError::TimedOut) }
    }

    /// Sends what the socket accepts; `true` when nothing is left. On a non-blocking connection it returns at once, and
    /// the rest goes with the next call.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn try_flush(&mut self) -> Result<bool, ClientError> {
        while self.written < self.out.len() {
            match (&*self.stream).write(&self.out[self.written..]) {
                Ok(0) => return Err(ClientError::Broken(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => match ClientError::from_io(error) {
                    ClientError::TimedOut => {
                        self.forget_written();
                        return Ok(false);
                    }
                    broken => return Err(broken),
                },
            }
        }
        if self.out.capacity() > KEPT_BYTES_MAX {
            self.out = Vec::new();
            self.written = 0;
            self.whole = None;
        }
        Ok(true)
    }

    /// Moves the rest to the front once it is the smaller part, so that the buffer does not grow while the host always
    /// lags a little.
    fn forget_written(&mut self) {
        if self.written > self.queued_bytes() {
            self.out.drain(..self.written);
            self.written = 0;
            self.whole = None;
        }
    }
}

/// The time that is left; a deadline that has passed is a timeout, since zero means "no limit" for a socket.
pub(crate) fn remaining(until: Option<Instant>) -> Result<Option<Duration>, ClientError> {
    let Some(until) = until else { return Ok(None) };
    match until.checked_duration_since(Instant::now()) {
        // Sockets count in microseconds: less than one would be rounded to none.
        Some(left) if left.as_micros() > 0 => Ok(Some(left)),
        _ => Err(ClientError::TimedOut),
    }
}
