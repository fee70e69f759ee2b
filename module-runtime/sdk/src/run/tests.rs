//! The loop over a real socket pair, with the test as the host.

use super::*;
use crate::testing::{Peer, init};
use crate::{Barrier, json};
use bulkhead_protocol::{ErrorCode, Message, Request, Response};
use serde_json::{Value, json as value};
use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

thread_local! {
    /// How often the barrier of the module on this thread was passed.
    static BARRIERS: Cell<u32> = const { Cell::new(0) };
}

struct Probe {
    seen: Vec<String>,
    barrier_fails: bool,
}

impl Module for Probe {
    fn describe() -> Description {
        ["say", "call", "cancellable", "wait", "panic", "huge", "emit", "progress"]
            .into_iter()
            .fold(Description::new("probe", "1"), |description, name| description.command(name, ""))
            .idempotent("read", "")
            .idempotent("read_and_panic", "")
            .batch_answers()
            .keys()
    }

    fn init(init: &Init) -> Result<Self, Error> {
        let config: Value = init.config.read()?;
        match config["fail"].as_str() {
            Some("permanent") => Err(Error::failed("will never work").permanent()),
            Some(_) => Err(Error::failed("not now")),
            None => Ok(Probe { seen: Vec::new(), barrier_fails: config["barrier_fails"] == true }),
        }
    }

    fn command(&mut self, ctx: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        self.seen.push(name.to_owned());
        match name {
            "call" => ctx.call("other", "twice", args.clone()),
            "cancellable" => {
                ctx.progress(json!("began"))?;
                loop {
                    ctx.check()?;
                }
            }
            "wait" => ctx.wait(Duration::from_millis(args.read()?)).map(|()| Json::null()),
            "panic" | "read_and_panic" => panic!("as asked, {}", args.as_str()),
            "huge" => Ok(json!("x".repeat(100_000))),
            "emit" => ctx.emit("probe.done", json!(1)).map(|()| Json::null()),
            "progress" => ctx.progress(json!({ "done": 1 })).map(|()| Json::null()),
            _ => Ok(json!({ "seen": self.seen.len(), "barriers": BARRIERS.get() })),
        }
    }

    fn barrier(&self) -> Option<Barrier> {
        let fails = self.barrier_fails;
        Some(Box::new(move || {
            BARRIERS.set(BARRIERS.get() + 1);
            if fails { Err(Error::failed("the disk is full")) } else { Ok(()) }
        }))
    }
}

struct Running {
    peer: Peer,
    thread: JoinHandle<u8>,
}

fn connect() -> Running {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let channel = Channel::of_socket(theirs.into()).unwrap();
    Running { peer: Peer::new(ours), thread: std::thread::spawn(move || serve::<Probe>(channel)) }
}

fn greeting(config: Value) -> Json {
    let mut init = init("probe", config.into(), Path::new("/nowhere"));
    init.limits.frame_bytes_max = 64 * 1024;
    Json::of(&init)
}

fn start(config: Value) -> Running {
    let mut running = connect();
    let id = running.peer.send(RequestType::Init, greeting(config));
    running.peer.answer(id).unwrap().unwrap();
    running
}

impl Running {
    fn exit_code(self) -> u8 {
        self.thread.join().unwrap()
    }

    /// Commands that arrive in one read, and their ids.
    fn together(&mut self, names: &[&str]) -> Vec<u64> {
        let requests: Vec<Request> = names
            .iter()
            .map(|name| Request::new(self.peer.number(), RequestType::Command, json!({ "name": name })))
            .collect();
        let ids = requests.iter().filter_map(|request| request.id).collect();
        self.peer.send_messages(&requests.into_iter().map(Message::Request).collect::<Vec<_>>());
        ids
    }
}

fn cancel(id: u64) -> Json {
    json!({ "id": id })
}

#[test]
fn another_version_of_the_wire_is_refused_for_good() {
    let mut running = connect();
    let id = running.peer.send(RequestType::Init, json!({ "protocol": 2, "everything": "else" }));
    let failure = running.peer.answer(id).unwrap().unwrap_err();
    assert_eq!(failure["error"], "this module speaks version 1 of the wire, the host speaks 2");
    assert_eq!(running.exit_code(), 125);
}

