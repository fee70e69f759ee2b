//! The receiving half: bytes become responses. It distinguishes an end of the stream between two messages from an end
//! inside one. The caller's table knows which request an answer belongs to.

use crate::error::ClientError;
use crate::sender::remaining;
use bulkhead_protocol::limits::{FRAME_BYTES_MAX_HIGHEST, REWRITE_BYTES_MAX};
use bulkhead_protocol::{Decoder, Message, Response, Status};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that one read takes at most.
const READ_BYTES: usize = 64 * 1024;

/// The same until more has arrived: most clients with one request get a short answer, and the pages of a long buffer
/// would be a large part of their cost.
const FIRST_READ_BYTES: usize = 4 * 1024;

/// Reads responses; the half of a [`crate::Client`] that one thread may keep.
#[derive(Debug)]
pub struct Receiver {
    pub(crate) stream: Arc<UnixStream>,
    decoder: Decoder,
    buffer: Box<[u8]>,
    /// The part of `buffer` that has been read and not been decoded.
    start: usize,
    end: usize,
    timeout: Option<Duration>,
    /// How many requests have had their one answer.
    answered: u64,
    /// Whether a request without its answer has had progress.
    has_progress: bool,
}

impl Receiver {
    /// The largest limit that a host may be configured to is allowed here: the host is trusted, and
    /// memory grows only with what arrives.
    pub(crate) fn new(stream: Arc<UnixStream>) -> Receiver {
        Receiver {
            stream,
            decoder: Decoder::new(FRAME_BYTES_MAX_HIGHEST + REWRITE_BYTES_MAX),
            buffer: vec![0; FIRST_READ_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            timeout: None,
            answered: 0,
            has_progress: false,
        }
    }

    /// Continues with another connection, of which nothing was read.
    pub(crate) fn resume(&mut self, stream: Arc<UnixStream>) {
        *self = Receiver { answered: self.answered, ..Receiver::new(stream) };
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    pub(crate) fn has_progress(&self) -> bool {
        self.has_progress
    }

    /// Waits for the next response to any request.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] when `timeout` passed; the connection is intact then and the wait
    /// may be repeated. Anything else ends the connection.
    pub fn receive(&mut self, timeout: Option<Duration>) -> Result<Response, ClientError> {
        self.receive_until(timeout.map(|timeout| Instant::now() + timeout))
    }

    pub(crate) fn receive_until(&mut self, until: Option<Instant>) -> Result<Response, ClientError> {
        loop {
            if let Some(response) = self.decode()? {
                return Ok(response);
            }
            let timeout = remaining(until)?;
            if timeout != self.timeout {
                self.stream.set_read_timeout(timeout).map_err(ClientError::Broken)?;
                self.timeout = timeout;
            }
            if !self.fill()? {
                return Err(ClientError::TimedOut);
            }
        }
    }

    /// The next response if it is here, without waiting on a non-blocking connection.
    ///
    /// # Errors
    /// When the connection ended or broke.
    pub fn try_receive(&mut self) -> Result<Option<Response>, ClientError> {
        loop {
            if let Some(response) = self.decode()? {
                return Ok(Some(response));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// The next response among the bytes that have been read already.
    ///
    /// # Errors
    /// When the bytes are no response.
    pub fn decode(&mut self) -> Result<Option<Response>, ClientError> {
        loop {
            let mut input = &self.buffer[self.start..self.end];
            let before = input.len();
            let message = self.decoder.next_message(&mut input).map_err(ClientError::Frame)?;
            self.start += before - input.len();
            let Some(message) = message else { return Ok(None) };
            match message.map_err(ClientError::Message)? {
                Message::Response(response) => {
                    self.has_progress = matches!(response.status, Status::Progress(_));
                    self.answered += u64::from(response.id.is_some() && !self.has_progress);
                    return Ok(Some(response));
                }
                // Today's hosts send their clients no requests; those of a later host are ignored.
                Message::Request(_) => {}
            }
        }
    }

    /// Reads once; `false` when nothing came in time.
    fn fill(&mut self) -> Result<bool, ClientError> {
        debug_assert!(self.start == self.end, "what was read is decoded before more is read");
        self.decoder.shrink();
        if self.end == self.buffer.len() && self.end < READ_BYTES {
            self.buffer = vec![0; READ_BYTES].into_boxed_slice();
        }
        (self.start, self.end) = (0, 0);
        loop {
            match (&*self.stream).read(&mut self.buffer) {
                Ok(0) => {
                    self.decoder.finish().map_err(ClientError::Frame)?;
                    return Err(ClientError::Closed);
                }
                Ok(count) => {
                    self.end = count;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => match ClientError::from_io(error) {
                    ClientError::TimedOut => return Ok(false),
                    broken => return Err(broken),
                },
            }
        }
    }
}
