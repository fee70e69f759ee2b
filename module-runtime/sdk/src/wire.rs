//! The way between the host's frames and a module's handlers: keeps what came for later, counts
//! deadlines, notices cancels, and decides when answers leave. What a handler is, is not known here.

use crate::channel::Channel;
use crate::context::{Ask, Host};
use crate::{Barrier, Error};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::message::WireRequest;
use bulkhead_protocol::{Decoder, Failure, Json, Message, Request, RequestType, Response, Status};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// One read takes up to this many bytes, and so many frames where they are small.
const READ_BYTES: usize = 64 * 1024;

/// Answers that wait to be written together are written at the latest when they are this many bytes.
const PENDING_BYTES_MAX: usize = 64 * 1024;

/// How long after the deadline of a request of our own the host's word on it is still waited for:
/// it says more than ours, as it knows how far the request got.
const ANSWER_GRACE: Duration = Duration::from_millis(250);

/// Why there will be no more requests.
#[derive(Debug)]
pub(crate) enum End {
    /// The host closed the channel, or is gone.
    Closed,
    /// Something is broken that leaves the process no way to go on.
    Broken(String),
}

/// A request that waits for its turn.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) request: Request,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancelled: bool,
}

/// One connection to the host.
pub(crate) struct Wire {
    channel: Channel,
    decoder: Decoder,
    buffer: Vec<u8>,
    frame_bytes_max: usize,
    queue: VecDeque<Pending>,
    /// Frames that have not left yet.
    out: Vec<u8>,
    /// What must be done before they do.
    pub(crate) barrier: Option<Barrier>,
    /// The request whose handler runs, and whether it was cancelled.
    current: Option<(u64, bool)>,
    /// The own request whose answer is waited for, and the answer.
    awaited: Option<(u64, Option<Result<Json, Error>>)>,
    next_id: u64,
    end: Option<End>,
}

impl Wire {
    pub(crate) fn new(channel: Channel) -> Wire {
        Wire {
            channel,
            decoder: Decoder::new(FRAME_BYTES_MAX_DEFAULT),
            buffer: vec![0; READ_BYTES],
            frame_bytes_max: FRAME_BYTES_MAX_DEFAULT,
            queue: VecDeque::new(),
            out: Vec::new(),
            barrier: None,
            current: None,
            awaited: None,
            next_id: 1,
            end: None,
        }
    }

    /// Puts the host's limit in force. It is called while nothing of another frame is held: the host
    /// sends nothing after `init` before that is answered.
    pub(crate) fn limit(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
        if self.decoder.held_bytes() == 0 {
            self.decoder = Decoder::new(frame_bytes_max);
        }
    }

    /// The next request in the order of arrival; waits for one after everything is written.
    pub(crate) fn next(&mut self) -> Result<Pending, End> {
        loop {
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            if let Some(pending) = self.queue.pop_front() {
                return Ok(pending);
            }
            self.flush();
            if self.end.is_none() {
                self.fill();
            }
        }
    }

    /// From now on the handler of `id` runs.
    pub(crate) fn begin(&mut self, id: Option<u64>) {
        self.current = id.map(|id| (id, false));
    }

    /// Answers a request, if it wants an answer. The answer leaves with the next [`Wire::flush`].
    pub(crate) fn answer(&mut self, id: Option<u64>, result: Result<Json, Error>) {
        self.current = None;
        let Some(id) = id else { return };
        let status = match result {
            Ok(data) => Status::Success(data),
            Err(error) => error.into_failure().into(),
        };
        let response = Response { id: Some(id), status };
        if let Err(error) = response.encode(&mut self.out, self.frame_bytes_max) {
            let failure = Error::frame_too_large(format!("the module's answer is too long: {error}")).into_failure();
            self.respond(Response { id: Some(id), status: failure.into() });
        }
        if self.out.len() >= PENDING_BYTES_MAX {
            self.flush();
        }
    }

