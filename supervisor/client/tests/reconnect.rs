//! A host that closes connections, as one at its limit does, and how a client handles that.

use bulkhead_client::{CallError, Client, ClientError};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{Decoder, Delivery, ErrorCode, Failure, Json, Message, Request, RequestType, Response, Status};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const DEADLINE: Option<Duration> = Some(Duration::from_secs(20));

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bulkhead-reconnect-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A host that runs a script, connection by connection.
struct Host {
    listener: UnixListener,
    /// How often a client has come.
    came: u32,
    reports: Sender<()>,
}

/// One connection, as the host has it.
struct Connection {
    stream: UnixStream,
    decoder: Decoder,
}

impl Host {
    fn accept(&mut self) -> Connection {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(DEADLINE).unwrap();
        self.came += 1;
        Connection { stream, decoder: Decoder::new(FRAME_BYTES_MAX_DEFAULT) }
    }

    /// Reports to the test that something has happened.
    fn report(&self) {
        self.reports.send(()).unwrap();
    }
}

impl Connection {
    fn request(&mut self) -> Option<Request> {
        let mut byte = [0];
        loop {
            // One byte at a time, so that what is not read is not lost.
            match self.stream.read(&mut byte) {
                Ok(1) => {}
                _ => return None,
            }
            let mut input = &byte[..];
            if let Some(frame) = self.decoder.next(&mut input).unwrap() {
                match Message::decode(frame).unwrap() {
                    Message::Request(request) => return Some(request),
                    Message::Response(response) => panic!("a client answers nothing, found {response:?}"),
                }
            }
        }
    }

    fn respond(&mut self, id: Option<u64>, status: Status) {
        let mut frame = Vec::new();
        Response::new(id, status).encode(&mut frame, FRAME_BYTES_MAX_DEFAULT).unwrap();
        self.stream.write_all(&frame).unwrap();
    }

    fn answer(&mut self, request: &Request, data: &str) {
        self.respond(request.id, Status::Success(Json::of(data)));
    }

    /// Closes, and reports why, as a host at its limit.
    fn close_for_room(mut self) {
        let failure = Failure::new(ErrorCode::Overloaded, "the connection was idle and others needed its place");
        self.respond(None, failure.delivery(Delivery::NotStarted).into());
    }
}

/// A client, a host that runs `script`, and the host's reports to the test.
fn with(script: impl FnOnce(&mut Host) + Send + 'static) -> (Client, Receiver<()>, JoinHandle<u32>, Folder) {
    let folder = Folder::new();
    let path = folder.0.join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (reports, heard) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut host = Host { listener, came: 0, reports };
        script(&mut host);
        host.came
    });
    (Client::connect(&path).unwrap(), heard, thread, folder)
}

fn ask(text: &str) -> Request {
    Request::new(None, RequestType::Command, Json::of(text))
}

