//! How requests to the store come to their end: answered by it, overdue, cancelled, or with nobody left
//! who waits for them. A query can be interrupted, a change that is being committed cannot.

use super::{
    Cursor, KeyState, StoreOp, StoreOutcome,
    operations::{Kind, Standing, Work},
    publish::published,
};
use crate::{
    action::{Action, Caller, RunId},
    core::Core,
    module::ModuleId,
    pending::{Place, RequestId},
    routing::refused,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Status};

impl Core {
    /// The store has answered a request.
    pub(crate) fn operation_done(&mut self, now: Time, id: RequestId, outcome: StoreOutcome, cursor: Option<Cursor>) {
        let operation = &self.layer1.operations[&id];
        let Standing::AtStore { kind, .. } = operation.standing else { unreachable!("the store has answered it") };
        let status = match (kind, outcome) {
            (Kind::Query, StoreOutcome::Rows(data)) => Status::Success(data),
            (Kind::Mutation { .. }, StoreOutcome::Mutated { data, .. }) => Status::Success(data),
            (Kind::Mutation { .. }, StoreOutcome::Key(KeyState::Stored(data))) => Status::Success(data),
            (Kind::Event { subscribers }, StoreOutcome::Emitted { .. }) => {
                Status::Success(published(subscribers, cursor, &self.layer1.epoch_beside))
            }
            (Kind::Query | Kind::Mutation { .. } | Kind::Event { .. }, other) => other.into_failure().into(),
        };
        self.end_operation(now, id, status);
    }

    /// A request to the store has come to its end.
    fn end_operation(&mut self, now: Time, id: RequestId, status: Status) {
        let failure = match &status {
            Status::Error(failure) => Some((**failure).clone()),
            Status::Success(_) | Status::Progress(_) => None,
        };
        self.tell_operation(id, status);
        let Some(operation) = self.layer1.operations.remove(&id) else { return };
        if let Standing::AtStore { kind: Kind::Event { .. }, .. } = operation.standing {
            self.count_down(operation.caller);
        }
        let Some(of) = operation.of else { return };
        self.unit_lost(of, id);
        let settling = self.requests.get(&of).is_some_and(|pending| matches!(pending.place, Place::Settling(_)));
        let is_change = !matches!(
            operation.standing,
            Standing::AtStore { kind: Kind::Query, .. } | Standing::Held { work: Work::Query(_), .. }
        );
        if let (Some(failure), true, true) = (failure, settling, is_change) {
            self.doom(of, &failure);
        }
        self.unit_progressed(now, of);
    }

