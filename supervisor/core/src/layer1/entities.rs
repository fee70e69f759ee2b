//! Entities that were read by their ids, kept in memory, so that the next query for one of them costs no job of the
//! store and waits for no commit.
//!
//! What is kept is what is committed. It is passed by while a commit that changes the entity is under way, from the
//! answer of the module that made it, or the arrival of a mutation without a unit, until its outcome; and a unit that
//! has changed the entity itself asks the store. Each entity carries the number of the last commit that it can rest
//! on, and each unit that was shown one tells the store which state that was, so that a change of it that was worked
//! out from an older one is in conflict.

use super::CommitNumber;
use crate::{
    ids::RequestId,
    limits::{ENTITIES_BYTES_MAX, ENTITY_BYTES_MAX},
};
use bulkhead_protocol::{
    HeldBytes, Json,
    layer1::{Change, EntityId, EntityName, EntityState, Mutation, Query},
};
use std::collections::{HashMap, VecDeque};

/// What names an entity.
pub(crate) type EntityKey = (EntityName, EntityId);

/// An entity as a query for it alone is answered.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) data: Json,
    pub(crate) state: EntityState,
    /// The newest commit that this can rest on.
    pub(crate) seen: CommitNumber,
}

/// Readings of one entity that are at the store.
#[derive(Debug, Default)]
struct Reading {
    count: usize,
    /// A commit that changes it has begun since the first of them.
    is_overtaken: bool,
}

/// The entities that are kept.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    /// Each with its number in the order in which they came.
    known: HashMap<EntityKey, (u64, Known)>,
    /// In that order. One that was forgotten, or has come again since, stands here still, under a number of before.
    order: VecDeque<(u64, EntityKey)>,
    last: u64,
    bytes: usize,
    /// How many commits that are under way change each entity.
    changing: HashMap<EntityKey, usize>,
    changes: HashMap<RequestId, Vec<EntityKey>>,
    reading: HashMap<EntityKey, Reading>,
    reads: HashMap<RequestId, EntityKey>,
    /// While this is not 0, nothing is kept: imports are under way, or the store is at fault.
    suspended: usize,
}

/// The entity that a query is for, if it is for one alone.
pub(crate) fn asked_for(query: &Query) -> Option<EntityKey> {
    Some((query.entity.clone(), query.one_alone()?))
}

/// The entities that a mutation names. Those that it creates under new ids are known to no caller before its answer.
pub(crate) fn named(mutation: &Mutation) -> Vec<EntityKey> {
    let named = mutation.operations.iter().filter_map(|one| match one.change {
        Change::Create { id: Some(id), .. } | Change::Update { id, .. } | Change::Delete { id, .. } => {
            Some((one.entity.clone(), id))
        }
        Change::Create { id: None, .. } => None,
    });
    named.collect()
}

impl Entities {
    /// The entity as it is committed, unless a commit that changes it is under way.
    pub(crate) fn get(&self, key: &EntityKey) -> Option<&Known> {
        self.known.get(key).filter(|_| !self.changing.contains_key(key)).map(|(_, known)| known)
    }

    /// A commit that changes these entities is under way.
    pub(crate) fn commit_begins(&mut self, job: RequestId, keys: Vec<EntityKey>) {
        for key in &keys {
            *self.changing.entry(key.clone()).or_default() += 1;
            if let Some(reading) = self.reading.get_mut(key) {
                reading.is_overtaken = true;
            }
        }
        if !keys.is_empty() {
            self.changes.insert(job, keys);
        }
    }

    /// The commit has its outcome, or will not be made.
    pub(crate) fn commit_ends(&mut self, job: RequestId) {
        for key in self.changes.remove(&job).unwrap_or_default() {
            self.forget(&key);
            if let Some(count) = self.changing.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.changing.remove(&key);
                }
            }
        }
    }

    /// The store is asked for this entity.
    pub(crate) fn read_begins(&mut self, job: RequestId, key: EntityKey) {
        let is_overtaken = self.changing.contains_key(&key);
        let reading = self.reading.entry(key.clone()).or_default();
        reading.count += 1;
        reading.is_overtaken |= is_overtaken;
        self.reads.insert(job, key);
    }

    /// The store has answered. What it has found is kept, if no commit can have changed it meanwhile.
    pub(crate) fn read_ends(&mut self, job: RequestId, found: Option<Known>) {
        let Some(key) = self.reads.remove(&job) else { return };
        let Some(reading) = self.reading.get_mut(&key) else { return };
        reading.count -= 1;
        let is_overtaken = reading.is_overtaken;
        if reading.count == 0 {
            self.reading.remove(&key);
        }
        if let Some(found) = found.filter(|_| !is_overtaken && self.suspended == 0) {
            self.keep(key, found);
        }
    }

    fn keep(&mut self, key: EntityKey, found: Known) {
        let bytes = bytes(&key, &found);
        if bytes > ENTITY_BYTES_MAX {
            return;
        }
        self.forget(&key);
        self.bytes += bytes;
        self.last += 1;
        self.order.push_back((self.last, key.clone()));
        self.known.insert(key, (self.last, found));
        while self.bytes > ENTITIES_BYTES_MAX || self.order.len() > 2 * self.known.len() + 16 {
            let Some((number, oldest)) = self.order.pop_front() else { return };
            if self.known.get(&oldest).is_some_and(|(newest, _)| *newest == number) {
                self.forget(&oldest);
            }
        }
    }

    fn forget(&mut self, key: &EntityKey) {
        if let Some((_, known)) = self.known.remove(key) {
            self.bytes -= bytes(key, &known);
        }
    }

    /// Any entity may change from now on, by something that names none of them.
    pub(crate) fn suspend(&mut self) {
        self.suspended += 1;
        self.forget_all();
    }

    /// That is over.
    pub(crate) fn resume(&mut self) {
        self.suspended -= 1;
        self.forget_all();
    }

    fn forget_all(&mut self) {
        self.known.clear();
        self.order.clear();
        self.bytes = 0;
        self.reading.values_mut().for_each(|reading| reading.is_overtaken = true);
    }

    /// The bytes of what is kept, counted once more beside those that are kept; and whether anything is under way.
    pub(crate) fn accounts(&self) -> (usize, usize, bool) {
        let recounted = self.known.iter().map(|(key, (_, known))| bytes(key, known)).sum();
        let is_quiet = [self.changing.len(), self.changes.len(), self.reading.len(), self.reads.len()] == [0; 4];
        (self.bytes, recounted, !is_quiet)
    }
}

