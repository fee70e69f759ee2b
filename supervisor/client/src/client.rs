//! The client: both halves of a connection, and answers that are matched to their requests. What is done when the host
//! closes a connection on which nothing is in flight is in `again`.

use crate::connect::{self, Way};
use crate::error::{CallError, ClientError, ConnectError};
use crate::receiver::Receiver;
use crate::sender::Sender;
use bulkhead_protocol::{Json, Request, RequestType, Response, Status, WireRequest};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connection to a host.
#[derive(Debug)]
pub struct Client {
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
    /// Responses that came while another one was waited for, in their order.
    arrived: VecDeque<Response>,
    /// How another connection is made, where that is known.
    pub(crate) way: Option<Way>,
    pub(crate) is_nonblocking: bool,
    /// The connection ended while nothing was in flight, and the next request makes another.
    pub(crate) is_let_go: bool,
    /// How many answers had come when the last connection was made to replace another.
    pub(crate) renewed_at: Option<u64>,
}

impl Client {
    /// Connects to the control socket at `path`.
    ///
    /// # Errors
    /// When no process listens there, or a user other than root and this one, with what to do about it.
    pub fn connect(path: &Path) -> Result<Client, ConnectError> {
        let stream = connect::open(path)?;
        Ok(Client { way: Some(Way::Path(path.to_owned())), ..Client::from_stream(stream) })
    }

    /// As [`Client::from_stream`], of a host that may close the connection while nothing is in flight: `reach` makes
    /// another.
    pub fn from_stream_or(
        stream: UnixStream,
        reach: impl Fn() -> io::Result<UnixStream> + Send + Sync + 'static,
    ) -> Client {
        Client { way: Some(Way::Function(Box::new(reach))), ..Client::from_stream(stream) }
    }

    /// A client of a host that has the other end of `stream`, as in an embedding program.
    pub fn from_stream(stream: UnixStream) -> Client {
        let stream = Arc::new(stream);
        let sender = Sender::new(stream.clone());
        Client {
            sender,
            receiver: Receiver::new(stream),
            arrived: VecDeque::new(),
            way: None,
            is_nonblocking: false,
            is_let_go: false,
            renewed_at: None,
        }
    }

    /// The half that sends. What is queued with it is not sent over another connection when the host closes
    /// this one: that is what [`Client::queue`] is for.
    pub fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// Queues a request after those that wait to be sent; see [`Sender::queue`].
    ///
    /// # Errors
    /// As [`Sender::queue`]; [`ClientError::Unreachable`] when the host had closed the connection and cannot be
    /// reached again.
    pub fn queue(&mut self, request: &WireRequest<'_>) -> Result<u64, ClientError> {
        self.renew_if_let_go()?;
        self.sender.queue(request)
    }

    /// [`Client::queue`] for a request that owns its parts.
    ///
    /// # Errors
    /// As [`Client::queue`].
    pub fn queue_request(&mut self, request: &Request) -> Result<u64, ClientError> {
        self.queue(&WireRequest::from(request))
    }

