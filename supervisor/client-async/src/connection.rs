//! A connection for its users: a handle that many tasks share, and its task, which serves one stream after the other.

use crate::{
    answers::Answers,
    error::{CallError, EndReason, Error},
    link::{self, End, Halves, Shared},
    options::Options,
    table::Room,
    taken::Taken,
};
use bulkhead_client::ConnectError;
use bulkhead_protocol::{Json, Message, Request, RequestType, Response, Status};
use interprocess::local_socket::{
    GenericFilePath,
    tokio::{Stream, prelude::*},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::UnixStream,
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_util::task::TaskTracker;

/// How much longer than the deadline in the request a call waits for the answer.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// About how many bytes a request takes besides its payload: its entry in the table counts as well.
const AROUND_BYTES: usize = 512;

/// The wait before the first attempt to reach the host again; it doubles with each further one.
const DELAY_INITIAL: Duration = Duration::from_millis(20);

/// The longest wait between two attempts.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// The state of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// There is a stream to the other end.
    Connected {
        /// How many streams there were before.
        reconnects: u64,
        /// How many requests were lost with those. The caller of each was informed as well.
        lost: u64,
    },
    /// The stream has ended, and the host is being reached again.
    Lost {
        /// Why it ended.
        reason: EndReason,
        /// How many requests were lost with it and those before it: sent, and not answered. The caller of each is
        /// informed as well.
        lost: u64,
    },
    /// It has ended for good.
    Ended(EndReason),
}

/// A connection to a host, for any number of tasks at once: cloning it is cheap. The connection ends when the last
/// clone is dropped, or with [`Connection::close`].
#[derive(Clone, Debug)]
pub struct Connection {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    options: Options,
    /// How many requests may be in flight.
    slots: Arc<Semaphore>,
    /// And how many bytes of them.
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    state: watch::Receiver<State>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.closing.cancel();
    }
}

impl Connection {
    /// Connects to the control socket at `path`, with the default options.
    ///
    /// # Errors
    /// When no process listens there, or a user other than root and this one.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Connection, ConnectError> {
        Connection::connect_with(path, Options::default()).await
    }

    /// Connects to the control socket at `path`.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub async fn connect_with(path: impl AsRef<Path>, options: Options) -> Result<Connection, ConnectError> {
        let path = path.as_ref().to_owned();
        let stream = open(&path).await?;
        let shared = Shared::new(options.frame_bytes_max);
        Ok(Connection::start(stream, Some(path), options, shared, None))
    }

    /// A connection over `stream` to a host that has its other end, as in an embedding program.
    pub fn from_stream(stream: UnixStream, options: Options) -> Connection {
        let (input, output) = stream.into_split();
        let shared = Shared::new(options.frame_bytes_max);
        Connection::start(Halves::new(input, output), None, options, shared, None)
    }

    /// Serves a stream on a task of its own.
    pub(crate) fn start(
        stream: Halves,
        path: Option<PathBuf>,
        options: Options,
        shared: Arc<Shared>,
        taken: Option<Taken>,
    ) -> Connection {
        let (states, state) = watch::channel(State::Connected { reconnects: 0, lost: 0 });
        let tasks = TaskTracker::new();
        let way = path.zip(options.reconnect);
        tasks.spawn(drive(stream, way, shared.clone(), taken, states));
        tasks.close();
        let (slots, room) = (Semaphore::new(options.requests_max()), Semaphore::new(options.bytes_max()));
        let (slots, room) = (Arc::new(slots), Arc::new(room));
        Connection { handle: Arc::new(Handle { shared, options, slots, room, tasks, state }) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Limits the number of requests in flight from now on. Called before anything is sent.
    pub(crate) fn bound_requests(&self, requests_max: usize) {
        let before = self.handle.options.requests_max();
        match requests_max.max(1) {
            more if more > before => self.handle.slots.add_permits(more.min(Semaphore::MAX_PERMITS) - before),
            fewer => _ = self.handle.slots.forget_permits(before - fewer),
        }
    }

    /// Sends a request and returns the stream of its answers: any progress, and then the one success or error. Its
    /// number is chosen here. It waits while the limit of requests in flight is reached.
    ///
    /// # Errors
    /// When the request is too long, or the connection has ended for good.
    pub async fn send(&self, mut request: Request) -> Result<Answers, Error> {
        let Handle { shared, options, slots, room, .. } = &*self.handle;
        let slot = slots.clone().acquire_owned().await.expect("it is never closed");
        let bytes = (request.payload.as_str().len() + AROUND_BYTES).min(options.bytes_max());
        let permits = u32::try_from(bytes).expect("the most that there are is less");
        let bytes = room.clone().acquire_many_owned(permits).await.expect("it is never closed");
        let id = shared.table().number();
        request.id = Some(id);
        let frame = shared.encode(&Message::Request(request)).map_err(Error::TooLarge)?;
        let pending = shared.table().add(id, frame, Some(Room { _slot: slot, _bytes: bytes }))?;
        shared.to_send.notify_one();
        Ok(Answers::new(pending, self.clone()))
    }

    /// Sends a request and waits for its one answer; progress is dropped. A future of this that is dropped cancels
    /// the request.
    ///
    /// # Errors
    /// When there is no answer. An answer that is an error is `Ok`.
    pub async fn request(&self, request: Request) -> Result<Response, Error> {
        self.send(request).await?.last().await
    }

    /// As [`Connection::request`], for at most so long; the host gets only a cancel of that.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and as [`Connection::request`].
    pub async fn request_within(&self, request: Request, timeout: Duration) -> Result<Response, Error> {
        tokio::time::timeout(timeout, self.request(request)).await.unwrap_or(Err(Error::TimedOut))
    }

    /// Calls a command of a module and returns the data of its answer. `timeout` becomes the deadline in the request;
    /// without one it is the host's default.
    ///
    /// # Errors
    /// [`CallError::Failed`] when the answer is an error, else as [`Connection::request`].
    pub async fn call(&self, to: &str, name: &str, args: Json, timeout: Option<Duration>) -> Result<Json, CallError> {
        let payload = bulkhead_client::command_payload(name, args.as_str());
        let mut request = Request::new(None, RequestType::Command, payload).to(to);
        request.deadline_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let response = match timeout {
            Some(timeout) => self.request_within(request, timeout + ANSWER_GRACE).await?,
            None => self.request(request).await?,
        };
        data_of(response)
    }

    /// Publishes an event; the data has the number of subscribers, and its cursor where it is stored at once.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn emit(&self, event: &str, data: &Json) -> Result<Json, CallError> {
        let payload = Json::object(&[("event", &Json::of(event)), ("data", data)]);
        data_of(self.request(Request::new(None, RequestType::Event, payload)).await?)
    }

    /// The state of the connection, and how much was lost so far. Of two changes between two reads a receiver sees the
    /// later one.
    pub fn state(&self) -> watch::Receiver<State> {
        self.handle.state.clone()
    }

    /// Ends the connection. Requests in flight get an error, also those of other clones.
    pub fn close(&self) {
        self.handle.shared.closing.cancel();
    }

    /// Ends the connection as soon as everything that waits to be sent is sent, such as the answers of a module. Its
    /// requests that have no answer get none.
    pub async fn finish(&self) {
        self.handle.shared.table().close_when_sent();
        self.handle.shared.to_send.notify_one();
        self.closed().await;
    }

    /// Returns when the connection has ended for good, with all requests in flight.
    pub async fn closed(&self) {
        self.handle.tasks.wait().await;
    }
}