fn bytes(key: &EntityKey, known: &Known) -> usize {
    2 * size_of::<(EntityKey, (u64, Known))>()
        + 2 * size_of::<(u64, EntityKey)>()
        + key.0.as_str().len()
        + known.data.held_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";

    fn key(entity: &str) -> EntityKey {
        (EntityName::new(entity).unwrap(), EntityId::new(ID).unwrap())
    }

    fn known(version: u64, bytes: usize) -> Known {
        let data = Json::parse(&format!("\"{}\"", "x".repeat(bytes))).unwrap();
        Known { data, state: EntityState { rowid: 1, version }, seen: CommitNumber(version) }
    }

    fn read(entities: &mut Entities, job: u64, entity: &str, version: u64) {
        entities.read_begins(RequestId(job), key(entity));
        entities.read_ends(RequestId(job), Some(known(version, 10)));
    }

    fn version(entities: &Entities, entity: &str) -> Option<u64> {
        entities.get(&key(entity)).map(|known| known.state.version)
    }

    #[test]
    fn an_entity_is_passed_by_while_a_commit_that_changes_it_is_under_way_and_read_again_after_it() {
        let mut entities = Entities::default();
        read(&mut entities, 1, "A", 1);
        read(&mut entities, 2, "B", 1);
        entities.commit_begins(RequestId(3), vec![key("A")]);
        entities.commit_begins(RequestId(4), vec![key("A")]);
        assert_eq!((version(&entities, "A"), version(&entities, "B")), (None, Some(1)));
        entities.commit_ends(RequestId(3));
        read(&mut entities, 5, "A", 2);
        assert_eq!(version(&entities, "A"), None, "the second may have been made after the reading");
        entities.commit_ends(RequestId(4));
        assert_eq!(version(&entities, "A"), None);
        read(&mut entities, 6, "A", 3);
        assert_eq!(version(&entities, "A"), Some(3));
        assert!(!entities.accounts().2);
    }

    #[test]
    fn what_a_commit_may_have_overtaken_on_its_way_is_not_kept() {
        let mut entities = Entities::default();
        entities.read_begins(RequestId(1), key("A"));
        entities.commit_begins(RequestId(2), vec![key("A")]);
        entities.commit_ends(RequestId(2));
        entities.read_ends(RequestId(1), Some(known(1, 10)));
        assert_eq!(version(&entities, "A"), None);
        entities.read_begins(RequestId(3), key("A"));
        entities.suspend();
        read(&mut entities, 6, "A", 1);
        assert_eq!(version(&entities, "A"), None);
        entities.resume();
        entities.read_ends(RequestId(3), Some(known(1, 10)));
        assert_eq!(version(&entities, "A"), None);
        read(&mut entities, 4, "A", 2);
        assert_eq!(version(&entities, "A"), Some(2));
        entities.suspend();
        read(&mut entities, 5, "A", 2);
        assert_eq!(version(&entities, "A"), None);
    }

    #[test]
    fn the_oldest_make_room_and_what_is_too_large_is_not_kept() {
        let mut entities = Entities::default();
        for job in 0..1000 {
            let entity = format!("E{job}");
            entities.read_begins(RequestId(job), key(&entity));
            entities.read_ends(RequestId(job), Some(known(job, 32 * 1024)));
            let (bytes, recounted, _) = entities.accounts();
            assert!(bytes == recounted && bytes <= ENTITIES_BYTES_MAX, "{bytes} {recounted}");
            // The same one again and again takes no more room than once.
            read(&mut entities, 2000 + job, "A", job);
        }
        assert_eq!((version(&entities, "E0"), version(&entities, "E999")), (None, Some(999)));
        assert!(entities.order.len() <= 2 * entities.known.len() + 17);
        entities.read_begins(RequestId(5000), key("Large"));
        entities.read_ends(RequestId(5000), Some(known(1, ENTITY_BYTES_MAX)));
        assert_eq!(version(&entities, "Large"), None);
    }
}
