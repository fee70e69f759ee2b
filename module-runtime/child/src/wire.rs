//! The path between the host's frames and a guest's handlers: keeps what came for later, counts
//! deadlines, notices cancels, and decides when answers leave. What a handler is, is not known here.

mod own;

pub use own::InProgress;

use crate::channel::Channel;
use crate::copies::end_copy;
use crate::{Barrier, Error};
use bulkhead_protocol::WireRequest;
use bulkhead_protocol::limits::{FRAME_BYTES_MAX_DEFAULT, REWRITE_BYTES_MAX};
use bulkhead_protocol::{Decoder, ErrorCode, Failure, Json, Message, Request, RequestType, Response, Status};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The maximum of bytes in one read, which may hold many small frames.
const READ_BYTES: usize = 64 * 1024;

/// Answers that wait to be written together are written at the latest when they are this many bytes.
const PENDING_BYTES_MAX: usize = 64 * 1024;

/// How long after the deadline of a request of our own the host's answer to it is still waited for: it has more
/// information than ours, since the host knows how far the request got.
const ANSWER_GRACE: Duration = Duration::from_millis(250);

/// Cancels of requests that were taken and are not in progress are remembered up to this many; a caller that asks for
/// them asks often.
const CANCELLED_MAX: usize = 1024;

/// Why there will be no more requests.
#[derive(Debug)]
pub enum End {
    /// The host closed the channel, or is gone.
    Closed,
    /// Something is broken, and the process cannot go on.
    Broken(String),
}

/// A request that waits to be handled.
#[derive(Debug)]
pub struct QueuedRequest {
    /// The request.
    pub request: Request,
    /// When its caller stops waiting.
    pub deadline: Option<Instant>,
    /// Whether its caller has cancelled it.
    pub cancelled: bool,
}

/// One connection to the host.
pub struct Wire {
    channel: Channel,
    decoder: Decoder,
    buffer: Vec<u8>,
    frame_bytes_max: usize,
    queue: VecDeque<QueuedRequest>,
    /// Frames that have not left yet.
    out: Vec<u8>,
    /// What must be done before they do.
    barrier: Option<Barrier>,
    /// The request whose handler runs, and whether it was cancelled.
    current: Option<(u64, bool)>,
    /// Cancels of requests that neither wait nor are in progress.
    cancelled: VecDeque<u64>,
    /// The own request whose answer is waited for, and the answer.
    awaited: Option<(u64, Option<Result<Json, Error>>)>,
    next_id: u64,
    end: Option<End>,
}

impl QueuedRequest {
    /// Why it need not be begun, if so.
    pub fn unwanted(&self) -> Option<Error> {
        if self.cancelled {
            Some(Error::cancelled("cancelled before the module began with it").not_started())
        } else if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            Some(Error::deadline_exceeded("the deadline passed before the module began with it").not_started())
        } else {
            None
        }
    }
}

impl Wire {
    /// A connection on which nothing was said yet.
    pub fn new(channel: Channel) -> Wire {
        Wire {
            channel,
            decoder: Decoder::new(FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX),
            buffer: vec![0; READ_BYTES],
            frame_bytes_max: FRAME_BYTES_MAX_DEFAULT,
            queue: VecDeque::new(),
            out: Vec::new(),
            barrier: None,
            current: None,
            cancelled: VecDeque::new(),
            awaited: None,
            next_id: 1,
            end: None,
        }
    }

    /// Applies the host's limit. It is called while no other frame is partly read: the host
    /// sends nothing after `init` before that is answered.
    pub fn limit(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
        if self.decoder.held_bytes() == 0 {
            self.decoder = Decoder::new(frame_bytes_max + REWRITE_BYTES_MAX);
        }
    }

    /// From now on answers leave after this.
    pub fn set_barrier(&mut self, barrier: Option<Barrier>) {
        self.barrier = barrier;
    }

