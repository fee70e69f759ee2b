//! A host that is short of room closes the connections that have been idle for longest. The owner of
//! one notices nothing of that: the next request makes another connection.
//!
//! What may have been read by the host is never sent again here, since it may have been done. Sent over the
//! next connection is only what certainly was not: a request of which not the whole frame had left, or the
//! only one on its way when the host said that it closes a connection with nothing begun on it. All else is
//! told as the end of the connection that it is.

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

    /// Makes another connection where the last one ended while nothing was under way.
    pub(crate) fn renew_if_let_go(&mut self) -> Result<(), ClientError> {
        if self.is_let_go { self.renew() } else { Ok(()) }
    }

    /// Goes on over another connection, with what is under way if there is something.
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

    /// The connection has ended. `Ok(true)`: that changes nothing, since nothing was under way, or since what
    /// was goes on over another connection.
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
        // A host that ends the next connection as well has more against this client than that it was idle.
        if !was_not_begun || self.renewed_at == Some(self.receiver.answered()) {
            return Ok(false);
        }
        self.renew().map(|()| true)
    }

    /// Sends what is queued. A host that ends a connection may have said why: a write that fails for that is
    /// not yet the whole story, and the read that follows tells it.
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
                // Who waits for a response while nothing is under way is told why none will come.
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

    /// What was received; nothing, where it was the end of a connection and that changes nothing.
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

/// Whether the host says that it closes the connection, and that nothing was begun on it.
fn says_not_begun(end: &ClientError) -> bool {
    matches!(end, ClientError::Refused(failure)
        if failure.code == ErrorCode::Overloaded && failure.delivery == Some(Delivery::NotStarted))
}
