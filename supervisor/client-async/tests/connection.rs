//! A connection against the test as its peer, over a real socket.

use bulkhead_client_async::{CallError, Connection, EndReason, Error, EventItem, Options, Starting, State};
use bulkhead_protocol::{
    Capabilities, Decoder, Delivery, ErrorCode, Failure, Init, Json, Limits, Message, OnPanic, Pattern, Ready, Request,
    RequestType, Response, Status,
};
use futures_util::StreamExt;
use std::{
    os::unix::net::UnixStream as StdUnixStream,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

/// How long anything here may take.
const TIMEOUT: Duration = Duration::from_secs(30);

const FRAME_BYTES_MAX: usize = 1 << 20;

/// The other end.
struct Peer {
    stream: UnixStream,
    decoder: Decoder,
    read: Vec<u8>,
}

impl Peer {
    fn new(stream: UnixStream) -> Peer {
        Peer { stream, decoder: Decoder::new(FRAME_BYTES_MAX), read: Vec::new() }
    }

    async fn message(&mut self) -> Message {
        tokio::time::timeout(TIMEOUT, self.try_message()).await.expect("it comes").expect("it is there")
    }

    /// `None` at the end.
    async fn try_message(&mut self) -> Option<Message> {
        loop {
            let mut input = &self.read[..];
            let before = input.len();
            let message = self.decoder.next_message(&mut input).expect("frames");
            let taken = before - input.len();
            self.read.drain(..taken);
            if let Some(message) = message {
                return Some(message.expect("a message"));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
            }
        }
    }

    async fn request(&mut self) -> Request {
        match self.message().await {
            Message::Request(request) => request,
            other => panic!("expected a request, found {other:?}"),
        }
    }

    async fn response(&mut self) -> Response {
        match self.message().await {
            Message::Response(response) => response,
            other => panic!("expected a response, found {other:?}"),
        }
    }

    async fn say(&mut self, message: Message) {
        let mut out = Vec::new();
        message.encode(&mut out, FRAME_BYTES_MAX).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    async fn ask(&mut self, request: Request) {
        self.say(Message::Request(request)).await;
    }

    async fn answer(&mut self, id: impl Into<Option<u64>>, status: impl Into<Status>) {
        self.say(Message::Response(Response::new(id, status))).await;
    }
}

fn pair(options: Options) -> (Connection, Peer) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Connection::from_stream(ours, options), Peer::new(theirs))
}

fn ping() -> Request {
    Request::new(None, RequestType::Ping, Json::null()).to("a")
}

fn number(number: u64) -> Json {
    Json::of(&number)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("it does not hang")
}

#[tokio::test]
async fn many_calls_share_a_connection_and_answers_come_in_any_order() {
    let (connection, mut peer) = pair(Options::default());
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let connection = connection.clone();
            tokio::spawn(async move { (n, connection.call("a", "double", number(n), None).await) })
        })
        .collect();
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.push(peer.request().await);
    }
    for request in asked.iter().rev() {
        let payload: serde_json::Value = request.payload.read().unwrap();
        assert_eq!((request.to.as_deref(), &payload["name"]), (Some("a"), &"double".into()));
        let doubled = number(payload["args"].as_u64().unwrap() * 2);
        peer.answer(request.id, Status::Success(doubled)).await;
    }
    for call in calls {
        let (n, data) = soon(call).await.unwrap();
        assert_eq!(data.unwrap().as_str(), (n * 2).to_string());
    }
}

