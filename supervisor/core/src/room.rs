//! How many of the host's descriptors processes may have, and which slots wait for some. A slot gets its share with
//! its first start and keeps it until nothing is to run in it any more, so that what has run once can always
//! be started again. A slot without enough waits in a queue of its own, and nothing is counted for it.
//!
//! The host finds out how many there are.

use crate::{
    action::Action,
    core::Core,
    ids::{ModuleId, SlotId},
    run::Role,
    slots::{Slot, SlotState, Vacancy},
    time::Time,
    waiters::Goal,
};
use bulkhead_protocol::{ErrorCode, Failure, Status};
use std::collections::BTreeMap;

/// The descriptors of the host's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many it may have open.
    pub limit: u64,
    /// How many of them are not for processes: the host's own, and its clients'.
    pub reserved: u64,
    /// How many of them would not be for processes if the limit were high enough for all that should run.
    pub reserved_then: u64,
    /// How many a process takes beside what its module asks for.
    pub beside: u64,
}

/// What processes have, and what they wait for.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// `None` until it is known: there is no limit then.
    descriptors: Option<Descriptors>,
    taken: u64,
    /// The slots that wait, by number, and for how many descriptors.
    queue: BTreeMap<u64, (ModuleId, SlotId, u64)>,
    next_number: u64,
    /// The descriptors that those in the queue wait for, all together.
    wanted: u64,
    /// Whether the operator was warned that there are not enough.
    has_warned: bool,
}

impl Room {
    fn has(&self, needed: u64) -> bool {
        self.descriptors.is_none_or(|all| all.reserved + self.taken + needed <= all.limit)
    }

    fn needed(&self, slot: &Slot) -> u64 {
        u64::from(slot.spec.descriptors) + self.descriptors.map_or(0, |all| all.beside)
    }

    fn join(&mut self, id: ModuleId, slot: SlotId, needed: u64) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.queue.insert(number, (id, slot, needed));
        self.wanted += needed;
        number
    }

    /// A slot no longer waits for descriptors.
    pub(crate) fn leave(&mut self, number: u64) {
        if let Some((_, _, needed)) = self.queue.remove(&number) {
            self.wanted -= needed;
        }
        self.has_warned &= !self.queue.is_empty();
    }

    /// The limit, and the one that would suffice.
    pub(crate) fn limits(&self) -> (u64, u64) {
        let (limit, reserved) = self.descriptors.map_or((u64::MAX, 0), |all| (all.limit, all.reserved_then));
        (limit, reserved + self.taken + self.wanted)
    }

    /// Why slots wait, and what to do.
    pub(crate) fn describe(&self) -> String {
        let (limit, needed) = self.limits();
        format!(
            "the host may have {limit} files open, and all that should run needs {needed}: raise the limit (ulimit \
             -n, LimitNOFILE=) and start the host again, or stop something"
        )
    }
}

impl Core {
    /// How many descriptors there are from now on.
    pub fn handle_descriptors(&mut self, now: Time, descriptors: Descriptors) {
        self.room.descriptors = Some(descriptors);
        self.give_room(now);
    }

    /// Whether the host may take one descriptor more for something that is no process, beside `reserved`.
    pub fn has_descriptor(&self, reserved: u64) -> bool {
        self.room.descriptors.is_none_or(|all| reserved + self.room.taken < all.limit)
    }

    /// Reserves a slot's descriptors, unless it has them; `false` if there are too few, for which it waits then.
    pub(crate) fn take_room(&mut self, id: ModuleId, slot_id: SlotId) -> bool {
        let slots = &mut self.modules.get_mut(id).expect("the caller has it").slots;
        let slot = slots.get_mut(slot_id).expect("the caller has it");
        if slot.room() > 0 {
            return true;
        }
        let needed = self.room.needed(slot);
        if self.room.has(needed) && self.room.queue.is_empty() {
            slots.give_room(slot_id, needed);
            self.room.taken += needed;
            return true;
        }
        slot.wait(Vacancy::NoRoom(self.room.join(id, slot_id, needed)));
        if !std::mem::replace(&mut self.room.has_warned, true) {
            let reason = format!("no module can be started any more: {}", self.room.describe());
            self.act(Action::Warn(reason));
        }
        false
    }

