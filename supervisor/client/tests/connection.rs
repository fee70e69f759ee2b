//! The client against a host that is a thread with the other end of a socket pair.

use bulkhead_client::{CallError, Client, ClientError, ConnectError};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{
    Decoder, ErrorCode, Failure, FrameError, Json, Message, Request, RequestType, Response, Status,
};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const DEADLINE: Option<Duration> = Some(Duration::from_secs(10));

/// The host's end: reads requests, writes responses.
struct Host {
    stream: UnixStream,
    decoder: Decoder,
    requests: std::collections::VecDeque<Request>,
}

impl Host {
    fn request(&mut self) -> Option<Request> {
        let mut buffer = [0; 4096];
        while self.requests.is_empty() {
            let count = self.stream.read(&mut buffer).unwrap();
            if count == 0 {
                return None;
            }
            let mut input = &buffer[..count];
            while let Some(frame) = self.decoder.next(&mut input).unwrap() {
                match Message::decode(frame).unwrap() {
                    Message::Request(request) => self.requests.push_back(request),
                    Message::Response(response) => panic!("a client answers nothing, found {response:?}"),
                }
            }
        }
        self.requests.pop_front()
    }

    fn respond(&mut self, id: impl Into<Option<u64>>, status: Status) {
        let mut frame = Vec::new();
        Response::new(id, status).encode(&mut frame, FRAME_BYTES_MAX_DEFAULT).unwrap();
        self.stream.write_all(&frame).unwrap();
    }
}

fn with_host(script: impl FnOnce(Host) + Send + 'static) -> (Client, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let decoder = Decoder::new(FRAME_BYTES_MAX_DEFAULT);
    let host = thread::spawn(move || script(Host { stream: theirs, decoder, requests: Default::default() }));
    (Client::from_stream(ours), host)
}

fn ping() -> Request {
    Request::new(None, RequestType::Ping, Json::null())
}

#[test]
fn a_call_gets_its_data_and_shows_progress_on_the_way() {
    let (mut client, host) = with_host(|mut host| {
        let request = host.request().unwrap();
        assert_eq!(request.kind, RequestType::Command);
        assert_eq!(request.to.as_deref(), Some("log"));
        assert_eq!(request.payload.as_str(), r#"{"name":"add","args":[1]}"#);
        assert_eq!(request.deadline_ms, None);
        host.respond(request.id, Status::Progress(Json::of(&1)));
        host.respond(request.id, Status::Progress(Json::of(&2)));
        host.respond(request.id, Status::Success(Json::of("done")));
    });
    let payload = bulkhead_client::command_payload("add", "[1]");
    let request = Request::new(None, RequestType::Command, payload).to("log");
    let mut seen = Vec::new();
    let response = client.request_with(&request, DEADLINE, |data| seen.push(data.as_str().to_owned())).unwrap();
    assert_eq!(response.status, Status::Success(Json::of("done")));
    assert_eq!(seen, ["1", "2"]);
    host.join().unwrap();
}

#[test]
fn an_error_answer_is_an_error_of_the_call() {
    let (mut client, host) = with_host(|mut host| {
        let request = host.request().unwrap();
        assert_eq!(request.deadline_ms, Some(10_000));
        host.respond(request.id, Failure::new(ErrorCode::UnknownModule, "no module is named \"x\"").into());
    });
    let error = client.call("x", "y", Json::null(), DEADLINE).unwrap_err();
    assert!(matches!(&error, CallError::Failed(failure) if failure.code == ErrorCode::UnknownModule), "{error:?}");
    assert_eq!(error.to_string(), "no module is named \"x\" (unknown_module)");
    host.join().unwrap();
}

#[test]
fn pipelined_requests_get_their_own_answers_in_any_order() {
    let (mut client, host) = with_host(|mut host| {
        let ids: Vec<u64> = (0..3).map(|_| host.request().unwrap().id.unwrap()).collect();
        for &id in ids.iter().rev() {
            host.respond(id, Status::Success(Json::of(&(id * 10))));
        }
    });
    let ids: Vec<u64> = (0..3).map(|_| client.send(&ping()).unwrap()).collect();
    for id in ids {
        assert_eq!(client.wait(id, DEADLINE).unwrap().status, Status::Success(Json::of(&(id * 10))));
    }
    host.join().unwrap();
}

#[test]
fn a_cancelled_request_and_its_cancel_both_get_an_answer() {
    let (mut client, host) = with_host(|mut host| {
        let slow = host.request().unwrap().id.unwrap();
        let cancel = host.request().unwrap();
        assert_eq!(cancel.kind, RequestType::Cancel);
        assert_eq!(cancel.payload.as_str(), format!("{{\"id\":{slow}}}"));
        host.respond(cancel.id, Status::Success(Json::null()));
        host.respond(slow, Failure::new(ErrorCode::Cancelled, "the caller cancelled the request").into());
    });
    let slow = client.send(&ping()).unwrap();
    let cancel = client.cancel(slow).unwrap();
    let answer = client.wait(slow, DEADLINE).unwrap();
    assert!(matches!(answer.status, Status::Error(failure) if failure.code == ErrorCode::Cancelled));
    assert_eq!(client.wait(cancel, DEADLINE).unwrap().status, Status::Success(Json::null()));
    host.join().unwrap();
}

#[test]
fn a_timeout_leaves_the_connection_usable() {
    let (mut client, host) = with_host(|mut host| {
        let first = host.request().unwrap().id;
        let second = host.request().unwrap().id;
        host.respond(first, Status::Success(Json::of("late")));
        host.respond(second, Status::Success(Json::of("in time")));
    });
    let first = client.send(&ping()).unwrap();
    assert!(matches!(client.wait(first, Some(Duration::from_millis(5))), Err(ClientError::TimedOut)));
    assert_eq!(client.request(&ping(), DEADLINE).unwrap().status, Status::Success(Json::of("in time")));
    assert_eq!(client.wait(first, DEADLINE).unwrap().status, Status::Success(Json::of("late")));
    host.join().unwrap();
}

#[test]
fn an_end_inside_a_frame_is_distinguished_from_a_clean_end() {
    let (mut client, host) = with_host(|mut host| drop(host.request()));
    assert!(matches!(client.request(&ping(), DEADLINE), Err(ClientError::Closed)));
    host.join().unwrap();

    let (mut client, host) = with_host(|mut host| {
        host.request();
        host.stream.write_all(b"\0\0\0\x20{\"id\":1").unwrap();
    });
    let error = client.request(&ping(), DEADLINE).unwrap_err();
    let expected = FrameError::Truncated { expected: 36, found: 11 };
    assert!(matches!(&error, ClientError::Frame(found) if *found == expected), "{error:?}");
    host.join().unwrap();
}

#[test]
fn what_the_host_cannot_attribute_ends_the_wait() {
    let (mut client, host) = with_host(|mut host| {
        host.request();
        host.respond(None, Failure::new(ErrorCode::Overloaded, "the host has 1024 clients").into());
    });
    let error = client.request(&ping(), DEADLINE).unwrap_err();
    assert_eq!(error.to_string(), "the host refused this connection: the host has 1024 clients");
    host.join().unwrap();
}

#[test]
fn the_reason_of_a_refusal_is_read_although_the_host_closed_before_the_request() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut host =
        Host { stream: theirs, decoder: Decoder::new(FRAME_BYTES_MAX_DEFAULT), requests: Default::default() };
    host.respond(None, Failure::new(ErrorCode::Overloaded, "too many").into());
    drop(host);
    let error = Client::from_stream(ours).request(&ping(), DEADLINE).unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error:?}");
}

