//! A unit of work: what the handling of one message has changed and emitted so far. Only that message sees it
//! until it is committed, and it leaves no trace if it is not.
//!
//! Nothing here touches the database: what is stored there is passed in as a `Stored`.

use crate::{
    failure::refusal,
    held::{Amount, Held},
    limits::{EVENT_BYTES_MAX, EVENT_ENTITY_BYTES_MAX, UNIT_BYTES_MAX, UNIT_CHANGES_MAX, UNIT_SEEN_MAX},
    staged::{Author, Key, Seen, StagedEntity, Stored},
};
use bulkhead_protocol::{
    ErrorCode, Failure, Json, allocation,
    event::check_event_name,
    layer1::{Change, EntityId, Operation},
};
use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// An event that is stored with the unit.
#[derive(Clone, Debug)]
pub(crate) struct Emitted {
    pub(crate) time: i64,
    pub(crate) event: String,
    pub(crate) source: Arc<str>,
    pub(crate) data: Json,
    /// The change that it reports, if it has the data that the change leaves: where that is in `touched`.
    pub(crate) change: Option<usize>,
}

/// What the handling of one message has changed and emitted so far.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Distinguishes it from every other unit of this process, whatever numbers its host gives.
    pub(crate) serial: u64,
    pub(crate) changes: HashMap<Key, StagedEntity>,
    /// Which state of each entity its queries returned first, but for those that it had changed itself.
    seen: HashMap<Key, Seen>,
    /// Whether `seen` has every entity that they returned.
    memory: Memory,
    /// Which entities were changed, one after the other: what is written goes in this order, and a copy
    /// of the unit is brought up to it by what is new here.
    pub(crate) touched: Vec<Key>,
    pub(crate) events: Vec<Emitted>,
    /// By how much it changes what each owner holds.
    pub(crate) held: Held,
    /// What it holds in memory.
    pub(crate) bytes: usize,
}

/// Whether a unit remembers everything that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    Whole,
    /// There was more than it may remember.
    Full,
}

/// The result of one operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) id: EntityId,
    pub(crate) version: u64,
}

/// A state of a unit, to go back to.
pub(crate) struct Mark {
    touched: usize,
    events: usize,
    bytes: usize,
    before: Vec<(Key, Option<StagedEntity>)>,
}

/// A number that no other unit of this process has.
fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Default for Unit {
    fn default() -> Unit {
        Unit {
            serial: next_serial(),
            changes: HashMap::new(),
            seen: HashMap::new(),
            memory: Memory::Whole,
            touched: Vec::new(),
            events: Vec::new(),
            held: Held::default(),
            bytes: 0,
        }
    }
}

impl Unit {
    /// Makes it a new unit. It keeps the memory of its lists, which most of the work of a small unit is.
    pub(crate) fn begin_anew(&mut self) {
        self.serial = next_serial();
        self.changes.clear();
        self.seen.clear();
        self.memory = Memory::Whole;
        self.touched.clear();
        self.events.clear();
        self.held.clear();
        self.bytes = 0;
    }

    /// For each entity that the unit changes, in the order of [`Unit::in_order`], the event that says what the unit
    /// leaves it as, if there is one: where that is in `events`.
    pub(crate) fn last_events(&self) -> Vec<Option<usize>> {
        let mut by_touch = vec![None; self.touched.len()];
        for (index, event) in self.events.iter().enumerate() {
            if let Some(touch) = event.change {
                by_touch[touch] = Some(index);
            }
        }
        if !self.touches_twice() {
            return by_touch;
        }
        let last: HashMap<&Key, usize> = self.touched.iter().enumerate().map(|(touch, key)| (key, touch)).collect();
        self.in_order().map(|(key, _)| by_touch[last[key]]).collect()
    }

    /// Whether some entity was changed more than once. Most units do not.
    fn touches_twice(&self) -> bool {
        self.touched.len() != self.changes.len()
    }

