//! Start permits: how many starts of all modules together may be in progress, and which slots wait for a
//! permit. A start holds its permit from the order to spawn until the process is ready or is on its way out.
//! A start that hangs gives it back at its start timeout, one that compiles for long gives it back earlier
//! ([`crate::compiling`]). When a module that ended is started again is decided in [`crate::restart`].
//!
//! Slots that a caller waits for are prioritized. After [`PRIORITIZED_MAX`] prioritized grants in a row the
//! oldest waiter is served, so no start starves. What a start itself waits for, directly or through others,
//! needs no permit: otherwise starts that hold all permits could wait for one that needs a permit.

use crate::{
    core::{Core, Outstanding},
    ids::{Caller, ModuleId, RequestId, RunId, SlotId},
    limits::PRIORITIZED_MAX,
    open::Open,
    run::{Phase, Role},
    slots::{Slot, SlotState, Vacancy},
    steps,
    time::Time,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// Whether a waiting slot is prioritized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// A caller waits for it: there are requests for it, or its start was requested.
    Requested,
    /// No caller waits for it.
    Background,
}

/// A position in the queue for permits; the lowest is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaitPosition {
    priority: Priority,
    number: u64,
}

/// The starts that are in progress, and the slots that wait for a start permit.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    /// Processes that start, but for those that have compiled for so long that they gave their permit back.
    in_progress: BTreeSet<RunId>,
    waiting: BTreeMap<WaitPosition, (ModuleId, SlotId)>,
    next_number: u64,
    /// Grants in a row to prioritized waiters while others waited.
    prioritized: u32,
}

impl Starts {
    pub(crate) fn in_progress(&self) -> usize {
        self.in_progress.len()
    }

    /// A start is ordered, or goes on.
    pub(crate) fn begin(&mut self, run: RunId) {
        self.in_progress.insert(run);
    }

    /// A slot does not wait for a start permit any more.
    pub(crate) fn leave(&mut self, position: WaitPosition) {
        self.waiting.remove(&position);
    }

    pub(crate) fn join(&mut self, priority: Priority, id: ModuleId, slot: SlotId) -> WaitPosition {
        let position = WaitPosition { priority, number: self.next_number };
        self.next_number += 1;
        self.waiting.insert(position, (id, slot));
        position
    }

    /// The next position to be granted a permit.
    pub(crate) fn first(&self) -> Option<WaitPosition> {
        let first = *self.waiting.first_key_value()?.0;
        let longest = self.waiting.range(WaitPosition { priority: Priority::Background, number: 0 }..).next();
        longest.map(|(position, _)| *position).filter(|_| self.prioritized >= PRIORITIZED_MAX).or(Some(first))
    }

    fn take(&mut self, position: WaitPosition) -> Option<(ModuleId, SlotId)> {
        let slot = self.waiting.remove(&position)?;
        let overtakes = position.priority == Priority::Requested
            && self.waiting.last_key_value().is_some_and(|(last, _)| last.priority == Priority::Background);
        self.prioritized = if overtakes { self.prioritized.saturating_add(1) } else { 0 };
        Some(slot)
    }
}

