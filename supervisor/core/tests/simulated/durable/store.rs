//! A store that commits, flushes later, conflicts, fails, forgets what was not committed when its host dies and
//! what was not flushed when the machine does, and watches the orders to it.

use bulkhead_core::{
    Advance, CommitNumber, Cursor, EntityState, KeyState, KeyUse, NewEvent, RequestId, StoreOp, StoreOutcome,
    StoredEvent, UnitId,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, Json, ModuleName,
    layer1::{Change, EntityId, Mutation, Operation, Query, Selection},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How the store is to take the next thing that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    Conflicts,
    /// Refuses, and has done nothing.
    Fails,
    /// Commits, and says that it does not know.
    Unsure,
}

/// What identifies the work of a key: its caller, its recipient, and the key.
pub(crate) type ScopedKey = (Option<ModuleName>, String, String);

fn scoped(key: &KeyUse) -> ScopedKey {
    (key.caller.clone(), key.to.clone(), key.key.clone())
}

/// What survives a crash of the host once it is committed, and a power cut once it is flushed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) keys: BTreeMap<ScopedKey, (KeyUse, Json)>,
    pub(crate) subscriptions: BTreeMap<String, Cursor>,
    pub(crate) aside: BTreeSet<(String, Cursor)>,
    /// Every change and every event that was committed.
    pub(crate) changes: BTreeSet<u64>,
    /// How often each key's effects were committed.
    pub(crate) done: BTreeMap<ScopedKey, u32>,
    /// Entities that are read and then updated, by their ids: the version and the number in each.
    pub(crate) counters: BTreeMap<EntityId, (u64, u64)>,
}

/// A unit that is open.
#[derive(Debug, Default)]
struct OpenUnit {
    changes: Vec<u64>,
    /// The version of each counter that it has read first.
    seen: BTreeMap<EntityId, u64>,
    /// The version that its change of a counter builds on, and the number that it sets.
    counters: BTreeMap<EntityId, (u64, u64)>,
}

/// A job with its outcome, and the number of the commit that it has made, or of the last that it can have seen.
pub(crate) type StoreReport = (RequestId, StoreOutcome, CommitNumber);

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// What is committed.
    pub(crate) durable: Durable,
    /// What of that is flushed.
    pub(crate) flushed: Durable,
    /// The numbers of the last commit, and of the last that is flushed.
    number: u64,
    flushed_number: u64,
    units: BTreeMap<UnitId, OpenUnit>,
    dead: BTreeSet<UnitId>,
    writes: VecDeque<(RequestId, StoreOp)>,
    reads: VecDeque<(RequestId, StoreOp)>,
    /// What comes of reads and of writes. They are done on different threads, so one may overtake the other.
    read: VecDeque<StoreReport>,
    written: VecDeque<StoreReport>,
    /// Keys whose commit was made while the host learned that it may not have been.
    unsure: BTreeSet<ScopedKey>,
    /// Events of such commits, which are not reported.
    pub(crate) unreported: BTreeSet<Cursor>,
}

/// The number that a change carries in the name of what it changes, or beside what it sets a counter to.
pub(crate) fn numbers(mutation: &Mutation) -> Vec<u64> {
    let number_of = |one: &Operation| match counter_patch(one) {
        Some((_, patch)) => patch["of"],
        None => number(one.entity.as_str()),
    };
    mutation.operations.iter().map(number_of).collect()
}

fn counter_patch(one: &Operation) -> Option<(EntityId, BTreeMap<String, u64>)> {
    match &one.change {
        Change::Update { id, patch, .. } if is_counter(id) => {
            Some((*id, Json::parse(patch.as_str()).unwrap().read().expect("numbers are set")))
        }
        _ => None,
    }
}

/// Whether this is the id of a counter.
pub(crate) fn is_counter(id: &EntityId) -> bool {
    id.as_str().starts_with("01981f6e-0000")
}

/// The counter that a query reads.
pub(crate) fn counter_read(query: &Query) -> Option<EntityId> {
    match &query.selection {
        Selection::One(id) if is_counter(id) => Some(*id),
        Selection::One(_) | Selection::Many(_) => None,
    }
}

/// The counter that a mutation updates, and the number that it sets.
fn counter_set(mutation: &Mutation) -> Option<(EntityId, u64)> {
    let [one] = mutation.operations.as_slice() else { return None };
    counter_patch(one).map(|(id, patch)| (id, patch["n"]))
}