/// The data of an answer that ends a request.
fn data_of(answer: Response) -> Result<Json, CallError> {
    match answer.status {
        Status::Success(data) => Ok(data),
        Status::Error(failure) => Err(CallError::Failed(failure)),
        Status::Progress(_) => unreachable!("a request ends with a success or an error"),
    }
}

/// Connects to the socket at `path`, if the right one listens there.
async fn open(path: &Path) -> Result<Halves, ConnectError> {
    bulkhead_client::check_path(path)?;
    let failed = |error| ConnectError::of(path, error);
    let stream = Stream::connect(path.to_fs_name::<GenericFilePath>().map_err(failed)?).await.map_err(failed)?;
    let owner = stream
        .peer_creds()
        .and_then(|peer| peer.euid().ok_or_else(|| std::io::Error::other("the kernel does not say who listens there")));
    bulkhead_client::check_owner(path, owner.map_err(failed)?)?;
    let (input, output) = tokio::io::split(stream);
    Ok(Halves::new(input, output))
}

/// Serves one stream after the other.
async fn drive(
    mut stream: Halves,
    way: Option<(PathBuf, Duration)>,
    shared: Arc<Shared>,
    taken: Option<Taken>,
    states: watch::Sender<State>,
) {
    let (mut reconnects, mut lost) = (0, 0);
    let reason = loop {
        let End { reason, is_unbegun } = link::serve(stream, &shared, taken.as_ref()).await;
        let Some((path, timeout)) = way.as_ref().filter(|_| !shared.closing.is_cancelled()) else { break reason };
        lost += shared.table().lost(&reason, is_unbegun);
        states.send_replace(State::Lost { reason: reason.clone(), lost });
        tokio::select! {
            reached = reach(path, *timeout) => match reached {
                Ok(reached) => stream = reached,
                Err(error) => {
                    break EndReason::Unreachable { ended: Box::new(reason), error: error.to_string() };
                }
            },
            () = shared.closing.cancelled() => break EndReason::ClosedHere,
        }
        reconnects += 1;
        states.send_replace(State::Connected { reconnects, lost });
    };
    shared.table().end(reason.clone());
    taken.iter().for_each(Taken::end);
    states.send_replace(State::Ended(reason));
}

/// Tries to connect until it succeeds, for so long.
async fn reach(path: &Path, timeout: Duration) -> Result<Halves, ConnectError> {
    let until = Instant::now() + timeout;
    let mut delay = DELAY_INITIAL;
    loop {
        let error = match open(path).await {
            Ok(stream) => return Ok(stream),
            // Waiting does not help with these.
            Err(error @ (ConnectError::Foreign { .. } | ConnectError::TooLong(_))) => return Err(error),
            Err(error) => error,
        };
        let now = Instant::now();
        if now >= until {
            return Err(error);
        }
        // The random delay spreads the reconnects of many clients of one host.
        tokio::time::sleep_until((now + spread(delay)).min(until)).await;
        delay = DELAY_MAX.min(delay * 2);
    }
}

/// Between half of a delay and all of it.
fn spread(delay: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0_u8);
    delay / 2 + Duration::from_nanos(random % (delay.as_nanos() as u64 / 2 + 1))
}
