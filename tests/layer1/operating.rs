//! What the operator sees and does: status, import, refusals to start, files that are read again.

use crate::support::{count, create, failure, query};
use bulkhead_protocol::{ErrorCode, Request, RequestType};
use bulkhead_tests::{Caller, Host, World, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

const MANIFEST: &str =
    "[capabilities]\nentity_read = [\"Note\"]\n[layer1.search]\nNote = [\"title\"]\n[layer1.index]\nNote = [\"n\"]";

#[test]
fn the_status_reports_the_store_and_no_other_user_may_enter_its_folder() {
    let mut world = World::new();
    world.start();
    let mut client = world.client();
    create(&mut client, "Note", json!({ "title": "first" }));
    let status = client.supervisor("status", Value::Null)["host"]["layer1"].clone();
    assert_eq!(status["file"], world.state().join("layer1/layer1.db").display().to_string());
    assert_eq!(
        (&status["cursor"], &status["broken"], &status["restart_needed"]),
        (&json!(1), &Value::Null, &Value::Null)
    );
    assert!(status["bytes"].as_u64().unwrap() + status["log_bytes"].as_u64().unwrap() > 4096, "{status}");
    let more = client.supervisor("layer1", Value::Null);
    assert_eq!(more["events"], json!({ "oldest": 1, "newest": 1 }));
    assert_eq!((&more["owners"][0]["owner"], &more["owners"][0]["entities"]), (&json!(""), &json!(1)), "{more}");
    let mode = fs::metadata(world.state().join("layer1")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    world.stop();
}

#[test]
fn lines_of_an_export_are_imported_all_or_none() {
    let mut world = World::new();
    world.start();
    let mut client = world.client();
    let line = |id: u32, title: &str| {
        let time = "2026-11-22T10:00:00.000000Z";
        json!({ "entity": "Note", "id": format!("01981f6e-2c1a-7e3b-9f00-{id:012}"), "version": 3, "created_at": time,
                "updated_at": time, "owner": "", "data": { "title": title } })
        .to_string()
    };
    let import = |lines: Vec<String>, existing: &str| json!({ "lines": lines, "first": 2, "existing": existing });
    let done = client.supervisor("import", import(vec![line(1, "a"), line(2, "b")], "refuse"));
    assert_eq!(done, json!({ "created": 2, "replaced": 0, "kept": 0 }));
    let refused = failure(client.call("supervisor", "import", import(vec![line(3, "c"), line(2, "other")], "refuse")));
    let at: Value = refused.data.unwrap().read().unwrap();
    assert_eq!((refused.code, &at["line"]), (ErrorCode::BadRequest, &json!(3)), "{}", refused.error);
    let done = client.supervisor("import", import(vec![line(1, "a"), line(2, "other")], "replace"));
    assert_eq!(done, json!({ "created": 0, "replaced": 1, "kept": 1 }));
    let found = query(&mut client, json!({ "entity": "Note", "count": true })).unwrap();
    assert_eq!((&found["count"], &found["entities"][1]["data"]["title"]), (&json!(2), &json!("other")));
    world.stop();
}

#[test]
fn a_declared_search_is_there_and_another_one_waits_for_the_next_start() {
    let mut world = World::new();
    world.module("m", "test-minimal", MANIFEST).start();
    let mut client = world.client();
    create(&mut client, "Note", json!({ "title": "the old ship", "text": "and the sea" }));
    let search = |text: &str| json!({ "entity": "Note", "search": text });
    assert_eq!(query(&mut client, search("ship")).unwrap()["entities"].as_array().unwrap().len(), 1);
    assert_eq!(query(&mut client, search("sea")).unwrap()["entities"], json!([]));
    world.module("m", "test-minimal", &MANIFEST.replace("\"title\"", "\"title\", \"text\""));
    world.host().signal(Signal::SIGHUP);
    world.wait_for_notice("READY=1");
    let needed = until("the host has read its files", || {
        let status = client.supervisor("status", Value::Null);
        status["host"]["layer1"]["restart_needed"].as_str().map(str::to_owned)
    });
    assert!(needed.contains("searches") && needed.contains("next start"), "{needed}");
    world.stop();
    world.start();
    let mut client = world.client();
    assert_eq!(query(&mut client, search("sea")).unwrap()["entities"].as_array().unwrap().len(), 1);
    assert_eq!(client.supervisor("status", Value::Null)["host"]["layer1"]["restart_needed"], Value::Null);
    world.stop();
}

#[test]
fn a_file_that_is_no_database_is_refused_with_a_remedy_and_left_as_it_is() {
    let world = World::new();
    let file = world.state().join("layer1/layer1.db");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "no database, and long enough to be looked at as one".repeat(100)).unwrap();
    let before = fs::read(&file).unwrap();
    let ended = Host::start(world.run_command()).wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("cannot open the data store") && ended.stderr.contains("move it away"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn what_was_acknowledged_is_there_whole_after_the_host_was_killed_a_hundred_times() {
    let mut world = World::new();
    let (mut acknowledged, mut sent) = (0, 0);
    for round in 0..100 {
        world.start();
        let mut client = world.client();
        check_pairs(&mut client, acknowledged, sent);
        let one = json!({ "entity": "Pair", "operation": "create", "data": { "round": round } });
        let request = Request::new(None, RequestType::Mutation, json!({ "operations": [one, one] }).into());
        let requests: Vec<u64> = (0..60).map(|_| client.send(&request).unwrap()).collect();
        sent += requests.len();
        // The host is killed while the others are in flight, each time at another moment.
        let answered = round * 7 % requests.len();
        requests[..answered].iter().for_each(|id| drop(client.answer(*id).unwrap()));
        acknowledged += answered;
        world.end_host(Signal::SIGKILL);
    }
    world.start();
    check_pairs(&mut world.client(), acknowledged, sent);
    world.stop();
}

/// Everything that was acknowledged is stored, nothing is stored in part, and each change has its event.
fn check_pairs(client: &mut Caller, acknowledged: usize, sent: usize) {
    let entities = count(client, "Pair");
    let pairs = usize::try_from(entities / 2).unwrap();
    assert!(
        entities.is_multiple_of(2) && (acknowledged..=sent).contains(&pairs),
        "{entities} of {acknowledged} to {sent} pairs"
    );
    let newest = client.supervisor("layer1", Value::Null)["events"]["newest"].clone();
    assert_eq!(newest, entities);
}