#[tokio::test]
async fn progress_comes_as_a_stream_and_an_error_as_a_failure() {
    let (connection, mut peer) = pair(Options::default());
    let mut answers = connection.send(ping()).await.unwrap();
    let id = peer.request().await.id;
    assert_eq!(id, Some(answers.id()));
    peer.answer(id, Status::Progress(number(1))).await;
    peer.answer(id, Failure::new(ErrorCode::ModuleError, "no ink")).await;
    let first = soon(answers.next()).await.unwrap().unwrap();
    assert_eq!(first.status, Status::Progress(number(1)));
    let last = soon(answers.next()).await.unwrap().unwrap();
    assert!(matches!(&last.status, Status::Error(failure) if failure.error == "no ink"), "{last:?}");
    assert!(soon(answers.next()).await.is_none());

    let call = tokio::spawn({
        let connection = connection.clone();
        async move { connection.call("a", "write", Json::null(), Some(Duration::from_secs(7))).await }
    });
    let request = peer.request().await;
    assert_eq!(request.deadline_ms, Some(7000));
    peer.answer(request.id, Failure::new(ErrorCode::ModuleError, "no ink")).await;
    assert!(matches!(soon(call).await.unwrap(), Err(CallError::Failed(failure)) if failure.error == "no ink"));
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_and_one_that_was_answered_is_not() {
    let (connection, mut peer) = pair(Options::default());
    let answers = connection.send(ping()).await.unwrap();
    let id = peer.request().await.id.unwrap();
    drop(answers);
    let cancel = peer.request().await;
    assert_eq!((&cancel.kind, cancel.payload.as_str()), (&RequestType::Cancel, format!(r#"{{"id":{id}}}"#).as_str()));
    // Both are answered, and the answers dropped.
    peer.answer(cancel.id, Status::Success(Json::null())).await;
    peer.answer(id, Failure::new(ErrorCode::Cancelled, "cancelled")).await;

    let late = connection.request_within(ping(), Duration::from_millis(1)).await;
    assert!(matches!(late, Err(Error::TimedOut)));
    let asked = peer.request().await;
    assert_eq!((asked.kind, peer.request().await.kind), (RequestType::Ping, RequestType::Cancel));

    let answered = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(ping()).await }
    });
    let id = peer.request().await.id;
    peer.answer(id, Status::Success(Json::null())).await;
    soon(answered).await.unwrap().unwrap();
    connection.close();
    soon(connection.closed()).await;
    assert_eq!(peer.try_message().await, None, "nothing is cancelled that was answered");
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_up_what_is_too_much_and_its_answers_are_read_all_the_same() {
    let options = Options { bytes_max: 200_000, ..Options::default() };
    let (connection, mut peer) = pair(options);
    let large = Json::of(&"x".repeat(90_000));
    let request = || Request::new(None, RequestType::Query, large.clone()).to("a");
    let first = soon(connection.send(request())).await.unwrap();
    let second = soon(connection.send(request())).await.unwrap();
    let third = tokio::spawn({
        let (connection, request) = (connection.clone(), request());
        async move { connection.send(request).await.map(|answers| answers.id()) }
    });
    tokio::task::yield_now().await;
    assert!(!third.is_finished(), "there is no room for it");
    // The peer answers what it has not read: the arrival of this answer shows that reads do not wait for writes.
    peer.answer(first.id(), Status::Success(Json::null())).await;
    soon(first.last()).await.unwrap();
    assert_eq!(soon(third).await.unwrap().unwrap(), 3);
    drop(second);
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused_and_the_connection_goes_on() {
    let (connection, mut peer) = pair(Options { frame_bytes_max: 1000, ..Options::default() });
    let long = Request::new(None, RequestType::Query, Json::of(&"x".repeat(2000))).to("a");
    assert!(matches!(connection.request(long).await, Err(Error::TooLarge(_))));
    let answers = connection.send(ping()).await.unwrap();
    let id = peer.request().await.id;
    peer.answer(id, Status::Success(Json::null())).await;
    soon(answers.last()).await.unwrap();
}

#[tokio::test]
async fn an_end_inside_a_frame_is_no_clean_end() {
    for (bytes, is_clean) in [(&b""[..], true), (&[0, 0, 0, 9, b'{'][..], false), (&b"printed text"[..], false)] {
        let (connection, mut peer) = pair(Options::default());
        let answers = connection.send(ping()).await.unwrap();
        peer.request().await;
        peer.stream.write_all(bytes).await.unwrap();
        drop(peer);
        let error = soon(answers.last()).await.unwrap_err();
        let Error::Ended { delivery: Delivery::Unknown, reason } = error else { panic!("{error}") };
        assert_eq!(matches!(reason, EndReason::Closed), is_clean, "{reason}");
        let refused = connection.request(ping()).await.unwrap_err();
        assert!(matches!(refused, Error::Ended { delivery: Delivery::NotStarted, .. }), "{refused}");
    }
}

/// A path for a socket of this test.
fn socket_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("bulkhead-async-{}-{count}.sock", std::process::id()))
}

async fn accept(listener: &UnixListener) -> Peer {
    Peer::new(soon(listener.accept()).await.unwrap().0)
}

#[tokio::test]
async fn over_a_restart_of_the_host_what_was_sent_is_reported_and_the_rest_goes_on() {
    let path = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let options = Options { reconnect: Some(TIMEOUT), ..Options::default() };
    let connection = Connection::connect_with(&path, options).await.unwrap();
    let mut peer = accept(&listener).await;
    let sent = connection.send(ping()).await.unwrap();
    peer.request().await;
    let mut state = connection.state();
    drop((peer, listener));
    std::fs::remove_file(&path).unwrap();
    let error = soon(sent.last()).await.unwrap_err();
    assert_eq!(error.to_string(), "the other end closed the connection; the request may have been begun");
    let lost = soon(state.wait_for(|state| matches!(state, State::Lost { .. }))).await.unwrap().clone();
    assert!(matches!(lost, State::Lost { lost: 1, .. }), "{lost:?}");
    let waits = connection.send(ping()).await.unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let mut peer = accept(&listener).await;
    let request = peer.request().await;
    assert_eq!(request.id, Some(waits.id()));
    // The host needs the connection for others, and closes it with nothing begun.
    peer.answer(None, Failure::new(ErrorCode::Overloaded, "short of room").delivery(Delivery::NotStarted)).await;
    drop(peer);
    let mut peer = accept(&listener).await;
    assert_eq!(peer.request().await.id, Some(waits.id()), "it is sent again");
    peer.answer(waits.id(), Status::Success(number(1))).await;
    soon(waits.last()).await.unwrap();
    assert!(matches!(*state.borrow_and_update(), State::Connected { reconnects: 2, lost: 1 }));
    connection.close();
    soon(connection.closed()).await;
    assert!(matches!(*state.borrow_and_update(), State::Ended(EndReason::ClosedHere)));
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_host_that_does_not_come_back_is_reported_with_what_was_tried() {
    let path = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let options = Options { reconnect: Some(Duration::from_millis(50)), ..Options::default() };
    let connection = Connection::connect_with(&path, options).await.unwrap();
    drop((accept(&listener).await, listener));
    std::fs::remove_file(&path).unwrap();
    soon(connection.closed()).await;
    let error = connection.request(ping()).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached again: there is no socket at"), "{error}");
    let missing = Connection::connect(&path).await.unwrap_err();
    assert!(missing.to_string().contains("there is no socket at"), "{missing}");
}

fn event(cursor: u64, name: &str) -> Json {
    Json::of(
        &serde_json::json!({ "cursor": cursor, "epoch": "e", "time": "2026-11-30T00:00:00Z", "event": name, "data": 1 }),
    )
}

fn following(cursor: u64) -> Json {
    Json::of(&serde_json::json!({ "following": true, "cursor": cursor, "epoch": "e", "lost": 0 }))
}

#[tokio::test]
async fn events_go_on_after_the_last_one_over_another_connection_and_when_the_reader_was_slow() {
    let path = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let options = Options { reconnect: Some(TIMEOUT), ..Options::default() };
    let connection = Connection::connect_with(&path, options).await.unwrap();
    let mut events = connection.events(Pattern::new("log.*").unwrap(), None);
    let mut peer = accept(&listener).await;
    let follow = async |peer: &mut Peer, after: Option<u64>| {
        let request = peer.request().await;
        let payload: serde_json::Value = request.payload.read().unwrap();
        assert_eq!((&payload["name"], &payload["args"]["pattern"]), (&"events".into(), &"log.*".into()));
        assert_eq!(payload["args"]["after"].as_u64(), after, "{payload}");
        assert_eq!(payload["args"]["epoch"].as_str(), after.map(|_| "e"), "{payload}");
        peer.answer(request.id, Status::Progress(following(7))).await;
        request.id
    };
    let (item, id) = tokio::join!(events.next(), follow(&mut peer, None));
    assert!(matches!(item, Some(Ok(EventItem::Following { cursor: 7, lost: 0, .. }))), "{item:?}");
    peer.answer(id, Status::Progress(event(8, "log.a"))).await;
    let item = soon(events.next()).await.unwrap().unwrap();
    assert!(matches!(&item, EventItem::Event(event) if event.cursor == 8 && event.event == "log.a"), "{item:?}");
    drop(peer);
    assert!(matches!(soon(events.next()).await, Some(Ok(EventItem::Interrupted))));
    let mut peer = accept(&listener).await;
    let (item, id) = tokio::join!(events.next(), follow(&mut peer, Some(8)));
    assert!(matches!(item, Some(Ok(EventItem::Following { .. }))), "{item:?}");

    // More than is kept for a reader that lags.
    let long = Json::of(&serde_json::json!({ "cursor": 9, "epoch": "e", "time": "t", "event": "log.b",
        "data": "x".repeat(900_000) }));
    for _ in 0..8 {
        peer.answer(id, Status::Progress(long.clone())).await;
    }
    // The next message is read when all of that was read or dropped.
    let later = connection.send(ping()).await.unwrap();
    assert_eq!(peer.request().await.id, Some(later.id()));
    peer.answer(later.id(), Status::Success(Json::null())).await;
    soon(later.last()).await.unwrap();
    let mut kept = 0;
    loop {
        match soon(events.next()).await.unwrap().unwrap() {
            EventItem::Event(event) => kept += usize::from(event.cursor == 9),
            EventItem::Interrupted => break,
            other @ EventItem::Following { .. } => panic!("{other:?}"),
        }
    }
    assert!((1..8).contains(&kept), "{kept}");
    // The old one is cancelled, and a new one follows after the last that was given.
    assert_eq!(peer.request().await.kind, RequestType::Cancel);
    let (item, id) = tokio::join!(events.next(), follow(&mut peer, Some(9)));
    assert!(matches!(item, Some(Ok(EventItem::Following { .. }))), "{item:?}");
    peer.answer(id, Status::Success(Json::null())).await;
    assert!(soon(events.next()).await.is_none());
    std::fs::remove_file(&path).unwrap();
}

async fn module() -> (Starting, Peer) {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut peer = Peer::new(UnixStream::from_std(theirs).unwrap());
    let init = Init {
        protocol: 1,
        module: "a".into(),
        instance: "a#1".into(),
        config: Json::null(),
        limits: Limits { frame_bytes_max: 65536, window: 64, requests_max: 2 },
        capabilities: Capabilities::default(),
        data_dir: String::new(),
        on_panic: OnPanic::Restart,
    };
    peer.ask(Request::new(1, RequestType::Init, Json::of(&init))).await;
    (soon(Starting::from_stream(ours)).await.unwrap(), peer)
}

fn ready() -> Ready {
    let (name, version, description) = ("a".into(), "1".into(), String::new());
    Ready { name, version, description, protocol: 1, commands: Vec::new(), features: Vec::new() }
}

fn command(id: u64) -> Request {
    Request::new(id, RequestType::Command, bulkhead_client_async::command_payload("go", "null"))
}

#[tokio::test]
async fn a_module_answers_in_any_order_asks_meanwhile_and_shuts_down_when_all_is_answered() {
    let (starting, mut peer) = module().await;
    assert_eq!(starting.init().instance, "a#1");
    let (connection, mut requests) = starting.ready(ready());
    let Status::Success(data) = peer.response().await.status else { panic!("it is ready") };
    assert_eq!(data.read::<Ready>().unwrap().features, ["concurrent"]);
    peer.ask(command(2)).await;
    peer.ask(command(3)).await;
    peer.ask(Request::new(4, RequestType::Ping, Json::null())).await;
    // A ping is answered while the module does nothing.
    assert_eq!(peer.response().await, Response::success(4, Json::null()));
    let first = soon(requests.next()).await.unwrap();
    let second = soon(requests.next()).await.unwrap();
    let asks = Request::new(None, RequestType::Query, Json::null());
    let asked = first.send(&connection, asks).await.unwrap();
    let query = peer.request().await;
    assert_eq!((query.kind, query.of), (RequestType::Query, Some(2)));
    peer.answer(query.id, Status::Success(number(5))).await;
    soon(asked.last()).await.unwrap();
    // As many as `init` allows are in flight at once; the next one waits for one of them.
    let two = [connection.send(ping()).await.unwrap(), connection.send(ping()).await.unwrap()];
    let third = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(ping()).await }
    });
    let asked = [peer.request().await.id, peer.request().await.id];
    assert!(!third.is_finished());
    for id in asked {
        peer.answer(id, Status::Success(Json::null())).await;
    }
    let waited = peer.request().await.id;
    peer.answer(waited, Status::Success(Json::null())).await;
    soon(third).await.unwrap().unwrap();
    drop(two);
    second.progress(number(1)).await.unwrap();
    second.succeed(Json::of(&"x".repeat(100_000)));
    assert_eq!(peer.response().await.status, Status::Progress(number(1)));
    let Response { id: Some(3), status: Status::Error(failure), .. } = peer.response().await else {
        panic!("one error")
    };
    assert_eq!(failure.code, ErrorCode::FrameTooLarge);
    peer.ask(Request::new(5, RequestType::Cancel, Json::of(&serde_json::json!({ "id": 2 })))).await;
    assert_eq!(peer.response().await, Response::success(5, Json::null()));
    soon(first.cancelled().cancelled()).await;
    peer.ask(Request::new(6, RequestType::Shutdown, Json::null())).await;
    assert!(soon(requests.next()).await.is_none());
    drop(first);
    let Response { id: Some(2), status: Status::Error(failure), .. } = peer.response().await else {
        panic!("one error")
    };
    assert_eq!((failure.code, failure.error.contains("dropped")), (ErrorCode::Internal, true));
    assert_eq!(peer.response().await, Response::success(6, Json::null()));
    soon(connection.closed()).await;
    assert_eq!(peer.try_message().await, None);
}

#[tokio::test]
async fn a_module_that_refuses_to_start_says_why_and_one_whose_host_goes_learns_it() {
    let (starting, mut peer) = module().await;
    soon(starting.refuse(Failure::new(ErrorCode::ModuleError, "no licence"))).await;
    let Response { id: Some(1), status: Status::Error(failure), .. } = peer.response().await else {
        panic!("one error")
    };
    assert_eq!(failure.error, "no licence");

    let (starting, mut peer) = module().await;
    let (connection, mut requests) = starting.ready(ready());
    peer.ask(command(2)).await;
    let one = soon(requests.next()).await.unwrap();
    drop(peer);
    soon(one.cancelled().cancelled()).await;
    assert!(soon(requests.next()).await.is_none());
    soon(connection.closed()).await;

    let (ours, theirs) = StdUnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut peer = Peer::new(UnixStream::from_std(theirs).unwrap());
    peer.ask(command(1)).await;
    let error = soon(Starting::from_stream(ours)).await.unwrap_err();
    assert_eq!(error.to_string(), "expected `init` as the first message, found a request of the type command");
}
