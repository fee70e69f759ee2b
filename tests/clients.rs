//! What one client may cost the others: time, memory and connections. No client that sends much, or nothing at all,
//! keeps an operator out.

use bulkhead_client::ClientError;
use bulkhead_protocol::{Delivery, ErrorCode, Json, Request, RequestType, Status};
use bulkhead_tests::{Caller, World, timeout, until};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Command,
};

/// A host with a module that is ready, and at most so many clients.
fn with_places(places: usize) -> World {
    let mut world = World::new();
    world.host_file(&format!("[host]\nclients_max = {places}\n")).module("good", "test-minimal", "").start();
    world.client().wait_ready("good");
    world
}

fn idle(world: &World) -> UnixStream {
    let stream = UnixStream::connect(world.socket()).unwrap();
    stream.set_read_timeout(Some(timeout())).unwrap();
    stream
}

/// All frames until the host closes the connection.
fn last_messages(mut stream: UnixStream) -> String {
    let mut words = Vec::new();
    stream.read_to_end(&mut words).unwrap();
    String::from_utf8_lossy(&words).into_owned()
}

/// A client that waits for an answer that does not come.
fn busy(world: &World) -> Caller {
    let mut client = world.client();
    client.send_command("supervisor", "wait", json!({ "name": "good", "for": "stopped" }));
    client
}

fn clients(client: &mut Caller) -> u64 {
    client.supervisor("status", Value::Null)["host"]["clients"].as_u64().unwrap()
}

/// Waits until the host has accepted all of them and has what they sent.
fn until_busy(client: &mut Caller, number: u64) {
    until("all clients are in", || (clients(client) >= number).then_some(()));
}

#[test]
fn a_client_that_leaves_too_much_unread_is_informed_with_whole_messages_before() {
    let mut world = World::new();
    world.host_file("[host]\nclients_bytes_max = \"64MiB\"\nframe_bytes_max = \"1MiB\"\n");
    world.module("bad", "misbehave", "").start();
    let mut operator = world.client();
    operator.wait_ready("bad");
    // The module is busy until all that is greedily asked has come.
    let mut first = world.client();
    let asleep = first.send_command("bad", "sleep", json!({ "ms": 600_000 }));
    let load = |operator: &mut Caller| {
        let status = operator.status("bad");
        status["in_flight"].as_u64().unwrap() + status["queue"].as_u64().unwrap()
    };
    until("it sleeps", || (load(&mut operator) == 1).then_some(()));
    let mut greedy = world.client();
    // A quarter of it and one frame are 17 MiB, and this is more.
    let ids: Vec<u64> =
        (0..30).map(|_| greedy.send_command("bad", "huge_answer", json!({ "bytes": 800_000 }))).collect();
    until("all of it has come", || (load(&mut operator) == 31).then_some(()));
    first.cancel(asleep).unwrap();
    until("it was let go", || (load(&mut operator) == 0).then_some(()));
    drop(first);
    let mut answered = 0;
    let refused = loop {
        match greedy.0.receive(Some(timeout())) {
            Ok(response) if response.id.is_some_and(|id| ids.contains(&id)) => answered += 1,
            Ok(response) => break response,
            Err(error) => panic!("{answered} answers came whole, and then: {error}"),
        }
    };
    let Status::Error(failure) = refused.status else { panic!("{refused:?}") };
    assert_eq!((refused.id, failure.code, failure.delivery), (None, ErrorCode::Overloaded, Some(Delivery::Unknown)));
    assert!(failure.error.contains("bytes of answers unread"), "{}", failure.error);
    assert!((1..20).contains(&answered), "{answered} answers had begun");
    assert!(matches!(greedy.0.receive(Some(timeout())), Err(ClientError::Closed)), "nothing more comes");
    until("it has gone", || (clients(&mut operator) == 1).then_some(()));
    assert!(world.stop().stderr.contains("a client was cut off: all clients leave"));
}

#[test]
fn the_connection_that_has_been_idle_for_longest_makes_room_and_is_informed() {
    let mut world = with_places(4);
    let mut operator = world.client();
    until("the first client has gone", || (clients(&mut operator) == 1).then_some(()));
    let first = idle(&world);
    until_busy(&mut operator, 2);
    let _busy = busy(&world);
    until_busy(&mut operator, 3);
    let second = idle(&world);
    until_busy(&mut operator, 4);
    let mut next = world.client();
    next.call("good", "ping", json!({})).unwrap();
    let words = last_messages(first);
    for part in ["\"id\":null", "overloaded", "makes room", "host.clients_max"] {
        assert!(words.contains(part), "expected {part} in {words}");
    }
    operator.call("good", "ping", json!({})).unwrap();
    let mut another = world.client();
    another.call("good", "ping", json!({})).unwrap();
    assert!(last_messages(second).contains("makes room"));
    operator.call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn where_all_are_busy_an_operator_gets_in_all_the_same() {
    let mut world = with_places(8);
    let mut busy: Vec<Caller> = (0..7).map(|_| busy(&world)).collect();
    let mut last = world.client();
    until_busy(&mut last, 8);
    last.send_command("supervisor", "wait", json!({ "name": "good", "for": "stopped" }));
    // A quarter of the connections is reused; the other clients keep theirs.
    for _ in 0..10 {
        let mut operator = world.client();
        assert!(clients(&mut operator) <= 8);
        operator.send_command("supervisor", "wait", json!({ "name": "good", "for": "stopped" }));
        let pong = operator.call("good", "ping", json!({}));
        assert!(pong.is_ok(), "{pong:?}");
    }
    for client in busy.iter_mut().take(5) {
        client.call("good", "ping", json!({})).unwrap();
    }
    world.stop();
}

#[test]
fn where_the_system_has_no_descriptor_left_idle_connections_make_room() {
    let mut world = with_places(1000);
    let mut client = world.client();
    let pid = client.supervisor("status", Value::Null)["host"]["pid"].as_u64().unwrap().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--nofile=64:64"]).status();
    if !limited.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a host without descriptors, because prlimit cannot be run");
        return;
    }
    let idle: Vec<UnixStream> = (0..100).map(|_| idle(&world)).collect();
    let mut operator = world.client();
    operator.call("good", "ping", json!({})).unwrap();
    assert!(clients(&mut operator) < 64);
    drop(idle);
    world.stop();
}

