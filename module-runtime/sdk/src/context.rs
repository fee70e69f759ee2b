//! What a handler may do while it works: ask the host, report progress, see whether it is still
//! wanted. How that travels is behind [`Host`], the seam between the ways to run a module.

use crate::Error;
use bulkhead_protocol::{Json, RequestType};
use std::time::{Duration, Instant};

/// The host as a handler sees it: over the wire in a process, a table of functions behind a C ABI,
/// a script in a test.
pub(crate) trait Host {
    /// Sends a request and waits for its answer.
    fn ask(&mut self, ask: Ask<'_>) -> Result<Json, Error>;
    /// Publishes an event, without waiting.
    fn emit(&mut self, payload: Json) -> Result<(), Error>;
    /// Tells the caller of the request `of` how far it is.
    fn progress(&mut self, of: Option<u64>, data: Json) -> Result<(), Error>;
    /// Whether the request `of` was cancelled, or the host is gone; waits for that until `until`.
    fn is_cancelled(&mut self, of: Option<u64>, until: Instant) -> bool;
}

/// A request of the module's own.
pub(crate) struct Ask<'a> {
    /// The request that is being handled meanwhile.
    pub(crate) of: Option<u64>,
    pub(crate) kind: RequestType,
    pub(crate) to: Option<&'a str>,
    pub(crate) payload: Json,
    pub(crate) deadline: Option<Instant>,
}

/// The request that a handler works on, and its way back to the host.
pub struct Context<'a> {
    pub(crate) host: &'a mut dyn Host,
    pub(crate) id: Option<u64>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) key: Option<&'a str>,
}

impl Context<'_> {
    /// Sends the command `name` to the module `to` and waits for its answer, at most until the
    /// deadline of the request that is being handled. The manifest must grant `call`.
    ///
    /// # Errors
    /// What the other module answered, `deadline_exceeded`, or `cancelled` as soon as the request
    /// that is being handled is cancelled.
    pub fn call(&mut self, to: &str, name: &str, args: Json) -> Result<Json, Error> {
        self.ask(RequestType::Command, Some(to), command_payload(name, &args), None)
    }

    /// As [`Context::call`], but waits at most `timeout`.
    ///
    /// # Errors
    /// As [`Context::call`].
    pub fn call_within(&mut self, timeout: Duration, to: &str, name: &str, args: Json) -> Result<Json, Error> {
        self.ask(RequestType::Command, Some(to), command_payload(name, &args), Some(timeout))
    }

    /// Reads from the host's data store.
    ///
    /// # Errors
    /// As [`Context::call`].
    pub fn query(&mut self, payload: Json) -> Result<Json, Error> {
        self.ask(RequestType::Query, None, payload, None)
    }

    /// Changes the host's data store.
    ///
    /// # Errors
    /// As [`Context::call`].
    pub fn mutate(&mut self, payload: Json) -> Result<Json, Error> {
        self.ask(RequestType::Mutation, None, payload, None)
    }

    /// Publishes an event, without waiting for who takes it. It leaves with the answer to the
    /// request, or before. The manifest must grant `event_emit`.
    ///
    /// # Errors
    /// When the name is not one, the event is longer than a frame, or the host is gone.
    pub fn emit(&mut self, event: &str, data: Json) -> Result<(), Error> {
        bulkhead_protocol::event::check_event_name(event).map_err(|error| Error::bad_request(error.to_string()))?;
        #[derive(serde::Serialize)]
        struct Event<'a> {
            event: &'a str,
            data: Json,
        }
        self.host.emit(Json::of(&Event { event, data }))
    }

    /// Tells the caller how far the work is. An event without an id has no caller, and no progress.
    ///
    /// # Errors
    /// When the data is longer than a frame, or the host is gone.
    pub fn progress(&mut self, data: Json) -> Result<(), Error> {
        self.host.progress(self.id, data)
    }

    /// Whether the caller cancelled, or the host is gone. It costs one system call.
    pub fn is_cancelled(&mut self) -> bool {
        self.host.is_cancelled(self.id, Instant::now())
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
        let end = Instant::now() + duration;
        let until = self.deadline.map_or(end, |deadline| deadline.min(end));
        let _ = self.host.is_cancelled(self.id, until);
        self.check()
    }

    /// The host's number for the request, for logs; an event may have none.
    pub fn id(&self) -> Option<u64> {
        self.id
    }

    /// The time that is left, zero when it is over; `None` without a deadline.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The idempotency key: the same key is the same work. See [`crate::Description::keys`].
    pub fn key(&self) -> Option<&str> {
        self.key
    }

    fn ask(
        &mut self,
        kind: RequestType,
        to: Option<&str>,
        payload: Json,
        timeout: Option<Duration>,
    ) -> Result<Json, Error> {
        let given = timeout.map(|timeout| Instant::now() + timeout);
        let deadline = [given, self.deadline].into_iter().flatten().min();
        self.host.ask(Ask { of: self.id, kind, to, payload, deadline })
    }
}

fn command_payload(name: &str, args: &Json) -> Json {
    #[derive(serde::Serialize)]
    struct Command<'a> {
        name: &'a str,
        args: &'a Json,
    }
    Json::of(&Command { name, args })
}
