//! Requests to the store itself: queries and mutations of clients and modules. What a module reads or
//! builds on waits here until what the module had answered before is committed. How these requests come
//! to their end is in [`super::endings`].

use super::{Extent, KeyUse, StoreOp, Ticket};
use crate::{
    action::{Caller, Recipient, RunId},
    core::{Core, Outstanding},
    module::{ModuleId, Slot},
    pending::RequestId,
    routing::refused,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{
    ErrorCode, Failure, Request, RequestType,
    layer1::{Change, Mutation, Query},
};
use std::time::Duration;

/// The store's address.
pub(crate) const ADDRESS: &str = "layer1";

/// The deadline of a request to the store that names none.
pub(super) const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);

/// What is asked of the store.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Query(Box<Query>),
    Mutation(Box<Mutation>, Option<KeyUse>),
}

/// What kind of work the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    /// `keyed`: asking again with the same key tells what came of it.
    Mutation {
        keyed: bool,
    },
    Event {
        /// Modules that subscribe to it.
        subscribers: usize,
    },
}

/// Where a request to the store is.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// It waits until earlier commits of its module are through: those with a number up to this.
    Held { run: RunId, after: RequestId, work: Work },
    /// The store has it.
    AtStore { kind: Kind, interrupted: bool },
}

/// One request to the store.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(super) caller: Caller,
    /// Who is to be answered, until they are.
    pub(super) recipient: Option<Recipient>,
    /// The request in whose handling a module asks.
    pub(super) of: Option<RequestId>,
    pub(super) deadline: Time,
    pub(super) standing: Standing,
}

impl Operation {
    pub(crate) fn recipient(&self) -> Option<Recipient> {
        self.recipient
    }

    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }

    pub(crate) fn held_by(&self) -> Option<RunId> {
        match self.standing {
            Standing::Held { run, .. } => Some(run),
            Standing::AtStore { .. } => None,
        }
    }
}

impl Core {
    /// A query or a mutation for the store.
    pub(crate) fn admit_operation(&mut self, now: Time, to: Recipient, request: Request) -> Result<(), Failure> {
        let caller = to.caller;
        self.check_caller(to)?;
        self.check_not_stopping(caller)?;
        let work = match request.kind {
            RequestType::Query => Work::Query(Box::new(Query::read(&request.payload)?)),
            RequestType::Mutation => {
                let mutation = Mutation::read(&request.payload)?;
                let key = request.key.map(|key| KeyUse {
                    key,
                    to: ADDRESS.to_owned(),
                    kind: RequestType::Mutation,
                    payload: request.payload,
                });
                Work::Mutation(Box::new(mutation), key)
            }
            ref other => {
                let reason = format!("layer1 takes requests of type query and mutation, found {:?}", other.name());
                return Err(refused(ErrorCode::UnknownType, reason));
            }
        };
        if let Caller::Run(run) = caller {
            let needs = match &work {
                Work::Query(query) => query.needs(),
                Work::Mutation(mutation, _) => mutation.needs(),
            };
            self.check_needs(run, &needs)?;
        }
        let of = self.wanted_in_hand(caller, request.of)?;
        if let (Some(of), Work::Mutation(_, Some(_))) = (of, &work) {
            let reason = format!(
                "a mutation in the handling of a request has no key of its own, found one: what it does is done \
                 once if request {of} has a key"
            );
            return Err(refused(ErrorCode::BadRequest, reason));
        }
        let id = self.new_request_id();
        if let Some(of) = of {
            self.open_unit(of).operations.push(id);
        }
        let deadline = now + request.deadline_ms.map_or(DEADLINE_DEFAULT, Duration::from_millis);
        self.callers.entry(caller).or_default().insert(to.id, Outstanding::Operation(id));
        self.timers.set(deadline, Timer::Operation(id));
        let (run, after) = match caller {
            Caller::Client(_) => (None, None),
            Caller::Run(run) => (Some(run), self.held_until(run, &work)),
        };
        let standing = match (run, after) {
            (Some(run_id), Some(after)) => {
                self.runs.get_mut(&run_id).expect("it asks").held.push_back(id);
                Standing::Held { run: run_id, after, work }
            }
            (Some(_), None) | (None, _) => self.hand_to_store(id, of, caller, work),
        };
        self.layer1.operations.insert(id, Operation { caller, recipient: Some(to), of, deadline, standing });
        Ok(())
    }

    /// Until which commit of its module a process's request to the store has to wait: what it reads, or
    /// builds on, is what the module was told is done. It stays behind those that wait already.
    fn held_until(&self, run_id: RunId, work: &Work) -> Option<RequestId> {
        let run = self.runs.get(&run_id)?;
        let newest = self.modules[&run.module].commits.last().copied();
        match (work.needs_a_base(), newest) {
            (true, Some(commit)) => Some(commit),
            (true, None) | (false, _) if !run.held.is_empty() => Some(RequestId(0)),
            (true, None) | (false, _) => None,
        }
    }

    fn hand_to_store(&mut self, id: RequestId, of: Option<RequestId>, caller: Caller, work: Work) -> Standing {
        let opened = of.filter(|of| self.opened_unit(*of).is_some());
        if let (Some(of), Work::Mutation(..)) = (opened, &work) {
            self.open_unit(of).extent = Extent::Changes;
        }
        let unit = opened.map(|of| self.unit_id(of));
        let (kind, op) = match work {
            Work::Query(query) => (Kind::Query, StoreOp::Query { unit, query }),
            Work::Mutation(mutation, key) => {
                let spec = match caller {
                    Caller::Client(_) => None,
                    Caller::Run(run) => self.runs.get(&run).map(|run| &run.spec),
                };
                let (owner, quota) = (spec.map(|spec| spec.name.clone()), spec.and_then(|spec| spec.storage_quota));
                (Kind::Mutation { keyed: key.is_some() }, StoreOp::Mutate { unit, owner, quota, mutation, key })
            }
        };
        self.submit_as(id, Ticket::Operation, op);
        Standing::AtStore { kind, interrupted: false }
    }

    /// Earlier commits of a module are through: what waited for them goes on, in order.
    pub(crate) fn release_held(&mut self, module_id: ModuleId) {
        let Some(module) = self.modules.get(&module_id) else { return };
        let oldest = module.commits.first().copied();
        let runs: Vec<RunId> = module.slots.iter().filter_map(Slot::run).collect();
        for run_id in runs {
            while let Some(id) = self.runs.get(&run_id).and_then(|run| run.held.front().copied()) {
                let operation = self.layer1.operations.get_mut(&id).expect("what is held is in the table");
                let (of, caller) = (operation.of, operation.caller);
                let Standing::Held { after, work, .. } = &operation.standing else { unreachable!("it is held") };
                if oldest.is_some_and(|oldest| oldest <= *after) {
                    break;
                }
                let work = work.clone();
                self.runs.get_mut(&run_id).expect("it was there above").held.pop_front();
                let standing = self.hand_to_store(id, of, caller, work);
                self.layer1.operations.get_mut(&id).expect("it was there above").standing = standing;
            }
        }
    }
}

impl Work {
    /// Whether it reads or builds on what is stored. What is created under an id of the store's own
    /// does not.
    fn needs_a_base(&self) -> bool {
        match self {
            Work::Query(_) => true,
            Work::Mutation(mutation, _) => {
                !mutation.operations.iter().all(|one| matches!(one.change, Change::Create { id: None, .. }))
            }
        }
    }
}