fn long_query(values: usize) -> Json {
    let values = vec!["1"; values].join(",");
    Json::parse(&format!(r#"{{"entity":"A","filters":{{"a":{{"in":[{values}],"contains":"x"}}}}}}"#)).unwrap()
}

#[test]
fn what_comes_after_a_long_request_waits_for_it_and_is_answered_after_it() {
    let mut world = with_places(10);
    let mut client = world.client();
    let other = long_query(3000);
    // It is too long a list, which another thread finds as it reads it; the following requests are short.
    let refused = client.send(&Request::new(None, RequestType::Query, other)).unwrap();
    let ping = client.send(&Request::new(None, RequestType::Ping, Json::null())).unwrap();
    let (first, second) = (client.receive(Some(timeout())).unwrap(), client.receive(Some(timeout())).unwrap());
    assert_eq!((first.id, second.id), (Some(refused), Some(ping)), "{first:?} {second:?}");
    let bulkhead_protocol::Status::Error(failure) = first.status else { panic!("{first:?}") };
    assert_eq!((failure.code, failure.delivery), (ErrorCode::BadRequest, Some(Delivery::NotStarted)));
    assert!(failure.error.contains("at filters.a.in: expected at most 1000 values"), "{}", failure.error);
    let rows = client.ask(&Request::new(None, RequestType::Query, long_query(1000))).unwrap();
    assert_eq!(rows["entities"], json!([]));
    world.stop();
}

#[test]
fn only_an_import_may_be_long_among_the_hosts_own_commands_and_not_endlessly() {
    let mut world = with_places(10);
    let mut client = world.client();
    let refused = client.call("supervisor", "status", json!({ "name": "x".repeat(10_000) })).unwrap_err();
    assert!(refused.code == ErrorCode::BadRequest && refused.error.contains("at most 4096 bytes"), "{refused:?}");
    let import = |lines: usize| json!({ "lines": vec![""; lines], "first": 2 });
    let many = client.call("supervisor", "import", import(20_000)).unwrap_err();
    assert!(many.error.contains("at most 10000 lines"), "{many:?}");
    let empty = client.call("supervisor", "import", import(5000)).unwrap_err();
    assert_eq!(empty.code, ErrorCode::BadRequest, "they are no lines of an export: {empty:?}");
    world.stop();
}

#[test]
fn a_client_that_goes_while_its_request_is_read_does_no_harm() {
    let mut world = with_places(100);
    for _ in 0..50 {
        let mut client = world.client();
        client.send(&Request::new(None, RequestType::Query, long_query(1000))).unwrap();
    }
    let mut client = world.client();
    until("those that have gone are forgotten", || (clients(&mut client) == 1).then_some(()));
    client.ask(&Request::new(None, RequestType::Query, long_query(1000))).unwrap();
    world.stop();
}

#[test]
fn what_one_client_has_unanswered_is_bounded_in_bytes_and_another_is_not_refused_for_it() {
    let mut world = World::new();
    world.host_file("[host]\nclients_bytes_max = \"64MiB\"\n").module("bad", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("bad");
    // Three eighths are for requests, and one client has a quarter of these: six megabytes.
    let mut greedy = world.client();
    let endless = |length: usize| json!({ "filling": "x".repeat(length) });
    let sent: Vec<u64> = (0..10).map(|_| greedy.send_command("bad", "hang", endless(1 << 20))).collect();
    let refused = greedy.answer(*sent.last().unwrap()).unwrap_err();
    assert_eq!((refused.code, refused.delivery), (ErrorCode::Overloaded, Some(Delivery::NotStarted)));
    assert!(refused.error.contains("this client hold") && refused.error.contains("6291456"), "{}", refused.error);
    let other = client.call_within(500, "bad", "hang", endless(1 << 20)).unwrap_err();
    assert_eq!(other.code, ErrorCode::DeadlineExceeded, "it had its place: {other:?}");
    world.stop();
}

#[test]
fn half_a_frame_and_nothing_else_keeps_no_operator_out() {
    let mut world = with_places(4);
    let halves: Vec<UnixStream> = (0..4)
        .map(|_| {
            let mut stream = idle(&world);
            // The host may have closed it for the next one.
            let _ = stream.write_all(&[0, 0, 1, 0, b'{']);
            stream
        })
        .collect();
    let mut operator = world.client();
    operator.call("good", "ping", json!({})).unwrap();
    drop(halves);
    world.stop();
}
