//! How requests to the store end: answered by it, overdue, cancelled, or with no caller left that waits
//! for them. A query can be interrupted, a change that is being committed cannot.

use super::{
    CommitNumber, Cursor, KeyState, StoreOp, StoreOutcome,
    entities::Known,
    publish::published,
    store_requests::{Kind, StoreRequestState, Work},
};
use crate::{
    action::Action,
    core::Core,
    ids::{Caller, ModuleId, RequestId, RunId},
    request::RequestState,
    routing::refused,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Status};

impl Core {
    /// The store has answered a request.
    pub(crate) fn store_request_completed(
        &mut self,
        now: Time,
        id: RequestId,
        outcome: StoreOutcome,
        cursor: Option<Cursor>,
        seen: CommitNumber,
    ) {
        let store_request = &self.layer1.store_requests[&id];
        let StoreRequestState::AtStore { kind, .. } = store_request.state else {
            unreachable!("the store has answered it")
        };
        let found = match &outcome {
            StoreOutcome::Entity { data, state } => Some(Known { data: data.clone(), state: *state, seen }),
            _ => None,
        };
        self.layer1.entities.read_ends(id, found);
        self.layer1.entities.commit_ends(id);
        let status = match (kind, outcome) {
            (Kind::Query, StoreOutcome::Rows(data) | StoreOutcome::Entity { data, .. }) => Status::Success(data),
            (Kind::Mutation { .. }, StoreOutcome::Mutated { data, .. }) => Status::Success(data),
            (Kind::Mutation { .. }, StoreOutcome::Key(KeyState::Stored(data))) => Status::Success(data),
            (Kind::Event { subscribers }, StoreOutcome::Emitted { .. }) => {
                Status::Success(published(subscribers, cursor, &self.layer1.epoch_beside))
            }
            (Kind::Query | Kind::Mutation { .. } | Kind::Event { .. }, other) => other.into_failure().into(),
        };
        self.conclude_store_request(now, id, status, seen);
    }

    /// A request to the store has come to its end.
    pub(super) fn finish_store_request(&mut self, now: Time, id: RequestId, status: Status) {
        let failure = match &status {
            Status::Error(failure) => Some((**failure).clone()),
            Status::Success(_) | Status::Progress(_) => None,
        };
        self.answer_store_request(id, status);
        let Some(store_request) = self.layer1.store_requests.remove(&id) else { return };
        if store_request.held_by().is_some() {
            // What the store has not seen is not committed.
            self.layer1.entities.commit_ends(id);
        }
        if let StoreRequestState::AtStore { kind: Kind::Event { .. }, .. }
        | StoreRequestState::Flushing { kind: Kind::Event { .. } } = store_request.state
        {
            self.count_down(store_request.caller);
        }
        let Some(of) = store_request.of else { return };
        self.unit_lost(of, id);
        let settling = self.requests.get(of).is_some_and(|entry| matches!(entry.state, RequestState::Settling(_)));
        let is_change = !matches!(
            store_request.state,
            StoreRequestState::AtStore { kind: Kind::Query, .. } | StoreRequestState::Held { work: Work::Query(_), .. }
        );
        if let (Some(failure), true, true) = (failure, settling, is_change) {
            self.mark_for_abort(of, &failure);
        }
        self.unit_goes_on(now, of);
    }

