//! Idempotency keys: the work of one key is done once. A caller that asks for it while it is under way
//! joins it; one that asks for it afterwards gets the answer that was stored with its effects. A key is scoped
//! to its caller and one target: neither another caller nor another target can use it up.
//!
//! Key reuse: a key that is sent again with the same target, type and payload is the same work. With anything
//! else it is refused as `conflict`: here while the work is under way ([`reused_for_other_work`]), afterwards by
//! the store, which keeps a fingerprint of the request beside the answer.

use super::{CommitNumber, JobPurpose, KeyState, KeyUse, StoreOp, StoreOutcome};
use crate::{
    core::Core,
    ids::{Caller, ModuleId, Recipient, RequestId},
    limits::{JOINED_MAX, REQUEST_BYTES},
    module::Desired,
    request::{RequestEntry, RequestState},
    requests::LookUpState,
    routing::refused,
    time::Time,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, HeldBytes, ModuleName, Request, Status};
use std::collections::VecDeque;

/// What identifies the work of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ScopedKey {
    /// The caller of the key: a module, for all of its processes; all clients together are `None`.
    pub(crate) caller: Option<ModuleName>,
    /// The recipient of the work.
    pub(crate) target: String,
    /// The key.
    pub(crate) key: String,
}

/// Keyed work that is under way.
#[derive(Debug)]
pub(crate) struct Running {
    /// The request that does the work.
    pub(crate) leader: RequestId,
    /// Those that get the same answer, in the order in which they came.
    pub(crate) joined: VecDeque<RequestId>,
}

