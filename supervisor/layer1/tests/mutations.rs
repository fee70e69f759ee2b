//! Mutations, units of work and idempotency keys.

mod common;

use bulkhead_layer1::{
    Job, Outcome, UnitId, job::Also, limits::ENTITY_OVERHEAD_BYTES, other_payload, outcome::KeyState,
};
use bulkhead_protocol::{
    ErrorCode,
    layer1::{Mutation, Query},
};
use common::*;
use serde_json::{Value, json as value};
use std::time::Duration;

const ID: &str = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";

fn one(store: &Store, unit: Option<u64>, id: &str) -> Option<Value> {
    match store.query_in(unit, &format!(r#"{{"entity":"A","id":"{id}"}}"#)) {
        Ok(answer) => Some(answer["entities"][0].clone()),
        Err(failure) => {
            assert_eq!(failure.code, ErrorCode::NotFound);
            None
        }
    }
}

fn update(id: &str, data: &str) -> String {
    format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{data}}}"#)
}

#[test]
fn versions_count_the_changes_and_an_expected_one_is_held_to() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":1.0,"keep":1e2}"#);
    assert_eq!(store.mutate(&update(&id, r#"{"n":2}"#)), value!({"id": id, "version": 2}));
    let expecting = |version: u64| {
        format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{{"m":1}},"expected_version":{version}}}"#)
    };
    let conflict = store.refused(&expecting(1));
    assert_code(
        &conflict,
        ErrorCode::Conflict,
        &format!("expected version 1 of the A with the id {id}, found version 2"),
    );
    assert_eq!(
        conflict.data.unwrap().read::<Value>().unwrap(),
        value!({"entity": "A", "id": id, "expected": 1, "found": 2})
    );
    assert_eq!(store.mutate(&expecting(2))["version"], 3);
    assert_eq!(one(&store, None, &id).unwrap()["data"].to_string(), r#"{"keep":100.0,"m":1,"n":2}"#);
    let deleted = store.mutate(&format!(r#"{{"entity":"A","operation":"delete","id":"{id}","expected_version":3}}"#));
    assert_eq!(deleted, value!({"id": id, "version": 4}));
    assert_eq!(one(&store, None, &id), None);
    assert_code(&store.refused(&update(&id, "{}")), ErrorCode::NotFound, "there is no A with the id");
}

#[test]
fn an_own_id_is_taken_once_and_made_ids_rise() {
    let store = Store::new();
    let create = format!(r#"{{"entity":"A","operation":"create","id":"{}","data":{{}}}}"#, ID.to_uppercase());
    assert_eq!(store.mutate(&create), value!({"id": ID, "version": 1}));
    let taken = store.refused(&create);
    assert_code(&taken, ErrorCode::Conflict, "there is a A with the id");
    assert_eq!(taken.data.unwrap().read::<Value>().unwrap()["expected"], Value::Null);
    store.mutate(&create.replace("\"A\"", "\"B\""));
    let ids: Vec<String> = (0..1000).map(|_| store.create("C", "{}")).collect();
    assert!(ids.is_sorted() && ids[0].as_bytes()[14] == b'7');
}

#[test]
fn a_list_is_done_whole_or_not_at_all() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":1}"#);
    let failing = format!(
        r#"{{"operations":[{{"entity":"A","operation":"create","id":"{ID}","data":{{}}}},{},{}]}}"#,
        update(&id, r#"{"n":2}"#),
        update("11981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f", "{}")
    );
    let refused = store.refused(&failing);
    assert_code(&refused, ErrorCode::NotFound, "at operations.2: there is no A");
    assert_eq!(refused.data.unwrap().read::<Value>().unwrap()["operation"], 2);
    assert_eq!((one(&store, None, ID), one(&store, None, &id).unwrap()["version"].clone()), (None, value!(1)));
    let chain = format!(
        r#"{{"operations":[{{"entity":"A","operation":"create","id":"{ID}","data":{{}}}},{},{{"entity":"A","operation":"delete","id":"{ID}"}},
           {{"entity":"A","operation":"create","id":"{ID}","data":{{"again":true}}}}]}}"#,
        update(ID, r#"{"n":2}"#)
    );
    let versions = store.mutate(&chain)["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|done| done["version"].clone())
        .collect::<Vec<_>>();
    assert_eq!(versions, [1, 2, 3, 1].map(Value::from));
    assert_eq!(one(&store, None, ID).unwrap()["data"], value!({"again": true}));
}

#[test]
fn a_unit_sees_its_own_changes_and_no_other_caller_does_before_the_commit() {
    let store = Store::with(|settings| {
        settings.indexes = vec![index("A", "n")];
        settings.searches = vec![searched("A", &["title"])];
    });
    let old: Vec<String> = (0..4).map(|n| store.create("A", &format!(r#"{{"n":{n},"title":"old{n}"}}"#))).collect();
    let unit = Some(7);
    store.mutate_as(unit, "m", &update(&old[0], r#"{"n":10,"title":"fresh"}"#)).unwrap();
    store.mutate_as(unit, "m", &format!(r#"{{"entity":"A","operation":"delete","id":"{}"}}"#, old[1])).unwrap();
    let created = store
        .mutate_as(unit, "m", r#"{"entity":"A","operation":"create","data":{"n":2.5,"title":"fresh"}}"#)
        .unwrap()
        .0;
    let numbers = |unit: Option<u64>, query: &str| column(&store.query_in(unit, query).unwrap(), "n");
    let ordered = r#"{"entity":"A","order":"n","count":true}"#;
    assert_eq!(numbers(None, ordered), [0, 1, 2, 3].map(Value::from));
    assert_eq!(numbers(unit, ordered), [value!(2), value!(2.5), value!(3), value!(10)]);
    assert_eq!(store.query_in(unit, ordered).unwrap()["count"], 4);
    assert_eq!(numbers(unit, r#"{"entity":"A","order":"-n","limit":2}"#), [value!(10), value!(3)]);
    let next = store.query_in(unit, r#"{"entity":"A","order":"-n","limit":2}"#).unwrap()["next"].clone();
    assert_eq!(numbers(unit, &format!(r#"{{"entity":"A","order":"-n","after":{next}}}"#)), [value!(2.5), value!(2)]);
    assert_eq!(numbers(unit, r#"{"entity":"A","filters":{"n":{"gt":2}}}"#).len(), 3);
    assert_eq!(numbers(unit, r#"{"entity":"A","search":"fresh","order":"n"}"#), [value!(2.5), value!(10)]);
    assert_eq!(numbers(unit, r#"{"entity":"A","search":"old0"}"#), Vec::<Value>::new());
    assert_eq!(numbers(None, r#"{"entity":"A","search":"fresh"}"#), Vec::<Value>::new());
    assert_eq!(one(&store, unit, &old[1]), None);
    assert_eq!(one(&store, unit, &old[0]).unwrap()["version"], 2);
    assert_eq!(one(&store, None, &old[0]).unwrap()["version"], 1);
    // A type that the unit has not touched is searched beside one that it has.
    store.mutate_as(Some(9), "m", r#"{"entity":"Note","operation":"create","data":{}}"#).unwrap();
    let beside = r#"{"entity":"A","search":"old2","include":{"entity":"Note","field":"of"}}"#;
    assert_eq!(numbers(Some(9), beside), [2].map(Value::from));
    // A second unit on the same thread sees none of it.
    assert_eq!(numbers(Some(8), ordered), [0, 1, 2, 3].map(Value::from));
    store.mutate_as(Some(8), "m", &update(&old[3], r#"{"n":-1}"#)).unwrap();
    assert_eq!(numbers(Some(8), ordered), [-1, 0, 1, 2].map(Value::from));
    assert_eq!(numbers(unit, ordered).len(), 4);
    let Outcome::Committed { events } = store.commit(7) else { panic!("no other unit touched these") };
    let events: Vec<_> = events.iter().map(|event| (event.event.as_str(), event.source.as_str())).collect();
    assert_eq!(events, [("A.updated", "m"), ("A.deleted", "m"), ("A.created", "m")]);
    assert_eq!(numbers(None, ordered), [value!(2), value!(2.5), value!(3), value!(10)]);
    assert_eq!(one(&store, None, created["id"].as_str().unwrap()).unwrap()["version"], 1);
    assert!(matches!(store.commit(8), Outcome::Committed { .. }));
}

#[test]
fn a_unit_that_fails_in_the_middle_of_a_list_keeps_what_it_had() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":1}"#);
    store.mutate_as(Some(1), "", &update(&id, r#"{"n":2}"#)).unwrap();
    let list = format!(r#"{{"operations":[{},{}]}}"#, update(&id, r#"{"n":3}"#), update(ID, "{}"));
    assert_eq!(store.mutate_as(Some(1), "", &list).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(one(&store, Some(1), &id).unwrap()["data"]["n"], 2);
    let Outcome::Committed { events } = store.commit(1) else { panic!("it is up to date") };
    assert_eq!(events.len(), 1);
}

#[test]
fn a_discarded_unit_leaves_nothing() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":1}"#);
    store.mutate_as(Some(1), "", &update(&id, r#"{"n":2}"#)).unwrap();
    store.layer1.submit(bulkhead_layer1::JobId(99), Job::Discard { unit: UnitId(1) }, None).unwrap();
    assert_eq!(one(&store, Some(1), &id).unwrap()["data"]["n"], 1);
    let Outcome::Committed { events } = store.commit(1) else { panic!("there is nothing in it") };
    assert!(events.is_empty());
}

#[test]
fn of_two_units_that_touch_the_same_entity_one_wins() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":1}"#);
    let other = store.create("A", r#"{"n":1}"#);
    for unit in [1, 2] {
        store.mutate_as(Some(unit), "", &update(&id, &format!(r#"{{"n":{unit}}}"#))).unwrap();
        store
            .mutate_as(Some(unit), "", &format!(r#"{{"entity":"B","operation":"create","data":{{"n":{unit}}}}}"#))
            .unwrap();
    }
    store.mutate_as(Some(3), "", &update(&other, r#"{"n":9}"#)).unwrap();
    assert!(matches!(store.commit(2), Outcome::Committed { .. }));
    let Outcome::Conflict(failure) = store.commit(1) else { panic!("unit 2 was first") };
    assert_code(&failure, ErrorCode::Conflict, "expected version 1");
    assert_eq!(column(&store.query(r#"{"entity":"B"}"#), "n"), [value!(2)]);
    assert!(matches!(store.commit(3), Outcome::Committed { .. }));
    // The same id made by two, and an entity that was deleted and made anew meanwhile.
    for unit in [4, 5] {
        store
            .mutate_as(Some(unit), "", &format!(r#"{{"entity":"C","operation":"create","id":"{ID}","data":{{}}}}"#))
            .unwrap();
    }
    store.mutate_as(Some(6), "", &update(&other, r#"{"n":10}"#)).unwrap();
    assert!(matches!(store.commit(4), Outcome::Committed { .. }));
    let Outcome::Conflict(failure) = store.commit(5) else { panic!("unit 4 was first") };
    assert_code(&failure, ErrorCode::Conflict, "already");
    store.mutate(&format!(r#"{{"entity":"A","operation":"delete","id":"{other}"}}"#));
    let Outcome::Conflict(failure) = store.commit(6) else { panic!("it is deleted") };
    assert_code(&failure, ErrorCode::Conflict, "found that it was deleted");
    store.mutate_as(Some(7), "", &format!(r#"{{"entity":"C","operation":"update","id":"{ID}","data":{{}}}}"#)).unwrap();
    store.mutate(&format!(r#"{{"entity":"C","operation":"delete","id":"{ID}"}}"#));
    store.mutate(&format!(r#"{{"entity":"C","operation":"create","id":"{ID}","data":{{}}}}"#));
    assert!(matches!(store.commit(7), Outcome::Conflict(_)));
}

#[test]
fn jobs_of_one_unit_are_done_in_their_order_however_many_threads_read() {
    let store = Store::with(|settings| settings.readers = 4);
    let mut expected = Vec::new();
    for unit in 0..50_u64 {
        let id = format!("{unit:08x}-2c1a-7e3b-9f00-5d2c8a4b6e7f");
        let mutation = |text: String| Job::Mutate {
            unit: Some(UnitId(unit)),
            owner: String::new(),
            mutation: Mutation::read(&json(&text)).unwrap(),
            key: None,
        };
        store.submit(mutation(format!(r#"{{"entity":"A","operation":"create","id":"{id}","data":{{}}}}"#)));
        for n in 0..20 {
            store.submit(mutation(update(&id, &format!(r#"{{"n{n}":{n}}}"#))));
        }
        store.submit(Job::Query {
            unit: Some(UnitId(unit)),
            query: Query::read(&json(&format!(r#"{{"entity":"A","id":"{id}"}}"#))).unwrap(),
        });
        let job_id = store.submit(Job::Commit { unit: UnitId(unit), key: None, events: vec![], also: vec![] });
        expected.push(job_id);
    }
    let mut committed = Vec::new();
    for _ in 0..50 * 23 {
        match store.layer1.wait() {
            (job_id, Outcome::Committed { events }) => {
                assert_eq!(events.len(), 21);
                committed.push(job_id);
            }
            (_, Outcome::Mutated { .. }) => {}
            (_, Outcome::Rows(rows)) => assert!(rows.as_str().contains("\"version\":21"), "{}", rows.as_str()),
            (_, other) => panic!("{other:?}"),
        }
    }
    committed.sort();
    assert_eq!(committed, expected);
}

#[test]
fn one_message_makes_only_so_many_changes() {
    let store = Store::new();
    let list = vec![r#"{"entity":"A","operation":"create","data":{}}"#; 1000].join(",");
    for _ in 0..10 {
        store.mutate_as(Some(1), "", &format!(r#"{{"operations":[{list}]}}"#)).unwrap();
    }
    let refused = store.mutate_as(Some(1), "", r#"{"entity":"A","operation":"create","data":{}}"#).unwrap_err();
    assert_code(&refused, ErrorCode::BadRequest, "at most 10000 changes");
    let Outcome::Committed { events } = store.commit(1) else { panic!("it is up to date") };
    assert_eq!(events.len(), 10_000);
}

#[test]
fn a_quota_is_held_to_in_units_and_out_of_them() {
    let store = Store::new();
    const EACH: u64 = ENTITY_OVERHEAD_BYTES as u64;
    store.layer1.set_quota("m", Some(100 + 2 * EACH));
    let create =
        |bytes: usize| format!(r#"{{"entity":"A","operation":"create","data":{{"t":"{}"}}}}"#, "x".repeat(bytes - 8));
    let id = store.mutate_as(None, "m", &create(60)).unwrap().0["id"].as_str().unwrap().to_owned();
    let refused = store.mutate_as(None, "m", &create(41)).unwrap_err();
    assert_code(
        &refused,
        ErrorCode::PermissionDenied,
        &format!(
            "the storage quota of \"m\" is {} bytes: {} are used, and this asks for {} more",
            100 + 2 * EACH,
            60 + EACH,
            41 + EACH
        ),
    );
    assert_eq!(refused.data.unwrap().read::<Value>().unwrap()["reason"], "storage_quota");
    store.mutate_as(None, "other", &create(1000)).unwrap();
    assert_code(
        &store.mutate_as(Some(1), "m", &create(41)).unwrap_err(),
        ErrorCode::PermissionDenied,
        &format!("{} more", 41 + EACH),
    );
    for unit in [1, 2] {
        store.mutate_as(Some(unit), "m", &create(40)).unwrap();
    }
    assert!(matches!(store.commit(1), Outcome::Committed { .. }));
    let Outcome::Failed(failure) = store.commit(2) else { panic!("both together are too much") };
    assert_code(&failure, ErrorCode::PermissionDenied, &format!("{} are used", 100 + 2 * EACH));
    // Whichever module changes it, it counts for its owner; less is always allowed.
    assert!(
        store
            .mutate_as(
                None,
                "other",
                &update(&id, r#"{"t":"x","more":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}"#)
            )
            .is_err()
    );
    store.mutate_as(None, "other", &update(&id, r#"{"t":"x"}"#)).unwrap();
    let Outcome::Usage(usage) = store.run(Job::Usage) else { panic!("it can be read") };
    let held: Vec<_> = usage.iter().map(|usage| (usage.owner.as_str(), usage.bytes, usage.entities)).collect();
    assert_eq!(held, [("m", 49, 2), ("other", 1000, 1)]);
    assert!(store.layer1.tools().check(&mut |_| std::ops::ControlFlow::Continue(())).unwrap().is_empty());
}

#[test]
fn a_key_keeps_the_reply_of_the_commit_and_is_for_one_request() {
    let store = Store::new();
    let state = |request: &str| match store.run(Job::LookUpKey(keyed("k", request))) {
        Outcome::Key(state) => state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state("a"), KeyState::Vacant);
    let id = store.create("A", r#"{"n":1}"#);
    store.mutate_as(Some(1), "", &update(&id, r#"{"n":2}"#)).unwrap();
    assert!(matches!(store.commit_with_key(1, "k", "a", r#"{"n":2}"#), Outcome::Committed { .. }));
    assert_eq!(state("a"), KeyState::Stored(json(r#"{"n":2}"#)));
    assert_eq!(state("b"), KeyState::OtherPayload);
    assert_code(&other_payload("k"), ErrorCode::Conflict, "the key \"k\" belongs to another request");
    // A second unit under the key is not done.
    store.mutate_as(Some(2), "", &update(&id, r#"{"n":3}"#)).unwrap();
    let Outcome::Key(KeyState::Stored(reply)) = store.commit_with_key(2, "k", "a", "{}") else {
        panic!("the key is taken")
    };
    assert_eq!((reply.as_str(), &one(&store, None, &id).unwrap()["data"]["n"]), (r#"{"n":2}"#, &value!(2)));
    // A mutation without a unit keeps its own answer.
    let mutation = Mutation::read(&json(&update(&id, r#"{"n":5}"#))).unwrap();
    let job = Job::Mutate { unit: None, owner: String::new(), mutation, key: Some(keyed("m", "x")) };
    assert!(matches!(store.run(job.clone()), Outcome::Mutated { .. }));
    let Outcome::Key(KeyState::Stored(reply)) = store.run(job) else { panic!("the key is taken") };
    assert_eq!(reply.read::<Value>().unwrap()["version"], 3);
    // A refused commit leaves its key vacant.
    store.mutate_as(Some(3), "", &update(&id, r#"{"n":6}"#)).unwrap();
    store.mutate(&update(&id, r#"{"n":7}"#));
    assert!(matches!(store.commit_with_key(3, "z", "a", "{}"), Outcome::Conflict(_)));
    assert!(matches!(store.run(Job::LookUpKey(keyed("z", "a"))), Outcome::Key(KeyState::Vacant)));
    let store = store.reopened(|_| {});
    assert!(matches!(store.run(Job::LookUpKey(keyed("k", "a"))), Outcome::Key(KeyState::Stored(_))));
}

#[test]
fn a_key_is_its_callers_and_for_one_target() {
    let store = Store::new();
    let state = |caller: &str, target: &str, request: &str| match store
        .run(Job::LookUpKey(keyed_for(caller, target, "k", request)))
    {
        Outcome::Key(state) => state,
        other => panic!("{other:?}"),
    };
    let keep = |caller: &str, target: &str, reply: &str| {
        let key = Some((keyed_for(caller, target, "k", "same"), json(reply)));
        let commit = Job::Commit { unit: UnitId(1), key, events: vec![], also: vec![] };
        assert!(matches!(store.run(commit), Outcome::Committed { .. }), "{caller:?} {target:?}");
    };
    // All clients are one caller; a module that was first takes no key from them, nor they from it.
    for (number, (caller, target)) in
        [("m", "counter"), ("", "counter"), ("n", "counter"), ("", "layer1"), ("m", "other")].into_iter().enumerate()
    {
        assert_eq!(state(caller, target, "same"), KeyState::Vacant);
        keep(caller, target, &number.to_string());
    }
    for (caller, target, reply) in [("m", "counter", "0"), ("", "counter", "1"), ("n", "counter", "2")] {
        assert_eq!(state(caller, target, "same"), KeyState::Stored(json(reply)));
        assert_eq!(state(caller, target, "else"), KeyState::OtherPayload);
    }
    assert_eq!(state("", "layer1", "same"), KeyState::Stored(json("3")));
    assert_eq!(state("m", "other", "same"), KeyState::Stored(json("4")));
    assert_eq!(state("n", "other", "same"), KeyState::Vacant);
    // A name that is a part of another's is another name.
    assert_eq!((state("mc", "ounter", "same"), state("m", "", "same")), (KeyState::Vacant, KeyState::Vacant));
}

#[test]
fn a_key_expires_and_is_cleared_away() {
    let time = TestClock::default();
    let store = Store::with(|settings| {
        settings.key_ttl = Duration::from_secs(10);
        settings.clock = time.clock();
    });
    for n in 0..2000 {
        store.submit(Job::Commit {
            unit: UnitId(n),
            key: Some((keyed(&format!("k{n}"), "a"), json("{}"))),
            events: vec![],
            also: vec![Also::RemoveSetAside { id: 0 }],
        });
    }
    for _ in 0..2000 {
        assert!(matches!(store.layer1.wait().1, Outcome::Committed { .. }));
    }
    time.pass(10_000_000);
    assert!(matches!(store.run(Job::LookUpKey(keyed("k1", "b"))), Outcome::Key(KeyState::Vacant)));
    let rows = || {
        let connection = rusqlite::Connection::open(store.folder.database()).unwrap();
        connection.query_row("SELECT count(*) FROM keys", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let begun = std::time::Instant::now();
    while rows() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} keys are left", rows());
        std::thread::yield_now();
    }
}
