//! What the `bulkhead` command does with the data store, against a real daemon: beside it, through it, and
//! when it is not there.

use bulkhead_tests::{Done, Running, World, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

fn run(world: &World, words: &[&str]) -> Done {
    world.bulkhead(words).into()
}

/// The output of a command that succeeds.
#[track_caller]
fn good(world: &World, words: &[&str]) -> String {
    let done = run(world, words);
    assert_eq!(done.code, Some(0), "{words:?}: {done:?}");
    done.out
}

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A host with so many notes.
fn world(notes: usize) -> World {
    let mut world = World::new();
    world.start();
    if notes > 0 {
        let made: Vec<Value> = (0..notes)
            .map(|n| json!({ "entity": "Note", "operation": "create", "data": { "n": n, "text": "née \u{1F980}\n" } }))
            .collect();
        let file = world.path("mutation.json");
        for operations in made.chunks(1000) {
            fs::write(&file, json!({ "operations": operations }).to_string()).unwrap();
            good(&world, &["mutate", "layer1", &format!("@{}", file.display())]);
        }
    }
    world
}

fn count(world: &World) -> Value {
    object(&good(world, &["query", "layer1", r#"{"entity":"Note","limit":0,"count":true}"#]))["count"].clone()
}

#[test]
fn the_data_store_is_queried_and_changed_as_any_module_and_its_errors_say_where() {
    let world = world(0);
    let create = r#"{"entity":"Note","operation":"create","data":{"n":1}}"#;
    let made = good(&world, &["mutate", "layer1", create, "--key", "monday-1"]);
    assert_eq!(good(&world, &["mutate", "layer1", create, "--key", "monday-1"]), made, "the key's answer");
    assert_eq!(count(&world), 1);
    let id = object(&made)["id"].as_str().unwrap().to_owned();
    let update = json!({ "entity": "Note", "operation": "update", "id": id, "expected_version": 7, "data": {} });
    let conflict = run(&world, &["mutate", "layer1", &update.to_string()]);
    assert_eq!((conflict.code, conflict.out.as_str()), (Some(1), ""));
    for words in ["bulkhead: layer1: expected version 7 of the Note", "  code       conflict", "then expect version 1"]
    {
        assert!(conflict.err.contains(words), "{words}: {conflict:?}");
    }
    let wrong = run(&world, &["query", "layer1", r#"{"entity":"Note","filters":{"n":{"about":1}}}"#]);
    assert!(wrong.code == Some(1) && wrong.err.starts_with("bulkhead: layer1: at filters.n"), "{wrong:?}");
    assert!(!wrong.err.contains("  data "), "the place is said once: {wrong:?}");
    let missing = r#"{"entity":"Note","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f"}"#;
    assert_eq!(run(&world, &["query", "layer1", missing]).code, Some(1));
}

#[test]
fn an_export_beside_a_running_host_is_imported_into_another_one_and_into_a_folder() {
    let from = world(2500);
    let export = good(&from, &["layer1", "export"]);
    assert_eq!(export.lines().count(), 2501);
    let to = world(0);
    let file = to.path("data.jsonl");
    let file = file.to_str().unwrap();
    fs::write(file, &export).unwrap();
    assert_eq!(good(&to, &["layer1", "import", file]), "created 2,500, replaced 0, kept 0\n");
    assert_eq!(good(&to, &["layer1", "import", file]), "created 0, replaced 0, kept 2,500\n");
    assert_eq!(good(&to, &["layer1", "export"]), export);
    assert_eq!(good(&to, &["layer1", "check"]), "the data is whole: 2,500 entities\n");
    let state = to.state();
    let state = state.to_str().unwrap();
    let in_use = run(&to, &["layer1", "import", file, "--state", state]);
    assert!(in_use.code == Some(1) && in_use.err.contains("is in use by another host"), "{in_use:?}");

    let broken = export.replacen("\"n\":1700,", "\"n\":1700;", 1);
    let mut other = world(0);
    fs::write(other.path("broken.jsonl"), broken).unwrap();
    let done = run(&other, &["layer1", "import", "broken.jsonl"]);
    assert!(done.code == Some(1) && done.err.contains("broken.jsonl:1702: expected a line of an export"), "{done:?}");
    assert!(done.err.contains("lines 2 to 1001 were imported: created 1,000"), "{done:?}");
    assert_eq!(count(&other), 1000);
    other.stop();
    let state = other.state();
    let into = ["layer1", "import", file, "--state", state.to_str().unwrap()];
    assert_eq!(good(&other, &into), "created 1,500, replaced 0, kept 1,000\n");
    other.start();
    assert_eq!(count(&other), 2500);
    other.stop();
}

#[test]
fn a_backup_that_was_made_while_the_host_ran_takes_the_place_of_its_data() {
    let mut world = world(300);
    good(&world, &["layer1", "backup", "copy.db"]);
    good(&world, &["mutate", "layer1", r#"{"entity":"Note","operation":"create","data":{}}"#]);
    assert_eq!(count(&world), 301);
    let cursor = object(&good(&world, &["layer1", "status", "--json"]))["events"]["newest"].clone();
    assert_eq!(cursor, 301);
    world.end_host(Signal::SIGKILL);
    world.wait_until_empty();
    let state = world.state();
    let killed = good(&world, &["layer1", "check", "--state", state.to_str().unwrap()]);
    assert_eq!(killed, "the data is whole: 301 entities\n");
    let folder = state.join("layer1");
    for name in ["layer1.db", "layer1.db-wal", "layer1.db-shm"] {
        let _ = fs::remove_file(folder.join(name));
    }
    fs::copy(world.path("copy.db"), folder.join("layer1.db")).unwrap();
    world.start();
    assert_eq!(count(&world), 300);
    let status = good(&world, &["layer1", "status"]);
    for words in ["events   cursors 1 to 300\n", "OWNER      ENTITIES", "(clients)       300"] {
        assert!(status.contains(words), "{words}: {status}");
    }
    assert_eq!(good(&world, &["layer1", "set-aside"]), "no event is set aside\n");
    let unknown = run(&world, &["layer1", "set-aside", "replay", "99"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("  code       not_found"), "{unknown:?}");
    world.stop();
}

fn event(follower: &Running) -> (u64, Value) {
    let line = object(&follower.line());
    (line["cursor"].as_u64().unwrap(), line["data"].clone())
}

#[test]
fn events_are_followed_from_the_beginning_and_over_a_kill_of_the_host() {
    let mut world = world(0);
    let emit = |world: &World, n: u64| good(world, &["emit", "day.begun", &n.to_string()]);
    (1..=3).for_each(|n| drop(emit(&world, n)));
    let events = Running::start(&world, &["events", "day.*", "--from-beginning", "--reconnect", "--json"]);
    for n in 1..=3 {
        assert_eq!(event(&events), (n, json!(n)));
    }
    emit(&world, 4);
    assert_eq!(event(&events), (4, json!(4)));
    world.end_host(Signal::SIGKILL);
    until("the end of all but the follower", || (world.processes().len() == 1).then_some(()));
    world.start();
    (5..=6).for_each(|n| drop(emit(&world, n)));
    for n in 5..=6 {
        assert_eq!(event(&events), (n, json!(n)));
    }
    drop(events);
    let after = Running::start(&world, &["events", "--after", "4", "--json"]);
    assert_eq!([event(&after), event(&after)], [(5, json!(5)), (6, json!(6))]);
    drop(after);
    world.stop();
}

/// A module that subscribes to `day.*` and is down.
fn add_sleeper(world: &mut World) {
    let rest = "autostart = false\n[capabilities]\nevent_subscribe = [\"day.*\"]";
    world.module("sleeper", "test-minimal", rest);
}

/// Lets it run until it has a position in the stream.
fn subscribe(world: &World) -> Value {
    good(world, &["start", "sleeper"]);
    let subscription = until("the module subscribes", || subscriptions(world).into_iter().next());
    good(world, &["stop", "sleeper"]);
    subscription
}

/// The subscribers in the status of the data store.
fn subscriptions(world: &World) -> Vec<Value> {
    object(&good(world, &["layer1", "status", "--json"]))["subscriptions"].as_array().unwrap().clone()
}

#[test]
fn a_subscriber_lags_by_what_it_will_get_and_is_forgotten_when_it_is_gone_for_good() {
    let mut world = World::new();
    add_sleeper(&mut world);
    world.start();
    subscribe(&world);
    for event in ["day.begun", "night.begun", "day.ended", "night.ended"] {
        good(&world, &["emit", event, "1"]);
    }
    let one = &subscriptions(&world)[0];
    assert_eq!((&one["behind"], &one["more"], &one["loaded"]), (&json!(2), &json!(false), &json!(true)), "{one}");
    let loaded = run(&world, &["layer1", "forget", "sleeper"]);
    assert!(loaded.code == Some(1) && loaded.out.is_empty(), "{loaded:?}");
    for words in ["bulkhead: sleeper is loaded", "take its manifest away", "conflict"] {
        assert!(loaded.err.contains(words), "{words}: {loaded:?}");
    }
    fs::remove_dir_all(world.path("modules/sleeper")).unwrap();
    world.host().signal(Signal::SIGHUP);
    world.client().until_unknown("sleeper");
    assert_eq!(subscriptions(&world)[0]["behind"], Value::Null);
    let status = good(&world, &["layer1", "status"]);
    assert!(status.contains("sleeper is not loaded, and events wait for it"), "{status}");
    let forgotten = "sleeper: forgotten; no event after cursor 0 waits for it any more, 0 set-aside events dropped\n";
    assert_eq!(good(&world, &["layer1", "forget", "sleeper"]), forgotten);
    let again = run(&world, &["layer1", "forget", "sleeper"]);
    assert!(again.code == Some(1) && again.err.contains("not_found"), "{again:?}");
    assert_eq!(subscriptions(&world), Vec::<Value>::new());
    world.stop();
}

#[test]
fn a_module_is_forgotten_without_its_host_and_begins_anew_when_it_is_back() {
    let mut world = World::new();
    add_sleeper(&mut world);
    world.start();
    subscribe(&world);
    good(&world, &["emit", "day.begun", "1"]);
    let state = world.state();
    let offline = ["layer1", "forget", "sleeper", "--state", state.to_str().unwrap()];
    let in_use = run(&world, &offline);
    assert!(in_use.code == Some(1) && in_use.err.contains("is in use by another host"), "{in_use:?}");
    world.stop();
    assert!(good(&world, &offline).starts_with("sleeper: forgotten; no event after cursor 0"));
    world.start();
    let one = subscribe(&world);
    assert_eq!((&one["cursor"], &one["behind"]), (&json!(1), &json!(0)), "{one}");
    world.stop();
}

/// A module that crashes on every event until there is a file named `mended` in its folder.
const DIES_OF_EVENTS: &str = r#"
import json, os, socket, struct, sys
channel = socket.socket(fileno=int(os.environ["BULKHEAD_FD"])).makefile("rwb")
while True:
    prefix = channel.read(4)
    if len(prefix) < 4:
        sys.exit(0)
    message = json.loads(channel.read(struct.unpack(">I", prefix)[0]))
    if message["type"] == "event" and not os.path.exists("mended"):
        os._exit(3)
    ready = {"name": "fragile", "version": "1", "protocol": 1}
    body = json.dumps({"id": message["id"], "status": "success", "data": ready}).encode()
    channel.write(struct.pack(">I", len(body)) + body)
    channel.flush()
    if message["type"] == "shutdown":
        sys.exit(0)
"#;

/// Adds that module, and gives its folder.
fn add_fragile(world: &World) -> PathBuf {
    world.manifest(
        "fragile",
        "name = \"fragile\"\nversion = \"1.0.0\"\ntype = \"process\"\ncommand = [\"python3\", \"fragile.py\"]\n\
         [capabilities]\nevent_subscribe = [\"day.*\"]\n[restart]\nbreaker_failures = 1000\ndelay_max = \"10ms\"\ndelay_initial = \"10ms\"",
    );
    let folder = world.path("modules/fragile");
    fs::write(folder.join("fragile.py"), DIES_OF_EVENTS).unwrap();
    folder
}

/// Starts the host, and has the module crash on two events until both are set aside; returns the follower of events
/// that are set aside.
fn set_two_aside(world: &mut World) -> Running {
    world.start();
    world.client().wait_ready("fragile");
    let followed = Running::start(world, &["events", "module.event_set_aside", "--json"]);
    good(world, &["emit", "day.begun", "1"]);
    good(world, &["emit", "day.ended", "2"]);
    event(&followed);
    event(&followed);
    followed
}

#[test]
fn of_more_set_aside_events_than_are_kept_the_oldest_go_and_log_and_status_report_it() {
    let mut world = World::new();
    world.host_file("[layer1]\nset_aside_max = 1\n");
    add_fragile(&world);
    let followed = set_two_aside(&mut world);
    until("the older one is gone", || {
        let status = object(&good(&world, &["layer1", "status", "--json"]));
        (status["set_aside"] == json!({ "events": 1, "max": 1, "dropped": 1 })).then_some(())
    });
    let list = good(&world, &["layer1", "set-aside", "list", "--json"]);
    assert_eq!((list.lines().count(), &object(&list)["event"]), (1, &json!("day.ended")));
    let status = good(&world, &["layer1", "status"]);
    assert!(status.contains("aside    1 of at most 1; dropped since the start, the oldest first: 1"), "{status}");
    drop(followed);
    let log = world.stop().stderr;
    assert!(log.contains("more events were set aside than layer1.set_aside_max allows"), "{log}");
}

#[test]
fn an_event_that_a_module_kept_dying_of_is_listed_replayed_and_dropped() {
    let mut world = World::new();
    let folder = add_fragile(&world);
    let followed = set_two_aside(&mut world);
    let list = good(&world, &["layer1", "set-aside", "list", "fragile", "--json"]);
    let events: Vec<Value> = list.lines().map(object).collect();
    assert_eq!((&events[0]["event"], &events[1]["data"]), (&json!("day.begun"), &json!(2)));
    assert_eq!((&events[0]["attempts"], &events[0]["schema"]), (&json!(5), &json!(1)));
    let id = events[0]["id"].to_string();
    let table = good(&world, &["layer1", "set-aside"]);
    assert!(table.starts_with("ID  MODULE   EVENT") && table.lines().count() == 3, "{table}");
    world.client().wait_ready("fragile");
    let failed = run(&world, &["layer1", "set-aside", "replay", &id]);
    assert!(failed.code == Some(1) && failed.err.contains(&format!("bulkhead: {id}: ")), "{failed:?}");
    fs::write(folder.join("mended"), "").unwrap();
    world.client().wait_ready("fragile");
    assert_eq!(good(&world, &["layer1", "set-aside", "replay", &id]), format!("{id}: handled by fragile\n"));
    let rest = good(&world, &["layer1", "set-aside", "drop", "--all", "fragile"]);
    assert_eq!(rest, format!("{}: dropped, of fragile\n", events[1]["id"]));
    assert_eq!(good(&world, &["layer1", "set-aside"]), "no event is set aside\n");
    drop(followed);
    world.stop();
}
