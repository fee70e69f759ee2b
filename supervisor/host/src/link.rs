//! A stream of frames in both directions: bytes in and out of one descriptor or a pair of them. What
//! the frames say is decided elsewhere.

use crate::{portion, release::Releasable};
use bulkhead_core::{RequestId, Time, TimeAccount};
use bulkhead_protocol::{Decoder, FrameError, HeldBytes, Message, MessageError, Output, Request};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::Interest,
    net::{
        UnixStream,
        unix::pipe::{Receiver, Sender},
    },
};

/// Bytes that are read at once; one buffer of this size serves all links.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// Messages that are cut from a link's bytes at once, so that one that floods leaves others their share,
/// and the first ones are on their way before the last ones are looked at.
const MESSAGES_PER_READ: usize = 32;

/// Bytes that are written to a link before others are served: a client that reads as fast as they are
/// written must not delay all others for as long as a message takes.
const WRITTEN_AT_ONCE_BYTES_MAX: u64 = 512 * 1024;

/// How much has to wait before the ends of frames are noted, so that those which have not begun can be dropped.
const ENDS_NOTED_BYTES_MIN: usize = 1024 * 1024;

/// The descriptors of a link.
#[derive(Debug)]
pub(crate) enum Io {
    /// One socket for both directions.
    Socket(UnixStream),
    /// A module's standard output and input.
    Pipes {
        /// What it writes.
        from: Releasable<Receiver>,
        /// What it reads.
        to: Releasable<Sender>,
    },
}

impl Io {
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Socket(stream) => stream.poll_read_ready(context),
            Io::Pipes { from, .. } if from.poll_released(context).is_ready() => Poll::Ready(Ok(())),
            Io::Pipes { from, .. } => from.poll_read_ready(context),
        }
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Socket(stream) => stream.poll_write_ready(context),
            Io::Pipes { to, .. } if to.poll_released(context).is_ready() => Poll::Ready(Ok(())),
            Io::Pipes { to, .. } => to.poll_write_ready(context),
        }
    }

    /// Ends any wait for it: nothing more is read or written.
    pub(crate) fn release(&self) {
        match self {
            Io::Socket(stream) => {
                // It fails where the other side is gone, which ends a wait as well.
                let _ = nix::sys::socket::shutdown(stream.as_raw_fd(), nix::sys::socket::Shutdown::Both);
            }
            Io::Pipes { from, to } => {
                from.release();
                to.release();
            }
        }
    }

    /// The descriptor that is written to.
    pub(crate) fn output(&self) -> BorrowedFd<'_> {
        match self {
            Io::Socket(stream) => stream.as_fd(),
            Io::Pipes { to, .. } => to.as_fd(),
        }
    }

    /// Reads what the loop has seen come.
    ///
    /// A read that did not fill the buffer has emptied a socket, so the wait for more begins with it,
    /// not with another read that finds nothing. It relies on notifications at edges, as the
    /// runtime's own `poll_read` does.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let stream = match self {
            Io::Socket(stream) => stream,
            Io::Pipes { from, .. } => return from.try_read(buffer),
        };
        let mut short = None;
        let read = stream.try_io(Interest::READABLE, || match nix::unistd::read(stream, buffer)? {
            count if count > 0 && count < buffer.len() => {
                short = Some(count);
                Err(io::ErrorKind::WouldBlock.into())
            }
            count => Ok(count),
        });
        short.map_or(read, Ok)
    }

    /// Reads what is there, also what came since the loop last looked.
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Io::Socket(stream) => nix::unistd::read(stream, buffer),
            Io::Pipes { from, .. } => nix::unistd::read(&**from, buffer),
        };
        Ok(read?)
    }

    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, pieces) {
            (Io::Socket(stream), [bytes]) => stream.try_write(bytes),
            (Io::Socket(stream), pieces) => stream.try_write_vectored(pieces),
            (Io::Pipes { to, .. }, pieces) => to.try_write_vectored(pieces),
        }
    }
}

/// Whether the other side of a socket is gone altogether, not only finished writing.
pub(crate) fn has_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut set = [PollFd::new(socket, PollFlags::empty())];
    match poll(&mut set, PollTimeout::ZERO) {
        Ok(_) => set[0].revents().is_some_and(|flags| flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)),
        Err(_) => true,
    }
}

/// What follows the messages that were taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// There may be more later.
    Open,
    /// More has been read already and waits to be taken.
    More,
    /// The other side has closed, on a frame boundary.
    Closed,
    /// The stream is broken; no further frame can be found in it.
    Broken(FrameError),
}

/// What of a link is being read elsewhere; what has come after it waits.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) number: u64,
    pub(crate) what: Unread,
    pub(crate) since: Time,
}

/// What takes long to read.
#[derive(Clone, Debug)]
pub(crate) enum Unread {
    /// The payload of a request.
    Payload(Request),
    /// A text that is no message, to find out why.
    Refused(Arc<String>),
}