    /// Writes everything that waits, after the barrier.
    pub(crate) fn flush(&mut self) {
        if self.out.is_empty() || self.end.is_some() {
            return;
        }
        if let Some(Err(error)) = self.barrier.as_mut().map(|barrier| barrier()) {
            self.end = Some(End::Broken(format!("the answers were not sent: {error}")));
            return;
        }
        if let Err(error) = self.channel.write(&self.out) {
            self.fail("writing to", &error);
        }
        self.out.clear();
        self.out.shrink_to(2 * PENDING_BYTES_MAX);
    }

    /// Reads once and takes what is whole.
    fn fill(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.channel.read(&mut buffer) {
            Ok(0) => {
                self.end = Some(match self.decoder.finish() {
                    Ok(()) => End::Closed,
                    Err(error) => End::Broken(error.to_string()),
                });
            }
            Ok(count) => self.take(&buffer[..count]),
            Err(error) => self.fail("reading from", &error),
        }
        self.buffer = buffer;
        self.decoder.relax();
    }

    fn take(&mut self, mut input: &[u8]) {
        loop {
            let message = match self.decoder.next(&mut input) {
                Ok(Some(frame)) => Message::decode(frame),
                Ok(None) => return,
                Err(error) => {
                    self.end = Some(End::Broken(error.to_string()));
                    return;
                }
            };
            match message {
                Ok(Message::Request(request)) if request.kind == RequestType::Cancel => self.cancel(&request),
                Ok(Message::Request(request)) => {
                    let deadline = request.deadline_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
                    self.queue.push_back(Pending { request, deadline, cancelled: false });
                }
                Ok(Message::Response(response)) => self.answered(response),
                Err(error) => {
                    let failure = Failure::new(bulkhead_protocol::ErrorCode::BadRequest, error.reason);
                    self.respond(Response { id: error.id, status: failure.into() });
                }
            }
        }
    }

    /// Marks the request. One that waits still gets its answer in its turn, as the host takes the
    /// order of the answers as proof of how far the module got.
    fn cancel(&mut self, cancel: &Request) {
        #[derive(serde::Deserialize)]
        struct Payload {
            id: u64,
        }
        let result = cancel.payload.read::<Payload>();
        if let Ok(Payload { id }) = result {
            if let Some((_, cancelled)) = self.current.as_mut().filter(|(current, _)| *current == id) {
                *cancelled = true;
            } else if let Some(pending) = self.queue.iter_mut().find(|pending| pending.request.id == Some(id)) {
                pending.cancelled = true;
            }
        }
        if let Some(id) = cancel.id {
            let status = match result {
                Ok(_) => Status::Success(Json::null()),
                Err(error) => Error::from(error).into_failure().into(),
            };
            self.respond(Response { id: Some(id), status });
        }
    }

    fn answered(&mut self, response: Response) {
        match (response.id, response.status) {
            (None, Status::Error(failure)) => {
                crate::log!(error, "the host could not read a message of this module: {}", failure.error);
            }
            (id, status) => {
                let Some((awaited, answer)) = &mut self.awaited else { return };
                if id == Some(*awaited) {
                    *answer = match status {
                        Status::Progress(_) => return,
                        Status::Success(data) => Some(Ok(data)),
                        Status::Error(failure) => Some(Err(Error::from(*failure))),
                    };
                }
            }
        }
    }

    /// Appends a response that is known to fit a frame.
    fn respond(&mut self, response: Response) {
        response.encode(&mut self.out, self.frame_bytes_max).expect("a short answer fits the smallest frame");
    }

    fn send(&mut self, request: WireRequest<'_>) -> Result<(), Error> {
        let sent = request.encode(&mut self.out, self.frame_bytes_max);
        sent.map_err(|error| {
            Error::frame_too_large(format!("the {} is too long to send: {error}", request.kind.name()))
        })
    }

    fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn fail(&mut self, doing: &str, error: &io::Error) {
        self.end = Some(match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => End::Closed,
            _ => End::Broken(format!("{doing} the host failed: {error}")),
        });
    }

    /// Waits for what the host sends next, at most until `until`, and takes it.
    fn wait(&mut self, until: Option<Instant>) {
        match self.channel.is_readable(until) {
            Ok(true) => self.fill(),
            Ok(false) => {}
            Err(error) => self.fail("waiting for", &error),
        }
    }

    fn was_cancelled(&self, of: Option<u64>) -> bool {
        of.is_some() && self.current.is_some_and(|(id, cancelled)| Some(id) == of && cancelled)
    }

    /// Waits for the answer to the own request that was sent last.
    fn await_answer(&mut self, id: u64, of: Option<u64>, deadline: Option<Instant>) -> Result<Json, Error> {
        let patience = deadline.map(|deadline| deadline + ANSWER_GRACE);
        self.awaited = Some((id, None));
        let result = loop {
            if let Some((_, Some(result))) = &mut self.awaited {
                break std::mem::replace(result, Ok(Json::null()));
            }
            if self.end.is_some() {
                break Err(host_gone());
            }
            let error = if self.was_cancelled(of) {
                Error::cancelled("the caller cancelled")
            } else if patience.is_some_and(|patience| patience <= Instant::now()) {
                Error::deadline_exceeded("the deadline passed without an answer")
            } else {
                self.wait(patience);
                continue;
            };
            let cancel = Json::of(&serde_json::json!({ "id": id }));
            let request = Request::new(self.number(), RequestType::Cancel, cancel);
            let wire = WireRequest {
                id: request.id,
                kind: &request.kind,
                to: None,
                payload: request.payload.as_str(),
                deadline_ms: None,
                key: None,
            };
            // A host that cannot be told still gets its own deadline.
            let _ = self.send(wire);
            break Err(error);
        };
        self.awaited = None;
        self.flush();
        result
    }
}

impl Host for Wire {
    fn ask(&mut self, ask: Ask<'_>) -> Result<Json, Error> {
        let left = ask.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(Error::deadline_exceeded("the deadline passed before the request was sent").not_started());
        }
        let deadline_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1));
        let id = self.number();
        self.send(WireRequest {
            id: Some(id),
            kind: &ask.kind,
            to: ask.to,
            payload: ask.payload.as_str(),
            deadline_ms: deadline_ms.map(|ms| ms.min(bulkhead_protocol::limits::DEADLINE_MS_MAX)),
            key: None,
        })?;
        self.flush();
        self.await_answer(id, ask.of, ask.deadline)
    }

    fn emit(&mut self, payload: Json) -> Result<(), Error> {
        let event = WireRequest {
            id: None,
            kind: &RequestType::Event,
            to: None,
            payload: payload.as_str(),
            deadline_ms: None,
            key: None,
        };
        self.send(event)?;
        // Without this a handler that emits in a loop would fill the memory before it answers.
        if self.out.len() >= PENDING_BYTES_MAX {
            self.flush();
        }
        if self.end.is_some() { Err(host_gone()) } else { Ok(()) }
    }

    fn progress(&mut self, of: Option<u64>, data: Json) -> Result<(), Error> {
        let Some(id) = of else { return Ok(()) };
        let response = Response { id: Some(id), status: Status::Progress(data) };
        response
            .encode(&mut self.out, self.frame_bytes_max)
            .map_err(|error| Error::frame_too_large(format!("the progress is too long to send: {error}")))?;
        self.flush();
        if self.end.is_some() { Err(host_gone()) } else { Ok(()) }
    }

    fn is_cancelled(&mut self, of: Option<u64>, until: Instant) -> bool {
        let mut looked = false;
        while self.end.is_none() && !self.was_cancelled(of) && (!looked || Instant::now() < until) {
            self.wait(Some(until));
            self.flush();
            looked = true;
        }
        self.end.is_some() || self.was_cancelled(of)
    }
}

fn host_gone() -> Error {
    Error::failed("the host is gone")
}
