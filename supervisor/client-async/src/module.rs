//! A module's end of a connection: `init` and its answer, requests in at any time, answers in any order.

use crate::{
    answers::Answers,
    connection::Connection,
    error::Error,
    link::{Halves, Shared},
    options::Options,
    taken::Taken,
};
use bulkhead_child::{Channel, ChannelError};
use bulkhead_protocol::{
    ErrorCode, Failure, FrameError, Init, Json, Ready, Request, RequestType, Status, init::FEATURE_CONCURRENT,
};
use std::{io, os::unix::net::UnixStream as StdUnixStream};
use tokio::{net::UnixStream, sync::mpsc};
use tokio_util::sync::CancellationToken;

/// Why a module did not get its `init`.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no socket to a host.
    #[error("{0}")]
    NoHost(ChannelError),
    /// The socket cannot be used.
    #[error("the socket to the host cannot be used: {0}")]
    Socket(#[from] io::Error),
    /// The host ended the connection before it sent anything.
    #[error("the connection ended before the host sent `init`")]
    Ended,
    /// The first message was another one.
    #[error("expected `init` as the first message, found {0}")]
    NoInit(String),
}

/// A module that got `init` and has not answered it.
#[derive(Debug)]
pub struct Starting {
    init: Init,
    message: Incoming,
    connection: Connection,
    requests: Requests,
}

impl Starting {
    /// Opens the socket that the host gave this process (`$BULKHEAD_FD`, which is set with the manifest's default
    /// `transport = "socket"`), and waits for `init`. It is opened once in a process.
    ///
    /// # Errors
    /// When there is no such socket, or something else comes first.
    pub async fn open() -> Result<Starting, StartError> {
        let socket = Channel::open_socket().map_err(StartError::NoHost)?;
        Starting::from_stream(StdUnixStream::from(socket)).await
    }

    /// As [`Starting::open`], of a socket that the caller has.
    ///
    /// # Errors
    /// When it cannot be used, or something else than `init` comes first.
    pub async fn from_stream(socket: StdUnixStream) -> Result<Starting, StartError> {
        socket.set_nonblocking(true)?;
        let (input, output) = UnixStream::from_std(socket)?.into_split();
        let options = Options::default();
        let shared = Shared::new(options.frame_bytes_max);
        let (taker, requests) = mpsc::unbounded_channel();
        let taken = Taken::new(shared.clone(), taker, options.bytes_max());
        let connection = Connection::start(Halves::new(input, output), None, options, shared, Some(taken));
        let mut requests = Requests { requests };
        let message = requests.next().await.ok_or(StartError::Ended)?;
        if message.request.kind != RequestType::Init {
            return Err(StartError::NoInit(format!("a request of the type {}", message.request.kind.name())));
        }
        let read = message.request.payload.read::<Init>();
        let init = read.map_err(|error| StartError::NoInit(format!("one that cannot be read: {error}")))?;
        connection.shared().set_frame_bytes_max(init.limits.frame_bytes_max);
        connection.bound_requests(init.limits.requests_max);
        Ok(Starting { init, message, connection, requests })
    }

    /// The host's `init`: the configuration, the limits, what the manifest grants.
    pub fn init(&self) -> &Init {
        &self.init
    }

    /// Reports that the module is ready. It handles several requests at once: the feature `concurrent` is added.
    /// Events, and all its own requests, go over the connection.
    pub fn ready(self, mut ready: Ready) -> (Connection, Requests) {
        if !ready.features.iter().any(|feature| feature == FEATURE_CONCURRENT) {
            ready.features.push(FEATURE_CONCURRENT.to_owned());
        }
        let Starting { init: _, message, connection, requests } = self;
        message.succeed(Json::of(&ready));
        (connection, requests)
    }

    /// Reports why the module cannot start, and ends the connection. An exit code of 125 makes the host not try again.
    pub async fn refuse(self, failure: Failure) {
        let Starting { message, connection, .. } = self;
        message.fail(failure);
        connection.shared().table().close_when_sent();
        connection.shared().to_send.notify_one();
        connection.closed().await;
    }
}

/// The requests of the host and, through it, of others.
#[derive(Debug)]
pub struct Requests {
    requests: mpsc::UnboundedReceiver<Incoming>,
}

impl Requests {
    /// The next command, query, mutation or event; `None` when the host ends the module, or has gone. Then the program
    /// answers what it has and waits for [`Connection::closed`] before it exits with 0. `ping`, `cancel` and `shutdown`
    /// are answered without it.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.requests.recv().await
    }
}

/// A request to this module. It gets exactly one answer: dropped without one, it is answered with `internal`.
#[derive(Debug)]
pub struct Incoming {
    request: Request,
    cancelled: CancellationToken,
    taken: Taken,
    is_answered: bool,
}

impl Incoming {
    pub(crate) fn new(request: Request, cancelled: CancellationToken, taken: Taken) -> Incoming {
        Incoming { request, cancelled, taken, is_answered: false }
    }

    /// The payload.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Cancelled when the caller no longer waits, or the host has gone. The request is still answered.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Reports progress to the caller. It waits while much progress waits to be sent. For an event it does nothing.
    ///
    /// # Errors
    /// When it is longer than a frame may be.
    pub async fn progress(&self, data: Json) -> Result<(), FrameError> {
        match self.request.id {
            Some(id) => self.taken.progress(id, data).await,
            None => Ok(()),
        }
    }

    /// Sends a request to the host or another module as part of this request: what is changed by it becomes visible
    /// with the success of this request, and is undone by its error.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send(&self, connection: &Connection, mut request: Request) -> Result<Answers, Error> {
        request.of = self.request.id;
        connection.send(request).await
    }

    /// Answers with a success. One that is longer than a frame may be becomes the error `frame_too_large`.
    pub fn succeed(mut self, data: Json) {
        self.answer(Status::Success(data));
    }

    /// Answers with an error.
    pub fn fail(mut self, failure: Failure) {
        self.answer(failure.into());
    }

    fn answer(&mut self, status: Status) {
        self.is_answered = true;
        self.taken.answer(self.request.id, status);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.is_answered {
            let reason = "the module dropped the request without an answer";
            self.answer(Failure::new(ErrorCode::Internal, reason).into());
        }
    }
}