    fn count_down(&mut self, caller: Caller) {
        if let Some(count) = self.layer1.unnumbered.get_mut(&caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.layer1.unnumbered.remove(&caller);
            }
        }
    }

    /// Answers the caller of a request to the store, once.
    fn answer_store_request(&mut self, id: RequestId, status: Status) {
        let Some(store_request) = self.layer1.store_requests.get_mut(&id) else { return };
        let Some(to) = store_request.recipient.take() else { return };
        self.timers.clear(store_request.deadline, Timer::StoreRequest(id));
        self.callers.close(to);
        self.act(Action::Reply { to, status });
    }

    fn interrupt(&mut self, id: RequestId) {
        let Some(store_request) = self.layer1.store_requests.get_mut(&id) else { return };
        if let StoreRequestState::AtStore { kind: Kind::Query, interrupted } = &mut store_request.state
            && !std::mem::replace(interrupted, true)
        {
            self.act(Action::Store { job: id, op: StoreOp::Interrupt.into() });
        }
    }

    /// Removes a request that has not gone to the store from its process's list.
    fn unhold(&mut self, id: RequestId) -> Option<ModuleId> {
        let run = self.layer1.store_requests.get(&id)?.held_by()?;
        let run = self.runs.get_mut(&run)?;
        run.held.retain(|other| *other != id);
        Some(run.module)
    }

    /// The deadline of a request to the store passed.
    pub(crate) fn store_request_overdue(&mut self, now: Time, id: RequestId) {
        let Some(store_request) = self.layer1.store_requests.get(&id) else { return };
        let overdue = |reason: &str, delivery| Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(delivery);
        match &store_request.state {
            StoreRequestState::Held { .. } => {
                let reason = "the deadline passed while earlier changes of this module were being committed";
                let failure = overdue(reason, Delivery::NotStarted);
                let module = self.unhold(id);
                self.finish_store_request(now, id, failure.into());
                module.into_iter().for_each(|module| self.release_held(now, module));
            }
            StoreRequestState::Flushing { kind: Kind::Query } => {
                let reason =
                    "the deadline passed while the answer of layer1 waited until what it rests on is on the disk";
                self.answer_store_request(id, overdue(reason, Delivery::Started).into());
            }
            StoreRequestState::AtStore { kind: Kind::Query, .. } => {
                let failure =
                    overdue("layer1 did not answer before the deadline; the query is stopped", Delivery::Started);
                self.answer_store_request(id, failure.into());
                self.interrupt(id);
            }
            StoreRequestState::AtStore { kind: Kind::Mutation { keyed }, .. }
            | StoreRequestState::Flushing { kind: Kind::Mutation { keyed } } => {
                let reason = match (store_request.of, keyed) {
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
                let (failure, of) = (overdue(reason, Delivery::Unknown), store_request.of);
                if let Some(of) = of {
                    self.mark_for_abort(of, &failure);
                }
                self.answer_store_request(id, failure.into());
            }
            StoreRequestState::AtStore { kind: Kind::Event { .. }, .. }
            | StoreRequestState::Flushing { kind: Kind::Event { .. } } => {
                let reason = "the deadline passed while this event was being committed; it may be published or not";
                self.answer_store_request(id, overdue(reason, Delivery::Unknown).into());
            }
        }
    }

    /// Its caller wants a request to the store to stop.
    pub(crate) fn cancel_store_request(&mut self, now: Time, id: RequestId) {
        let Some(store_request) = self.layer1.store_requests.get(&id) else { return };
        match store_request.state {
            StoreRequestState::Held { .. } => {
                let failure = refused(ErrorCode::Cancelled, "cancelled before layer1 began");
                let module = self.unhold(id);
                self.finish_store_request(now, id, failure.into());
                module.into_iter().for_each(|module| self.release_held(now, module));
            }
            StoreRequestState::AtStore { kind: Kind::Query, .. } => self.interrupt(id),
            // It is being committed, or has its answer: what comes of it is its answer.
            StoreRequestState::AtStore { kind: Kind::Mutation { .. } | Kind::Event { .. }, .. }
            | StoreRequestState::Flushing { .. } => {}
        }
    }

    /// The unit that a request belongs to is undone.
    pub(crate) fn revoke(&mut self, id: RequestId, why: &Failure) {
        self.answer_store_request(id, why.clone().into());
        if self.unhold(id).is_some() {
            self.layer1.store_requests.remove(&id);
            return;
        }
        self.interrupt(id);
        if let Some(store_request) = self.layer1.store_requests.get_mut(&id) {
            store_request.of = None;
        }
    }

    /// A caller is gone, so there is none to answer. What is being committed is committed.
    pub(crate) fn abandon_store_request(&mut self, id: RequestId) {
        let Some(store_request) = self.layer1.store_requests.get_mut(&id) else { return };
        if store_request.recipient.take().is_some() {
            self.timers.clear(store_request.deadline, Timer::StoreRequest(id));
        }
        self.interrupt(id);
    }

    /// A process has ended: its requests that have not gone to the store are dropped.
    pub(crate) fn drop_held(&mut self, now: Time, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        for id in std::mem::take(&mut run.held) {
            let failure = refused(ErrorCode::ModuleCrashed, "the process that asked for this has ended");
            // Not answered: its caller has ended. What is not answered may still be committed otherwise.
            let store_request = self.layer1.store_requests.get_mut(&id).expect("what is held is in the table");
            if let Some(to) = store_request.recipient.take() {
                self.timers.clear(store_request.deadline, Timer::StoreRequest(id));
                self.callers.close(to);
            }
            self.finish_store_request(now, id, failure.into());
        }
    }
}