/// The number after the last letter or dot of a name.
pub(crate) fn number(name: &str) -> u64 {
    let digits = name.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    name[digits..].parse().unwrap_or_else(|_| panic!("{name:?} has no number"))
}

impl Store {
    /// Takes what the core asks for; says what is wrong with it.
    pub(crate) fn accept(&mut self, job: RequestId, op: StoreOp) -> Result<(), String> {
        match &op {
            StoreOp::Query { unit: Some(unit), .. }
            | StoreOp::Mutate { unit: Some(unit), .. }
            | StoreOp::Commit { unit, .. }
                if self.dead.contains(unit) =>
            {
                return Err(format!("{op:?}: unit {} was undone or committed before", unit.0));
            }
            StoreOp::Discard(unit) if self.dead.contains(unit) => return Err(format!("{op:?}: it has ended before")),
            _ => {}
        }
        match &op {
            StoreOp::Commit { unit, .. } | StoreOp::Discard(unit) => {
                self.dead.insert(*unit);
            }
            _ => {}
        }
        if let StoreOp::Mutate { unit: Some(unit), shown, .. } = &op {
            // The host informs the store of this when it hands the change over, whatever the store is doing.
            let seen = &mut self.units.entry(*unit).or_default().seen;
            for ((_, id), state) in shown {
                seen.entry(*id).or_insert(state.version);
            }
        }
        match op {
            StoreOp::Interrupt => {}
            StoreOp::Query { .. } | StoreOp::LookUpKey(_) | StoreOp::Subscription(_) | StoreOp::ReadEvents { .. } => {
                self.reads.push_back((job, op))
            }
            StoreOp::Mutate { .. }
            | StoreOp::Emit(_)
            | StoreOp::Commit { .. }
            | StoreOp::Discard(_)
            | StoreOp::Advance { .. }
            | StoreOp::SetAside { .. } => self.writes.push_back((job, op)),
        }
        Ok(())
    }

    /// Does one thing that it was asked for.
    pub(crate) fn work(&mut self, read: bool, mood: Mood) -> Result<(), String> {
        let next = if read { self.reads.pop_front() } else { self.writes.pop_front() };
        let Some((job, op)) = next else { return Ok(()) };
        let end = self.end();
        let outcome = self.outcome(op, mood)?;
        if mood == Mood::Unsure && matches!(outcome, Some(StoreOutcome::Failed(_))) {
            self.unreported.extend((end.0 + 1..=self.end().0).map(Cursor));
        }
        self.number += u64::from(!read);
        if let Some(outcome) = outcome {
            let seen = CommitNumber(self.number);
            let outcomes = if read { &mut self.read } else { &mut self.written };
            outcomes.push_back((job, outcome, seen));
        }
        Ok(())
    }

    /// The next outcome for the core: of a read, if there is one and that is wanted.
    pub(crate) fn next_outcome(&mut self, read: bool) -> Option<StoreReport> {
        let (first, second) =
            if read { (&mut self.read, &mut self.written) } else { (&mut self.written, &mut self.read) };
        first.pop_front().or_else(|| second.pop_front())
    }

    /// How much of each waits: reads, writes, and outcomes for the core.
    pub(crate) fn waiting(&self) -> (usize, usize, usize) {
        (self.reads.len(), self.writes.len(), self.read.len() + self.written.len())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting() == (0, 0, 0)
    }

    /// Whether no unit is left open.
    pub(crate) fn is_clean(&self) -> bool {
        self.units.is_empty()
    }

    /// Everything that is committed is on the disk now.
    pub(crate) fn flush(&mut self) -> CommitNumber {
        if self.flushed_number < self.number {
            self.flushed = self.durable.clone();
            self.flushed_number = self.number;
        }
        CommitNumber(self.flushed_number)
    }

    pub(crate) fn flushed_number(&self) -> CommitNumber {
        CommitNumber(self.flushed_number)
    }

    /// The host dies: what was not committed is gone, and no caller learns of what was. Its next start flushes that.
    pub(crate) fn crash(&mut self) {
        *self = Store {
            flushed: self.durable.clone(),
            durable: std::mem::take(&mut self.durable),
            unsure: std::mem::take(&mut self.unsure),
            ..Store::default()
        };
    }

    /// The machine dies: what was not flushed is gone as well.
    pub(crate) fn cut(&mut self) {
        self.durable = std::mem::take(&mut self.flushed);
        let keys = &self.durable.keys;
        self.unsure.retain(|key| keys.contains_key(key));
        self.crash();
    }

