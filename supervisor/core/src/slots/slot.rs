//! One slot: what is in it, and what it waits for while it is vacant. What follows the end of a process is decided
//! in [`crate::on_exit`], what a vacant slot waits for in [`crate::lifecycle`].

use crate::{
    ids::{ModuleId, RunId, SlotId},
    lacks::LackId,
    random::Random,
    restart::{Restart, WaitReason},
    room::Room,
    run::Role,
    spec::ModuleSpec,
    starts::{Starts, WaitPosition},
    time::Time,
    timers::{Timer, Timers},
};
use bulkhead_protocol::ModuleName;
use std::sync::Arc;

/// A slot without a process, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Vacancy {
    /// It was asked to stop, or never asked to start.
    Stopped,
    /// Its process ended by itself and the policy asks for no other.
    Finished(String),
    /// Another attempt would fail as well.
    Failed(String),
    /// The breaker was open and the last allowed try failed.
    GaveUp(String),
    /// A module that it requires is not ready.
    Requires(ModuleName),
    /// A start was requested while the tree of the last process was still there: the next
    /// process follows as soon as that is gone.
    Ordered,
    /// The host lacks something to start it.
    Lacking(LackId),
    /// There is no room for it among the host's descriptors; its number in the queue for them.
    NoRoom(u64),
    /// It starts as soon as it has a start permit: too many others are starting.
    AwaitsPermit(WaitPosition),
    /// Its next start has a moment.
    Waiting { until: Time, why: WaitReason },
}

/// What is in a slot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SlotState {
    Vacant(Vacancy),
    /// A process, in whatever phase, until nothing is left of it.
    Occupied(RunId),
    /// A process whose leader ended; what follows when its tree is cleared.
    Clearing {
        run: RunId,
        next: Vacancy,
    },
}

/// One slot, which is restarted by itself.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(super) role: Role,
    pub(super) state: SlotState,
    pub(crate) restart: Restart,
    pub(crate) spec: Arc<ModuleSpec>,
    /// How many of the modules that it requires, from the first on, were serving when one was last missing: the
    /// search for a missing one continues from there.
    pub(crate) required_seen: usize,
    /// A start was requested while the process in it was ending.
    pub(super) ordered: bool,
    /// Descriptors of the host that are kept for it; none before its first start.
    pub(super) room: u64,
    /// Spreads its restarts. Each slot has its own, so that what one does never moves another.
    pub(crate) random: Random,
}

impl Slot {
    /// Whether a process is there, or will be without a person's request.
    pub(crate) fn is_live(&self) -> bool {
        match &self.state {
            SlotState::Occupied(_) => true,
            SlotState::Vacant(vacancy) | SlotState::Clearing { next: vacancy, .. } => {
                matches!(
                    vacancy,
                    Vacancy::Waiting { .. }
                        | Vacancy::AwaitsPermit(_)
                        | Vacancy::Requires(_)
                        | Vacancy::Lacking(_)
                        | Vacancy::NoRoom(_)
                        | Vacancy::Ordered
                )
            }
        }
    }

