//! Requests of the module's own, events, progress: what a handler does to its host over the wire.

use super::{ANSWER_GRACE, PENDING_BYTES_MAX, Wire};
use crate::Error;
use crate::context::{Ask, Host};
use bulkhead_protocol::WireRequest;
use bulkhead_protocol::{Json, RequestType, Response, Status};
use std::time::{Duration, Instant};

impl Wire {
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
            let number = self.number();
            let cancel = WireRequest {
                id: Some(number),
                kind: &RequestType::Cancel,
                to: None,
                payload: cancel.as_str(),
                deadline_ms: None,
                key: None,
            };
            // A host that cannot be told still gets its own deadline.
            let _ = self.send(cancel);
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
