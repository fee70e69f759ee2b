//! The data store from outside: through the messages of a running host, from clients and from modules, across crashes
//! of either.

mod damage;
mod disks;
mod epochs;
mod events;
mod gone;
mod operating;
mod quotas;
mod support;
mod units;

use bulkhead_protocol::ErrorCode;
use bulkhead_tests::World;
use serde_json::{Value, json};
use support::{create, failure, mutate, query};

#[test]
fn a_client_creates_queries_updates_and_deletes() {
    let mut world = World::new();
    world.start();
    let mut client = world.client();
    let made = create(&mut client, "Note", json!({ "title": "first", "n": 1 }));
    create(&mut client, "Note", json!({ "title": "second", "n": 2 }));
    assert_eq!(made["version"], 1);
    let found =
        query(&mut client, json!({ "entity": "Note", "filters": { "n": { "gte": 2 } }, "count": true })).unwrap();
    assert_eq!((&found["count"], &found["entities"][0]["data"]["title"]), (&json!(1), &json!("second")));
    let id = made["id"].as_str().unwrap();
    let update =
        json!({ "entity": "Note", "operation": "update", "id": id, "data": { "n": 5 }, "expected_version": 1 });
    assert_eq!(mutate(&mut client, update.clone()).unwrap()["version"], 2);
    let conflict = failure(mutate(&mut client, update));
    assert_eq!(conflict.code, ErrorCode::Conflict);
    let data: Value = conflict.data.unwrap().read().unwrap();
    assert_eq!((&data["expected"], &data["found"]), (&json!(1), &json!(2)));
    let one = json!({ "entity": "Note", "id": id });
    assert_eq!(query(&mut client, one.clone()).unwrap()["entities"][0]["data"], json!({ "title": "first", "n": 5 }));
    mutate(&mut client, json!({ "entity": "Note", "operation": "delete", "id": id })).unwrap();
    assert_eq!(failure(query(&mut client, one)).code, ErrorCode::NotFound);
    let bad = failure(query(&mut client, json!({ "entity": "Note", "filters": { "n": { "about": 2 } } })));
    assert!(bad.code == ErrorCode::BadRequest && bad.error.contains("filters"), "{bad:?}");
    world.stop();
}