impl HeldBytes for Unread {
    fn held_bytes(&self) -> usize {
        match self {
            Unread::Payload(request) => request.held_bytes(),
            Unread::Refused(text) => text.capacity(),
        }
    }
}

/// One stream of frames.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) io: std::rc::Rc<Io>,
    decoder: Decoder,
    /// Messages that were read and not taken yet; at most [`MESSAGES_PER_READ`], for which it keeps the memory.
    inbox: VecDeque<Result<Message, MessageError>>,
    /// After them, a long text that is no message, for a reason that is not known yet.
    refused: Option<Arc<String>>,
    /// The time that decoding what was read took, in nanoseconds, as far as messages are not charged for it.
    decoding_nanos: u64,
    /// Bytes after them that were read too; less than [`READ_BYTES`].
    leftover: Vec<u8>,
    /// How much of `leftover` has become messages already.
    leftover_used: usize,
    /// What ended the stream after all of that, until it is reported.
    end: Option<Input>,
    has_ended: bool,
    output: Output,
    /// Requests whose last byte is not written, with the position in the output after that byte.
    unsent: VecDeque<(u64, RequestId)>,
    /// The ends of frames in the output, of those after [`ENDS_NOTED_BYTES_MIN`] that wait.
    ends: VecDeque<u64>,
    /// Whether a source waits until more can be written.
    pub(crate) awaits_room: bool,
    /// Whether it is on the list of those that have something to write.
    pub(crate) is_dirty: bool,
    /// What it has cost the host.
    pub(crate) account: TimeAccount,
    pub(crate) reading: Option<Reading>,
}

impl Link {
    pub(crate) fn new(io: Io, frame_bytes_max: usize) -> Link {
        Link {
            io: std::rc::Rc::new(io),
            decoder: {
                let mut decoder = Decoder::new(frame_bytes_max);
                decoder.leave_refusals();
                decoder
            },
            inbox: VecDeque::new(),
            refused: None,
            decoding_nanos: 0,
            leftover: Vec::new(),
            leftover_used: 0,
            end: None,
            has_ended: false,
            output: Output::default(),
            unsent: VecDeque::new(),
            ends: VecDeque::new(),
            awaits_room: false,
            is_dirty: false,
            account: TimeAccount::default(),
            reading: None,
        }
    }