fn data(response: Response) -> String {
    match response.status {
        Status::Success(data) => data.read().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn heard(receiver: &Receiver<()>) {
    receiver.recv_timeout(DEADLINE.unwrap()).unwrap();
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced_unseen() {
    for says_why in [true, false] {
        let (mut client, receiver, host, _folder) = with(move |host| {
            for text in ["first", "second", "third"] {
                let mut connection = host.accept();
                let request = connection.request().unwrap();
                assert_eq!(request.payload.read::<String>().unwrap(), text);
                connection.answer(&request, text);
                if says_why {
                    connection.close_for_room()
                } else {
                    drop(connection)
                }
                host.report();
            }
        });
        for text in ["first", "second", "third"] {
            assert_eq!(data(client.request(&ask(text), DEADLINE).unwrap()), text);
            heard(&receiver);
        }
        assert_eq!(host.join().unwrap(), 3);
    }
}

#[test]
fn a_connection_that_was_closed_before_its_first_request_is_replaced_too() {
    let (mut client, receiver, host, _folder) = with(|host| {
        host.accept().close_for_room();
        host.report();
        let mut connection = host.accept();
        let request = connection.request().unwrap();
        connection.answer(&request, "done");
    });
    heard(&receiver);
    assert_eq!(data(client.request(&ask("x"), DEADLINE).unwrap()), "done");
    host.join().unwrap();
}

#[test]
fn a_request_that_crosses_with_the_closing_is_sent_again_under_its_number() {
    // The request is in the socket, unread, when the host closes.
    let (mut client, receiver, host, _folder) = with(|host| {
        let connection = host.accept();
        host.report();
        thread::park();
        connection.close_for_room();
        let mut connection = host.accept();
        let request = connection.request().unwrap();
        assert_eq!(request.id, Some(1));
        connection.answer(&request, "done");
    });
    heard(&receiver);
    let id = client.send(&ask("x")).unwrap();
    host.thread().unpark();
    assert_eq!(data(client.wait(id, DEADLINE).unwrap()), "done");
    assert_eq!(host.join().unwrap(), 2);
}

#[test]
fn requests_of_which_nothing_has_left_all_go_over_the_next_connection() {
    let (mut client, receiver, host, _folder) = with(|host| {
        host.accept().close_for_room();
        host.report();
        let mut connection = host.accept();
        for id in 1..=3 {
            let request = connection.request().unwrap();
            assert_eq!(request.id, Some(id));
            connection.answer(&request, &id.to_string());
        }
    });
    heard(&receiver);
    let first = client.queue_request(&ask("a")).unwrap();
    client.queue_request(&ask("b")).unwrap();
    let last = client.send(&ask("c")).unwrap();
    assert_eq!(data(client.wait(last, DEADLINE).unwrap()), "3");
    assert_eq!(data(client.wait(first, DEADLINE).unwrap()), "1");
    host.join().unwrap();
}

#[test]
fn what_the_host_may_have_begun_is_never_sent_again() {
    // The host has read the request; it reports nothing; it reports so with two in flight, of which it may have read
    // one; or after progress; or with another kind of failure.
    type Script = fn(&mut Connection);
    let scripts: [(u64, Script); 4] = [
        (1, |connection| drop(connection.request())),
        (2, |connection| {
            connection.request();
            let failure = Failure::new(ErrorCode::Overloaded, "too much").delivery(Delivery::NotStarted);
            connection.respond(None, failure.into());
        }),
        (1, |connection| {
            let request = connection.request().unwrap();
            connection.respond(request.id, Status::Progress(Json::null()));
            let failure = Failure::new(ErrorCode::Overloaded, "too much").delivery(Delivery::NotStarted);
            connection.respond(None, failure.into());
        }),
        (1, |connection| {
            connection.request();
            connection.respond(None, Failure::new(ErrorCode::Overloaded, "answers are left unread").into());
        }),
    ];
    for (count, script) in scripts {
        let (mut client, _receiver, host, _folder) = with(move |host| script(&mut host.accept()));
        for _ in 0..count {
            client.queue_request(&ask("x")).unwrap();
        }
        let id = client.send(&ask("last"));
        let id = match (count, id) {
            // The last one is one of the two.
            (_, Ok(id)) => id,
            (_, Err(error)) => panic!("{error}"),
        };
        let error = client.wait(id, DEADLINE).unwrap_err();
        assert!(matches!(error, ClientError::Closed | ClientError::Refused(_) | ClientError::Broken(_)), "{error:?}");
        assert_eq!(host.join().unwrap(), 1, "it came once");
    }
}

#[test]
fn a_host_that_refuses_every_connection_is_asked_twice_and_no_more() {
    let (mut client, _receiver, host, _folder) = with(|host| {
        for _ in 0..2 {
            host.accept().close_for_room();
        }
    });
    let error = client.request(&ask("x"), DEADLINE).unwrap_err();
    let expected = "the host refused this connection: the connection was idle and others needed its place";
    assert_eq!(error.to_string(), expected);
    assert_eq!(host.join().unwrap(), 2);
}

#[test]
fn a_host_that_is_gone_for_good_is_reported_with_the_next_request() {
    let (mut client, receiver, host, folder) = with(|host| {
        let mut connection = host.accept();
        let request = connection.request().unwrap();
        connection.answer(&request, "done");
        drop(connection);
        host.report();
    });
    client.request(&ask("x"), DEADLINE).unwrap();
    heard(&receiver);
    host.join().unwrap();
    let error = client.call("a", "b", Json::null(), DEADLINE).unwrap_err();
    assert!(matches!(&error, CallError::Client(ClientError::Unreachable(_))), "{error:?}");
    assert!(error.to_string().starts_with("the host closed the connection before it began the request"), "{error}");
    drop(folder);
}

#[test]
fn a_client_that_is_polled_notices_the_closing_only_in_that_it_is_not_connected() {
    let (mut client, receiver, host, _folder) = with(|host| {
        let mut connection = host.accept();
        let request = connection.request().unwrap();
        connection.answer(&request, "first");
        connection.close_for_room();
        host.report();
        let mut connection = host.accept();
        let request = connection.request().unwrap();
        connection.answer(&request, "second");
    });
    assert_eq!(data(client.request(&ask("x"), DEADLINE).unwrap()), "first");
    heard(&receiver);
    client.set_nonblocking(true).unwrap();
    while client.is_connected() {
        assert_eq!(client.try_receive().unwrap(), None);
    }
    assert_eq!(client.try_receive().unwrap(), None, "there is nothing to be read");
    client.set_nonblocking(false).unwrap();
    assert_eq!(data(client.request(&ask("x"), DEADLINE).unwrap()), "second");
    host.join().unwrap();
}

#[test]
fn a_program_around_the_host_says_how_it_is_reached_again() {
    let folder = Folder::new();
    let path = folder.0.join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut client = Client::from_stream_or(ours, move || UnixStream::connect(&path));
    drop(theirs);
    let host = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut connection = Connection { stream, decoder: Decoder::new(FRAME_BYTES_MAX_DEFAULT) };
        let request = connection.request().unwrap();
        connection.answer(&request, "done");
    });
    assert_eq!(data(client.request(&ask("x"), DEADLINE).unwrap()), "done");
    host.join().unwrap();
}
