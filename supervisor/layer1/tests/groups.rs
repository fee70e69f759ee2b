//! Jobs that share a transaction: each has its own outcome, whatever comes of the others.

mod common;

use bulkhead_layer1::{Job, JobId, Outcome};
use bulkhead_protocol::{ErrorCode, layer1::Mutation};
use common::*;
use std::collections::BTreeMap;

fn create(entity: &str) -> Job {
    let payload = format!(r#"{{"entity":"{entity}","operation":"create","data":{{}}}}"#);
    Job::Mutate { unit: None, owner: String::new(), mutation: Mutation::read(&json(&payload)).unwrap(), key: None }
}

/// A store whose database itself refuses entities of the type `Bad`.
fn refusing_store() -> Store {
    let store = Store::new();
    store.close();
    let connection = rusqlite::Connection::open(store.folder.database()).unwrap();
    connection
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON entities WHEN new.entity = 'Bad'
             BEGIN SELECT RAISE(FAIL, 'no such thing'); END",
        )
        .unwrap();
    drop(connection);
    store.reopened(|_| {})
}

#[test]
fn a_job_that_the_database_refuses_fails_alone_in_a_shared_commit() {
    let store = refusing_store();
    // More than share one commit, so that it stands at the beginning, inside and at the end of groups.
    let jobs = 1000_u64;
    let bad = |job_id: u64| job_id % 100 == 50;
    for job_id in 0..jobs {
        store.layer1.submit(JobId(job_id), create(if bad(job_id) { "Bad" } else { "Good" }), None).unwrap();
    }
    let mut cursors = BTreeMap::new();
    for _ in 0..jobs {
        match store.layer1.wait() {
            (JobId(job_id), Outcome::Mutated { events, .. }) if !bad(job_id) => {
                cursors.insert(job_id, events[0].cursor.0);
            }
            (JobId(job_id), Outcome::Failed(failure)) if bad(job_id) => {
                assert_code(&failure, ErrorCode::Internal, "no such thing");
            }
            other => panic!("{other:?}"),
        }
    }
    let cursors: Vec<u64> = cursors.into_values().collect();
    assert_eq!(cursors, (1..=jobs - jobs / 100).collect::<Vec<_>>(), "in the order of the jobs, without gaps");
    let count =
        |entity: &str| store.query(&format!(r#"{{"entity":"{entity}","limit":0,"count":true}}"#))["count"].clone();
    assert_eq!((count("Good"), count("Bad")), (990.into(), 0.into()));
}

#[test]
fn a_job_alone_is_done_at_once_after_many_that_came_together() {
    let store = Store::new();
    for job_id in 0..200 {
        store.layer1.submit(JobId(job_id), create("A"), None).unwrap();
    }
    for _ in 0..200 {
        assert!(matches!(store.layer1.wait().1, Outcome::Mutated { .. }));
    }
    // The groups before it were large; no other job comes, and it is answered all the same.
    for job_id in 200..210 {
        store.layer1.submit(JobId(job_id), create("A"), None).unwrap();
        assert_eq!(store.layer1.wait().0, JobId(job_id));
    }
}