    /// Reads once, if nothing waits to be taken; returns whether there was anything.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> bool {
        self.read_by(buffer, Io::try_read)
    }

    /// As [`Link::read`], of a process that has ended: what it wrote last may have come after the
    /// loop last looked.
    pub(crate) fn read_rest(&mut self, buffer: &mut [u8]) -> bool {
        self.read_by(buffer, Io::read_now)
    }

    fn read_by(&mut self, buffer: &mut [u8], read: fn(&Io, &mut [u8]) -> io::Result<usize>) -> bool {
        if !self.inbox.is_empty() || self.end.is_some() || self.refused.is_some() {
            return true;
        }
        if self.has_ended {
            return false;
        }
        if self.leftover.is_empty() {
            match read(&self.io, buffer) {
                Ok(count) if count > 0 => {
                    let rest = self.decode(&buffer[..count]);
                    self.leftover.extend_from_slice(rest);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    return false;
                }
                // A reset is how the kernel reports that the other side died with our bytes unread.
                Ok(_) | Err(_) => {
                    self.finish(self.decoder.finish().map_or_else(Input::Broken, |()| Input::Closed));
                }
            }
        } else {
            let leftover = std::mem::take(&mut self.leftover);
            let rest = self.decode(&leftover[self.leftover_used..]).len();
            if rest > 0 {
                self.leftover_used = leftover.len() - rest;
                self.leftover = leftover;
            } else {
                self.leftover_used = 0;
            }
        }
        self.decoder.shrink();
        true
    }

    /// Cuts messages from what was read; returns what there is no room for yet.
    fn decode<'a>(&mut self, mut input: &'a [u8]) -> &'a [u8] {
        while self.inbox.len() < MESSAGES_PER_READ {
            let bytes = input.len();
            match self.decoder.next_message(&mut input) {
                Ok(Some(Ok(message))) => self.inbox.push_back(Ok(message)),
                Ok(Some(Err(error))) => {
                    if let Some(text) = self.decoder.take_refused() {
                        self.decoding_nanos += portion::arriving_nanos(bytes - input.len());
                        self.refused = Some(text);
                        return input;
                    }
                    self.decoding_nanos += portion::refused_nanos(bytes - input.len());
                    self.inbox.push_back(Err(error));
                }
                Ok(None) => {
                    if self.decoder.is_in_long_message() {
                        self.decoding_nanos += portion::arriving_nanos(bytes);
                    }
                    return &[];
                }
                Err(error) => {
                    self.finish(Input::Broken(error));
                    return &[];
                }
            }
        }
        input
    }

    fn finish(&mut self, end: Input) {
        self.end = Some(end);
        self.has_ended = true;
    }

    /// Takes the next message that was read.
    pub(crate) fn take(&mut self) -> Option<Result<Message, MessageError>> {
        self.inbox.pop_front()
    }

    /// Whether a text that is no message is next.
    pub(crate) fn has_refused(&self) -> bool {
        self.refused.is_some() && self.inbox.is_empty()
    }

    /// Takes the text after the messages that is none, to find out why; what has come after it waits.
    pub(crate) fn take_refused(&mut self) -> Option<Arc<String>> {
        if self.inbox.is_empty() { self.refused.take() } else { None }
    }

    /// The time that decoding took since the last call, in nanoseconds.
    pub(crate) fn take_decoding_nanos(&mut self) -> u64 {
        std::mem::take(&mut self.decoding_nanos)
    }

    /// What follows the messages that were taken; an end is reported once.
    pub(crate) fn rest(&mut self) -> Input {
        if self.inbox.is_empty() && self.leftover.is_empty() && self.refused.is_none() {
            self.end.take().unwrap_or(Input::Open)
        } else {
            Input::More
        }
    }

    /// Appends a frame to what is to be written.
    pub(crate) fn push(
        &mut self,
        encode: impl FnOnce(&mut Output) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        encode(&mut self.output)?;
        if self.output.pending_bytes() > ENDS_NOTED_BYTES_MIN {
            self.ends.push_back(self.output.end());
        }
        Ok(())
    }

    /// Drops frames that wait and have not begun to be written, except the first ones: ends of frames are noted
    /// only after those.
    pub(crate) fn drop_unbegun(&mut self) {
        let written = self.output.written();
        if let Some(end) = self.ends.iter().copied().find(|end| *end >= written) {
            self.output.truncate(end);
        }
        self.ends = VecDeque::new();
    }

    /// Nothing that it sends is read any more.
    pub(crate) fn drop_input(&mut self) {
        (self.inbox, self.leftover, self.leftover_used) = (VecDeque::new(), Vec::new(), 0);
        self.decoder = Decoder::new(0);
        (self.end, self.has_ended, self.refused) = (None, true, None);
    }

    /// There is something to write. Returns whether the link is to be put on the list of those for which that is so.
    pub(crate) fn becomes_dirty(&mut self) -> bool {
        !std::mem::replace(&mut self.is_dirty, true)
    }

    /// Remembers that the frame that was pushed last carries this request.
    pub(crate) fn note_request(&mut self, request: RequestId) {
        self.unsent.push_back((self.output.end(), request));
    }

    /// Writes as much as the other side takes, and as much as one iteration may write. `Ok(true)`: nothing is left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let (mut written, most) = (Ok(()), self.output.written() + WRITTEN_AT_ONCE_BYTES_MAX);
        while self.output.pending_bytes() > 0 && self.output.written() < most {
            written = self.output.write_with(|pieces| self.io.try_write(pieces));
            match &written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
                Ok(()) => {}
            }
        }
        self.output.shrink();
        let end = self.output.written();
        while self.unsent.front().is_some_and(|(position, _)| *position <= end) {
            self.unsent.pop_front();
        }
        while self.ends.front().is_some_and(|position| *position <= end) {
            self.ends.pop_front();
        }
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            other => other.map(|()| self.output.pending_bytes() == 0),
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.output.pending_bytes()
    }

    /// What waits to be written takes in memory.
    pub(crate) fn output_held_bytes(&self) -> usize {
        self.output.held_bytes() + self.ends.capacity() * size_of::<u64>()
    }

    /// What was read and not handled yet takes in memory: an unfinished frame, messages that no iteration has handled,
    /// and a payload that is being read.
    pub(crate) fn held_bytes(&self) -> usize {
        let waiting = self.inbox.iter().flatten().map(|message| match message {
            Message::Request(request) => request.held_bytes(),
            Message::Response(response) => response.held_bytes(),
        });
        let read = self.reading.as_ref().map_or(0, |reading| reading.what.held_bytes());
        let refused = self.refused.as_ref().map_or(0, |text| text.capacity());
        refused + self.decoder.capacity_bytes() + self.leftover.capacity() + waiting.sum::<usize>() + read
    }

    /// Whether messages have come that no iteration has handled.
    pub(crate) fn has_messages(&self) -> bool {
        !(self.inbox.is_empty() && self.leftover.is_empty() && self.refused.is_none())
    }

    /// Whether a message has arrived in part.
    pub(crate) fn is_half_read(&self) -> bool {
        self.decoder.held_bytes() > 0
    }

    /// Requests that were not written completely.
    pub(crate) fn unsent_requests(&self) -> Vec<RequestId> {
        self.unsent.iter().filter(|(end, _)| *end > self.output.written()).map(|(_, request)| *request).collect()
    }
}

#[cfg(test)]
mod tests;