#[test]
fn an_init_that_fails_is_answered_and_ends_the_process() {
    for (fail, code) in [("now", 1), ("permanent", 125)] {
        let mut running = connect();
        let id = running.peer.send(RequestType::Init, greeting(value!({ "fail": fail })));
        assert_eq!(running.peer.answer(id).unwrap().unwrap_err()["code"], "module_error");
        assert_eq!(running.exit_code(), code);
    }
}

#[test]
fn nothing_comes_before_init() {
    let mut running = connect();
    let id = running.peer.send(RequestType::Ping, Json::null());
    assert_eq!(running.peer.answer(id).unwrap().unwrap_err()["error"], "expected \"init\" first, found \"ping\"");
    assert_eq!(running.exit_code(), 1);
}

#[test]
fn what_came_before_shutdown_is_answered_before_it() {
    let mut running = start(value!({}));
    let ids = running.together(&["say", "read", "say"]);
    let shutdown = running.peer.send(RequestType::Shutdown, Json::null());
    for id in ids.into_iter().chain([shutdown]) {
        let answer = running.peer.message().unwrap();
        assert_eq!((&answer["id"], &answer["status"]), (&value!(id), &value!("success")));
    }
    assert_eq!(running.exit_code(), 0);
}

#[test]
fn the_end_of_the_host_is_a_clean_end_and_half_a_frame_is_not() {
    let mut running = start(value!({}));
    running.peer.hang_up();
    assert_eq!(running.exit_code(), 0);

    let mut running = start(value!({}));
    running.peer.send_bytes(b"\0\0\0\x09{");
    running.peer.hang_up();
    assert_eq!(running.exit_code(), 1);
}

#[test]
fn a_cancel_reaches_a_handler_that_looks_and_is_answered_itself() {
    let mut running = start(value!({}));
    let id = running.peer.send_command("cancellable", value!({}));
    let cancel = running.peer.send(RequestType::Cancel, cancel(id));
    assert_eq!(running.peer.answer(cancel).unwrap(), Ok(value!(null)));
    assert_eq!(running.peer.answer(id).unwrap().unwrap_err()["code"], "cancelled");
}

#[test]
fn a_request_cancelled_in_the_queue_is_answered_in_order_and_never_begun() {
    let mut running = start(value!({}));
    let first = running.peer.send_command("cancellable", value!({}));
    assert_eq!(running.peer.message().unwrap()["data"], "began");
    let second = running.peer.send_command("say", value!({}));
    let _ = running.peer.send(RequestType::Cancel, cancel(second));
    let _ = running.peer.send(RequestType::Cancel, cancel(first));
    assert_eq!(running.peer.answer(first).unwrap().unwrap_err()["code"], "cancelled");
    let failure = running.peer.answer(second).unwrap().unwrap_err();
    assert_eq!((&failure["code"], &failure["delivery"]), (&value!("cancelled"), &value!("not_started")));
    let id = running.peer.send_command("say", value!({}));
    assert_eq!(running.peer.answer(id).unwrap().unwrap()["seen"], 2);
}

#[test]
fn a_deadline_ends_a_handler_that_looks() {
    let mut running = start(value!({}));
    let mut request = Request::new(None, RequestType::Command, json!({ "name": "cancellable" }));
    request.deadline_ms = Some(5);
    let id = running.peer.send_request(request);
    assert_eq!(running.peer.answer(id).unwrap().unwrap_err()["code"], "deadline_exceeded");
}

#[test]
fn a_wait_ends_when_it_is_over_or_not_wanted_any_more() {
    let mut running = start(value!({}));
    let id = running.peer.send_command("wait", value!(2));
    assert_eq!(running.peer.answer(id).unwrap(), Ok(value!(null)));
    let id = running.peer.send_command("wait", value!(1_000_000));
    // Other messages do not end it.
    let ping = running.peer.send(RequestType::Ping, Json::null());
    let _ = running.peer.send(RequestType::Cancel, cancel(id));
    assert_eq!(running.peer.answer(id).unwrap().unwrap_err()["code"], "cancelled");
    assert_eq!(running.peer.answer(ping).unwrap(), Ok(value!(null)));
}