#[test]
fn a_request_that_is_too_long_is_refused_before_anything_is_sent() {
    let (mut client, host) = with_host(|mut host| {
        let request = host.request().unwrap();
        assert_eq!((request.id, request.kind), (Some(1), RequestType::Ping), "the long one left no trace");
        host.respond(request.id, Status::Success(Json::null()));
    });
    let long = Request::new(None, RequestType::Command, Json::of(&"x".repeat(FRAME_BYTES_MAX_DEFAULT)));
    assert!(matches!(client.request(&long, DEADLINE), Err(ClientError::TooLarge(_))));
    client.request(&ping(), DEADLINE).unwrap();
    host.join().unwrap();
}

#[test]
fn halves_in_two_threads_send_far_ahead_of_their_answers() {
    const COUNT: u64 = 20_000;
    let (client, host) = with_host(|mut host| {
        while let Some(request) = host.request() {
            host.respond(request.id, Status::Success(request.payload));
        }
    });
    let (mut sender, mut receiver) = client.split();
    let sending = thread::spawn(move || {
        let request = Request::new(None, RequestType::Command, Json::of(&"x".repeat(200)));
        for _ in 0..COUNT {
            sender.queue_request(&request).unwrap();
            if sender.queued_bytes() > 64 * 1024 {
                sender.flush().unwrap();
            }
        }
        sender.flush().unwrap();
    });
    for expected in 1..=COUNT {
        assert_eq!(receiver.receive(DEADLINE).unwrap().id, Some(expected));
    }
    sending.join().unwrap();
    drop(receiver);
    host.join().unwrap();
}

#[test]
fn a_non_blocking_client_returns_at_once() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut client = Client::from_stream(ours);
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.try_receive().unwrap(), None);
    let long = Request::new(None, RequestType::Command, Json::of(&"x".repeat(4 << 20)));
    client.sender().queue_request(&long).unwrap();
    assert!(!client.sender().try_flush().unwrap(), "four megabytes do not fit into a socket's buffer");
    let reading = thread::spawn(move || {
        let mut host =
            Host { stream: theirs, decoder: Decoder::new(FRAME_BYTES_MAX_DEFAULT), requests: Default::default() };
        host.request().unwrap().payload.as_str().len()
    });
    while !client.sender().try_flush().unwrap() {
        thread::yield_now();
    }
    assert_eq!(reading.join().unwrap(), (4 << 20) + 2);
}

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("bulkhead-client-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_connection_that_cannot_be_had_says_why() {
    let folder = Folder::new("connect");
    let missing = folder.0.join("control.sock");
    assert!(matches!(Client::connect(&missing), Err(ConnectError::Missing(_))));
    drop(UnixListener::bind(&missing).unwrap());
    let stale = Client::connect(&missing).unwrap_err();
    assert!(matches!(stale, ConnectError::NotListening(_)), "{stale:?}");
    assert!(stale.to_string().contains("bulkhead run"), "{stale}");
    let long = Client::connect(Path::new(&format!("/tmp/{}", "x".repeat(200)))).unwrap_err();
    assert!(long.to_string().starts_with("the socket's path has 205 bytes, more than the 107"), "{long}");
}
