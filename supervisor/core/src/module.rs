//! One module as the core sees it: whether it should run, its slots, its queue.

use crate::{
    blame::Crash,
    directory::Listed,
    ids::{ModuleId, RequestId, RunId, SlotId, WaiterId},
    lacks::LackId,
    layer1::Precedence,
    queue::Queue,
    random::Random,
    restart::{Restart, WaitReason},
    room::Room,
    run::Role,
    spec::ModuleSpec,
    starts::{Starts, WaitPosition},
    time::Time,
    timers::{Timer, Timers},
    waiters::Goal,
};
use bulkhead_protocol::{Command, ModuleName};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Whether a module that becomes known is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialState {
    /// It is started.
    Running,
    /// It waits for a start by hand.
    Stopped,
}

/// Whether another attempt to spawn a process could succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnFailure {
    /// It could not.
    Permanent,
    /// It could.
    Transient,
}

/// Should it run?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desired {
    Running,
    Stopped,
    /// Stopped, and then forgotten.
    Removed,
}

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
    pub(crate) role: Role,
    pub(crate) state: SlotState,
    pub(crate) restart: Restart,
    pub(crate) spec: Arc<ModuleSpec>,
    /// How many of the modules that it requires, from the first on, were serving when one was last missing: the
    /// search for a missing one continues from there.
    pub(crate) required_seen: usize,
    /// A start was requested while the process in it was ending.
    pub(crate) ordered: bool,
    /// Descriptors of the host that are kept for it; none before its first start.
    pub(crate) room: u64,
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

    /// Removes a vacant slot from what it waits in: its timer, the queue for start permits, the queue for
    /// descriptors. The caller changes its state.
    pub(crate) fn leave_queues(&self, module: ModuleId, timers: &mut Timers, starts: &mut Starts, room: &mut Room) {
        let SlotState::Vacant(vacancy) = &self.state else { return };
        match vacancy {
            Vacancy::Waiting { until, .. } => timers.clear(*until, Timer::Start(module, self.id)),
            Vacancy::AwaitsPermit(position) => starts.leave(*position),
            Vacancy::NoRoom(number) => room.leave(*number),
            Vacancy::Stopped
            | Vacancy::Finished(_)
            | Vacancy::Failed(_)
            | Vacancy::GaveUp(_)
            | Vacancy::Requires(_)
            | Vacancy::Lacking(_)
            | Vacancy::Ordered => {}
        }
    }

    pub(crate) fn run(&self) -> Option<RunId> {
        match self.state {
            SlotState::Occupied(run) | SlotState::Clearing { run, .. } => Some(run),
            SlotState::Vacant(_) => None,
        }
    }
}

/// A key that the store is asked about before the work of a request begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookUp {
    pub(crate) request: RequestId,
    pub(crate) state: LookUpState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookUpState {
    /// The store has not answered.
    Asked,
    /// The work is to be done.
    Vacant,
    /// There is nothing left to do.
    Over,
}

/// One module.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) spec: Arc<ModuleSpec>,
    pub(crate) desired: Desired,
    pub(crate) slots: Vec<Slot>,
    pub(crate) next_slot: u32,
    /// Descriptors of the host that are kept for its slots, those that are gone included until it is settled.
    pub(crate) room: u64,
    /// The generator that its slots get theirs from.
    pub(crate) random: Random,
    /// How many processes it has had; the next one's number in its name.
    pub(crate) starts: u64,
    /// Automatic restarts.
    pub(crate) restarts: u64,
    pub(crate) queue: Queue,
    /// Keys that the store is asked about, in the order in which the requests came.
    pub(crate) look_ups: VecDeque<LookUp>,
    /// Commits of what its processes have answered, by their numbers at the store.
    pub(crate) commits: BTreeSet<RequestId>,
    /// How many of its requests have an answer that waits for the disk.
    pub(crate) flushing: usize,
    /// The request that goes before all others, since it lost against them too often.
    pub(crate) precedence: Option<Precedence>,
    /// Crashes at which unanswered requests were or may have been worked on.
    pub(crate) blamed: Vec<(RequestId, Crash)>,
    pub(crate) last_exit: Option<(Time, String)>,
    /// What the caller of a stop learns of processes that did not stop by themselves.
    pub(crate) stop_notices: Vec<String>,
    /// The specification that a reload is bringing in.
    pub(crate) incoming: Option<Arc<ModuleSpec>>,
    /// The callers that wait for it, by what ends their wait.
    pub(crate) waiters: BTreeMap<Goal, BTreeSet<WaiterId>>,
    /// What the directory has of it.
    pub(crate) listed: Listed,
    pub(crate) events_dropped: u64,
    /// The commands of the last process that became ready; none as long as there was no such process.
    pub(crate) commands: Option<Arc<[Command]>>,
}

impl Module {
    pub(crate) fn slot(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }

    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.role == role)
    }

    pub(crate) fn add_slot(&mut self, role: Role, spec: Arc<ModuleSpec>) -> SlotId {
        let id = SlotId(self.next_slot);
        self.next_slot += 1;
        let state = SlotState::Vacant(Vacancy::Stopped);
        let random = self.random.split(u64::from(id.0));
        let restart = Restart::default();
        self.slots.push(Slot { id, role, state, restart, spec, required_seen: 0, ordered: false, room: 0, random });
        id
    }

    /// Whether a request may wait here: something is running or will be.
    pub(crate) fn is_available(&self) -> bool {
        self.desired == Desired::Running && self.with_role(Role::Active).any(Slot::is_live)
    }

    /// Whether requests for it are still at the store.
    pub(crate) fn is_at_store(&self) -> bool {
        self.queue.keyed() > 0 || !self.commits.is_empty() || self.flushing > 0
    }

    /// Forgets the slots that were for one process only and have none.
    pub(crate) fn drop_retired(&mut self) {
        self.slots.retain(|slot| slot.role != Role::Retiring || slot.run().is_some());
    }

    /// Whether no process is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot.state, SlotState::Vacant(_)))
    }
}
