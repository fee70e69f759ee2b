//! A host at its limit of connections closes those that have been idle for longest. Their owners do not notice: the
//! next request makes another connection.
//!
//! What the host may have read is never sent again here, since it may have been done. Only what certainly was not read
//! is sent over the next connection: a request of which not the whole frame had left, or the only request in flight
//! when the host reported that it closes a connection with nothing begun on it. All else is reported as the end of the
//! connection.

use crate::client::Client;
use crate::error::ClientError;
use crate::sender::Left;
use bulkhead_protocol::{Delivery, ErrorCode, Response, Status};
use std::sync::Arc;
use std::time::Instant;

impl Client {
    /// Whether there is a connection. If not, the next request makes one, and there is nothing to be read.
    pub fn is_connected(&self) -> bool {
        !self.is_let_go
    }

    /// Requests that have not had their one answer.
    fn under_way(&self) -> u64 {
        self.sender.numbered().saturating_sub(self.receiver.answered())
    }

    /// Makes another connection where the last one ended while nothing was in flight.
    pub(crate) fn renew_if_let_go(&mut self) -> Result<(), ClientError> {
        if self.is_let_go { self.renew() } else { Ok(()) }
    }

    /// Continues over another connection, with the requests in flight, if any.
    fn renew(&mut self) -> Result<(), ClientError> {
        let Some(way) = &self.way else { return Err(ClientError::Closed) };
        let stream = Arc::new(way.open().map_err(ClientError::Unreachable)?);
        stream.set_nonblocking(self.is_nonblocking).map_err(ClientError::Broken)?;
        match self.under_way() {
            0 => self.sender.begin_anew(stream.clone()),
            _ => self.sender.resume(stream.clone()),
        }
        self.receiver.resume(stream);
        self.is_let_go = false;
        self.renewed_at = Some(self.receiver.answered());
        Ok(())
    }

    /// The connection has ended. `Ok(true)`: the caller need not know, since nothing was in flight, or since what was
    /// continues over another connection.
    fn outlives(&mut self, end: &ClientError) -> Result<bool, ClientError> {
        if self.way.is_none() || !end.is_end() {
            return Ok(false);
        }
        let under_way = self.under_way();
        if under_way == 0 {
            self.is_let_go = true;
            return Ok(true);
        }
        let was_not_begun = match self.sender.left(under_way) {
            Some(Left::Nothing) => true,
            Some(Left::Part) => under_way == 1,
            Some(Left::All) => under_way == 1 && !self.receiver.has_progress() && says_not_begun(end),
            None => false,
        };
        // A host that ends the next connection as well does so for another reason than idleness.
        if !was_not_begun || self.renewed_at == Some(self.receiver.answered()) {
            return Ok(false);
        }
        self.renew().map(|()| true)
    }

    /// Sends what is queued. A host that ends a connection may have reported why: after a failed write, the next read
    /// returns the reason.
    pub(crate) fn flush(&mut self, until: Option<Instant>) -> Result<(), ClientError> {
        loop {
            match self.sender.flush_until(until) {
                Err(error) if error.is_disconnect() => {
                    if !self.outlives(&error)? {
                        return Ok(());
                    }
                }
                result => return result,
            }
        }
    }

    /// The next response that comes, of those that were not set aside.
    pub(crate) fn receive_until(&mut self, until: Option<Instant>) -> Result<Response, ClientError> {
        loop {
            let received = self.receiver.receive_until(until);
            if self.under_way() == 0 {
                // A caller that waits for a response while nothing is in flight learns why none will come.
                let has_ended = matches!(&received, Err(error) if error.is_end());
                self.is_let_go |= has_ended && self.way.is_some();
                return received;
            }
            match self.judged(received.map(Some))? {
                Some(response) => return Ok(response),
                None => self.flush(until)?,
            }
        }
    }

    /// The next response that is here, of those that were not set aside.
    pub(crate) fn look(&mut self) -> Result<Option<Response>, ClientError> {
        if self.is_let_go {
            return Ok(None);
        }
        let received = self.receiver.try_receive();
        self.judged(received)
    }

    /// As [`Client::look`], among what has been read already.
    pub(crate) fn look_at_what_was_read(&mut self) -> Result<Option<Response>, ClientError> {
        let received = self.receiver.decode();
        self.judged(received)
    }

    /// What was received; nothing, where it was the end of a connection that the caller need not know of.
    fn judged(&mut self, received: Result<Option<Response>, ClientError>) -> Result<Option<Response>, ClientError> {
        let end = match received {
            Ok(Some(Response { id: None, status: Status::Error(failure), .. })) => ClientError::Refused(failure),
            Err(error) => error,
            Ok(received) => return Ok(received),
        };
        match (self.outlives(&end)?, end) {
            (true, _) => Ok(None),
            (false, ClientError::Refused(failure)) => Ok(Some(Response::new(None, Status::Error(failure)))),
            (false, error) => Err(error),
        }
    }
}

/// Whether the host reports that it closes the connection, and that nothing was begun on it.
fn says_not_begun(end: &ClientError) -> bool {
    matches!(end, ClientError::Refused(failure)
        if failure.code == ErrorCode::Overloaded && failure.delivery == Some(Delivery::NotStarted))
}
