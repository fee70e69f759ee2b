//! The test's end of the wire: what it sends goes to the host, its answers go to the fakes, and what the host answers
//! comes back as it is. The host's events, which the test host follows for it, come as messages of the type `event`.

use crate::ending::{End, Ending};
use crate::fakes::Fakes;
use bulkhead_protocol::limits::{REQUEST_ID_MAX, REWRITE_BYTES_MAX};
use bulkhead_protocol::{
    Decoder, ErrorCode, Failure, FrameError, Json, Message, Request, RequestType, Response, Status, frame,
};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// The request by which the test host follows the events, on the connection that it shares with the test.
const FOLLOW_ID: u64 = REQUEST_ID_MAX;

/// Likewise, the one whose answer comes after all that the host has said before.
const BARRIER_ID: u64 = REQUEST_ID_MAX - 1;

/// Bytes that one read takes at most.
const READ_BYTES: usize = 64 * 1024;

/// What is written to the test, by several threads.
#[derive(Clone, Debug)]
pub(crate) struct ToTest {
    stream: Arc<Mutex<File>>,
    frame_bytes_max: usize,
}

impl ToTest {
    pub(crate) fn new(stream: File, frame_bytes_max: usize) -> ToTest {
        ToTest { stream: Arc::new(Mutex::new(stream)), frame_bytes_max: frame_bytes_max + REWRITE_BYTES_MAX }
    }

    /// Writes one frame as it is.
    fn pass(&self, content: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(content.len() + 4);
        frame::encode(&mut bytes, usize::MAX, |out| out.extend_from_slice(content)).map_err(io::Error::other)?;
        self.write(&bytes)
    }

    /// # Errors
    /// When the test is gone, or the message is longer than a frame may be.
    pub(crate) fn send(&self, message: &Message) -> io::Result<()> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes, self.frame_bytes_max).map_err(io::Error::other)?;
        self.write(&bytes)
    }

    /// An event of the test host's own.
    pub(crate) fn event(&self, name: &str, data: &serde_json::Value) -> io::Result<()> {
        let payload = Json::of(&serde_json::json!({ "event": name, "data": data }));
        self.send(&Message::Request(Request::new(None, RequestType::Event, payload)))
    }

    /// Why this is the end. A test that is gone does not learn it.
    pub(crate) fn send_final_failure(&self, failure: Failure) {
        let _ = self.send(&Message::Response(Response::new(None, failure)));
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }
}

/// The connection to the host, which the test and the test host write to.
#[derive(Clone, Debug)]
pub(crate) struct ToHost(Arc<Mutex<UnixStream>>);

impl ToHost {
    pub(crate) fn new(stream: UnixStream) -> ToHost {
        ToHost(Arc::new(Mutex::new(stream)))
    }

    /// Asks for all events, before any module runs.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn follow(&self) -> io::Result<()> {
        let payload = Json::of(&serde_json::json!({ "name": "events", "args": { "after": 0 } }));
        self.send(&Request::new(FOLLOW_ID, RequestType::Command, payload).to("supervisor"))
    }

    /// Asks for an answer that comes after all that was said before.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn ask_for_barrier(&self) -> io::Result<()> {
        self.send(&Request::new(BARRIER_ID, RequestType::Ping, Json::null()))
    }

    fn send(&self, request: &Request) -> io::Result<()> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes, READ_BYTES).expect("it is short");
        self.write(&bytes)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }
}

/// Who gets word of answers to the test host's own requests.
#[derive(Debug)]
pub(crate) struct Own {
    /// The events are followed.
    pub(crate) following: mpsc::Sender<()>,
    /// All that was said before has come.
    pub(crate) barrier: mpsc::Sender<()>,
}

