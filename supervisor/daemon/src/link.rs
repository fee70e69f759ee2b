//! A stream of frames in both directions: bytes in and out of one descriptor or a pair of them. What
//! the frames say is decided elsewhere.

use bulkhead_core::RequestId;
use bulkhead_protocol::{Decoder, FrameError, Message, MessageError};
use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd},
    task::{Context, Poll},
};
use tokio::net::{
    UnixStream,
    unix::pipe::{Receiver, Sender},
};

/// Bytes that are read at once; one buffer of this size serves all links.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Reads of one link in one turn, so that one that floods leaves others their share.
const READS_PER_TURN: usize = 4;

/// An output buffer that has been emptied is given back above this size.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// The descriptors behind a link.
#[derive(Debug)]
pub(crate) enum Io {
    /// One socket for both directions.
    Socket(UnixStream),
    /// A module's standard output and input.
    Pipes {
        /// What it writes.
        from: Receiver,
        /// What it reads.
        to: Sender,
    },
}

impl Io {
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Socket(stream) => stream.poll_read_ready(context),
            Io::Pipes { from, .. } => from.poll_read_ready(context),
        }
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Socket(stream) => stream.poll_write_ready(context),
            Io::Pipes { to, .. } => to.poll_write_ready(context),
        }
    }

    /// The descriptor that is written to.
    pub(crate) fn output(&self) -> BorrowedFd<'_> {
        match self {
            Io::Socket(stream) => stream.as_fd(),
            Io::Pipes { to, .. } => to.as_fd(),
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Io::Socket(stream) => stream.try_read(buffer),
            Io::Pipes { from, .. } => from.try_read(buffer),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Io::Socket(stream) => stream.try_write(bytes),
            Io::Pipes { to, .. } => to.try_write(bytes),
        }
    }
}

/// What reading came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// There may be more later.
    Open,
    /// The other side has closed, on a frame boundary.
    Closed,
    /// The stream is broken; no further frame can be found in it.
    Broken(FrameError),
}

/// One stream of frames.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) io: std::rc::Rc<Io>,
    decoder: Decoder,
    output: Vec<u8>,
    /// How much of `output` is written already.
    written: usize,
    /// Requests whose last byte is not written, with the place in `output` behind that byte.
    unsent: VecDeque<(usize, RequestId)>,
    /// Whether somebody waits until more can be written.
    pub(crate) awaits_room: bool,
    /// Whether it is on the list of those that have something to write.
    pub(crate) is_dirty: bool,
}

impl Link {
    pub(crate) fn new(io: Io, frame_bytes_max: usize) -> Link {
        Link {
            io: std::rc::Rc::new(io),
            decoder: Decoder::new(frame_bytes_max),
            output: Vec::new(),
            written: 0,
            unsent: VecDeque::new(),
            awaits_room: false,
            is_dirty: false,
        }
    }

    /// Reads what is there, within bounds, and appends the messages to `inbox`.
    pub(crate) fn read(&mut self, buffer: &mut [u8], inbox: &mut Vec<Result<Message, MessageError>>) -> Input {
        let result = self.read_some(buffer, inbox);
        self.decoder.relax();
        result
    }

    fn read_some(&mut self, buffer: &mut [u8], inbox: &mut Vec<Result<Message, MessageError>>) -> Input {
        for _ in 0..READS_PER_TURN {
            let count = match self.io.try_read(buffer) {
                Ok(0) => return self.decoder.finish().map_or_else(Input::Broken, |()| Input::Closed),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Input::Open,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A reset is how the kernel says that the other side died with our bytes unread.
                Err(_) => return self.decoder.finish().map_or_else(Input::Broken, |()| Input::Closed),
            };
            let mut input = &buffer[..count];
            loop {
                match self.decoder.next(&mut input) {
                    Ok(Some(frame)) => inbox.push(Message::decode(frame)),
                    Ok(None) => break,
                    Err(error) => return Input::Broken(error),
                }
            }
        }
        Input::Open
    }

    /// Appends a frame to what is to be written.
    pub(crate) fn push(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        encode(&mut self.output)
    }

    /// Remembers that the frame that was pushed last carries this request.
    pub(crate) fn note_request(&mut self, request: RequestId) {
        self.unsent.push_back((self.output.len(), request));
    }

    /// Writes as much as the other side takes. `Ok(true)`: nothing is left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while self.written < self.output.len() {
            match self.io.try_write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.compact();
                    return Ok(false);
                }
                Err(error) => {
                    self.compact();
                    return Err(error);
                }
            }
        }
        self.unsent.clear();
        self.written = 0;
        if self.output.capacity() > KEPT_BYTES_MAX {
            self.output = Vec::new();
        } else {
            self.output.clear();
        }
        Ok(true)
    }

    /// Gives the written part of the buffer back once it is the larger one.
    fn compact(&mut self) {
        while self.unsent.front().is_some_and(|(end, _)| *end <= self.written) {
            self.unsent.pop_front();
        }
        if self.written > self.output.len() / 2 {
            self.output.drain(..self.written);
            for (end, _) in &mut self.unsent {
                *end -= self.written;
            }
            self.written = 0;
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.output.len() - self.written
    }

    /// Bytes of an unfinished frame that are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.decoder.held_bytes()
    }

    /// Requests that were not written completely.
    pub(crate) fn unsent_requests(&self) -> Vec<RequestId> {
        self.unsent.iter().filter(|(end, _)| *end > self.written).map(|(_, request)| *request).collect()
    }
}
