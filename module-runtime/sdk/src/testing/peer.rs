//! The host's end of a channel, for a test, which may also send raw bytes.

use super::TIMEOUT;
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{Decoder, FrameError, Json, Message, MessageError, Request, RequestType, Response, Status};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Why a wait for a message ended without one.
#[derive(Debug)]
pub enum StreamEnd {
    /// The stream ended between two frames.
    Closed,
    /// Nothing came for too long.
    Quiet,
    /// The bytes that came are no frame, or the stream ended inside one.
    Frame(FrameError),
    /// A frame that came is no message.
    Message(MessageError),
    /// The channel could not be read.
    Unreadable(io::Error),
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamEnd::Closed => f.write_str("the end"),
            StreamEnd::Quiet => f.write_str("nothing for too long"),
            StreamEnd::Frame(error) => error.fmt(f),
            StreamEnd::Message(error) => error.fmt(f),
            StreamEnd::Unreadable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StreamEnd {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StreamEnd::Closed | StreamEnd::Quiet => None,
            // Their sentences are this one's.
            StreamEnd::Frame(error) => error.source(),
            StreamEnd::Message(error) => error.source(),
            StreamEnd::Unreadable(error) => error.source(),
        }
    }
}

/// The other end of a module's channel.
#[derive(Debug)]
pub struct Peer {
    channel: UnixStream,
    decoder: Decoder,
    arrived: VecDeque<Message>,
    next_id: u64,
}

impl Peer {
    /// A test's end of a socket pair.
    ///
    /// # Panics
    /// When it is no usable socket.
    pub fn new(channel: UnixStream) -> Peer {
        channel.set_write_timeout(Some(TIMEOUT)).expect("a timeout can be set");
        Peer { channel, decoder: Decoder::new(FRAME_BYTES_MAX_DEFAULT), arrived: VecDeque::new(), next_id: 1 }
    }

    /// Sends a request and returns its id.
    pub fn send(&mut self, kind: RequestType, payload: Json) -> u64 {
        self.send_request(Request::new(None, kind, payload))
    }

    /// Sends a command and returns its id.
    pub fn send_command(&mut self, name: &str, args: Value) -> u64 {
        self.send(RequestType::Command, json!({ "name": name, "args": args }).into())
    }

    /// Sends a request, numbered here, and returns its id.
    pub fn send_request(&mut self, mut request: Request) -> u64 {
        let id = self.number();
        request.id = Some(id);
        self.send_messages(&[Message::Request(request)]);
        id
    }

    /// The id for a request that the test sends with [`Peer::send_messages`].
    pub fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Sends messages as they are, in one write, so that they arrive together.
    ///
    /// # Panics
    /// When one is longer than a frame.
    pub fn send_messages(&mut self, messages: &[Message]) {
        let mut bytes = Vec::new();
        for message in messages {
            message.encode(&mut bytes, FRAME_BYTES_MAX_DEFAULT).expect("the message fits a frame");
        }
        self.send_bytes(&bytes);
    }

    /// Sends bytes. A module that is gone is noticed by the next read.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.channel.write_all(bytes);
    }

    /// Answers a request of the module.
    pub fn succeed(&mut self, id: u64, data: Value) {
        self.send_messages(&[Message::Response(Response::success(id, data.into()))]);
    }

    /// Refuses a request of the module with this error.
    pub fn fail(&mut self, id: u64, error: &crate::Error) {
        self.send_messages(&[Message::Response(Response::new(id, error.failure().clone()))]);
    }

    /// Waits for the answer to `id`; other messages that come before it stay for [`Peer::message`].
    /// The inner error is the error response, as JSON.
    ///
    /// # Errors
    /// As [`Peer::message`].
    pub fn answer(&mut self, id: u64) -> Result<Result<Value, Value>, StreamEnd> {
        let is_answer = |message: &Message| {
            matches!(message, Message::Response(Response { id: Some(found), status, .. })
                if *found == id && !matches!(status, Status::Progress(_)))
        };
        let deadline = Instant::now() + TIMEOUT;
        let message = loop {
            match self.arrived.iter().position(is_answer) {
                Some(at) => break self.arrived.remove(at).expect("it was just found"),
                None => self.fill(deadline)?,
            }
        };
        Ok(match &message {
            Message::Response(Response { status: Status::Success(data), .. }) => Ok(read(data)),
            _ => Err(as_json(&message)),
        })
    }

    /// Drops the progress of `id` that has come.
    pub(super) fn forget_progress_of(&mut self, id: u64) {
        self.arrived.retain(|message| {
            !matches!(message, Message::Response(Response { id: Some(found), status: Status::Progress(_), .. }) if *found == id)
        });
    }

    /// Waits for the next message of any kind, as JSON.
    ///
    /// # Errors
    /// Why none came.
    pub fn message(&mut self) -> Result<Value, StreamEnd> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.arrived.pop_front() {
                Some(message) => return Ok(as_json(&message)),
                None => self.fill(deadline)?,
            }
        }
    }

    /// Whether no message comes for so long.
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.fill(deadline) {
                Ok(()) if self.arrived.is_empty() => {}
                Ok(()) => return false,
                Err(end) => return self.arrived.is_empty() && matches!(end, StreamEnd::Quiet),
            }
        }
    }

    /// Waits for `count` bytes, without a look at frames; fewer where the stream ends before.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        let deadline = Instant::now() + TIMEOUT;
        while filled < count {
            match self.read(&mut bytes[filled..], deadline) {
                Ok(0) | Err(_) => break,
                Ok(more) => filled += more,
            }
        }
        bytes.truncate(filled);
        bytes
    }

    /// Closes the channel, as a host that died would.
    pub fn hang_up(&mut self) {
        let _ = self.channel.shutdown(std::net::Shutdown::Both);
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, StreamEnd> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.channel.set_read_timeout(Some(left)).map_err(StreamEnd::Unreadable)?;
            match self.channel.read(buffer) {
                Ok(count) => return Ok(count),
                // A read with a timeout is not begun again after a signal by itself.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(match error.kind() {
                        io::ErrorKind::WouldBlock => StreamEnd::Quiet,
                        io::ErrorKind::ConnectionReset => StreamEnd::Closed,
                        _ => StreamEnd::Unreadable(error),
                    });
                }
            }
        }
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), StreamEnd> {
        let mut buffer = [0; 64 * 1024];
        let count = self.read(&mut buffer, deadline)?;
        if count == 0 {
            return Err(self.decoder.finish().map_or_else(StreamEnd::Frame, |()| StreamEnd::Closed));
        }
        let mut input = &buffer[..count];
        while let Some(frame) = self.decoder.next(&mut input).map_err(StreamEnd::Frame)? {
            self.arrived.push_back(Message::decode(frame).map_err(StreamEnd::Message)?);
        }
        Ok(())
    }
}

/// Data as a value. What nests too deeply for one comes as its text.
fn read(data: &Json) -> Value {
    data.read().unwrap_or_else(|_| data.as_str().into())
}

/// The message as JSON, for comparisons in tests.
fn as_json(message: &Message) -> Value {
    let mut bytes = Vec::new();
    message.encode(&mut bytes, 2 * FRAME_BYTES_MAX_DEFAULT).expect("it came in a frame");
    read(&Json::parse(&String::from_utf8_lossy(&bytes[4..])).expect("a message is JSON"))
}