    /// Takes back the descriptors of slots in which nothing is to run any more, or that are gone.
    pub(crate) fn settle_room(&mut self, now: Time, id: ModuleId) {
        let Some(module) = self.modules.get_mut(id) else { return };
        let freed = module.slots.settle_room();
        self.room.taken -= freed;
        if freed > 0 {
            self.give_room(now);
        }
    }

    /// Starts slots that wait for descriptors, as far as there are enough.
    fn give_room(&mut self, now: Time) {
        while let Some((number, (id, slot_id, needed))) = self.room.queue.first_key_value().map(|(at, who)| (*at, *who))
            && self.room.has(needed)
        {
            self.room.leave(number);
            let slots = &mut self.modules.get_mut(id).expect("what is removed has left the line").slots;
            slots.get_mut(slot_id).expect("what is removed has left the line").wait(Vacancy::Stopped);
            slots.give_room(slot_id, needed);
            self.room.taken += needed;
            self.try_start(now, id, slot_id);
        }
    }

    /// Callers of a start without enough descriptors are answered now; the start follows when there are enough.
    pub(crate) fn refuse_without_room(&mut self, id: ModuleId) {
        let waits = |slot: &Slot| matches!(slot.state(), SlotState::Vacant(Vacancy::NoRoom(_)));
        if self.modules[id].slots.with_role(Role::Active).any(waits) {
            let name = &self.modules[id].spec.name;
            let reason = format!("{name} cannot be started now: {}", self.room.describe());
            let status: Status = Failure::new(ErrorCode::ModuleUnavailable, reason).into();
            for waiter in self.waiters_with(id, |goal| matches!(goal, Goal::ReadyAfter(_))) {
                self.answer_waiter(waiter, status.clone());
            }
        }
    }

    /// A new version without enough descriptors beside the old one is not waited for.
    pub(crate) fn reload_without_room(&mut self, now: Time, id: ModuleId) {
        let waits = |slot: &Slot| matches!(slot.state(), SlotState::Vacant(Vacancy::NoRoom(_)));
        if self.modules[id].slots.with_role(Role::Successor).any(waits) {
            let reason = self.room.describe();
            self.reload_failed(now, id, &reason, &[]);
            self.settle_room(now, id);
        }
    }

    /// Checks that the queue, the slots and the sums agree, and that nothing waits for what is there. For tests.
    pub(crate) fn audit_room(&self) {
        let (mut taken, mut queue) = (0, BTreeMap::new());
        for (id, module) in self.modules.iter() {
            let held: u64 = module.slots.iter().map(Slot::room).sum();
            assert_eq!(held, module.slots.room(), "room of {}", module.spec.name);
            taken += held;
            for slot in module.slots.iter() {
                assert!(slot.run().is_none() || slot.room() > 0, "a process without room: {slot:?}");
                assert!(slot.room() == 0 || slot.is_live() || slot.run().is_some(), "room for nothing: {slot:?}");
                match *slot.state() {
                    SlotState::Vacant(Vacancy::NoRoom(number)) => _ = queue.insert(number, (id, slot.id)),
                    SlotState::Clearing { next: Vacancy::NoRoom(_), .. } => panic!("it has room: {slot:?}"),
                    SlotState::Vacant(_) | SlotState::Occupied(_) | SlotState::Clearing { .. } => {}
                }
            }
        }
        assert_eq!(taken, self.room.taken, "room that is taken");
        let known = self.room.queue.iter().map(|(number, (id, slot, _))| (*number, (*id, *slot)));
        assert_eq!(queue, known.collect(), "who waits for room");
        assert_eq!(self.room.wanted, self.room.queue.values().map(|(_, _, needed)| needed).sum::<u64>());
        if let Some((_, (_, _, needed))) = self.room.queue.first_key_value() {
            assert!(!self.room.has(*needed), "it waits although there is room: {:?}", self.room);
        }
    }
}
