//! One module as the core sees it: whether it should run, its slots, its queue.

use crate::{
    blame::Crash,
    chronicle::Chronicle,
    declared::Declared,
    directory::Listed,
    ids::{RequestId, WaiterId},
    layer1::Precedence,
    queue::Queue,
    requests::AtStore,
    routing::refused,
    run::Role,
    slots::{Slot, Slots},
    spec::ModuleSpec,
    time::Time,
    waiters::Goal,
};
use bulkhead_protocol::{ErrorCode, Failure};
use std::{
    collections::{BTreeMap, BTreeSet},
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

/// One module.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) spec: Arc<ModuleSpec>,
    pub(crate) desired: Desired,
    pub(crate) slots: Slots,
    /// How many processes it has had; the next one's number in its name.
    pub(crate) starts: u64,
    /// Automatic restarts.
    pub(crate) restarts: u64,
    pub(crate) queue: Queue,
    /// What its requests have at the store.
    pub(crate) at_store: AtStore,
    /// The request that goes before all others, since it lost against them too often.
    pub(crate) precedence: Option<Precedence>,
    /// Crashes at which unanswered requests were or may have been worked on.
    pub(crate) blamed: Vec<(RequestId, Crash)>,
    pub(crate) last_exit: Option<(Time, String)>,
    /// What happened to it.
    pub(crate) chronicle: Chronicle,
    /// What the caller of a stop learns of processes that did not stop by themselves.
    pub(crate) stop_notices: Vec<String>,
    /// The specification that a reload is bringing in.
    pub(crate) incoming: Option<Arc<ModuleSpec>>,
    /// The callers that wait for it, by what ends their wait.
    pub(crate) waiters: BTreeMap<Goal, BTreeSet<WaiterId>>,
    /// What the directory has of it.
    pub(crate) listed: Listed,
    pub(crate) events_dropped: u64,
    /// What the last process that became ready has declared; none as long as there was no such process.
    pub(crate) declared: Option<Arc<Declared>>,
}

impl Module {
    /// Gives it the slots that its specification asks for.
    pub(crate) fn fill(&mut self) {
        self.slots.fill(&self.spec);
    }

    /// Whether a request may wait here: something is running or will be.
    pub(crate) fn is_available(&self) -> bool {
        self.desired == Desired::Running && self.slots.with_role(Role::Active).any(Slot::is_live)
    }

    /// Checks that one more request of this size may wait for it.
    pub(crate) fn check_room(&self, bytes: usize) -> Result<(), Failure> {
        let rules = &self.spec.rules;
        let (waiting, waiting_bytes) = self.queue.load();
        if waiting >= rules.queue_max {
            let name = &self.spec.name;
            let reason = format!("{name} has {} requests waiting, which is its limit", rules.queue_max);
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        if waiting_bytes.saturating_add(bytes) > rules.queue_bytes_max && waiting > 0 {
            let name = &self.spec.name;
            let most = rules.queue_bytes_max;
            let reason = format!(
                "{name} has {waiting_bytes} bytes waiting, and {bytes} more would be above its limit of {most} \
                 (limits.queue_bytes_max)"
            );
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        Ok(())
    }

    /// Whether requests for it are still at the store.
    pub(crate) fn is_at_store(&self) -> bool {
        self.queue.keyed() > 0 || self.at_store.is_unsettled()
    }
}