impl Core {
    /// Moves a process on from its start, or from a later phase of its life. Its timer follows, and a start
    /// that is over gives its permit back; the caller grants it to another by [`Core::grant_permits`] when
    /// everything else that follows is done.
    pub(crate) fn enter(&mut self, run_id: RunId, phase: Phase) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.phase = phase;
        if run.holds_permit() {
            self.starts.begin(run_id);
        } else {
            self.starts.in_progress.remove(&run_id);
        }
        self.arm(run_id);
    }

    /// A vacant slot may start as soon as it has a start permit, which is at once unless many others start.
    pub(crate) fn request_permit(&mut self, id: ModuleId, slot_id: SlotId) {
        let asked = self.is_asked_for(id);
        let slot =
            self.modules.get_mut(id).and_then(|module| module.slots.get_mut(slot_id)).expect("the caller has it");
        let priority = if asked && slot.role() != Role::Spare { Priority::Requested } else { Priority::Background };
        slot.wait(Vacancy::AwaitsPermit(self.starts.join(priority, id, slot_id)));
    }

    /// A caller waits for a module: if it waits for a start permit, or what it requires does, that goes first.
    pub(crate) fn raise_priority(&mut self, now: Time, id: ModuleId) {
        if self.starts.waiting.is_empty() {
            return;
        }
        let mut lifted = Vec::new();
        self.visit_required([id].into(), |id, slot, position| {
            if position.priority == Priority::Background {
                lifted.push((id, slot.id, position));
            }
            ControlFlow::Continue(())
        });
        for (id, slot_id, position) in lifted {
            self.starts.leave(position);
            let position = self.starts.join(Priority::Requested, id, slot_id);
            let slot =
                self.modules.get_mut(id).and_then(|module| module.slots.get_mut(slot_id)).expect("it was found above");
            slot.wait(Vacancy::AwaitsPermit(position));
        }
        self.grant_permits(now);
    }

    /// Starts what may start now.
    pub(crate) fn grant_permits(&mut self, now: Time) {
        while let Some(position) = self.next_grant() {
            let Some((id, slot)) = self.starts.take(position) else { return };
            self.start_now(now, id, slot);
        }
    }

    /// Whether one more start is within the bound.
    pub(crate) fn has_free_permit(&self) -> bool {
        self.starts.in_progress.len() < self.settings.starts_at_once.max(1) as usize
    }

    /// The slot that may start now, if there is one.
    pub(crate) fn next_grant(&self) -> Option<WaitPosition> {
        let first = self.starts.first()?;
        if self.has_free_permit() {
            return Some(first);
        }
        let mut needed = None;
        self.visit_required(self.needed_by_starts(), |_, _, position| {
            needed = Some(position);
            ControlFlow::Break(())
        });
        needed
    }

    /// The modules that must start before the starts in progress can go on: of the modules that these, directly or
    /// through others, have sent requests to, those that do not serve yet.
    fn needed_by_starts(&self) -> BTreeSet<ModuleId> {
        let mut askers: Vec<RunId> = self.starts.in_progress.iter().copied().collect();
        let (mut asked, mut needed) = (BTreeSet::new(), BTreeSet::new());
        while let Some(asker) = askers.pop() {
            steps::count(1);
            for (_, outstanding) in self.callers.get(Caller::Run(asker)).into_iter().flat_map(Open::iter) {
                let id = match outstanding {
                    Outstanding::Request(id) => self.requests.get(id).map(|entry| entry.module),
                    Outstanding::Waiter(id) => {
                        let waiter = self.waiters.get(&id).filter(|waiter| waiter.goal.needs_a_start());
                        needed.extend(waiter.map(|waiter| waiter.module));
                        None
                    }
                    // The store answers whether modules start or not.
                    Outstanding::StoreRequest(_) => None,
                };
                if let Some(id) = id.filter(|id| asked.insert(*id)) {
                    let module = &self.modules[id];
                    askers.extend(module.slots.runs());
                    if !self.is_serving(&module.spec.name) {
                        needed.insert(id);
                    }
                }
            }
        }
        needed
    }

    /// Looks at the slots of modules, and of what these wait for by `requires`, that wait for a start permit.
    /// Spares are left out: no caller waits for one.
    fn visit_required(
        &self,
        mut known: BTreeSet<ModuleId>,
        mut look: impl FnMut(ModuleId, &Slot, WaitPosition) -> ControlFlow<()>,
    ) {
        let mut due: Vec<ModuleId> = known.iter().copied().collect();
        while let Some(id) = due.pop() {
            steps::count(1);
            for slot in self.modules[id].slots.iter().filter(|slot| slot.role() != Role::Spare) {
                match *slot.state() {
                    SlotState::Vacant(Vacancy::AwaitsPermit(position)) => {
                        if look(id, slot, position).is_break() {
                            return;
                        }
                    }
                    SlotState::Vacant(Vacancy::Requires(_)) => {
                        let required = slot.spec.requires.iter().filter_map(|name| self.modules.id(name));
                        due.extend(required.filter(|id| known.insert(*id)));
                    }
                    SlotState::Vacant(_) | SlotState::Occupied(_) | SlotState::Clearing { .. } => {}
                }
            }
        }
    }

    /// Whether a caller waits for a module: for an answer, or for the module itself.
    fn is_asked_for(&self, id: ModuleId) -> bool {
        let module = &self.modules[id];
        let answers = |request: RequestId| self.requests.get(request).is_some_and(|entry| entry.recipient.is_some());
        module.queue.keyed() > 0
            || module.queue.iter().any(answers)
            || module.waiters.keys().any(|goal| goal.needs_a_start())
    }

    /// Checks that the queue and the slots agree, and that nothing waits that need not. For tests.
    pub(crate) fn audit_starts(&self) {
        let starting = self.runs.iter().filter(|(_, run)| run.holds_permit());
        assert_eq!(starting.map(|(id, _)| *id).collect::<BTreeSet<_>>(), self.starts.in_progress, "starts in progress");
        let mut waiting = BTreeMap::new();
        for (id, module) in self.modules.iter() {
            for slot in module.slots.iter() {
                match *slot.state() {
                    SlotState::Vacant(Vacancy::AwaitsPermit(position)) => {
                        assert_eq!(waiting.insert(position, (id, slot.id)), None, "one number, two slots: {slot:?}");
                    }
                    SlotState::Clearing { next: Vacancy::AwaitsPermit(_), .. } => {
                        panic!("it may not wait for a permit yet: {slot:?}")
                    }
                    SlotState::Vacant(_) | SlotState::Occupied(_) | SlotState::Clearing { .. } => {}
                }
            }
        }
        assert_eq!(waiting, self.starts.waiting, "which slots wait for a start permit");
        assert_eq!(self.next_grant(), None, "it waits although there is a permit: {:?}", self.starts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_waiter_has_its_permit_although_others_are_always_prioritized() {
        let mut starts = Starts::default();
        let background = starts.join(Priority::Background, ModuleId(0), SlotId(0));
        for number in 1..=PRIORITIZED_MAX {
            let asked = starts.join(Priority::Requested, ModuleId(number), SlotId(0));
            starts.join(Priority::Requested, ModuleId(1000 + number), SlotId(0));
            assert!(asked > *starts.waiting.first_key_value().unwrap().0 || number == 1);
            let first = starts.first().unwrap();
            assert_eq!(first.priority, Priority::Requested);
            starts.take(first);
        }
        assert_eq!(starts.first(), Some(background));
        assert_eq!(starts.take(background), Some((ModuleId(0), SlotId(0))));
        assert_eq!((starts.prioritized, starts.first().unwrap().priority), (0, Priority::Requested));
    }
}