    fn end(&self) -> Cursor {
        Cursor(self.durable.events.len() as u64)
    }

    fn publish(&mut self, names: impl IntoIterator<Item = String>) -> Vec<StoredEvent> {
        let mut stored = Vec::new();
        for event in names {
            let event = StoredEvent {
                cursor: Cursor(self.end().0 + 1),
                // The wall clock is set all the time, by years: nothing may depend on it.
                time: (self.end().0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2).cast_signed(),
                event,
                source: String::new(),
                data: Json::null(),
            };
            self.durable.events.push(event.clone());
            stored.push(event);
        }
        stored
    }

    fn state_of(&self, key: &KeyUse) -> KeyState {
        match self.durable.keys.get(&scoped(key)) {
            None => KeyState::Vacant,
            Some((stored, reply)) if stored == key => KeyState::Stored(reply.clone()),
            Some(_) => KeyState::OtherPayload,
        }
    }

    fn outcome(&mut self, op: StoreOp, mood: Mood) -> Result<Option<StoreOutcome>, String> {
        let failed = || {
            let mut failure = Failure::new(ErrorCode::Internal, "the disk is full");
            failure.delivery = (mood == Mood::Unsure).then_some(Delivery::Unknown);
            StoreOutcome::Failed(failure)
        };
        let conflict = || StoreOutcome::Conflict(Failure::new(ErrorCode::Conflict, "another caller was faster"));
        let outcome = match (op, mood) {
            (StoreOp::Discard(unit), _) => {
                self.units.remove(&unit);
                return Ok(None);
            }
            (StoreOp::Commit { unit, .. }, Mood::Fails) => {
                self.units.remove(&unit);
                failed()
            }
            (StoreOp::Commit { unit, .. }, Mood::Conflicts) if self.units.contains_key(&unit) => {
                self.units.remove(&unit);
                conflict()
            }
            (_, Mood::Fails) => failed(),
            (StoreOp::Mutate { .. }, Mood::Conflicts) => conflict(),
            (StoreOp::Query { unit: Some(unit), .. }, _) if self.dead.contains(&unit) => {
                StoreOutcome::Failed(Failure::new(ErrorCode::Cancelled, "the unit was discarded"))
            }
            (StoreOp::Query { unit, query }, _) => {
                let data = self.read(unit, &query);
                match counter_read(&query).and_then(|id| self.durable.counters.get(&id)) {
                    Some((version, _)) => {
                        StoreOutcome::Entity { data, state: EntityState { rowid: 1, version: *version } }
                    }
                    None => StoreOutcome::Rows(data),
                }
            }
            (StoreOp::LookUpKey(key), _) => StoreOutcome::Key(self.state_of(&key)),
            (StoreOp::Subscription(module), _) => {
                let end = self.end();
                let cursor = *self.durable.subscriptions.entry(module.to_string()).or_insert(end);
                StoreOutcome::Subscribed { cursor }
            }
            (StoreOp::ReadEvents { after, patterns, limit, .. }, _) => {
                let wanted = |event: &&StoredEvent| {
                    event.cursor > after && patterns.iter().any(|pattern| pattern.matches(&event.event))
                };
                // Fewer than asked for at once, so that there is often more to read.
                let limit = limit.min(2);
                let events: Vec<StoredEvent> = self.durable.events.iter().filter(wanted).take(limit).cloned().collect();
                let upto = if events.len() < limit { self.end() } else { events[limit - 1].cursor };
                StoreOutcome::Events { events, upto, lost: 0 }
            }
            (StoreOp::Mutate { unit: Some(unit), mutation, .. }, _) => {
                let open = self.units.entry(unit).or_default();
                open.changes.extend(numbers(&mutation));
                if let Some((id, set)) = counter_set(&mutation) {
                    let current = self.durable.counters.get(&id).copied().unwrap_or_default().0;
                    let base = open.seen.get(&id).copied().unwrap_or(current);
                    open.counters.entry(id).or_insert((base, set)).1 = set;
                }
                StoreOutcome::Mutated { data: Json::null(), events: Vec::new() }
            }
            (StoreOp::Mutate { unit: None, mutation, key, .. }, mood) => {
                if let Some(state) = key.as_ref().map(|key| self.state_of(key)).filter(|it| *it != KeyState::Vacant) {
                    return Ok(Some(StoreOutcome::Key(state)));
                }
                if let Some((id, set)) = counter_set(&mutation) {
                    let counter = self.durable.counters.entry(id).or_default();
                    *counter = (counter.0 + 1, set);
                }
                let numbers = numbers(&mutation);
                let data = Json::parse(&numbers[0].to_string()).unwrap();
                if let Some(key) = key {
                    *self.durable.done.entry(scoped(&key)).or_default() += 1;
                    self.durable.keys.insert(scoped(&key), (key, data.clone()));
                }
                let names: Vec<String> = numbers.iter().map(|n| format!("Log.{n}")).collect();
                self.durable.changes.extend(numbers);
                let events = self.publish(names);
                match mood {
                    Mood::Unsure => failed(),
                    _ => StoreOutcome::Mutated { data, events },
                }
            }
            (StoreOp::Emit(event), mood) => {
                let events = self.emit(vec![event]);
                if mood == Mood::Unsure { failed() } else { StoreOutcome::Emitted { events } }
            }
            (StoreOp::Commit { unit, events, key, advance }, mood) => {
                let OpenUnit { changes, counters, .. } = self.units.remove(&unit).unwrap_or_default();
                if let Some((key, _)) = &key
                    && self.state_of(key) != KeyState::Vacant
                {
                    if !self.unsure.contains(&scoped(key)) {
                        return Err(format!("the work of {} is committed twice", key.key));
                    }
                    return Ok(Some(StoreOutcome::Key(self.state_of(key))));
                }
                if advance.as_ref().is_some_and(|advance| self.is_too_early(advance)) {
                    return Ok(Some(conflict()));
                }
                let current = |id: &EntityId| self.durable.counters.get(id).copied().unwrap_or_default();
                if counters.iter().any(|(id, (base, _))| current(id).0 != *base) {
                    return Ok(Some(conflict()));
                }
                for (id, (base, set)) in counters {
                    let (_, found) = self.durable.counters.insert(id, (base + 1, set)).unwrap_or_default();
                    // It was read in this unit, and one was added for each update.
                    if set <= found || set - found > changes.len() as u64 {
                        return Err(format!("an increment is lost: {found} was there, {set} is set"));
                    }
                }
                if let Some((key, reply)) = key {
                    if mood == Mood::Unsure {
                        self.unsure.insert(scoped(&key));
                    }
                    *self.durable.done.entry(scoped(&key)).or_default() += 1;
                    self.durable.keys.insert(scoped(&key), (key, reply));
                }
                if let Some(Advance { module, cursor, .. }) = advance {
                    self.advance(module.as_str(), cursor);
                }
                let mut stored = self.publish(changes.iter().map(|n| format!("Log.{n}")).collect::<Vec<_>>());
                self.durable.changes.extend(changes);
                stored.extend(self.emit(events));
                if mood == Mood::Unsure { failed() } else { StoreOutcome::Committed { events: stored } }
            }
            (StoreOp::Advance { module, cursor, .. }, _) => {
                self.advance(module.as_str(), cursor);
                StoreOutcome::Done
            }
            (StoreOp::SetAside { module, cursor, .. }, _) => {
                self.durable.aside.insert((module.to_string(), cursor));
                self.advance(module.as_str(), cursor);
                StoreOutcome::Done
            }
            (StoreOp::Interrupt, _) => unreachable!("it is not kept"),
        };
        Ok(Some(outcome))
    }