    /// The next request in the order of arrival; waits for one after everything is written.
    ///
    /// # Errors
    /// Why there will be none.
    #[expect(clippy::should_implement_trait, reason = "the end is a reason, not a None")]
    pub fn next(&mut self) -> Result<QueuedRequest, End> {
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

    /// As [`Wire::next`], but `None` where it would have to wait. What was answered leaves with the
    /// next [`Wire::flush`], not here.
    ///
    /// # Errors
    /// Why there will be none.
    pub fn try_next(&mut self) -> Result<Option<QueuedRequest>, End> {
        self.receive();
        match self.end.take() {
            Some(end) => Err(end),
            None => Ok(self.queue.pop_front()),
        }
    }

    /// Takes what has come, without waiting: a cancel of the request in progress is noticed, requests
    /// wait for [`Wire::next`].
    pub fn receive(&mut self) {
        while self.end.is_none() {
            match self.channel.is_readable(Some(Instant::now())) {
                Ok(true) => self.fill(),
                Ok(false) => return,
                Err(error) => self.fail("waiting for", &error),
            }
        }
    }

    /// From now on the handler of this request runs, until it is answered. What is returned is the
    /// host as that handler sees it.
    pub fn begin<'a>(&'a mut self, pending: &'a QueuedRequest) -> InProgress<'a> {
        self.current = pending.request.id.map(|id| (id, false));
        InProgress::new(self, pending)
    }

    /// Whether the request in progress was cancelled, or the host is gone, as far as was received.
    pub fn is_cancelled(&self) -> bool {
        self.end.is_some() || self.current.is_some_and(|(_, cancelled)| cancelled)
    }

    /// The next request that was cancelled, as far as was received, after it was taken and while it is not in progress;
    /// for callers with several in progress. It may have been answered meanwhile.
    pub fn next_cancelled(&mut self) -> Option<u64> {
        self.cancelled.pop_front()
    }

    /// What broke, as far as it was noticed, and was not reported by an [`End`].
    pub fn broken(&self) -> Option<&str> {
        match &self.end {
            Some(End::Broken(reason)) => Some(reason),
            Some(End::Closed) | None => None,
        }
    }

    /// Answers a request, if it wants an answer. The answer leaves with the next [`Wire::flush`].
    pub fn answer(&mut self, id: Option<u64>, result: Result<Json, Error>) {
        end_copy();
        self.current = None;
        let Some(id) = id else { return };
        self.respond_to(id, result, false);
        if self.out.len() >= PENDING_BYTES_MAX {
            self.flush();
        }
    }

    /// Answers a request, says with it that this process ends on purpose and has begun with nothing else that it was
    /// sent, and writes everything. An error leaves also where the barrier keeps earlier answers back: it promises no
    /// work that the barrier would have to finish first, and the host repeats those requests.
    pub fn answer_last(&mut self, id: Option<u64>, result: Result<Json, Error>) {
        end_copy();
        self.current = None;
        let (earlier, had_ended) = (self.out.len(), self.end.is_some());
        let is_error = result.is_err();
        if let Some(id) = id {
            self.respond_to(id, result, true);
        }
        let last = self.out[earlier..].to_vec();
        self.flush();
        if is_error && !had_ended && !self.out.is_empty() {
            self.out.clear();
            // The process ends in any case, and for another reason than a host that is gone.
            let _ = self.channel.write(&last);
        }
    }

    fn respond_to(&mut self, id: u64, result: Result<Json, Error>, last: bool) {
        let status = match result {
            Ok(data) => Status::Success(data),
            Err(error) => error.into_failure().into(),
        };
        let response = Response { last, ..Response::new(id, status) };
        if let Err(error) = response.encode(&mut self.out, self.frame_bytes_max) {
            let failure = Error::frame_too_large(format!("the module's answer is too long: {error}")).into_failure();
            self.respond(Response { last, ..Response::new(id, failure) });
        }
    }

    /// Writes everything that waits, after the barrier.
    pub fn flush(&mut self) {
        if self.out.is_empty() || self.end.is_some() {
            return;
        }
        // The barrier is for the process that gave the answers.
        end_copy();
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
        self.decoder.shrink();
    }

    fn take(&mut self, mut input: &[u8]) {
        // All frames of one read have the same arrival time: the clock is read once.
        let mut now = None;
        loop {
            let message = match self.decoder.next_message(&mut input) {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) => {
                    self.end = Some(End::Broken(error.to_string()));
                    return;
                }
            };
            match message {
                Ok(Message::Request(request)) if request.kind == RequestType::Cancel => self.cancel(&request),
                Ok(Message::Request(request)) => {
                    let deadline =
                        request.deadline_ms.map(|ms| *now.get_or_insert_with(Instant::now) + Duration::from_millis(ms));
                    self.queue.push_back(QueuedRequest { request, deadline, cancelled: false });
                }
                Ok(Message::Response(response)) => self.answered(response),
                Err(error) => {
                    self.respond(Response::new(error.id, bad_request(&error.reason)));
                }
            }
        }
    }

    /// Marks the request. One that waits still gets its answer in its order, as the host takes the
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
            } else {
                self.cancelled.push_back(id);
                if self.cancelled.len() > CANCELLED_MAX {
                    self.cancelled.pop_front();
                }
            }
        }
        if let Some(id) = cancel.id {
            let status = match result {
                Ok(_) => Status::Success(Json::null()),
                Err(error) => bad_request(&error.to_string()),
            };
            self.respond(Response::new(id, status));
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
}

/// Where to wait for what the host sends next, together with other descriptors.
impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.input()
    }
}

/// The answer to what cannot be read. The reason may quote what came, so it is cut: the answer
/// must fit a frame.
fn bad_request(reason: &str) -> Status {
    Failure::new(ErrorCode::BadRequest, reason.chars().take(1000).collect::<String>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_cancel_reaches_a_request_that_waits_and_is_remembered_for_one_that_was_taken() {
        let (mut host, module) = UnixStream::pair().unwrap();
        let mut wire = Wire::new(Channel::of_socket(module.into()).unwrap());
        let mut send = |kind: RequestType, id: u64, payload: serde_json::Value| {
            let mut bytes = Vec::new();
            Request::new(id, kind, payload.into()).encode(&mut bytes, FRAME_BYTES_MAX_DEFAULT).unwrap();
            host.write_all(&bytes).unwrap();
        };
        let null = serde_json::Value::Null;
        send(RequestType::Query, 1, null.clone());
        send(RequestType::Query, 2, null);
        let first = wire.try_next().unwrap().unwrap();
        assert_eq!((first.request.id, wire.next_cancelled()), (Some(1), None));
        for (number, id) in [(3, 1), (4, 2)] {
            send(RequestType::Cancel, number, serde_json::json!({ "id": id }));
        }
        wire.receive();
        assert_eq!((wire.next_cancelled(), wire.next_cancelled()), (Some(1), None));
        let second = wire.try_next().unwrap().unwrap();
        assert!(second.cancelled);
        assert!(!wire.is_cancelled());
    }
}
