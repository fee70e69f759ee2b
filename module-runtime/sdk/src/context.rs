//! What a handler may do while it works: send requests to the host, report progress, check whether it is still wanted.
//! The transport is behind [`Host`], the seam between the ways to run a module. It has no clock of its own: how much
//! time is left is asked of the host too.

use crate::Error;
use bulkhead_child::{Ask, Host, RequestBody};
use bulkhead_protocol::Json;
use std::time::Duration;

/// The request that a handler works on, and its way back to the host.
pub struct Context<'a> {
    pub(crate) host: &'a mut dyn Host,
}

impl Context<'_> {
    /// Sends the command `name` to the module `to` and waits for its answer, at most until the
    /// deadline of the request that is being handled. The manifest must grant `call`.
    ///
    /// # Errors
    /// What the other module answered, `deadline_exceeded`, or `cancelled` as soon as the request
    /// that is being handled is cancelled.
    pub fn call(&mut self, to: &str, name: &str, args: Json) -> Result<Json, Error> {
        self.ask(Some(to), RequestBody::Command { name, args: &args }, None)
    }

    /// As [`Context::call`], but waits at most `timeout`.
    ///
    /// # Errors
    /// As [`Context::call`].
    pub fn call_within(&mut self, timeout: Duration, to: &str, name: &str, args: Json) -> Result<Json, Error> {
        self.ask(Some(to), RequestBody::Command { name, args: &args }, Some(timeout))
    }

    /// Reads from the host's data store, Layer 1, as the payload says. [`Context::find`] and its
    /// like write the payload and read the answer.
    ///
    /// # Errors
    /// As [`Context::call`].
    pub fn query(&mut self, payload: Json) -> Result<Json, Error> {
        self.ask(None, RequestBody::Query(&payload), None)
    }

    /// Changes the host's data store, Layer 1, as the payload says. Others see it together with the
    /// success of the request that is being handled, and never if that fails. [`Context::create`]
    /// and its like write the payload and read the answer.
    ///
    /// # Errors
    /// As [`Context::call`].
    pub fn mutate(&mut self, payload: Json) -> Result<Json, Error> {
        self.ask(None, RequestBody::Mutation(&payload), None)
    }

    /// Waits until everything that this module has read from the data store is on the disk. It is for what leaves the
    /// data store: a file, a mail, a request to another machine. What is changed in the handling of this request is no
    /// part of it, since that is committed with the request's success.
    ///
    /// # Errors
    /// As [`Context::call`]; `internal` where the disk has failed.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.call("layer1", "flush", Json::null()).map(|_| ())
    }

    /// Sends a query to the module `to`. That module decides what the payload means. The
    /// manifest must grant `call`.
    ///
    /// # Errors
    /// As [`Context::call`].
    pub fn query_at(&mut self, to: &str, payload: Json) -> Result<Json, Error> {
        self.ask(Some(to), RequestBody::Query(&payload), None)
    }

    /// Sends a mutation to the module `to`, as [`Context::query_at`] a query.
    ///
    /// # Errors
    /// As [`Context::call`].
    pub fn mutate_at(&mut self, to: &str, payload: Json) -> Result<Json, Error> {
        self.ask(Some(to), RequestBody::Mutation(&payload), None)
    }

    /// Publishes an event, without waiting for its recipients. It leaves with the answer to the
    /// request, or before. The manifest must grant `event_emit`.
    ///
    /// # Errors
    /// When the name is not one, the event is longer than a frame, or the host is gone.
    pub fn emit(&mut self, event: &str, data: Json) -> Result<(), Error> {
        self.host.emit(event, &data)
    }

    /// Reports to the caller how far the work is. An event without an id has no caller, and no progress.
    ///
    /// # Errors
    /// When the data is longer than a frame, or the host is gone.
    pub fn progress(&mut self, data: Json) -> Result<(), Error> {
        self.host.progress(&data)
    }

    /// Whether the caller cancelled, or the host is gone. It costs one system call.
    pub fn is_cancelled(&mut self) -> bool {
        self.host.wait(Duration::ZERO)
    }

    /// An error as soon as the work is not wanted any more: `ctx.check()?` in every loop.
    ///
    /// # Errors
    /// `cancelled` or `deadline_exceeded`.
    pub fn check(&mut self) -> Result<(), Error> {
        if self.is_cancelled() {
            return Err(Error::cancelled("the caller cancelled"));
        }
        match self.deadline() {
            Some(Duration::ZERO) => Err(Error::deadline_exceeded("the deadline passed while the module worked on it")),
            _ => Ok(()),
        }
    }

    /// Waits for `duration`, or until the work is not wanted any more.
    ///
    /// # Errors
    /// As [`Context::check`], as soon as it is known.
    pub fn wait(&mut self, duration: Duration) -> Result<(), Error> {
        let left = self.deadline().map_or(duration, |left| left.min(duration));
        let _ = self.host.wait(left);
        self.check()
    }

    /// The host's number for the request, for logs; an event may have none.
    pub fn id(&self) -> Option<u64> {
        self.host.id()
    }

    /// The time that is left, zero when it is over; `None` without a deadline.
    pub fn deadline(&self) -> Option<Duration> {
        self.host.deadline()
    }

    /// The idempotency key: the same key is the same work. See [`crate::Description::keys`].
    pub fn key(&self) -> Option<&str> {
        self.host.key()
    }

    fn ask(&mut self, to: Option<&str>, what: RequestBody<'_>, timeout: Option<Duration>) -> Result<Json, Error> {
        self.host.ask(Ask { to, what, timeout })
    }
}