    /// Whether a module's stream has not got to where an event can be committed.
    fn is_too_early(&self, advance: &Advance) -> bool {
        self.durable.subscriptions.get(advance.module.as_str()).is_some_and(|found| *found < advance.after)
    }

    /// What a counter holds as a unit sees it, which remembers the version.
    fn read(&mut self, unit: Option<UnitId>, query: &Query) -> Json {
        let open = unit.map(|unit| self.units.entry(unit).or_default());
        let Some(id) = counter_read(query) else { return Json::null() };
        let (version, mut number) = self.durable.counters.get(&id).copied().unwrap_or_default();
        if let Some(open) = open {
            match open.counters.get(&id) {
                Some((_, own)) => number = *own,
                None => drop(open.seen.entry(id).or_insert(version)),
            }
        }
        Json::parse(&number.to_string()).unwrap()
    }

    fn emit(&mut self, events: Vec<NewEvent>) -> Vec<StoredEvent> {
        self.durable.changes.extend(events.iter().map(|event| number(&event.event)));
        self.publish(events.into_iter().map(|event| event.event))
    }

    fn advance(&mut self, module: &str, cursor: Cursor) {
        let at = self.durable.subscriptions.get_mut(module).expect("it subscribed before");
        *at = (*at).max(cursor);
    }
}
