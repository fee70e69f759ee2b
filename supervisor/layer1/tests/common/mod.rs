//! A store in a folder of its own, asked one thing at a time.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

use bulkhead_layer1::{
    Clock, Index, Job, JobId, Layer1, Now, Outcome, Searched, Settings, UnitId,
    job::{Fingerprint, Keyed},
    outcome::StoredEvent,
};
use bulkhead_protocol::{
    ErrorCode, Failure, Json,
    layer1::{EntityName, MemberPath, Mutation, Path, Query},
};
use serde_json::Value;
use std::{
    path::{Path as FilePath, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// A folder that goes with the value.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("bulkhead-layer1-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn database(&self) -> PathBuf {
        self.0.join("layer1.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store, and the folder that it is in.
pub struct Store {
    pub layer1: Layer1,
    next: AtomicU64,
    pub folder: Folder,
}

pub fn index(entity: &str, path: &str) -> Index {
    Index { entity: EntityName::new(entity).unwrap(), path: Path::new(path).unwrap() }
}

pub fn searched(entity: &str, paths: &[&str]) -> Searched {
    let paths = paths.iter().map(|path| MemberPath::new(path).unwrap()).collect();
    Searched { entity: EntityName::new(entity).unwrap(), paths }
}

/// The defaults, except for the wall clock: nothing that these tests look at may depend on it.
pub fn settings(path: &FilePath) -> Settings {
    Settings { clock: unsteady_clock(), ..Settings::new(path) }
}

/// The system's clocks, of which the wall clock is set at each reading: by seconds to years, forward or back.
pub fn unsteady_clock() -> Clock {
    const SECOND: i64 = 1_000_000;
    const YEAR: i64 = 365 * 24 * 3600 * SECOND;
    let system = Clock::system();
    let wall = Mutex::new((1_u64, system.now().wall));
    Clock::new(move || {
        let (random, wall) = &mut *wall.lock().unwrap();
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = [SECOND, 3600 * SECOND, YEAR / 12, 20 * YEAR][(*random >> 60) as usize % 4];
        *wall =
            (*wall + (*random >> 1) as i64 % most * if *random >> 59 & 1 == 0 { 1 } else { -1 }).clamp(0, 300 * YEAR);
        Now { wall: *wall, ..system.now() }
    })
}

impl Store {
    pub fn new() -> Store {
        Store::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Store {
        Store::in_folder(Folder::new(), change)
    }

    pub fn in_folder(folder: Folder, change: impl FnOnce(&mut Settings)) -> Store {
        let mut settings = settings(&folder.database());
        change(&mut settings);
        let layer1 = Layer1::open(settings, || {}).unwrap_or_else(|error| panic!("{error}"));
        Store { layer1, next: AtomicU64::new(0), folder }
    }

    /// Closes the store and opens it again.
    pub fn reopened(self, change: impl FnOnce(&mut Settings)) -> Store {
        let Store { layer1, folder, .. } = self;
        layer1.close().unwrap();
        drop(layer1);
        Store::in_folder(folder, change)
    }

    pub fn submit(&self, job: Job) -> JobId {
        let job_id = JobId(self.next.fetch_add(1, Ordering::Relaxed));
        self.layer1.submit(job_id, job, None).unwrap();
        job_id
    }

    /// Does a job while no other is open.
    pub fn run(&self, job: Job) -> Outcome {
        let job_id = self.submit(job);
        let (found, outcome) = self.layer1.wait();
        assert_eq!(found, job_id);
        outcome
    }

    pub fn query_in(&self, unit: Option<u64>, payload: &str) -> Result<Value, Failure> {
        let query = Query::read(&json(payload)).map_err(Failure::from)?;
        match self.run(Job::Query { unit: unit.map(UnitId), query }) {
            Outcome::Rows(rows) => Ok(rows.read().unwrap()),
            Outcome::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    pub fn query(&self, payload: &str) -> Value {
        self.query_in(None, payload).unwrap_or_else(|failure| panic!("{payload}: {failure:?}"))
    }

    pub fn refused_query(&self, payload: &str) -> Failure {
        self.query_in(None, payload).unwrap_err()
    }

    pub fn mutate_as(
        &self,
        unit: Option<u64>,
        owner: &str,
        payload: &str,
    ) -> Result<(Value, Vec<StoredEvent>), Failure> {
        let mutation = Mutation::read(&json(payload)).map_err(Failure::from)?;
        match self.run(Job::Mutate { unit: unit.map(UnitId), owner: owner.into(), mutation, key: None }) {
            Outcome::Mutated { reply, events } => Ok((reply.read().unwrap(), events)),
            Outcome::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    pub fn mutate(&self, payload: &str) -> Value {
        self.mutate_as(None, "", payload).unwrap_or_else(|failure| panic!("{payload}: {failure:?}")).0
    }

    pub fn refused(&self, payload: &str) -> Failure {
        self.mutate_as(None, "", payload).unwrap_err()
    }

    /// Creates an entity and gives its id.
    pub fn create(&self, entity: &str, data: &str) -> String {
        let reply = self.mutate(&format!(r#"{{"entity":"{entity}","operation":"create","data":{data}}}"#));
        reply["id"].as_str().unwrap().to_owned()
    }

    pub fn commit(&self, unit: u64) -> Outcome {
        self.run(Job::Commit { unit: UnitId(unit), key: None, events: vec![], also: vec![] })
    }

    pub fn commit_with_key(&self, unit: u64, key: &str, request: &str, reply: &str) -> Outcome {
        self.run(Job::Commit {
            unit: UnitId(unit),
            key: Some((keyed(key, request), json(reply))),
            events: vec![],
            also: vec![],
        })
    }

    pub fn close(&self) {
        self.layer1.close().unwrap();
    }
}

/// A client's key.
pub fn keyed(key: &str, request: &str) -> Keyed {
    keyed_for("", "counter", key, request)
}

/// A key of this caller, for this target.
pub fn keyed_for(caller: &str, target: &str, key: &str, request: &str) -> Keyed {
    let fingerprint = Fingerprint::of(target, "command", &Json::of(request));
    Keyed { caller: caller.into(), target: target.into(), key: key.into(), fingerprint }
}

/// Clocks that a test sets, in microseconds: the wall clock, and the time since boot.
#[derive(Clone, Default)]
pub struct TestClock {
    pub wall: Arc<AtomicI64>,
    pub since_boot: Arc<AtomicI64>,
}

impl TestClock {
    pub fn clock(&self) -> Clock {
        let TestClock { wall, since_boot } = self.clone();
        let read = |value: &AtomicI64| value.load(Ordering::Relaxed);
        Clock::new(move || Now { wall: read(&wall), since_boot: read(&since_boot) })
    }

    /// Lets time pass, on both.
    pub fn pass(&self, micros: i64) {
        self.wall.fetch_add(micros, Ordering::Relaxed);
        self.since_boot.fetch_add(micros, Ordering::Relaxed);
    }

    /// Sets the wall clock forward, or back.
    pub fn step(&self, micros: i64) {
        self.wall.fetch_add(micros, Ordering::Relaxed);
    }
}

pub fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

/// The member `name` of what each entity of an answer holds.
pub fn column(answer: &Value, name: &str) -> Vec<Value> {
    answer["entities"].as_array().unwrap().iter().map(|entity| entity["data"][name].clone()).collect()
}

pub fn assert_code(failure: &Failure, code: ErrorCode, words: &str) {
    assert!(failure.code == code && failure.error.contains(words), "expected {code} with {words:?}, found {failure:?}");
}