#[test]
fn a_panic_is_answered_with_its_place_and_ends_the_process() {
    let mut running = start(value!({}));
    let id = running.peer.send_command("panic", value!({"a": 1}));
    let failure = running.peer.answer(id).unwrap().unwrap_err();
    let sentence = failure["error"].as_str().unwrap();
    assert!(sentence.starts_with("the handler panicked at ") && sentence.contains("tests.rs:"), "{sentence}");
    assert!(sentence.ends_with(r#": as asked, {"a":1}"#), "{sentence}");
    assert_eq!(failure["last"], true, "{failure}");
    assert_eq!(running.exit_code(), 101);
}

#[test]
fn what_came_after_a_panic_is_neither_begun_nor_answered() {
    let mut running = start(value!({}));
    let ids = running.together(&["say", "panic", "say"]);
    assert_eq!(running.peer.answer(ids[0]).unwrap().unwrap()["seen"], 1);
    assert_eq!(running.peer.answer(ids[1]).unwrap().unwrap_err()["last"], true);
    assert_eq!(running.peer.answer(ids[2]).unwrap_err().to_string(), "the end");
}

#[test]
fn answers_that_waited_for_others_leave_before_that_of_a_panic() {
    let mut running = start(value!({}));
    let ids = running.together(&["read", "read", "panic"]);
    for id in &ids[..2] {
        assert!(running.peer.answer(*id).unwrap().is_ok());
    }
    assert_eq!(running.peer.answer(ids[2]).unwrap().unwrap_err()["last"], true);
}

/// Otherwise the host would take the first of them for the cause of the end.
#[test]
fn a_panic_is_reported_where_the_barrier_keeps_earlier_answers_back() {
    let mut running = start(value!({ "barrier_fails": true }));
    let ids = running.together(&["read", "read", "read_and_panic"]);
    let first = running.peer.message().unwrap();
    assert_eq!((&first["id"], &first["last"]), (&value!(ids[2]), &value!(true)), "{first}");
    assert_eq!(running.peer.message().unwrap_err().to_string(), "the end");
    assert_eq!(running.exit_code(), 101);
}

#[test]
fn a_panic_is_answered_and_the_module_goes_on_where_init_says_so() {
    let mut running = connect();
    let mut init = init("probe", json!({}), Path::new("/nowhere"));
    init.on_panic = OnPanic::Continue;
    let id = running.peer.send(RequestType::Init, Json::of(&init));
    running.peer.answer(id).unwrap().unwrap();
    for _ in 0..2 {
        let id = running.peer.send_command("panic", value!({}));
        let failure = running.peer.answer(id).unwrap().unwrap_err();
        assert!(failure["error"].as_str().unwrap().starts_with("the handler panicked at "), "{failure}");
        assert!(failure["last"].is_null(), "{failure}");
    }
    let id = running.peer.send_command("say", value!({}));
    assert_eq!(running.peer.answer(id).unwrap().unwrap()["seen"], 3);
    let id = running.peer.send(RequestType::Shutdown, Json::null());
    assert_eq!(running.peer.answer(id).unwrap(), Ok(value!(null)));
    assert_eq!(running.exit_code(), 0);
}

#[test]
fn while_a_handler_waits_for_the_host_other_requests_wait_for_it() {
    let mut running = start(value!({}));
    let ids = running.together(&["call", "say"]);
    let asked = running.peer.message().unwrap();
    assert_eq!((&asked["to"], &asked["of"]), (&value!("other"), &value!(ids[0])));
    assert_eq!(asked["payload"], value!({"name": "twice", "args": {}}));
    running.peer.succeed(asked["id"].as_u64().unwrap(), value!(42));
    let first = running.peer.message().unwrap();
    assert_eq!((&first["id"], &first["data"]), (&value!(ids[0]), &value!(42)));
    assert_eq!(running.peer.message().unwrap()["id"], ids[1]);
}

#[test]
fn a_cancel_ends_the_wait_for_the_host_and_cancels_the_request_to_it() {
    let mut running = start(value!({}));
    let id = running.peer.send_command("call", value!({}));
    let asked = running.peer.message().unwrap();
    let cancel = running.peer.send(RequestType::Cancel, cancel(id));
    assert_eq!(running.peer.answer(cancel).unwrap(), Ok(value!(null)));
    let passed_on = running.peer.message().unwrap();
    assert_eq!((&passed_on["type"], &passed_on["payload"]["id"]), (&value!("cancel"), &asked["id"]));
    assert_eq!(passed_on.get("of"), None);
    assert_eq!(running.peer.answer(id).unwrap().unwrap_err()["code"], "cancelled");
}

#[test]
fn an_own_request_carries_what_is_left_of_the_deadline() {
    let mut running = start(value!({}));
    let mut request = Request::new(None, RequestType::Command, json!({ "name": "call" }));
    request.deadline_ms = Some(5000);
    let id = running.peer.send_request(request);
    let asked = running.peer.message().unwrap();
    assert!(asked["deadline_ms"].as_u64().is_some_and(|ms| (1..=5000).contains(&ms)), "{asked}");
    let mut failure = bulkhead_protocol::Failure::new(ErrorCode::ModuleCrashed, "it crashed");
    failure.exit = Some(bulkhead_protocol::Exit::Code(3));
    let response = Response::new(asked["id"].as_u64(), failure);
    running.peer.send_messages(&[Message::Response(response)]);
    // The crash of another module is not this module's crash.
    let failure = running.peer.answer(id).unwrap().unwrap_err();
    assert_eq!((&failure["code"], &failure["module_code"]), (&value!("module_error"), &value!("module_crashed")));
    assert_eq!(failure["exit"], value!(null));
}

#[test]
fn an_answer_longer_than_a_frame_becomes_an_error() {
    let mut running = start(value!({}));
    let id = running.peer.send_command("huge", value!({}));
    let failure = running.peer.answer(id).unwrap().unwrap_err();
    assert_eq!(failure["code"], "frame_too_large");
    assert!(failure["error"].as_str().unwrap().contains("65536"), "{failure}");
}

#[test]
fn an_event_and_progress_come_before_the_answer() {
    let mut running = start(value!({}));
    let ids = running.together(&["emit", "progress"]);
    let statuses: Vec<Value> = (0..4).map(|_| running.peer.message().unwrap()).collect();
    assert_eq!(statuses[0], value!({"type": "event", "payload": {"event": "probe.done", "data": 1}, "of": ids[0]}));
    assert_eq!(statuses[1]["status"], "success");
    assert_eq!(statuses[2]["status"], "progress");
    assert_eq!(statuses[3]["status"], "success");
}

#[test]
fn unknown_types_and_broken_messages_get_an_answer() {
    let mut running = start(value!({}));
    let id = running.peer.send(RequestType::Unknown("dance".into()), Json::null());
    assert_eq!(running.peer.answer(id).unwrap().unwrap_err()["code"], "unknown_type");
    running.peer.send_bytes(b"\0\0\0\x09{\"id\":99}");
    assert_eq!(running.peer.answer(99).unwrap().unwrap_err()["code"], "bad_request");
}

#[test]
fn a_broken_message_that_nearly_fills_a_frame_gets_a_short_answer() {
    let mut running = start(value!({}));
    let content = format!(r#"{{"id":7,"type":"ping","deadline_ms":"{}"}}"#, "x".repeat(65_000));
    let mut frame = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(content.as_bytes());
    running.peer.send_bytes(&frame);
    let failure = running.peer.answer(7).unwrap().unwrap_err();
    assert!(failure["error"].as_str().unwrap().len() <= 1000, "{failure}");
}

#[test]
fn a_barrier_that_fails_keeps_the_answers_back() {
    let mut running = start(value!({ "barrier_fails": true }));
    let id = running.peer.send_command("say", value!({}));
    assert_eq!(running.peer.answer(id).unwrap_err().to_string(), "the end");
    assert_eq!(running.exit_code(), 1);
}

#[test]
fn one_barrier_serves_answers_that_may_be_repeated_and_no_others() {
    let mut running = start(value!({}));
    let mut barriers = |names: &[&str]| -> Vec<u64> {
        let ids = running.together(names);
        ids.into_iter().map(|id| running.peer.answer(id).unwrap().unwrap()["barriers"].as_u64().unwrap()).collect()
    };
    assert_eq!(barriers(&["read", "read", "read"]), [0, 0, 0]);
    assert_eq!(barriers(&["say", "say", "say"]), [1, 2, 3]);
    assert_eq!(barriers(&["read", "say", "read"]), [4, 5, 6]);
}

#[test]
fn a_call_gives_up_soon_after_its_deadline_when_the_host_says_nothing() {
    let mut running = start(value!({}));
    let mut request = Request::new(None, RequestType::Command, json!({ "name": "call" }));
    request.deadline_ms = Some(10);
    let began = std::time::Instant::now();
    let id = running.peer.send_request(request);
    assert_eq!(running.peer.answer(id).unwrap().unwrap_err()["code"], "deadline_exceeded");
    assert!(began.elapsed() < Duration::from_secs(5));
}
