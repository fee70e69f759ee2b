//! Read, then change, in one unit of work: another commit in between is never overwritten.

mod common;

use bulkhead_layer1::{Job, JobId, Outcome, UnitId, limits::UNIT_SEEN_MAX};
use bulkhead_protocol::{
    ErrorCode,
    layer1::{Mutation, Query},
};
use common::*;
use std::collections::HashMap;

fn one(id: &str) -> String {
    format!(r#"{{"entity":"A","id":"{id}"}}"#)
}

fn set(id: &str, n: u64) -> String {
    format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{{"n":{n}}}}}"#)
}

fn is_conflict(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Conflict(failure) if failure.code == ErrorCode::Conflict)
}

#[test]
fn a_change_builds_on_what_its_unit_has_read() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":0}"#);
    for query in [one(&id), r#"{"entity":"A","filters":{"n":{"gte":0}}}"#.into()] {
        store.query_in(Some(1), &query).unwrap();
        store.mutate(&set(&id, 1));
        store.mutate_as(Some(1), "a", &set(&id, 2)).unwrap();
        let outcome = store.commit(1);
        assert!(is_conflict(&outcome), "{query}: {outcome:?}");
        assert_eq!(store.query(&one(&id))["entities"][0]["data"]["n"], 1);
    }
    // So does what was included, and what is deleted.
    let child = store.create("B", &format!(r#"{{"of":"{id}"}}"#));
    let query = format!(r#"{{"entity":"A","id":"{id}","include":[{{"entity":"B","field":"of"}}]}}"#);
    store.query_in(Some(2), &query).unwrap();
    store.mutate(&format!(r#"{{"entity":"B","operation":"update","id":"{child}","data":{{"n":1}}}}"#));
    store.mutate_as(Some(2), "a", &format!(r#"{{"entity":"B","operation":"delete","id":"{child}"}}"#)).unwrap();
    assert!(is_conflict(&store.commit(2)));
    // No other commit came in between.
    store.query_in(Some(3), &one(&id)).unwrap();
    store.mutate_as(Some(3), "a", &set(&id, 3)).unwrap();
    assert!(matches!(store.commit(3), Outcome::Committed { .. }));
}

#[test]
fn what_was_read_first_counts() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":0}"#);
    store.query_in(Some(1), &one(&id)).unwrap();
    store.mutate(&set(&id, 1));
    store.query_in(Some(1), &one(&id)).unwrap();
    store.mutate_as(Some(1), "a", &set(&id, 1)).unwrap();
    assert!(is_conflict(&store.commit(1)));
}

#[test]
fn a_change_that_names_the_version_it_expects_builds_on_that() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":0}"#);
    store.query_in(Some(1), &one(&id)).unwrap();
    store.mutate(&set(&id, 1));
    let update = format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{{"n":2}},"expected_version":2}}"#);
    store.mutate_as(Some(1), "a", &update).unwrap();
    assert!(matches!(store.commit(1), Outcome::Committed { .. }));
}

#[test]
fn what_a_unit_has_changed_itself_is_no_conflict() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":0}"#);
    store.mutate_as(Some(1), "a", &set(&id, 1)).unwrap();
    let own = store.mutate_as(Some(1), "a", r#"{"entity":"A","operation":"create","data":{}}"#).unwrap().0;
    for n in 2..5 {
        assert_eq!(store.query_in(Some(1), r#"{"entity":"A","count":true}"#).unwrap()["count"], 2);
        store.mutate_as(Some(1), "a", &set(&id, n)).unwrap();
        store.mutate_as(Some(1), "a", &set(own["id"].as_str().unwrap(), n)).unwrap();
    }
    // What was refused in between leaves no trace.
    let refused = format!(r#"{{"operations":[{},{}]}}"#, set(&id, 9), set("01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f", 9));
    store.mutate_as(Some(1), "a", &refused).unwrap_err();
    assert!(matches!(store.commit(1), Outcome::Committed { .. }));
    assert_eq!(store.query(&one(&id))["entities"][0]["data"]["n"], 4);
}

#[test]
fn what_was_deleted_since_it_was_read_is_not_found_and_what_was_made_anew_is_in_conflict() {
    let store = Store::new();
    let id = store.create("A", "{}");
    store.query_in(Some(1), &one(&id)).unwrap();
    store.mutate(&format!(r#"{{"entity":"A","operation":"delete","id":"{id}"}}"#));
    let failure = store.mutate_as(Some(1), "a", &set(&id, 1)).unwrap_err();
    assert_code(&failure, ErrorCode::NotFound, &id);
    store.mutate(&format!(r#"{{"entity":"A","operation":"create","id":"{id}","data":{{}}}}"#));
    store.mutate_as(Some(1), "a", &set(&id, 1)).unwrap();
    assert!(is_conflict(&store.commit(1)));
}

#[test]
fn a_unit_that_has_read_more_than_it_may_remember_must_name_versions() {
    let store = Store::new();
    let create = vec![r#"{"entity":"A","operation":"create","data":{"n":0}}"#; 1000].join(",");
    for _ in 0..=UNIT_SEEN_MAX / 1000 {
        store.mutate(&format!(r#"{{"operations":[{create}]}}"#));
    }
    let (mut after, mut ids) = (String::new(), Vec::new());
    for _ in 0..=UNIT_SEEN_MAX / 1000 {
        let page = store.query_in(Some(1), &format!(r#"{{"entity":"A","limit":1000{after}}}"#)).unwrap();
        ids.extend(page["entities"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        after = format!(r#","after":{}"#, page["next"]);
    }
    assert!(ids.len() > UNIT_SEEN_MAX);
    let last = ids.last().unwrap();
    let failure = store.mutate_as(Some(1), "a", &set(last, 1)).unwrap_err();
    assert_code(&failure, ErrorCode::BadRequest, "expected_version");
    let update =
        format!(r#"{{"entity":"A","operation":"update","id":"{last}","data":{{"n":1}},"expected_version":1}}"#);
    store.mutate_as(Some(1), "a", &update).unwrap();
    // What it does remember, and what is new, needs none.
    store.mutate_as(Some(1), "a", &set(&ids[0], 1)).unwrap();
    store.mutate_as(Some(1), "a", r#"{"entity":"A","operation":"create","data":{}}"#).unwrap();
    assert!(matches!(store.commit(1), Outcome::Committed { .. }));
}

/// Sixteen callers read a counter and write one more, each in a unit of its own, again and again. Jobs
/// of different units are done by several threads in any order.
#[test]
fn a_counter_that_is_read_and_then_updated_loses_no_increment() {
    const CALLERS: u64 = 16;
    const INCREMENTS: u64 = 15;
    let store = Store::new();
    let id = store.create("A", r#"{"n":0}"#);
    let mut units = CALLERS;
    let mut open: HashMap<JobId, (UnitId, u64)> = HashMap::new();
    let read = |unit| Job::Query { unit: Some(unit), query: Query::read(&json(&one(&id))).unwrap() };
    for unit in 0..CALLERS {
        open.insert(store.submit(read(UnitId(unit))), (UnitId(unit), INCREMENTS));
    }
    let mut conflicts = 0;
    while !open.is_empty() {
        let (job_id, outcome) = store.layer1.wait();
        let (unit, left) = open.remove(&job_id).unwrap();
        let left = match &outcome {
            Outcome::Rows(rows) => {
                let n = rows.read::<serde_json::Value>().unwrap()["entities"][0]["data"]["n"].as_u64().unwrap();
                let mutation = Mutation::read(&json(&set(&id, n + 1))).unwrap();
                let update = Job::Mutate { unit: Some(unit), owner: "a".into(), mutation, key: None };
                open.insert(store.submit(update), (unit, left));
                continue;
            }
            Outcome::Mutated { .. } => {
                let commit = Job::Commit { unit, key: None, events: vec![], also: vec![] };
                open.insert(store.submit(commit), (unit, left));
                continue;
            }
            Outcome::Committed { .. } => left - 1,
            Outcome::Conflict(_) => {
                conflicts += 1;
                left
            }
            other => panic!("{other:?}"),
        };
        if left > 0 {
            units += 1;
            open.insert(store.submit(read(UnitId(units))), (UnitId(units), left));
        }
    }
    assert_eq!(store.query(&one(&id))["entities"][0]["data"]["n"], CALLERS * INCREMENTS);
    assert!(conflicts > 0, "no two units met: this test has shown nothing");
}
