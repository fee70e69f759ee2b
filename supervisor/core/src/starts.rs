//! How many starts of all modules together may be in progress, and who waits for a turn. A start is in
//! progress from the order to spawn until the process is ready or is on its way out, so what hangs gives
//! its turn back when its start timeout ends, and what compiles for long does so earlier
//! ([`crate::compiling`]). When a module that ended is to be started again is
//! [`crate::restart`]'s business: this is about what may start now.
//!
//! Nothing waits for ever. Those that somebody waits for go first, but not always: every so often the
//! turn is that of who has waited longest. And what a start itself waits for, directly or through others,
//! does not wait for a turn, or those that hold the turns could wait for those that need one.

use crate::{
    action::{Caller, RunId},
    core::{Core, Outstanding},
    module::{ModuleId, Slot, SlotId, SlotState, Vacancy},
    open::Open,
    run::{Phase, Role},
    steps,
    time::Time,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// Turns in a row that are given to what somebody waits for, while others wait.
const AHEAD_MAX: u32 = 8;

/// Whether somebody waits for what waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// There are requests for it, or somebody asked for its start.
    Asked,
    /// Nobody does.
    Patient,
}

/// A number in the line; the lowest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    urgency: Urgency,
    number: u64,
}

/// The starts that are in progress, and the places that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    /// Processes that start, but for those that have compiled for so long that they gave their turn back.
    in_progress: BTreeSet<RunId>,
    line: BTreeMap<Ticket, (ModuleId, SlotId)>,
    next_number: u64,
    /// How many turns in a row have gone to what was asked for while others waited.
    ahead: u32,
}

impl Starts {
    pub(crate) fn in_progress(&self) -> usize {
        self.in_progress.len()
    }

    /// A start is ordered, or goes on.
    pub(crate) fn begin(&mut self, run: RunId) {
        self.in_progress.insert(run);
    }

    /// A place does not wait for its turn any more.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.line.remove(&ticket);
    }

    fn join(&mut self, urgency: Urgency, id: ModuleId, slot: SlotId) -> Ticket {
        let ticket = Ticket { urgency, number: self.next_number };
        self.next_number += 1;
        self.line.insert(ticket, (id, slot));
        ticket
    }

    /// Whose turn is next.
    fn first(&self) -> Option<Ticket> {
        let first = *self.line.first_key_value()?.0;
        let longest = self.line.range(Ticket { urgency: Urgency::Patient, number: 0 }..).next();
        longest.map(|(ticket, _)| *ticket).filter(|_| self.ahead >= AHEAD_MAX).or(Some(first))
    }

    fn take(&mut self, ticket: Ticket) -> Option<(ModuleId, SlotId)> {
        let place = self.line.remove(&ticket)?;
        let overtakes = ticket.urgency == Urgency::Asked
            && self.line.last_key_value().is_some_and(|(last, _)| last.urgency == Urgency::Patient);
        self.ahead = if overtakes { self.ahead.saturating_add(1) } else { 0 };
        Some(place)
    }
}