    /// Both halves, one for each of two threads. Responses that were set aside are dropped.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Makes [`Client::try_receive`] and [`Sender::try_flush`] return at once; a caller with an
    /// event loop polls the client's descriptor in between.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_nonblocking(&mut self, nonblocking: bool) -> io::Result<()> {
        self.is_nonblocking = nonblocking;
        self.receiver.stream.set_nonblocking(nonblocking)
    }

    /// Sends a request and returns its number; the answer is for [`Client::wait`] or [`Client::receive`].
    ///
    /// # Errors
    /// When it is too long or the connection broke.
    pub fn send(&mut self, request: &Request) -> Result<u64, ClientError> {
        let id = self.queue_request(request)?;
        self.flush(None)?;
        Ok(id)
    }

    /// Sends a request and waits for its one answer, a success or an error; progress is dropped. `timeout` bounds this
    /// wait only; for the host there is `deadline_ms`.
    ///
    /// # Errors
    /// When there is no answer. An answer that is an error is `Ok`.
    pub fn request(&mut self, request: &Request, timeout: Option<Duration>) -> Result<Response, ClientError> {
        self.request_with(request, timeout, |_| {})
    }

    /// As [`Client::request`], and shows the data of every progress to `progress`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn request_with(
        &mut self,
        request: &Request,
        timeout: Option<Duration>,
        mut progress: impl FnMut(&Json),
    ) -> Result<Response, ClientError> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let id = self.queue_request(request)?;
        self.flush(until)?;
        loop {
            let response = self.next_for(id, until)?;
            match &response.status {
                Status::Progress(data) => progress(data),
                Status::Success(_) | Status::Error(_) => return Ok(response),
            }
        }
    }

    /// Calls a command of a module and returns the data of its answer.
    ///
    /// # Errors
    /// [`CallError::Failed`] when the answer is an error, else as [`Client::request`].
    pub fn call(&mut self, to: &str, name: &str, args: Json, timeout: Option<Duration>) -> Result<Json, CallError> {
        let mut request = Request::new(None, RequestType::Command, command_payload(name, args.as_str())).to(to);
        request.deadline_ms = timeout.map(|timeout| timeout.as_millis() as u64);
        match self.request(&request, timeout.map(|timeout| timeout + ANSWER_GRACE))?.status {
            Status::Success(data) => Ok(data),
            Status::Error(failure) => Err(CallError::Failed(failure)),
            Status::Progress(_) => unreachable!("a request ends with a success or an error"),
        }
    }

    /// Waits for the one answer to request `id`; progress is dropped, and responses to other
    /// requests are set aside for their own wait.
    ///
    /// # Errors
    /// As [`Client::request`]. For a number that was never sent it waits until the timeout.
    pub fn wait(&mut self, id: u64, timeout: Option<Duration>) -> Result<Response, ClientError> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let response = self.next_for(id, until)?;
            if !matches!(response.status, Status::Progress(_)) {
                return Ok(response);
            }
        }
    }

    /// The next response to request `id`, progress included; others are set aside.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn next(&mut self, id: u64, timeout: Option<Duration>) -> Result<Response, ClientError> {
        self.next_for(id, timeout.map(|timeout| Instant::now() + timeout))
    }

    /// The next response to any request, progress included.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn receive(&mut self, timeout: Option<Duration>) -> Result<Response, ClientError> {
        match self.arrived.pop_front() {
            Some(response) => Ok(response),
            None => self.receive_until(timeout.map(|timeout| Instant::now() + timeout)),
        }
    }

    /// The next response if it is here; see [`Client::set_nonblocking`].
    ///
    /// # Errors
    /// When the connection ended or broke.
    pub fn try_receive(&mut self) -> Result<Option<Response>, ClientError> {
        match self.arrived.pop_front() {
            Some(response) => Ok(Some(response)),
            None => self.look(),
        }
    }

    /// The next response among what has been read already, without reading the socket.
    ///
    /// # Errors
    /// When what has been read is no response.
    pub fn try_buffered(&mut self) -> Result<Option<Response>, ClientError> {
        match self.arrived.pop_front() {
            Some(response) => Ok(Some(response)),
            None => self.look_at_what_was_read(),
        }
    }

    /// Asks the host to stop working on request `id`, and returns the number of this request, which
    /// is answered too. The cancelled request still gets its own one answer.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn cancel(&mut self, id: u64) -> Result<u64, ClientError> {
        self.renew_if_let_go()?;
        let cancel = self.sender.queue_cancel(id)?;
        self.flush(None)?;
        Ok(cancel)
    }

    fn next_for(&mut self, id: u64, until: Option<Instant>) -> Result<Response, ClientError> {
        if let Some(at) = self.arrived.iter().position(|response| response.id == Some(id)) {
            return Ok(self.arrived.remove(at).expect("the position was just found"));
        }
        loop {
            let response = self.receive_until(until)?;
            match (response.id, response.status) {
                (Some(found), status) if found == id => return Ok(Response::new(id, status)),
                (None, Status::Error(failure)) => return Err(ClientError::Refused(failure)),
                (other, status) => self.arrived.push_back(Response::new(other, status)),
            }
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.stream.as_fd()
    }
}

/// How much longer than the deadline in the request a call waits for the answer.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// The payload of a command: its name, and arguments that are the text of one JSON value.
///
/// # Panics
/// When `args` is not the text of one JSON value.
pub fn command_payload(name: &str, args: &str) -> Json {
    let text = format!("{{\"name\":{},\"args\":{args}}}", Json::of(name).as_str());
    Json::parse(&text).expect("the arguments are JSON")
}
