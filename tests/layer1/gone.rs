//! The files of the data store are deleted or replaced while the host runs: it reports that everywhere, acknowledges
//! and answers nothing from the lost files, and continues with everything else.

use crate::support::{count, create, failure, mutate, query};
use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Answer, Caller, World, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

fn try_create(client: &mut Caller) -> Answer {
    mutate(client, json!({ "entity": "Note", "operation": "create", "data": {} }))
}

fn started() -> (World, Caller) {
    let mut world = World::new();
    world.module("m", "test-minimal", "").start();
    let mut client = world.client();
    client.wait_ready("m");
    create(&mut client, "Note", json!({}));
    (world, client)
}

fn broken(client: &mut Caller) -> Option<String> {
    let status = client.supervisor("status", Value::Null)["host"]["layer1"].clone();
    assert_eq!(status["readable"], json!(status["broken"].is_null()), "{status}");
    status["broken"].as_str().map(str::to_owned)
}

#[test]
fn a_deleted_data_store_is_reported_everywhere_and_refuses_everything_until_the_restart() {
    let (mut world, mut client) = started();
    assert_eq!(broken(&mut client), None);
    fs::remove_dir_all(world.state()).unwrap();
    // Without any request, it is noticed too.
    let reported = until("the host notices", || broken(&mut client));
    assert!(reported.contains("layer1.db was deleted or moved away: nothing is stored or read any more"), "{reported}");
    for answer in [try_create(&mut client), query(&mut client, json!({ "entity": "Note" }))] {
        let refused = failure(answer);
        assert_eq!((refused.code, &refused.error), (ErrorCode::Internal, &reported));
        assert_eq!(refused.data.unwrap().as_str(), r#"{"reason":"database_gone"}"#);
    }
    let event = json!({ "event": "a.b", "data": 1 });
    let event = bulkhead_protocol::Request::new(None, bulkhead_protocol::RequestType::Event, event.into());
    assert_eq!(failure(client.ask(&event)).error, reported);
    let line = |words: &[&str]| {
        let ended = world.bulkhead(words);
        (ended.status.code(), String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap())
    };
    for (words, code) in [
        (&["status"][..], 0),
        (&["layer1", "status"], 0),
        (&["layer1", "export"], 1),
        (&["layer1", "check"], 1),
        (&["layer1", "backup", "b.db"], 1),
    ] {
        let (found, said) = line(words);
        assert!(
            found == Some(code) && said.contains("layer1.db was deleted or moved away"),
            "{words:?}: {found:?} {said}"
        );
    }
    // Requests without the store continue.
    client.call("m", "ping", Value::Null).unwrap();
    world.end_host(Signal::SIGTERM);
    world.start();
    let mut client = world.client();
    assert_eq!((broken(&mut client), count(&mut client, "Note")), (None, 0));
    create(&mut client, "Note", json!({}));
    world.stop();
}

#[test]
fn a_database_that_was_replaced_is_left_as_it_was_put_there_and_is_the_one_after_the_restart() {
    let (mut world, mut client) = started();
    let (database, backup) = (world.state().join("layer1/layer1.db"), world.path("b.db"));
    assert!(world.bulkhead(&["layer1", "backup", backup.to_str().unwrap()]).status.success());
    create(&mut client, "Note", json!({}));
    for ending in ["", "-wal", "-shm"] {
        fs::remove_file(world.state().join(format!("layer1/layer1.db{ending}"))).unwrap();
    }
    fs::copy(&backup, &database).unwrap();
    world.host().signal(Signal::SIGHUP);
    world.wait_for_notice("READY=1");
    let reported = until("the host notices", || broken(&mut client));
    assert!(reported.contains("is not the file any more that this host has open"), "{reported}");
    assert_eq!(failure(try_create(&mut client)).error, reported);
    world.stop();
    world.start();
    assert_eq!(count(&mut world.client(), "Note"), 1, "as in the backup");
    world.stop();
}