impl Core {
    /// Moves a process on from its start, or from a later phase of its life. Its timer follows, and a start
    /// that is over gives its turn back; whoever calls this gives it to another when all else is done that
    /// follows, by [`Core::give_turns`].
    pub(crate) fn enter(&mut self, run_id: RunId, phase: Phase) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.phase = phase;
        if run.has_turn() {
            self.starts.begin(run_id);
        } else {
            self.starts.in_progress.remove(&run_id);
        }
        self.arm(run_id);
    }

    /// A vacant place may start as soon as it is its turn, which is at once unless many others start.
    pub(crate) fn join_line(&mut self, id: ModuleId, slot_id: SlotId) {
        let asked = self.is_asked_for(id);
        let slot = self.modules.get_mut(&id).and_then(|module| module.slot(slot_id)).expect("the caller has it");
        let urgency = if asked && slot.role != Role::Spare { Urgency::Asked } else { Urgency::Patient };
        slot.state = SlotState::Vacant(Vacancy::InLine(self.starts.join(urgency, id, slot_id)));
    }

    /// Somebody waits for a module: if it waits for its turn, or what it requires does, that goes first.
    pub(crate) fn lift(&mut self, now: Time, id: ModuleId) {
        if self.starts.line.is_empty() {
            return;
        }
        let mut lifted = Vec::new();
        self.visit_required([id].into(), |id, slot, ticket| {
            if ticket.urgency == Urgency::Patient {
                lifted.push((id, slot.id, ticket));
            }
            ControlFlow::Continue(())
        });
        for (id, slot_id, ticket) in lifted {
            self.starts.leave(ticket);
            let urgent = self.starts.join(Urgency::Asked, id, slot_id);
            let slot = self.modules.get_mut(&id).and_then(|module| module.slot(slot_id)).expect("it was found above");
            slot.state = SlotState::Vacant(Vacancy::InLine(urgent));
        }
        self.give_turns(now);
    }

    /// Starts whatever may start now.
    pub(crate) fn give_turns(&mut self, now: Time) {
        while let Some(ticket) = self.next_turn() {
            let Some((id, slot)) = self.starts.take(ticket) else { return };
            self.start_now(now, id, slot);
        }
    }

    /// Whether one more start is within the bound.
    pub(crate) fn has_free_turn(&self) -> bool {
        self.starts.in_progress.len() < self.settings.starts_at_once.max(1) as usize
    }

    /// The place that may start now, if there is one.
    pub(crate) fn next_turn(&self) -> Option<Ticket> {
        let first = self.starts.first()?;
        if self.has_free_turn() {
            return Some(first);
        }
        let mut needed = None;
        self.visit_required(self.needed_by_starts(), |_, _, ticket| {
            needed = Some(ticket);
            ControlFlow::Break(())
        });
        needed
    }

    /// The modules that must start before the starts in progress can go on: those that they have asked and
    /// that serve not yet, those that the others that they have asked have asked, and so on.
    fn needed_by_starts(&self) -> BTreeSet<ModuleId> {
        let mut askers: Vec<RunId> = self.starts.in_progress.iter().copied().collect();
        let (mut asked, mut needed) = (BTreeSet::new(), BTreeSet::new());
        while let Some(asker) = askers.pop() {
            steps::count(1);
            for (_, outstanding) in self.callers.get(&Caller::Run(asker)).into_iter().flat_map(Open::iter) {
                let id = match outstanding {
                    Outstanding::Request(id) => self.requests.get(&id).map(|pending| pending.module),
                    Outstanding::Waiter(id) => {
                        let waiter = self.waiters.get(&id).filter(|waiter| waiter.goal.needs_a_start());
                        needed.extend(waiter.map(|waiter| waiter.module));
                        None
                    }
                    // The store answers whether modules start or not.
                    Outstanding::Operation(_) => None,
                };
                if let Some(id) = id.filter(|id| asked.insert(*id)) {
                    let module = &self.modules[&id];
                    askers.extend(module.slots.iter().filter_map(Slot::run));
                    if !self.is_serving(&module.spec.name) {
                        needed.insert(id);
                    }
                }
            }
        }
        needed
    }

    /// Looks at the places of modules, and of what these wait for by `requires`, that wait for their turn.
    /// Spares are left out: nobody waits for one.
    fn visit_required(
        &self,
        mut known: BTreeSet<ModuleId>,
        mut look: impl FnMut(ModuleId, &Slot, Ticket) -> ControlFlow<()>,
    ) {
        let mut due: Vec<ModuleId> = known.iter().copied().collect();
        while let Some(id) = due.pop() {
            steps::count(1);
            for slot in self.modules[&id].slots.iter().filter(|slot| slot.role != Role::Spare) {
                match slot.state {
                    SlotState::Vacant(Vacancy::InLine(ticket)) => {
                        if look(id, slot, ticket).is_break() {
                            return;
                        }
                    }
                    SlotState::Vacant(Vacancy::Requires(_)) => {
                        let required = slot.spec.requires.iter().filter_map(|name| self.names.get(name).copied());
                        due.extend(required.filter(|id| known.insert(*id)));
                    }
                    SlotState::Vacant(_) | SlotState::Occupied(_) | SlotState::Clearing { .. } => {}
                }
            }
        }
    }

    /// Whether somebody waits for a module: for an answer, or for the module itself.
    fn is_asked_for(&self, id: ModuleId) -> bool {
        let module = &self.modules[&id];
        let answers = |request| self.requests.get(request).is_some_and(|pending| pending.recipient.is_some());
        module.aside > 0 || module.queue.iter().any(answers) || module.waiters.keys().any(|goal| goal.needs_a_start())
    }

    /// Checks that the line and the places agree, and that nobody waits who need not. For tests.
    pub(crate) fn audit_starts(&self) {
        let starting = self.runs.iter().filter(|(_, run)| run.has_turn());
        assert_eq!(starting.map(|(id, _)| *id).collect::<BTreeSet<_>>(), self.starts.in_progress, "starts in progress");
        let mut waiting = BTreeMap::new();
        for (id, module) in self.modules.iter() {
            for slot in &module.slots {
                match slot.state {
                    SlotState::Vacant(Vacancy::InLine(ticket)) => {
                        assert_eq!(waiting.insert(ticket, (*id, slot.id)), None, "one number, two places: {slot:?}");
                    }
                    SlotState::Clearing { next: Vacancy::InLine(_), .. } => panic!("it is no turn's yet: {slot:?}"),
                    SlotState::Vacant(_) | SlotState::Occupied(_) | SlotState::Clearing { .. } => {}
                }
            }
        }
        assert_eq!(waiting, self.starts.line, "who waits for a turn");
        assert_eq!(self.next_turn(), None, "it waits although it is its turn: {:?}", self.starts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longest_has_its_turn_although_others_are_always_asked_for() {
        let mut starts = Starts::default();
        let patient = starts.join(Urgency::Patient, ModuleId(0), SlotId(0));
        for number in 1..=AHEAD_MAX {
            let asked = starts.join(Urgency::Asked, ModuleId(number), SlotId(0));
            starts.join(Urgency::Asked, ModuleId(1000 + number), SlotId(0));
            assert!(asked > *starts.line.first_key_value().unwrap().0 || number == 1);
            let first = starts.first().unwrap();
            assert_eq!(first.urgency, Urgency::Asked);
            starts.take(first);
        }
        assert_eq!(starts.first(), Some(patient));
        assert_eq!(starts.take(patient), Some((ModuleId(0), SlotId(0))));
        assert_eq!((starts.ahead, starts.first().unwrap().urgency), (0, Urgency::Asked));
    }
}
