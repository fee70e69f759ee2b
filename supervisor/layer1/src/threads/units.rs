//! The units of work that are open. Jobs of one unit run one after the other, in the order in which they
//! came, whichever thread runs them; the unit moves with its job to that thread and comes back.

use super::queue::Task;
use super::watch::Cancelled;
use crate::{
    job::UnitId,
    staged::{Key, Seen},
    unit::Unit,
};
use std::collections::{HashMap, VecDeque};

/// Every open unit.
#[derive(Default)]
pub(crate) struct Units {
    slots: HashMap<UnitId, Slot>,
    /// What all of them hold, measured when each last came back.
    bytes: usize,
}

#[derive(Default)]
struct Slot {
    /// The unit, unless a thread has it.
    unit: Option<Box<Unit>>,
    /// The job that is on its way or with a thread.
    current: Option<Cancelled>,
    waiting: VecDeque<Task>,
    /// What the unit is counted with.
    bytes: usize,
    /// What it has read elsewhere while a thread had it.
    seen: Vec<(Key, Seen)>,
    discarded: bool,
}

/// What follows when a unit comes back.
pub(crate) enum Next {
    /// Nothing, for now.
    Nothing,
    /// Its next job.
    Run(Task),
    /// Its end: the job that commits it.
    Commit(Task, Box<Unit>),
    /// It is discarded, and these jobs with it.
    Discarded(Vec<Task>),
}

impl Units {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a job that is not the unit's end, and gives it back if it can run now.
    pub(crate) fn enter(&mut self, id: UnitId, task: Task) -> Option<Task> {
        let slot = self.slots.entry(id).or_insert_with(|| Slot { unit: Some(Box::default()), ..Slot::default() });
        if slot.current.is_some() {
            slot.waiting.push_back(task);
            return None;
        }
        slot.current = Some(task.limits.cancelled.clone());
        Some(task)
    }

    /// Takes the job that commits the unit, and gives it back with the unit if nothing comes before it.
    pub(crate) fn enter_commit(&mut self, id: UnitId, task: Task) -> Option<(Task, Box<Unit>)> {
        match self.slots.get_mut(&id) {
            Some(slot) if slot.current.is_some() => {
                slot.waiting.push_back(task);
                None
            }
            _ => Some((task, self.remove(id))),
        }
    }

    /// Notes what a unit has read elsewhere; at the latest when it goes to its next job.
    pub(crate) fn note_seen(&mut self, id: UnitId, seen: Vec<(Key, Seen)>) {
        let slot = self.slots.entry(id).or_insert_with(|| Slot { unit: Some(Box::default()), ..Slot::default() });
        slot.seen.extend(seen);
    }

    /// Does something with a unit on the caller's thread, if no job of it is on its way.
    pub(crate) fn with_idle<T>(&mut self, id: UnitId, act: impl FnOnce(&mut Unit) -> T) -> Option<T> {
        let slot = self.slots.entry(id).or_insert_with(|| Slot { unit: Some(Box::default()), ..Slot::default() });
        if slot.current.is_some() || slot.discarded {
            return None;
        }
        let unit = slot.unit.get_or_insert_default();
        unit.note_seen(slot.seen.drain(..));
        let done = act(unit);
        self.bytes = self.bytes - slot.bytes + unit.bytes;
        slot.bytes = unit.bytes;
        Some(done)
    }

    fn remove(&mut self, id: UnitId) -> Box<Unit> {
        let slot = self.slots.remove(&id).unwrap_or_default();
        self.bytes -= slot.bytes;
        slot.unit.unwrap_or_default()
    }

    /// Gives the unit to the thread that runs its job, until it comes back.
    pub(crate) fn check_out(&mut self, id: UnitId) -> Box<Unit> {
        let Some(slot) = self.slots.get_mut(&id) else { return Box::default() };
        let mut unit = slot.unit.take().unwrap_or_default();
        unit.note_seen(slot.seen.drain(..));
        unit
    }

    /// Takes the unit back after its job.
    pub(crate) fn check_in(&mut self, id: UnitId, unit: Box<Unit>) -> Next {
        let Some(slot) = self.slots.get_mut(&id) else { return Next::Nothing };
        self.bytes = self.bytes - slot.bytes + unit.bytes;
        slot.bytes = unit.bytes;
        slot.unit = Some(unit);
        slot.current = None;
        if slot.discarded {
            let waiting = slot.waiting.drain(..).collect();
            self.remove(id);
            return Next::Discarded(waiting);
        }
        match slot.waiting.pop_front() {
            None => Next::Nothing,
            Some(task) if task.is_commit() => {
                let left = slot.waiting.drain(..).collect::<Vec<_>>();
                debug_assert!(left.is_empty(), "nothing follows the commit of a unit");
                Next::Commit(task, self.remove(id))
            }
            Some(task) => {
                slot.current = Some(task.limits.cancelled.clone());
                Next::Run(task)
            }
        }
    }

    /// Forgets a unit, at once or when the job that has it ends.
    pub(crate) fn discard(&mut self, id: UnitId) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        match &slot.current {
            Some(current) => {
                current.set();
                slot.discarded = true;
            }
            None => drop(self.remove(id)),
        }
    }

    /// Everything that still waits, at the end of the store.
    pub(crate) fn drain(&mut self) -> Vec<Task> {
        self.bytes = 0;
        self.slots.drain().flat_map(|(_, slot)| slot.waiting).collect()
    }
}
