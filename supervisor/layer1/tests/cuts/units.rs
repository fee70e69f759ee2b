//! What is written in these tests: units of work with a number each, and what must be stored after some of them.
//! A unit writes its number to two entities, to a counter, under a key, and into the stream of events.

use crate::common::{json, keyed};
use bulkhead_layer1::{Job, JobId, Layer1, UnitId};
use bulkhead_protocol::layer1::Mutation;
use std::collections::BTreeMap;

/// How many units can be under way at once: each has a part of the entities of its own.
pub const SLOTS: u64 = 6;

#[derive(Clone, Debug)]
pub struct Unit {
    pub number: u64,
    /// Which part of the entities it works on.
    pub slot: u64,
    /// An earlier unit whose entities it writes its number to.
    pub updates: Option<u64>,
    /// An earlier unit whose entities it deletes.
    pub deletes: Option<u64>,
    /// How long the texts are that it writes.
    pub pad: usize,
    /// It is a unit of work with an event, or one mutation with a key.
    pub has_event: bool,
}

/// Version, number and length of the text of an entity.
pub type Entity = (u64, u64, usize);

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// By type and id.
    pub entities: BTreeMap<(String, String), Entity>,
    /// The newest event.
    pub cursor: u64,
    /// The numbers that units emitted, in order.
    pub emitted: Vec<u64>,
}

pub fn pair_id(number: u64) -> String {
    format!("{number:08x}-0000-4000-8000-000000000001")
}

pub fn counter_id(slot: u64) -> String {
    format!("{slot:08x}-0000-4000-8000-00000000000c")
}

pub fn key(number: u64) -> String {
    format!("key{number}")
}

impl Expected {
    pub fn of(units: &[Unit]) -> Expected {
        let mut expected = Expected::default();
        units.iter().for_each(|unit| expected.add(unit));
        expected
    }

    pub fn has(&self, entity: &str, id: &str) -> bool {
        self.entities.contains_key(&(entity.into(), id.into()))
    }

    pub fn add(&mut self, unit: &Unit) {
        let Unit { number, pad, .. } = *unit;
        for (operation, entity, id) in unit.changes(self) {
            let place = (entity.to_owned(), id);
            match operation {
                "delete" => drop(self.entities.remove(&place)),
                _ => {
                    let version = self.entities.get(&place).map_or(0, |(version, ..)| *version);
                    self.entities.insert(place, (version + 1, number, pad));
                }
            }
            self.cursor += 1;
        }
        if unit.has_event {
            self.cursor += 1;
            self.emitted.push(number);
        }
    }
}

impl Unit {
    /// What it does to which entity, when this is stored.
    fn changes(&self, stored: &Expected) -> Vec<(&'static str, &'static str, String)> {
        let counter = counter_id(self.slot);
        let count = if stored.has("Counter", &counter) { "update" } else { "create" };
        let mut changes = vec![("create", "Left", pair_id(self.number)), (count, "Counter", counter)];
        for (operation, number) in [("update", self.updates), ("delete", self.deletes)] {
            for entity in ["Left", "Right"] {
                changes.extend(number.map(|number| (operation, entity, pair_id(number))));
            }
        }
        changes.push(("create", "Right", pair_id(self.number)));
        changes
    }

    /// Gives it to the store. The last of its jobs has this number.
    pub fn submit(&self, layer1: &Layer1, stored: &Expected) -> JobId {
        let Unit { number, pad, .. } = *self;
        let operations: Vec<_> = self
            .changes(stored)
            .into_iter()
            .map(|(operation, entity, id)| {
                let data = match operation {
                    "delete" => String::new(),
                    _ => format!(r#","data":{{"n":{number},"text":"{}"}}"#, "x".repeat(pad)),
                };
                format!(r#"{{"entity":"{entity}","operation":"{operation}","id":"{id}"{data}}}"#)
            })
            .collect();
        let payload = format!(r#"{{"operations":[{}]}}"#, operations.join(","));
        let mutation = Mutation::read(&json(&payload)).unwrap();
        let (unit, owner) = (UnitId(number), "m".to_owned());
        let keyed = keyed(&key(number), "x");
        let last = JobId(4 * number + 2);
        let submit = |id: JobId, job| layer1.submit(id, job, None).unwrap();
        if !self.has_event {
            submit(last, Job::Mutate { unit: None, owner, mutation, key: Some(keyed) });
            return last;
        }
        submit(JobId(4 * number), Job::Mutate { unit: Some(unit), owner, mutation, key: None });
        let (event, data) = ("unit.done".to_owned(), json(&number.to_string()));
        submit(JobId(4 * number + 1), Job::Emit { unit: Some(unit), source: "m".into(), event, data });
        let key = Some((keyed, json(&number.to_string())));
        submit(last, Job::Commit { unit, key, events: vec![], also: vec![] });
        last
    }
}
