//! Requests of the module's own, events, progress: what a handler does to its host over the wire.

use super::{ANSWER_GRACE, PENDING_BYTES_MAX, QueuedRequest, Wire};
use crate::Error;
use crate::host::{Ask, Host, event_payload};
use bulkhead_protocol::{Json, RequestType, Response, Status, WireRequest};
use std::time::{Duration, Instant};

impl Wire {
    /// Waits for what the host sends next, at most until `until`, and reads it.
    fn wait(&mut self, until: Option<Instant>) {
        match self.channel.is_readable(until) {
            Ok(true) => self.fill(),
            Ok(false) => {}
            Err(error) => self.fail("waiting for", &error),
        }
    }

    fn was_cancelled(&self) -> bool {
        self.current.is_some_and(|(_, cancelled)| cancelled)
    }

    /// Waits for the answer to the own request that was sent last.
    fn await_answer(&mut self, id: u64, deadline: Option<Instant>) -> Result<Json, Error> {
        let timeout = deadline.map(|deadline| deadline + ANSWER_GRACE);
        self.awaited = Some((id, None));
        let result = loop {
            if let Some((_, Some(result))) = &mut self.awaited {
                break std::mem::replace(result, Ok(Json::null()));
            }
            if self.end.is_some() {
                break Err(host_gone());
            }
            let error = if self.was_cancelled() {
                Error::cancelled("the caller cancelled")
            } else if timeout.is_some_and(|timeout| timeout <= Instant::now()) {
                Error::deadline_exceeded("the deadline passed without an answer")
            } else {
                self.wait(timeout);
                continue;
            };
            let cancel = Json::of(&serde_json::json!({ "id": id }));
            let number = self.number();
            let cancel = WireRequest {
                id: Some(number),
                kind: &RequestType::Cancel,
                to: None,
                payload: cancel.as_str(),
                deadline_ms: None,
                key: None,
                of: None,
            };
            // If the cancel cannot be sent, the host still applies the deadline itself.
            let _ = self.send(cancel);
            break Err(error);
        };
        self.awaited = None;
        self.flush();
        result
    }

    fn still_there(&self) -> Result<(), Error> {
        if self.end.is_some() { Err(host_gone()) } else { Ok(()) }
    }
}

/// The host as the handler of one request sees it, over the wire. All that it sends names that request, so that the
/// host can put it into that request's unit of work.
pub struct InProgress<'a> {
    wire: &'a mut Wire,
    id: Option<u64>,
    deadline: Option<Instant>,
    key: Option<&'a str>,
}

impl<'a> InProgress<'a> {
    pub(super) fn new(wire: &'a mut Wire, pending: &'a QueuedRequest) -> InProgress<'a> {
        let QueuedRequest { request, deadline, .. } = pending;
        InProgress { wire, id: request.id, deadline: *deadline, key: request.key.as_deref() }
    }
}

impl Host for InProgress<'_> {
    fn ask(&mut self, ask: Ask<'_>) -> Result<Json, Error> {
        // A time beyond the range of the clock never comes.
        let given = ask.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let deadline = [given, self.deadline].into_iter().flatten().min();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(Error::deadline_exceeded("the deadline passed before the request was sent").not_started());
        }
        let deadline_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1));
        let wire = &mut *self.wire;
        let id = wire.number();
        wire.send(WireRequest {
            id: Some(id),
            kind: &ask.what.kind(),
            to: ask.to,
            payload: ask.what.payload().as_str(),
            deadline_ms: deadline_ms.map(|ms| ms.min(bulkhead_protocol::limits::DEADLINE_MS_MAX)),
            key: None,
            of: self.id,
        })?;
        wire.flush();
        wire.await_answer(id, deadline)
    }

    fn emit(&mut self, event: &str, data: &Json) -> Result<(), Error> {
        let payload = event_payload(event, data)?;
        let event = WireRequest {
            id: None,
            kind: &RequestType::Event,
            to: None,
            payload: payload.as_str(),
            deadline_ms: None,
            key: None,
            of: self.id,
        };
        self.wire.send(event)?;
        // Without this a handler that emits in a loop would fill the memory before it answers.
        if self.wire.out.len() >= PENDING_BYTES_MAX {
            self.wire.flush();
        }
        self.wire.still_there()
    }

    fn progress(&mut self, data: &Json) -> Result<(), Error> {
        let Some(id) = self.id else { return Ok(()) };
        let response = Response::new(id, Status::Progress(data.clone()));
        response
            .encode(&mut self.wire.out, self.wire.frame_bytes_max)
            .map_err(|error| Error::frame_too_large(format!("the progress is too long to send: {error}")))?;
        self.wire.flush();
        self.wire.still_there()
    }

    fn wait(&mut self, duration: Duration) -> bool {
        let until = Instant::now().checked_add(duration);
        let wire = &mut *self.wire;
        let mut looked = false;
        while !wire.is_cancelled() && (!looked || until.is_none_or(|until| Instant::now() < until)) {
            wire.wait(until);
            wire.flush();
            looked = true;
        }
        wire.is_cancelled()
    }

    fn deadline(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn id(&self) -> Option<u64> {
        self.id
    }

    fn key(&self) -> Option<&str> {
        self.key
    }
}

fn host_gone() -> Error {
    Error::failed("the host is gone")
}