    /// Each entity that the unit changes, in the order in which it first touched them.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&Key, &StagedEntity)> {
        let twice = self.touches_twice();
        let mut seen = HashSet::new();
        self.touched
            .iter()
            .filter(move |key| !twice || seen.insert(*key))
            .filter_map(|key| self.changes.get_key_value(key))
    }

    /// Takes an entity as it is to be, without an event.
    pub(crate) fn set(&mut self, key: Key, pending: StagedEntity) {
        self.touched.push(key.clone());
        self.replace(key, Some(pending));
    }

    /// The state of the unit now.
    pub(crate) fn mark(&self) -> Mark {
        Mark { touched: self.touched.len(), events: self.events.len(), bytes: self.bytes, before: Vec::new() }
    }

    /// Goes back to that state of the unit. Copies of the unit see from `touched` what to look at again.
    pub(crate) fn undo(&mut self, mark: Mark) {
        for (key, before) in mark.before.into_iter().rev() {
            self.replace(key, before);
        }
        self.touched.truncate(mark.touched);
        self.events.truncate(mark.events);
        self.bytes = mark.bytes;
    }

    /// Notes what a query of the unit has returned. What was read first counts: whatever the
    /// message does next may build on it.
    pub(crate) fn note_seen(&mut self, read: impl IntoIterator<Item = (Key, Seen)>) {
        /// What one of them costs beside the name of its type: its slot in a table that has grown by doubling.
        const OVERHEAD_BYTES: usize = 2 * size_of::<(Key, Seen)>() + allocation(1);
        for (key, seen) in read {
            if self.changes.contains_key(&key) || self.seen.contains_key(&key) {
                continue;
            }
            if self.seen.len() >= UNIT_SEEN_MAX {
                self.memory = Memory::Full;
                return;
            }
            self.bytes += OVERHEAD_BYTES + key.0.as_str().len();
            self.seen.insert(key, seen);
        }
    }

    /// Which state of an entity a change builds on, if the unit has read one. A change that names the
    /// version which it expects builds on that.
    fn basis(&self, key: &Key, change: &Change) -> Result<Option<Seen>, Failure> {
        if let Change::Update { expected: Some(_), .. } | Change::Delete { expected: Some(_), .. } = change {
            return Ok(None);
        }
        let seen = self.seen.get(key).copied();
        if seen.is_none() && self.memory == Memory::Full && !matches!(change, Change::Create { .. }) {
            let (entity, id) = key;
            let sentence = format!(
                "this message has read more than {UNIT_SEEN_MAX} entities, and it is not remembered whether the {entity} with the id {id} is one of them; name its expected_version, or make several messages of it"
            );
            return Err(refusal(ErrorCode::BadRequest, sentence));
        }
        Ok(seen)
    }

    /// Does one operation, of an entity that is `stored` in the database if the unit has not touched it.
    pub(crate) fn apply(
        &mut self,
        operation: &Operation,
        id: EntityId,
        stored: Option<Stored>,
        author: &Author,
        mark: &mut Mark,
    ) -> Result<Done, Failure> {
        let key = (operation.entity.clone(), id);
        let before = self.changes.get(&key).cloned();
        let pending = match &before {
            Some(before) => before.clone(),
            None => StagedEntity::of(stored, author).built_on(self.basis(&key, &operation.change)?),
        };
        // What is deleted has one version more than it had, whichever the unit builds on.
        let last = pending.now.as_ref().map_or(0, |now| now.version);
        let (pending, kind) = pending.changed(&operation.change, &key, author)?;
        let version = pending.now.as_ref().map_or(last + 1, |now| now.version);
        let data = pending.now.as_ref().map(|now| now.data.as_str());
        let is_whole = data.is_some_and(|data| data.len() <= EVENT_ENTITY_BYTES_MAX);
        let event = Emitted {
            time: author.now,
            event: [operation.entity.as_str(), ".", kind].concat(),
            source: Arc::clone(&author.owner),
            data: event_data(&id, version, data),
            change: is_whole.then_some(self.touched.len()),
        };
        self.hold(data.map_or(0, str::len) + event.data.as_str().len())?;
        mark.before.push((key.clone(), before));
        self.replace(key.clone(), Some(pending));
        self.touched.push(key);
        self.events.push(event);
        Ok(Done { id, version })
    }

    /// Emits an event.
    pub(crate) fn emit(&mut self, event: &str, data: &Json, author: &Author) -> Result<(), Failure> {
        check_event_name(event).map_err(|error| refusal(ErrorCode::BadRequest, error.to_string()))?;
        let found = data.as_str().len();
        if found > EVENT_BYTES_MAX {
            let sentence = format!("the data of an event has at most {EVENT_BYTES_MAX} bytes, found {found}");
            return Err(refusal(ErrorCode::BadRequest, sentence));
        }
        self.hold(found)?;
        let (event, source) = (event.to_owned(), Arc::clone(&author.owner));
        self.events.push(Emitted { time: author.now, event, source, data: data.clone(), change: None });
        Ok(())
    }

    /// Counts `bytes` more, if they fit.
    fn hold(&mut self, bytes: usize) -> Result<(), Failure> {
        /// What a change and its event cost beside their texts: slots in lists and in a table that have grown
        /// by doubling, the counts before two shared texts, and the event's name.
        const OVERHEAD_BYTES: usize = 2 * (size_of::<(Key, StagedEntity)>() + size_of::<Key>() + size_of::<Emitted>())
            + 4 * allocation(1)
            + allocation(64);
        if self.events.len() >= UNIT_CHANGES_MAX {
            let sentence =
                format!("one message makes at most {UNIT_CHANGES_MAX} changes and events; make several messages of it");
            return Err(refusal(ErrorCode::BadRequest, sentence));
        }
        if self.bytes + bytes + OVERHEAD_BYTES > UNIT_BYTES_MAX {
            let sentence = format!(
                "the changes and events of one message have at most {UNIT_BYTES_MAX} bytes; make several messages of it"
            );
            return Err(refusal(ErrorCode::BadRequest, sentence));
        }
        self.bytes += bytes + OVERHEAD_BYTES;
        Ok(())
    }

    /// Replaces the entity's change before it, and keeps account of what each owner holds.
    fn replace(&mut self, key: Key, pending: Option<StagedEntity>) {
        if let Some(pending) = &pending {
            self.account(pending, 1);
        }
        let before = match pending {
            Some(pending) => self.changes.insert(key, pending),
            None => self.changes.remove(&key),
        };
        if let Some(before) = &before {
            self.account(before, -1);
        }
    }

    fn account(&mut self, pending: &StagedEntity, sign: i64) {
        if let Some(base) = &pending.base {
            self.held.add(&base.owner, Amount { bytes: -sign * base.bytes.cast_signed(), rows: -sign });
        }
        if let Some(now) = &pending.now {
            self.held.add(&pending.owner, Amount { bytes: sign * now.data.as_str().len() as i64, rows: sign });
        }
    }
}

/// What the event of a change says: the entity's data too, if it is not too long.
fn event_data(id: &EntityId, version: u64, data: Option<&str>) -> Json {
    Json::of_checked(&event_text(id, version, data.filter(|data| data.len() <= EVENT_ENTITY_BYTES_MAX)))
}

/// The text of what the event of a change says.
pub(crate) fn event_text(id: &EntityId, version: u64, data: Option<&str>) -> String {
    let mut text = String::with_capacity(DONE_BYTES_MAX + data.map_or(0, str::len));
    write_done(id, version, &mut text);
    if let Some(data) = data {
        text.push_str(",\"data\":");
        text.push_str(data);
    }
    text.push('}');
    text
}

/// Most bytes of what [`write_done`] writes, and of the end of an object after it.
pub(crate) const DONE_BYTES_MAX: usize = 96;

/// Begins the object that has the result of an operation.
pub(crate) fn write_done(id: &EntityId, version: u64, text: &mut String) {
    text.push_str("{\"id\":\"");
    text.push_str(id.as_str());
    text.push_str("\",\"version\":");
    write!(text, "{version}").expect("writing to a String never fails");
}
