//! The units of work that are open. Jobs of one unit run one after the other, in the order in which they
//! came, whichever thread runs them; the unit moves with its job to that thread and comes back.

use super::queue::Task;
use super::watch::Cancelled;
use crate::{job::UnitId, unit::Unit};
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

    fn remove(&mut self, id: UnitId) -> Box<Unit> {
        let slot = self.slots.remove(&id).unwrap_or_default();
        self.bytes -= slot.bytes;
        slot.unit.unwrap_or_default()
    }

    /// Gives the unit to the thread that runs its job, until it comes back.
    pub(crate) fn lend(&mut self, id: UnitId) -> Box<Unit> {
        self.slots.get_mut(&id).and_then(|slot| slot.unit.take()).unwrap_or_default()
    }

    /// Takes the unit back after its job.
    pub(crate) fn give_back(&mut self, id: UnitId, unit: Box<Unit>) -> Next {
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
