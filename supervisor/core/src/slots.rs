//! The slots of one module, and what each is for, which changes together when a spare takes over or a reload
//! replaces them. When that is so is decided in [`crate::on_exit`], [`crate::reload`] and [`crate::control`].

mod slot;

pub(crate) use slot::{Queues, Slot, SlotState, Vacancy};

use crate::{
    ids::{RunId, SlotId},
    random::Random,
    restart::Restart,
    run::Role,
    spec::ModuleSpec,
};
use std::sync::Arc;

/// The slots of one module. Each has its number for good: none is given twice.
#[derive(Debug)]
pub(crate) struct Slots {
    all: Vec<Slot>,
    next: u32,
    /// Descriptors of the host that are kept for them, those that are gone included until that is settled.
    room: u64,
    /// The generator that they get theirs from.
    random: Random,
}

impl Slots {
    pub(crate) fn new(random: Random) -> Slots {
        Slots { all: Vec::new(), next: 0, room: 0, random }
    }

    pub(crate) fn get(&self, id: SlotId) -> Option<&Slot> {
        self.all.iter().find(|slot| slot.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.all.iter_mut().find(|slot| slot.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.all.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.all.iter_mut()
    }

    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = &Slot> {
        self.all.iter().filter(move |slot| slot.role == role)
    }

    /// The processes of all slots.
    pub(crate) fn runs(&self) -> impl Iterator<Item = RunId> {
        self.all.iter().filter_map(Slot::run)
    }

    /// What a slot is for. One that is gone was for a process that is not wanted any more.
    pub(crate) fn role(&self, id: SlotId) -> Role {
        self.get(id).map_or(Role::Retiring, Slot::role)
    }

    /// Whether no process is left.
    pub(crate) fn are_vacant(&self) -> bool {
        self.all.iter().all(|slot| matches!(slot.state, SlotState::Vacant(_)))
    }

    /// Adds what a specification asks for and is not there.
    pub(crate) fn fill(&mut self, spec: &Arc<ModuleSpec>) {
        for (role, wanted) in [(Role::Active, spec.instances.max(1)), (Role::Spare, spec.spares)] {
            for _ in self.with_role(role).count()..wanted as usize {
                self.add(role, spec.clone());
            }
        }
    }

    /// Adds a slot for each process that is to serve by a specification that a reload brings in.
    pub(crate) fn add_successors(&mut self, spec: &Arc<ModuleSpec>) -> Vec<SlotId> {
        (0..spec.instances.max(1)).map(|_| self.add(Role::Successor, spec.clone())).collect()
    }

    fn add(&mut self, role: Role, spec: Arc<ModuleSpec>) -> SlotId {
        let id = SlotId(self.next);
        self.next += 1;
        let state = SlotState::Vacant(Vacancy::Stopped);
        let random = self.random.split(u64::from(id.0));
        let restart = Restart::default();
        self.all.push(Slot { id, role, state, restart, spec, required_seen: 0, ordered: false, room: 0, random });
        id
    }

    /// A spare takes the role of a slot whose process serves no more, and that one becomes the spare.
    pub(crate) fn promote(&mut self, spare: SlotId, vacant: SlotId) {
        for slot in &mut self.all {
            match slot.id {
                id if id == spare => slot.role = Role::Active,
                id if id == vacant => slot.role = Role::Spare,
                _ => {}
            }
        }
    }

    /// The successors serve, and all others retire. Returns the processes that are to end.
    pub(crate) fn hand_over(&mut self, queues: &mut Queues<'_>) -> Vec<RunId> {
        let retired = self.retire(queues, |role| role != Role::Successor);
        for slot in self.all.iter_mut().filter(|slot| slot.role == Role::Successor) {
            slot.role = Role::Active;
        }
        retired
    }

    /// All slots retire. Returns the processes that are to end.
    pub(crate) fn retire_all(&mut self, queues: &mut Queues<'_>) -> Vec<RunId> {
        self.retire(queues, |_| true)
    }

    /// The successors retire: what they were to replace stays. Returns the processes that are to end.
    pub(crate) fn retire_successors(&mut self, queues: &mut Queues<'_>) -> Vec<RunId> {
        self.retire(queues, |role| role == Role::Successor)
    }

    /// A slot that retires waits for nothing, and is forgotten as soon as it has no process.
    fn retire(&mut self, queues: &mut Queues<'_>, which: impl Fn(Role) -> bool) -> Vec<RunId> {
        let mut retired = Vec::new();
        self.all.retain_mut(|slot| {
            if which(slot.role) {
                queues.leave(slot);
                slot.role = Role::Retiring;
                retired.extend(slot.run());
            }
            slot.role != Role::Retiring || slot.run().is_some()
        });
        retired
    }

    /// Forgets a slot that was there for one process alone, of which nothing is left.
    pub(crate) fn forget(&mut self, id: SlotId) {
        self.all.retain(|slot| {
            let is_forgotten = slot.id == id;
            debug_assert!(!is_forgotten || matches!(slot.role, Role::Retiring | Role::Successor), "{slot:?}");
            !is_forgotten
        });
    }

    /// Keeps descriptors of the host for a slot that has none.
    pub(crate) fn give_room(&mut self, id: SlotId, room: u64) {
        let slot = self.get_mut(id).expect("what waits for room is there");
        debug_assert_eq!(slot.room, 0, "{slot:?}");
        slot.room = room;
        self.room += room;
    }

    /// Takes the descriptors of slots in which nothing is to run any more, or that are gone. Returns how many.
    pub(crate) fn settle_room(&mut self) -> u64 {
        for slot in self.all.iter_mut().filter(|slot| !slot.is_live() && slot.run().is_none()) {
            slot.room = 0;
        }
        let held = self.all.iter().map(|slot| slot.room).sum();
        std::mem::replace(&mut self.room, held) - held
    }

    /// Descriptors that are kept for all of them. For tests.
    pub(crate) fn room(&self) -> u64 {
        self.room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::ModuleId,
        restart::WaitReason,
        room::Room,
        starts::{Priority, Starts},
        time::Time,
        timers::Timers,
    };
    use bulkhead_protocol::ModuleName;

    const SLOT: SlotId = SlotId(0);
    const RUN: RunId = RunId(7);

    /// Slots for a module with one process and a spare.
    fn slots() -> Slots {
        let mut slots = Slots::new(Random::new(1));
        slots.fill(&spec());
        slots
    }

    fn spec() -> Arc<ModuleSpec> {
        let mut spec = ModuleSpec::new(ModuleName::new("m").unwrap(), 1);
        spec.spares = 1;
        Arc::new(spec)
    }

    /// Does something with slots beside the queues of a host.
    fn beside<T>(starts: &mut Starts, act: impl FnOnce(&mut Queues<'_>) -> T) -> T {
        let (timers, room) = (&mut Timers::default(), &mut Room::default());
        act(&mut Queues { module: ModuleId(3), timers, starts, room })
    }

    fn roles(slots: &Slots) -> Vec<(u32, Role)> {
        slots.iter().map(|slot| (slot.id.0, slot.role())).collect()
    }

    #[test]
    fn what_is_there_is_not_added_again_and_no_number_is_given_twice() {
        let mut slots = slots();
        slots.fill(&spec());
        assert_eq!(roles(&slots), [(0, Role::Active), (1, Role::Spare)]);
        beside(&mut Starts::default(), |queues| slots.retire_all(queues));
        slots.fill(&spec());
        assert_eq!(roles(&slots), [(2, Role::Active), (3, Role::Spare)]);
        assert_eq!(slots.role(SLOT), Role::Retiring);
    }

    #[test]
    fn a_slot_is_vacant_again_when_nothing_is_left_of_its_process() {
        let mut slots = slots();
        let slot = slots.get_mut(SLOT).unwrap();
        slot.occupy(RUN);
        slot.order(|_| false);
        assert!(slot.is_ordered());
        slot.ended(Vacancy::Stopped);
        slot.order(|_| false);
        assert_eq!(*slot.state(), SlotState::Clearing { run: RUN, next: Vacancy::Ordered });
        assert!(!slots.are_vacant());
        let slot = slots.get_mut(SLOT).unwrap();
        assert_eq!((slot.cleared(), slot.run()), (Vacancy::Ordered, None));
        slot.occupy(RunId(8));
        assert!(!slot.is_ordered(), "the order was carried out");
        slot.order(|_| true);
        assert!(!slot.is_ordered(), "what is up is as good");
    }

    #[test]
    fn what_is_cancelled_waits_in_no_queue_and_what_ended_for_good_still_says_why() {
        let (mut slots, mut starts) = (slots(), Starts::default());
        let slot = slots.get_mut(SLOT).unwrap();
        let position = starts.join(Priority::Background, ModuleId(3), SLOT);
        slot.wait(Vacancy::AwaitsPermit(position));
        beside(&mut starts, |queues| slot.cancel(queues));
        assert_eq!((slot.state(), starts.first()), (&SlotState::Vacant(Vacancy::Stopped), None));
        slot.wait(Vacancy::Failed("why".into()));
        beside(&mut starts, |queues| slot.cancel_wait(queues));
        assert_eq!(*slot.state(), SlotState::Vacant(Vacancy::Failed("why".into())));
        beside(&mut starts, |queues| slot.cancel(queues));
        assert_eq!(*slot.state(), SlotState::Vacant(Vacancy::Stopped));
    }

    #[test]
    fn successors_take_over_together_and_what_they_replace_stays_until_its_process_is_gone() {
        let mut slots = slots();
        slots.get_mut(SLOT).unwrap().occupy(RUN);
        assert_eq!(slots.add_successors(&spec()), [SlotId(2)]);
        slots.get_mut(SlotId(2)).unwrap().occupy(RunId(8));
        assert_eq!(beside(&mut Starts::default(), |queues| slots.hand_over(queues)), [RUN]);
        assert_eq!(roles(&slots), [(0, Role::Retiring), (2, Role::Active)]);
        slots.forget(SLOT);
        assert_eq!(roles(&slots), [(2, Role::Active)]);
    }

    #[test]
    fn successors_that_failed_leave_the_old_ones_as_they_were() {
        let mut slots = slots();
        slots.add_successors(&spec());
        slots.add_successors(&spec());
        slots.get_mut(SlotId(3)).unwrap().occupy(RUN);
        assert_eq!(beside(&mut Starts::default(), |queues| slots.retire_successors(queues)), [RUN]);
        assert_eq!(roles(&slots), [(0, Role::Active), (1, Role::Spare), (3, Role::Retiring)]);
    }

    #[test]
    fn a_spare_and_a_slot_that_serves_no_more_change_places() {
        let mut slots = slots();
        slots.promote(SlotId(1), SLOT);
        assert_eq!(roles(&slots), [(0, Role::Spare), (1, Role::Active)]);
    }

    #[test]
    fn room_is_kept_while_something_is_to_run_and_comes_back_once() {
        let mut slots = slots();
        slots.give_room(SLOT, 5);
        slots.give_room(SlotId(1), 6);
        slots.get_mut(SLOT).unwrap().occupy(RUN);
        assert_eq!((slots.settle_room(), slots.room(), slots.settle_room()), (6, 5, 0));
        let slot = slots.get_mut(SLOT).unwrap();
        slot.ended(Vacancy::Stopped);
        slot.cleared();
        beside(&mut Starts::default(), |queues| slots.retire_all(queues));
        assert_eq!((slots.settle_room(), slots.room()), (5, 0));
    }

    #[test]
    fn a_slot_that_waits_only_for_crashes_that_do_not_count_starts_at_once() {
        let mut slots = slots();
        let slot = slots.get_mut(SLOT).unwrap();
        let (then, now) = (Time::from_millis(900), Time::from_millis(100));
        let crash_loop = || Vacancy::Waiting { until: then, why: WaitReason::CrashLoop { tries: 5 } };
        let at_once = Vacancy::Waiting { until: now, why: WaitReason::Backoff { failures: 0 } };
        slot.wait(crash_loop());
        assert_eq!(slot.pardoned(now), Some(then));
        assert_eq!(*slot.state(), SlotState::Vacant(at_once.clone()));
        assert_eq!(slot.pardoned(now), None, "it is due already");
        slot.occupy(RUN);
        slot.ended(crash_loop());
        assert_eq!(slot.pardoned(now), None, "its timer is not set yet");
        assert_eq!(slot.cleared(), at_once);
    }
}