    pub(crate) fn run(&self) -> Option<RunId> {
        match self.state {
            SlotState::Occupied(run) | SlotState::Clearing { run, .. } => Some(run),
            SlotState::Vacant(_) => None,
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    pub(crate) fn state(&self) -> &SlotState {
        &self.state
    }

    /// Whether a start was requested while the process in it was ending.
    pub(crate) fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Descriptors of the host that are kept for it.
    pub(crate) fn room(&self) -> u64 {
        self.room
    }

    /// A vacant slot waits for this now, or has no process for this reason. It must have left what it waited in.
    pub(crate) fn wait(&mut self, vacancy: Vacancy) {
        debug_assert!(matches!(self.state, SlotState::Vacant(_)), "{self:?}");
        self.state = SlotState::Vacant(vacancy);
    }

    /// A process was ordered for a vacant slot. A start that was requested is carried out with that.
    pub(crate) fn occupy(&mut self, run: RunId) {
        debug_assert!(matches!(self.state, SlotState::Vacant(_)), "{self:?}");
        self.state = SlotState::Occupied(run);
        self.ordered = false;
    }

    /// The leader of its process has ended. This follows when nothing is left of the process.
    pub(crate) fn ended(&mut self, next: Vacancy) {
        let SlotState::Occupied(run) = self.state else { unreachable!("one process ends once in its slot: {self:?}") };
        self.state = SlotState::Clearing { run, next };
    }

    /// Nothing is left of its process. Returns what follows.
    pub(crate) fn cleared(&mut self) -> Vacancy {
        let SlotState::Clearing { next, .. } = &self.state else {
            unreachable!("a process is gone after it has ended: {self:?}")
        };
        let next = next.clone();
        self.state = SlotState::Vacant(next.clone());
        next
    }

    /// A start is requested: where a process is ending, another follows as soon as nothing is left of it. One that
    /// starts or is ready (`is_up`) needs no other.
    pub(crate) fn order(&mut self, is_up: impl FnOnce(RunId) -> bool) {
        match &mut self.state {
            SlotState::Clearing { next, .. } => *next = Vacancy::Ordered,
            SlotState::Occupied(run) => self.ordered = !is_up(*run),
            SlotState::Vacant(_) => {}
        }
    }

    /// No process is to come: it waits for nothing, and nothing follows the one that is ending.
    pub(crate) fn cancel(&mut self, queues: &mut Queues<'_>) {
        queues.leave(self);
        self.ordered = false;
        match &mut self.state {
            SlotState::Vacant(vacancy) | SlotState::Clearing { next: vacancy, .. } => *vacancy = Vacancy::Stopped,
            SlotState::Occupied(_) => {}
        }
    }

    /// As [`Slot::cancel`], but a vacant slot that does not wait keeps the reason why it has no process.
    pub(crate) fn cancel_wait(&mut self, queues: &mut Queues<'_>) {
        match &self.state {
            SlotState::Vacant(Vacancy::Finished(_) | Vacancy::Failed(_) | Vacancy::GaveUp(_) | Vacancy::Ordered) => {
                self.ordered = false
            }
            SlotState::Vacant(_) | SlotState::Clearing { .. } | SlotState::Occupied(_) => self.cancel(queues),
        }
    }

    /// What follows the process that is ending waits at least until then, if it waits for a moment.
    pub(crate) fn delay_next(&mut self, at: Time) {
        if let SlotState::Clearing { next: Vacancy::Waiting { until, .. }, .. } = &mut self.state {
            *until = (*until).max(at);
        }
    }

    /// Crashes of it do not count any more: if it waits only because of them, it starts at once. Returns the moment
    /// for which its timer is set, if it is.
    pub(crate) fn pardoned(&mut self, now: Time) -> Option<Time> {
        let failures = self.restart.failures();
        let (SlotState::Vacant(vacancy) | SlotState::Clearing { next: vacancy, .. }) = &mut self.state else {
            return None;
        };
        let Vacancy::Waiting { until, why: why @ WaitReason::CrashLoop { .. } } = vacancy else { return None };
        *why = WaitReason::Backoff { failures };
        let was_due = std::mem::replace(until, now);
        matches!(self.state, SlotState::Vacant(_)).then_some(was_due)
    }
}

/// What vacant slots of one module wait in.
#[derive(Debug)]
pub(crate) struct Queues<'a> {
    pub(crate) module: ModuleId,
    pub(crate) timers: &'a mut Timers,
    pub(crate) starts: &'a mut Starts,
    pub(crate) room: &'a mut Room,
}

impl Queues<'_> {
    /// Removes a vacant slot from what it waits in: its timer, the queue for start permits, the queue for
    /// descriptors.
    pub(super) fn leave(&mut self, slot: &Slot) {
        let SlotState::Vacant(vacancy) = &slot.state else { return };
        match vacancy {
            Vacancy::Waiting { until, .. } => self.timers.clear(*until, Timer::Start(self.module, slot.id)),
            Vacancy::AwaitsPermit(position) => self.starts.leave(*position),
            Vacancy::NoRoom(number) => self.room.leave(*number),
            Vacancy::Stopped
            | Vacancy::Finished(_)
            | Vacancy::Failed(_)
            | Vacancy::GaveUp(_)
            | Vacancy::Requires(_)
            | Vacancy::Lacking(_)
            | Vacancy::Ordered => {}
        }
    }
}
