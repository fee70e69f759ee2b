//! The host's own data store for tests of modules, without a host: [`Layer1`] serves a
//! [`Harness`](bulkhead_module::testing::Harness), [`Hosted`] serves a module's program.
//!
//! It is the store that the host has, so a test finds what the module will find. What the host adds is
//! not here: permissions, quotas, keys, the delivery of events, a second try after a conflict. A module's
//! tests of those run with the host.
//!
//! ```no_run
//! # use bulkhead_module::{Context, Description, Error, Init, Json, Module, json, testing::Harness};
//! # struct Diary;
//! # impl Module for Diary {
//! #     fn describe() -> Description { Description::new("diary", "1") }
//! #     fn init(_: &Init) -> Result<Self, Error> { Ok(Diary) }
//! #     fn command(&mut self, _: &mut Context<'_>, _: &str, _: &Json) -> Result<Json, Error> { Ok(Json::null()) }
//! # }
//! use bulkhead_module_testing::Layer1;
//!
//! let layer1 = Layer1::new(&[("Day", "date")], &[]);
//! let mut diary = Harness::<Diary>::start(json!({}))?.with_store(layer1.clone());
//! diary.command("write", json!({ "date": "2026-03-01", "text": "rain" }))?;
//! assert_eq!(layer1.query(json!({ "entity": "Day", "count": true }))?["count"], 1);
//! # Ok::<(), Error>(())
//! ```

#![forbid(unsafe_code)]

mod hosted;

pub use hosted::Hosted;

use bulkhead_layer1::{Index, Job, JobId, Outcome, Searched, Settings, UnitId};
use bulkhead_module::testing::{RequestType, Scratch, Store};
use bulkhead_module::{Error, Json};
use bulkhead_protocol::layer1::{EntityName, Fault, MemberPath, Mutation, Path, Query};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A data store in a folder of its own, which is removed with the last of its copies.
#[derive(Clone)]
pub struct Layer1(Rc<RefCell<Open>>);

struct Open {
    store: bulkhead_layer1::Layer1,
    last_job: u64,
    last_unit: u64,
    /// The units of requests that are being handled.
    units: HashMap<u64, UnitId>,
    /// Declared after the store, so that it is dropped after it.
    _folder: Scratch,
}

impl Layer1 {
    /// An empty store with these indexes, an entity type and a path each, and these members searched.
    ///
    /// # Panics
    /// When the store cannot be opened, or a declaration is none.
    pub fn new(indexes: &[(&str, &str)], searches: &[(&str, &[&str])]) -> Layer1 {
        let folder = Scratch::new();
        let mut settings = Settings::new(folder.path().join("layer1.db"));
        let index = |&(entity, path): &(&str, &str)| Index {
            entity: checked(entity, EntityName::new(entity)),
            path: checked(path, Path::new(path)),
        };
        settings.indexes = indexes.iter().map(index).collect();
        let searched = |&(entity, paths): &(&str, &[&str])| Searched {
            entity: checked(entity, EntityName::new(entity)),
            paths: paths.iter().map(|path| checked(path, MemberPath::new(path))).collect(),
        };
        settings.searches = searches.iter().map(searched).collect();
        let store = bulkhead_layer1::Layer1::open(settings, || {}).unwrap_or_else(|error| panic!("{error}"));
        let open = Open { store, last_job: 0, last_unit: 0, units: HashMap::new(), _folder: folder };
        Layer1(Rc::new(RefCell::new(open)))
    }

    /// Answers a query as a client's: it sees what is committed.
    ///
    /// # Errors
    /// What the store answered.
    pub fn query(&self, payload: Json) -> Result<Value, Error> {
        self.0.borrow_mut().ask(None, &RequestType::Query, &payload)?.read().map_err(Error::from)
    }

    /// Makes a mutation as a client's, committed at once.
    ///
    /// # Errors
    /// What the store answered.
    pub fn mutate(&self, payload: Json) -> Result<Value, Error> {
        self.0.borrow_mut().ask(None, &RequestType::Mutation, &payload)?.read().map_err(Error::from)
    }
}

impl Store for Layer1 {
    fn ask(&mut self, request: u64, kind: &RequestType, payload: &Json) -> Result<Json, Error> {
        let mut open = self.0.borrow_mut();
        let unit = open.unit(request);
        open.ask(Some(unit), kind, payload)
    }

    fn commit(&mut self, request: u64) -> Result<(), Error> {
        let mut open = self.0.borrow_mut();
        let Some(unit) = open.units.remove(&request) else { return Ok(()) };
        match open.run(Job::Commit { unit, events: Vec::new(), key: None, also: Vec::new() }) {
            Outcome::Committed { .. } => Ok(()),
            Outcome::Conflict(failure) | Outcome::Failed(failure) => Err(failure.into()),
            other => panic!("expected a commit, found {other:?}"),
        }
    }

    fn undo(&mut self, request: u64) {
        let mut open = self.0.borrow_mut();
        if let Some(unit) = open.units.remove(&request) {
            let job_id = open.job_id();
            open.store.submit(job_id, Job::Discard { unit }, None).expect("an end of a unit is always taken");
        }
    }
}

impl Open {
    fn unit(&mut self, request: u64) -> UnitId {
        let next = UnitId(self.last_unit + 1);
        let unit = *self.units.entry(request).or_insert(next);
        self.last_unit = self.last_unit.max(unit.0);
        unit
    }

    fn ask(&mut self, unit: Option<UnitId>, kind: &RequestType, payload: &Json) -> Result<Json, Error> {
        let job = match kind {
            RequestType::Query => Job::Query { unit, query: Query::read(payload).map_err(refused)? },
            RequestType::Mutation => {
                let mutation = Mutation::read(payload).map_err(refused)?;
                Job::Mutate { unit, owner: "module-under-test".into(), mutation, key: None }
            }
            other => {
                let sentence = format!("layer1 takes requests of type query and mutation, found {:?}", other.name());
                return Err(Error::unknown_type(sentence));
            }
        };
        match self.run(job) {
            Outcome::Rows(reply) | Outcome::Mutated { reply, .. } => Ok(reply),
            Outcome::Conflict(failure) | Outcome::Failed(failure) => Err(failure.into()),
            other => panic!("expected an answer, found {other:?}"),
        }
    }

    /// One job at a time, so that the next outcome is that of this one.
    fn run(&mut self, job: Job) -> Outcome {
        let job_id = self.job_id();
        self.store.submit(job_id, job, None).expect("one job alone is taken");
        self.store.wait().1
    }

    fn job_id(&mut self) -> JobId {
        self.last_job += 1;
        JobId(self.last_job)
    }
}

fn checked<T>(text: &str, read: Result<T, Fault>) -> T {
    read.unwrap_or_else(|fault| panic!("{text:?}: {fault}"))
}

fn refused(fault: Fault) -> Error {
    bulkhead_protocol::Failure::from(fault).into()
}