    fn count_down(&mut self, caller: Caller) {
        if let Some(count) = self.layer1.unnumbered.get_mut(&caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.layer1.unnumbered.remove(&caller);
            }
        }
    }

    /// Answers whoever sent a request to the store, once.
    fn tell_operation(&mut self, id: RequestId, status: Status) {
        let Some(operation) = self.layer1.operations.get_mut(&id) else { return };
        let Some(to) = operation.recipient.take() else { return };
        self.timers.clear(operation.deadline, Timer::Operation(id));
        self.settle_caller(to);
        self.act(Action::Reply { to, status });
    }

    fn interrupt(&mut self, id: RequestId) {
        let Some(operation) = self.layer1.operations.get_mut(&id) else { return };
        if let Standing::AtStore { kind: Kind::Query, interrupted } = &mut operation.standing
            && !std::mem::replace(interrupted, true)
        {
            self.act(Action::Store { ticket: id, op: StoreOp::Interrupt.into() });
        }
    }

    /// Takes a request that has not gone to the store out of its process's list.
    fn unhold(&mut self, id: RequestId) -> Option<ModuleId> {
        let run = self.layer1.operations.get(&id)?.held_by()?;
        let run = self.runs.get_mut(&run)?;
        run.held.retain(|other| *other != id);
        Some(run.module)
    }

    /// The deadline of a request to the store passed.
    pub(crate) fn operation_overdue(&mut self, now: Time, id: RequestId) {
        let Some(operation) = self.layer1.operations.get(&id) else { return };
        let overdue = |reason: &str, delivery| Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(delivery);
        match &operation.standing {
            Standing::Held { .. } => {
                let reason = "the deadline passed while earlier changes of this module were being committed";
                let failure = overdue(reason, Delivery::NotStarted);
                let module = self.unhold(id);
                self.end_operation(now, id, failure.into());
                module.into_iter().for_each(|module| self.release_held(now, module));
            }
            Standing::AtStore { kind: Kind::Query, .. } => {
                let failure =
                    overdue("layer1 did not answer before the deadline; the query is stopped", Delivery::Started);
                self.tell_operation(id, failure.into());
                self.interrupt(id);
            }
            Standing::AtStore { kind: Kind::Mutation { keyed }, .. } => {
                let reason = match (operation.of, keyed) {
                    (Some(_), _) => {
                        "the deadline passed while layer1 made this change; the unit of work cannot be committed"
                    }
                    (None, true) => {
                        "the deadline passed while this change was being committed; the same request with the same \
                         key tells what came of it"
                    }
                    (None, false) => {
                        "the deadline passed while this change was being committed; with a key, the same request \
                         could be sent again and would tell what came of it"
                    }
                };
                let (failure, of) = (overdue(reason, Delivery::Unknown), operation.of);
                if let Some(of) = of {
                    self.doom(of, &failure);
                }
                self.tell_operation(id, failure.into());
            }
            Standing::AtStore { kind: Kind::Event { .. }, .. } => {
                let reason = "the deadline passed while this event was being committed; it may be published or not";
                self.tell_operation(id, overdue(reason, Delivery::Unknown).into());
            }
        }
    }

    /// Its caller wants a request to the store to stop.
    pub(crate) fn cancel_operation(&mut self, now: Time, id: RequestId) {
        let Some(operation) = self.layer1.operations.get(&id) else { return };
        match operation.standing {
            Standing::Held { .. } => {
                let failure = refused(ErrorCode::Cancelled, "cancelled before layer1 began");
                let module = self.unhold(id);
                self.end_operation(now, id, failure.into());
                module.into_iter().for_each(|module| self.release_held(now, module));
            }
            Standing::AtStore { kind: Kind::Query, .. } => self.interrupt(id),
            // It is being committed: what comes of it is its answer.
            Standing::AtStore { kind: Kind::Mutation { .. } | Kind::Event { .. }, .. } => {}
        }
    }

    /// The unit that a request belongs to is undone.
    pub(crate) fn revoke(&mut self, id: RequestId, why: &Failure) {
        self.tell_operation(id, why.clone().into());
        if self.unhold(id).is_some() {
            self.layer1.operations.remove(&id);
            return;
        }
        self.interrupt(id);
        if let Some(operation) = self.layer1.operations.get_mut(&id) {
            operation.of = None;
        }
    }

    /// A caller has gone: nobody is left to be answered. What is being committed is committed.
    pub(crate) fn abandon_operation(&mut self, id: RequestId) {
        let Some(operation) = self.layer1.operations.get_mut(&id) else { return };
        if operation.recipient.take().is_some() {
            self.timers.clear(operation.deadline, Timer::Operation(id));
        }
        self.interrupt(id);
    }

    /// A process has ended: what it had not asked the store yet is not asked any more.
    pub(crate) fn drop_held(&mut self, now: Time, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        for id in std::mem::take(&mut run.held) {
            let failure = refused(ErrorCode::ModuleCrashed, "the process that asked for this has ended");
            // Not told: there is nobody. What is not answered may still be committed otherwise.
            let operation = self.layer1.operations.get_mut(&id).expect("what is held is in the table");
            if let Some(to) = operation.recipient.take() {
                self.timers.clear(operation.deadline, Timer::Operation(id));
                self.settle_caller(to);
            }
            self.end_operation(now, id, failure.into());
        }
    }
}