/// Carries what the host says to the test, until one of them is gone.
pub(crate) fn carry_from_host(mut from_host: UnixStream, to_test: &ToTest, own: &Own, end: &Ending) {
    let result = each_frame(&mut from_host, to_test.frame_bytes_max, |content| {
        match Message::decode(content) {
            Ok(Message::Response(Response { id: Some(FOLLOW_ID), status, .. })) => {
                followed(status, to_test, &own.following)
            }
            Ok(Message::Response(Response { id: Some(BARRIER_ID), .. })) => {
                // The receiver is gone once it knows.
                let _ = own.barrier.send(());
                Ok(())
            }
            // The host's own refusals and answers are the test's.
            Ok(_) | Err(_) => to_test.pass(content),
        }
    });
    end.report(match result {
        Ok(()) => End::HostGone,
        Err(Broken::Frame(error)) => End::Failed(format!("the host sent what is no frame: {error}")),
        // A test that does not read any more has ended or will.
        Err(Broken::Io(_)) => End::TestGone,
    });
}

/// One answer to the request that follows the events.
fn followed(status: Status, to_test: &ToTest, following: &mpsc::Sender<()>) -> io::Result<()> {
    #[derive(Deserialize)]
    struct Begun {
        following: Option<bool>,
        lost: Option<u64>,
    }
    match status {
        Status::Progress(data) => {
            let begun: Begun = data.read().map_err(io::Error::other)?;
            if begun.following != Some(true) {
                return to_test.send(&Message::Request(Request::new(None, RequestType::Event, data)));
            }
            // The receiver is gone once it knows.
            let _ = following.send(());
            match begun.lost {
                Some(lost) if lost > 0 => to_test.event("test_host.events_lost", &serde_json::json!({ "lost": lost })),
                Some(_) | None => Ok(()),
            }
        }
        Status::Success(_) => to_test.event("test_host.events_ended", &serde_json::json!({ "error": null })),
        Status::Error(failure) => {
            to_test.event("test_host.events_ended", &serde_json::json!({ "error": failure.error }))
        }
    }
}

/// Carries what the test says to the host and to the fakes, until it is gone.
pub(crate) fn carry_from_test(mut from_test: File, to_host: &ToHost, to_test: &ToTest, fakes: &Fakes, end: &Ending) {
    let frame_bytes_max = to_test.frame_bytes_max - REWRITE_BYTES_MAX;
    let mut bytes = Vec::new();
    let result = each_frame(&mut from_test, frame_bytes_max, |content| {
        match Message::decode(content) {
            Ok(Message::Response(response)) => {
                fakes.answer(response);
                return Ok(());
            }
            Ok(Message::Request(Request { id: Some(id @ BARRIER_ID..), .. })) => {
                let sentence = format!("the id {id} is the test host's own; use one below {BARRIER_ID}");
                let failure = Failure::new(ErrorCode::BadRequest, sentence);
                return to_test.send(&Message::Response(Response::new(id, failure)));
            }
            // What is no message is answered by the host, with its words.
            Ok(Message::Request(_)) | Err(_) => {}
        }
        bytes.clear();
        frame::encode(&mut bytes, frame_bytes_max, |out| out.extend_from_slice(content)).map_err(io::Error::other)?;
        to_host.write(&bytes)
    });
    end.report(match result {
        Ok(()) => End::TestGone,
        Err(Broken::Io(error)) => End::Failed(format!("the test cannot be read, or the host is gone: {error}")),
        Err(Broken::Frame(FrameError::Truncated { .. })) => End::TestGone,
        Err(Broken::Frame(error)) => {
            let code = match error {
                FrameError::TooLarge { .. } => ErrorCode::FrameTooLarge,
                FrameError::Text { .. } | FrameError::Empty(_) | FrameError::Truncated { .. } => {
                    ErrorCode::ProtocolError
                }
            };
            End::BadTest(code, error.to_string())
        }
    });
}

/// Why a stream is read no further.
pub(crate) enum Broken {
    Frame(FrameError),
    Io(io::Error),
}

/// Shows each frame of a stream, until its clean end.
///
/// # Errors
/// When the stream breaks, what comes is no frame, or the frame cannot be dealt with.
pub(crate) fn each_frame(
    stream: &mut impl Read,
    frame_bytes_max: usize,
    mut deal_with: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Broken> {
    let mut decoder = Decoder::new(frame_bytes_max);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => return decoder.finish().map_err(Broken::Frame),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Broken::Io(error)),
        };
        let mut input = &buffer[..count];
        while let Some(content) = decoder.next(&mut input).map_err(Broken::Frame)? {
            deal_with(content).map_err(Broken::Io)?;
        }
        decoder.shrink();
    }
}
