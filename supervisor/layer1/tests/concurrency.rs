//! Many callers at once, and the end of the store in the middle of their work.

mod common;

use bulkhead_layer1::{Job, JobId, Layer1, Outcome, Sender, UnitId, limits::JOBS_MAX};
use bulkhead_protocol::{
    ErrorCode,
    layer1::{Mutation, Query},
};
use common::*;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

fn create(n: u64) -> Job {
    let payload = format!(r#"{{"entity":"A","operation":"create","data":{{"n":{n}}}}}"#);
    Job::Mutate { unit: None, owner: String::new(), mutation: Mutation::read(&json(&payload)).unwrap(), key: None }
}

fn count() -> Job {
    Job::Query { unit: None, query: Query::read(&json(r#"{"entity":"A","limit":0,"count":true}"#)).unwrap() }
}

#[test]
fn every_job_has_one_outcome_and_the_callers_are_woken() {
    let folder = Folder::new();
    let (wake, woken) = mpsc::channel();
    let layer1 = Layer1::open(settings(&folder.database()), move || wake.send(()).unwrap_or_default()).unwrap();
    let jobs = 2000;
    for n in 0..jobs {
        layer1.submit(JobId(n), if n % 3 == 0 { count() } else { create(n) }, None).unwrap();
    }
    let mut found = BTreeSet::new();
    while found.len() < jobs as usize {
        woken.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
        while let Some((JobId(job_id), outcome)) = layer1.poll() {
            assert!(matches!(outcome, Outcome::Mutated { .. } | Outcome::Rows(_)), "{outcome:?}");
            assert!(found.insert(job_id));
        }
    }
    assert!(layer1.poll().is_none());
}

#[test]
fn too_many_jobs_are_given_back_and_the_rest_is_done() {
    let store = Store::new();
    let mut taken = 0_u64;
    // Outcomes that are not taken count too, so this ends however fast the store is.
    while store.layer1.submit(JobId(taken), create(taken), None).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, JOBS_MAX as u64);
    // The end of a unit is taken all the same.
    let commit = Job::Commit { unit: UnitId(1), key: None, events: vec![], also: vec![] };
    store.layer1.submit(JobId(1_000_000), commit, None).unwrap();
    taken += 1;
    for _ in 0..taken {
        assert!(matches!(store.layer1.wait().1, Outcome::Mutated { .. } | Outcome::Committed { .. }));
    }
    assert_eq!(store.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"], JOBS_MAX);
}

#[test]
fn what_is_read_after_an_acknowledgement_has_what_was_acknowledged() {
    let store = Store::new();
    for n in 1..=300 {
        store.create("A", "{}");
        assert_eq!(store.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"], n);
    }
}

#[test]
fn an_increment_with_an_expected_version_is_never_lost() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":0}"#);
    let layer1 = &store.layer1;
    let update = |n: u64| {
        let payload =
            format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{{"n":{n}}},"expected_version":{n}}}"#);
        Job::Mutate { unit: None, owner: String::new(), mutation: Mutation::read(&json(&payload)).unwrap(), key: None }
    };
    let next = AtomicU64::new(1);
    // Sixteen at once want to be the change that follows version n; exactly one of them is.
    for n in 1..=100 {
        for _ in 0..16 {
            layer1.submit(JobId(next.fetch_add(1, Ordering::Relaxed)), update(n), None).unwrap();
        }
        let won = (0..16).filter(|_| match layer1.wait().1 {
            Outcome::Mutated { .. } => true,
            Outcome::Failed(failure) if failure.code == ErrorCode::Conflict => false,
            other => panic!("{other:?}"),
        });
        assert_eq!(won.count(), 1);
    }
}

#[test]
fn closing_writes_what_waits_and_answers_everything() {
    for _ in 0..20 {
        let folder = Folder::new();
        let layer1 = Arc::new(Layer1::open(settings(&folder.database()), || {}).unwrap());
        for n in 0..200 {
            layer1.submit(JobId(n), if n % 4 == 0 { count() } else { create(n) }, None).unwrap();
        }
        layer1.close().unwrap();
        assert!(layer1.submit(JobId(1000), count(), None).is_err());
        let mut created = 0;
        for _ in 0..200 {
            match layer1.wait() {
                (_, Outcome::Mutated { .. }) => created += 1,
                (JobId(n), Outcome::Rows(_)) => assert_eq!(n % 4, 0),
                (JobId(n), Outcome::Failed(failure)) => {
                    assert_eq!(n % 4, 0, "{failure:?}");
                    assert!(matches!(failure.code, ErrorCode::ModuleUnavailable | ErrorCode::Cancelled), "{failure:?}");
                }
                (_, other) => panic!("{other:?}"),
            }
        }
        assert_eq!(created, 150);
        drop(layer1);
        assert!(!folder.0.join("layer1.db-wal").exists());
        let store = Store::in_folder(folder, |_| {});
        assert_eq!(store.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"], 150);
    }
}

#[test]
fn long_queries_hold_up_no_changes() {
    let store = Store::with(|settings| settings.readers = 2);
    let operations =
        vec![r#"{"entity":"A","operation":"create","data":{"text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}"#; 1000]
            .join(",");
    for _ in 0..5 {
        store.mutate(&format!(r#"{{"operations":[{operations}]}}"#));
    }
    let filters: Vec<String> = (0..30).map(|n| format!(r#""text.{n}":{{"ne":"y"}}"#)).collect();
    let slow = format!(r#"{{"entity":"A","limit":0,"count":true,"filters":{{{}}}}}"#, filters.join(","));
    let slow = Job::Query { unit: None, query: Query::read(&json(&slow)).unwrap() };
    for job_id in 100_000..100_008 {
        store.layer1.submit(JobId(job_id), slow.clone(), None).unwrap();
    }
    let payload = r#"{"entity":"A","operation":"create","data":{}}"#;
    let mutation = Mutation::read(&json(payload)).unwrap();
    let unit = Some(UnitId(1));
    let job = Job::Mutate { unit, owner: String::new(), mutation, key: None };
    store.layer1.submit(JobId(1), job, None).unwrap();
    store
        .layer1
        .submit(JobId(2), Job::Commit { unit: UnitId(1), key: None, events: vec![], also: vec![] }, None)
        .unwrap();
    let order: Vec<u64> = (0..10).map(|_| store.layer1.wait().0.0).collect();
    let committed = order.iter().position(|job_id| *job_id == 2).unwrap();
    assert!(committed < 8, "the commit came after long queries that were still to be done: {order:?}");
}

#[test]
fn one_with_a_hundred_long_queries_holds_up_another_by_few_of_them() {
    let store = Store::with(|settings| settings.readers = 1);
    let create = |n: u64| format!(r#"{{"entity":"A","operation":"create","data":{{"n":{n},"text":"{:0500}"}}}}"#, n);
    let operations: Vec<String> = (0..1000).map(create).collect();
    store.mutate(&format!(r#"{{"operations":[{}]}}"#, operations.join(",")));
    let query = |filters: u64| {
        let filters: Vec<String> = (0..filters).map(|n| format!(r#""text.{n}.b":{{"ne":"y"}}"#)).collect();
        let payload = format!(r#"{{"entity":"A","limit":0,"count":true,"filters":{{{}}}}}"#, filters.join(","));
        Job::Query { unit: None, query: Query::read(&json(&payload)).unwrap() }
    };
    // The first takes so long that all others come meanwhile.
    store.layer1.submit_for(Sender(1), JobId(0), query(30), None).unwrap();
    for job_id in 1..100 {
        store.layer1.submit_for(Sender(1), JobId(job_id), query(1), None).unwrap();
    }
    store.layer1.submit_for(Sender(2), JobId(1000), query(1), None).unwrap();
    let order: Vec<u64> = (0..101).map(|_| store.layer1.wait().0.0).collect();
    let position = order.iter().position(|job_id| *job_id == 1000).unwrap();
    assert!(position < 50, "it came after {position} of the other's");
    let of_first: Vec<u64> = order.into_iter().filter(|job_id| *job_id != 1000).collect();
    assert_eq!(of_first, (0..100).collect::<Vec<_>>(), "each has its own in order");
}
