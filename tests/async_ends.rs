//! Both ends of the asynchronous connection, with a real host: a program at its control socket, and a module that
//! runs tokio.

use bulkhead_client_async::{CallError, Connection, Error, EventItem, Options, State};
use bulkhead_protocol::{ErrorCode, Json, Pattern, Request, RequestType, Status};
use bulkhead_tests::{World, program, timeout};
use futures_util::StreamExt;
use nix::sys::signal::Signal;
use serde_json::json;

const MANIFEST: &str = r#"
[capabilities]
call = ["counter"]
entity_create = ["Note"]
event_subscribe = ["note.*"]
event_emit = ["note.*"]
"#;

fn world() -> World {
    let mut world = World::new();
    world.module("counter", "test-minimal", "");
    let command = program("examples/async_module");
    let module =
        format!("name = \"relay\"\nversion = \"0.1.0\"\ncommand = [{:?}]\n{MANIFEST}", command.display().to_string());
    world.manifest("relay", &module);
    world
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(timeout(), future).await.expect("it does not hang")
}

async fn connect(world: &World, options: Options) -> Connection {
    soon(Connection::connect_with(world.socket(), options)).await.expect("the host listens")
}

fn number(data: &Json) -> u64 {
    data.read().expect("it is a number")
}

// Other threads continue while the test waits for a status.
#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_runs_tokio_asks_while_it_is_asked_and_ends_in_good_order() {
    let mut world = world();
    world.start();
    let connection = connect(&world, Options::default()).await;
    let args = Json::of(&json!({ "to": "counter", "count": 20 }));
    let calls = (0..20).map(|_| connection.call("relay", "relay", args.clone(), None));
    for answer in soon(futures_util::future::join_all(calls)).await {
        assert_eq!(number(&answer.unwrap()), 20);
    }
    // What it creates exists with its success.
    soon(connection.call("relay", "note", Json::of(&json!({ "text": "one" })), None)).await.unwrap();
    let query = Request::new(None, RequestType::Query, Json::of(&json!({ "entity": "Note" }))).to("layer1");
    let Status::Success(found) = soon(connection.request(query)).await.unwrap().status else { panic!("it is found") };
    assert!(found.as_str().contains(r#""text":"one""#), "{}", found.as_str());
    // A call that is dropped frees the module, which continues with others meanwhile.
    let wait = Request::new(None, RequestType::Command, bulkhead_client_async::command_payload("wait", "null"));
    let mut waits = connection.send(wait.to("relay")).await.unwrap();
    let progress = soon(waits.next()).await.unwrap().unwrap();
    assert_eq!(progress.status, Status::Progress(Json::of("waiting")));
    let unknown = soon(connection.call("relay", "nothing", Json::null(), None)).await.unwrap_err();
    assert!(matches!(&unknown, CallError::Failed(failure) if failure.code == ErrorCode::UnknownCommand), "{unknown}");
    drop(waits);
    let mut client = world.client();
    client.until_status("relay", "what was dropped is answered", |status| status["in_flight"] == 0);
    let status = client.status("relay");
    assert_eq!((&status["restarts"], &status["strange_answers"]), (&json!(0), &json!(0)), "{status:#}");
    let stopped = Json::of(&json!({ "name": "relay" }));
    soon(connection.call("supervisor", "stop", stopped, None)).await.unwrap();
    assert_eq!(client.status("relay")["last_exit"], "stopped (exit code 0)");
    world.stop();
}

// Other threads continue while the test waits for a status.
#[tokio::test(flavor = "multi_thread")]
async fn calls_and_events_go_on_over_a_kill_of_the_host() {
    let mut world = world();
    world.start();
    let options = Options { reconnect: Some(timeout()), ..Options::default() };
    let connection = connect(&world, options).await;
    let mut events = connection.events(Pattern::new("note.*").unwrap(), None);
    let first = soon(events.next()).await.unwrap().unwrap();
    assert!(matches!(first, EventItem::Following { .. }), "{first:?}");
    soon(connection.emit("note.one", &Json::of(&1))).await.unwrap();
    let event = async |events: &mut bulkhead_client_async::Events| loop {
        if let EventItem::Event(event) = soon(events.next()).await.unwrap().unwrap() {
            break event;
        }
    };
    assert_eq!(event(&mut events).await.event, "note.one");
    let wait = Request::new(None, RequestType::Command, bulkhead_client_async::command_payload("wait", "null"));
    let mut waits = connection.send(wait.to("relay")).await.unwrap();
    soon(waits.next()).await.unwrap().unwrap();
    let mut state = connection.state();
    world.end_host(Signal::SIGKILL);
    let lost = soon(waits.last()).await.unwrap_err();
    assert!(matches!(lost, Error::Ended { .. }), "{lost}");
    soon(state.wait_for(|state| matches!(state, State::Lost { lost: 2, .. }))).await.unwrap();
    world.start();
    // The next host answers it, also if it was sent early.
    let counted = soon(connection.call("counter", "ping", Json::null(), Some(timeout()))).await.unwrap();
    assert!(!counted.as_str().is_empty());
    soon(connection.emit("note.two", &Json::of(&2))).await.unwrap();
    assert_eq!(event(&mut events).await.event, "note.two", "none is given twice");
    // The module is a subscriber, and has got both.
    bulkhead_tests::until("the module has the events", || {
        let mut client = world.client();
        let count = client.call("relay", "events", json!(null)).expect("it is asked again after a crash");
        (count.as_u64() >= Some(1)).then_some(())
    });
    world.stop();
}

#[test]
fn the_example_of_a_program_calls_at_once_and_hears_of_a_restart() {
    let mut world = World::new();
    world.module("counter", "test-minimal", "").start();
    world.client().wait_ready("counter");
    let mut command = std::process::Command::new(program("examples/async_client"));
    let output = command.arg(world.socket()).args(["counter", "50"]).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert!(output.status.success(), "{errors}");
    assert_eq!(lines[0], "50 different answers");
    assert!(lines[1].starts_with("module.ready {") && lines[1].contains("counter#2"), "{said}");
    world.stop();
}