impl Core {
    /// A request with a key for a module: it joins the work that is under way, or the store is asked
    /// whether the work was done before anything runs.
    pub(crate) fn admit_keyed(
        &mut self,
        now: Time,
        module_id: ModuleId,
        to: Recipient,
        message: Request,
    ) -> Result<(), Failure> {
        let module = &self.modules[module_id];
        if module.desired == Desired::Removed || self.shutting_down {
            let reason = self.why_unavailable(now, module_id);
            return Err(refused(ErrorCode::ModuleUnavailable, reason));
        }
        module.check_room(REQUEST_BYTES + message.payload.held_bytes())?;
        let caller = self.key_caller(to.caller);
        let key = scoped(caller, &message).expect("the caller saw that it has a key");
        let Some(running) = self.layer1.keys.get(&key) else {
            let id = self.register(now, module_id, Some(to), message, RequestState::Joined);
            self.layer1.keys.insert(key, Running { leader: id, joined: VecDeque::new() });
            self.look_up(id);
            return Ok(());
        };
        let leader = &self.requests[running.leader].message;
        if (&leader.kind, &leader.payload) != (&message.kind, &message.payload) {
            return Err(reused_for_other_work());
        }
        if running.joined.len() >= JOINED_MAX {
            let reason = format!("there are {JOINED_MAX} requests with this key waiting already");
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        let id = self.register(now, module_id, Some(to), message, RequestState::Joined);
        self.layer1.keys.get_mut(&key).expect("it was there above").joined.push_back(id);
        Ok(())
    }

    /// The request does the work of its key from now on.
    fn look_up(&mut self, id: RequestId) {
        let key = self.key_use(id).expect("only what has a key leads");
        let module = self.requests[id].module;
        let found = self.modules.get_mut(module).expect("a module outlives its requests");
        self.requests.lead(id, &mut found.at_store);
        self.submit(JobPurpose::LookUp(id, module), StoreOp::LookUpKey(key));
    }

    /// The module that a caller's keys are scoped to. A process that is gone asks for nothing.
    pub(crate) fn key_caller(&self, caller: Caller) -> Option<ModuleName> {
        match caller {
            Caller::Client(_) => None,
            Caller::Run(run) => Some(self.runs.get(&run).expect("a process that asks is known").spec.name.clone()),
        }
    }

    /// The key of a request, with what identifies its work.
    pub(crate) fn key_use(&self, id: RequestId) -> Option<KeyUse> {
        let entry = self.requests.get(id)?;
        let message = &entry.message;
        Some(KeyUse {
            caller: entry.key_caller.clone(),
            key: message.key.clone()?,
            to: message.to.clone().unwrap_or_default(),
            kind: message.kind.clone(),
            payload: message.payload.clone(),
        })
    }

    /// The store knows whether the work was done before. It may answer in another order than it was
    /// asked, but requests do not overtake each other because of that: work that is to be done waits
    /// until it is known of what was asked earlier for the same module.
    pub(crate) fn looked_up(
        &mut self,
        now: Time,
        id: RequestId,
        module: ModuleId,
        outcome: StoreOutcome,
        seen: CommitNumber,
    ) {
        let mut state = LookUpState::Over;
        // Otherwise it was answered while the store looked, and its module may have waited for that.
        if self.requests.get(id).is_some_and(|entry| entry.state == RequestState::LookingUp) {
            self.requests.saw(id, seen);
            let status: Option<Status> = match outcome {
                StoreOutcome::Key(KeyState::Vacant) => None,
                StoreOutcome::Key(KeyState::Stored(data)) => Some(Status::Success(data)),
                other => {
                    let failure = other.into_failure();
                    let delivery = failure.delivery.unwrap_or(Delivery::NotStarted);
                    Some(failure.delivery(delivery).into())
                }
            };
            match status {
                None => state = LookUpState::Vacant,
                Some(status) => {
                    self.leave_aside(id);
                    self.conclude(id, status);
                }
            }
        }
        if let Some(module) = self.modules.get_mut(module) {
            module.at_store.looked_up(id, state);
        }
        self.begin_looked_up(now, module);
        self.reconcile(now, module);
    }

    /// Requests whose work is known to be undone go on, in the order in which they came.
    fn begin_looked_up(&mut self, now: Time, module: ModuleId) {
        loop {
            let Some(found) = self.modules.get_mut(module) else { return };
            let Some((id, state)) = found.at_store.pop_looked_up() else { return };
            let waits = self.requests.get(id).is_some_and(|entry| entry.state == RequestState::LookingUp);
            // It may have been answered while it waited for those before it.
            if state == LookUpState::Vacant && waits {
                self.leave_aside(id);
                self.queue_up(now, id);
            }
        }
    }

    /// A request that did the work of a key has ended. The requests that joined it get its answer;
    /// if only its own caller gave up, the next of them does the work.
    pub(crate) fn leader_ended(&mut self, id: RequestId, status: &Status) {
        let Some(key) = self.requests.get(id).and_then(RequestEntry::scoped_key) else { return };
        let Some(running) = self.layer1.keys.get_mut(&key).filter(|running| running.leader == id) else { return };
        let gave_up = match status {
            Status::Error(failure) => matches!(failure.code, ErrorCode::Cancelled | ErrorCode::DeadlineExceeded),
            Status::Success(_) | Status::Progress(_) => false,
        };
        if gave_up && let Some(next) = running.joined.pop_front() {
            running.leader = next;
            self.look_up(next);
            return;
        }
        let running = self.layer1.keys.remove(&key).expect("it was there above");
        let seen = self.requests.get(id).map_or(CommitNumber(0), |leader| leader.seen);
        for joined in running.joined {
            self.requests.saw(joined, seen);
            self.leave_aside(joined);
            self.answer(joined, status.clone());
            self.requests.remove(joined);
        }
    }

    /// The caller of a request that may do the work of its key is gone.
    pub(crate) fn give_up_leading(&mut self, id: RequestId) {
        self.leader_ended(id, &Failure::new(ErrorCode::Cancelled, "its caller has gone").into());
    }

    /// Removes a request that waits for another's work from its list, and forgets it.
    pub(crate) fn unjoin(&mut self, id: RequestId) {
        self.leave_aside(id);
        let Some(entry) = self.requests.remove(id) else { return };
        if let Some(running) = entry.scoped_key().and_then(|key| self.layer1.keys.get_mut(&key)) {
            running.joined.retain(|joined| *joined != id);
        }
    }

    /// How far the work has got that a request waits for.
    pub(crate) fn joined_delivery(&self, id: RequestId) -> Delivery {
        let key = self.requests.get(id).and_then(RequestEntry::scoped_key);
        let Some(leader) = key.and_then(|key| self.layer1.keys.get(&key)).map(|running| running.leader) else {
            return Delivery::NotStarted;
        };
        match &self.requests[leader].state {
            RequestState::LookingUp | RequestState::Joined => Delivery::NotStarted,
            RequestState::Queued => self.requests[leader].reached,
            RequestState::InFlight { run, .. } => {
                self.requests[leader].overall_delivery(self.in_flight_delivery(*run, leader))
            }
            RequestState::Settling(_) | RequestState::Committing(_) | RequestState::Flushing => Delivery::Started,
        }
    }

    /// Removes a request from the count of those that wait beside their module's queue.
    pub(crate) fn leave_aside(&mut self, id: RequestId) {
        let Some(entry) = self.requests.get(id) else { return };
        let bytes = entry.held;
        let module = self.modules.get_mut(entry.module).expect("a module outlives its requests");
        module.queue.remove_keyed(bytes);
    }
}

/// What identifies the work of a request's key, if it has one.
fn scoped(caller: Option<ModuleName>, message: &Request) -> Option<ScopedKey> {
    Some(ScopedKey { caller, target: message.to.clone().unwrap_or_default(), key: message.key.clone()? })
}

impl RequestEntry {
    /// What identifies the work of its key, if it has one.
    pub(crate) fn scoped_key(&self) -> Option<ScopedKey> {
        self.message.key.as_ref()?;
        scoped(self.key_caller.clone(), &self.message)
    }
}

/// The key was used for other work.
pub(crate) fn reused_for_other_work() -> Failure {
    let reason = "the key was given to another request: another type or payload; use a new key for new work";
    refused(ErrorCode::Conflict, reason)
}
