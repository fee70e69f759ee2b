//! Requests to the store itself: queries and mutations of clients and modules, and events that belong
//! to no unit. Each has a deadline; a query can be interrupted, a change that is being committed cannot.

use super::{KeyState, KeyUse, NewEvent, StoreOp, StoreOutcome, Ticket, Unit, store::Cursor, unit};
use crate::{
    action::{Action, Caller, Recipient, RunId},
    core::{Core, Outstanding},
    module::{Desired, ModuleId, Slot},
    pending::{Place, RequestId},
    routing::refused,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, Json, Request, RequestType, Status, event,
    layer1::{Change, Mutation, Query},
};
use std::time::Duration;

/// The store's address.
pub(crate) const ADDRESS: &str = "layer1";

/// The deadline of a request to the store that names none.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);

/// Events without a number that one caller may have at the store.
const UNNUMBERED_MAX: usize = 4096;

/// What is asked of the store.
#[derive(Clone, Debug)]
enum Work {
    Query(Box<Query>),
    Mutation(Box<Mutation>, Option<KeyUse>),
}

/// What kind of work the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
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
enum Standing {
    /// It waits until earlier commits of its module are through: those with a number up to this.
    Held { run: RunId, after: RequestId, work: Work },
    /// The store has it.
    AtStore { kind: Kind, interrupted: bool },
}

/// One request to the store.
#[derive(Debug)]
pub(crate) struct Operation {
    caller: Caller,
    /// Who is to be answered, until they are.
    recipient: Option<Recipient>,
    /// The request in whose handling a module asks.
    of: Option<RequestId>,
    deadline: Time,
    standing: Standing,
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
    /// The request in whose handling a caller asks something: the one that it names, or the one that a
    /// module which answers in order must be working on.
    ///
    /// # Errors
    /// `bad_request`, when it names one that is not in its hands.
    pub(crate) fn in_hand(&self, caller: Caller, of: Option<u64>) -> Result<Option<RequestId>, Failure> {
        let Caller::Run(run) = caller else {
            return match of {
                None => Ok(None),
                Some(_) => Err(refused(ErrorCode::BadRequest, "a client handles no requests: expected no \"of\"")),
            };
        };
        let Some(run) = self.runs.get(&run) else { return Ok(None) };
        match of.map(RequestId) {
            Some(id) if run.in_flight.contains(&id) => Ok(Some(id)),
            Some(id) => {
                let reason = format!(
                    "expected in \"of\" a request that {} has in its hands, found {id}: answered, or never asked",
                    run.instance
                );
                Err(refused(ErrorCode::BadRequest, reason))
            }
            None if run.concurrent => Ok(None),
            None => Ok(run.in_flight.front().copied()),
        }
    }

    /// As [`Core::in_hand`], for what is to be committed with that request.
    fn wanted_in_hand(&mut self, caller: Caller, of: Option<u64>) -> Result<Option<RequestId>, Failure> {
        let Some(id) = self.in_hand(caller, of)? else { return Ok(None) };
        let Caller::Run(run_id) = caller else { return Ok(None) };
        let pending = self.requests.get_mut(&id).expect("what is in flight is in the table");
        // Whoever asks for a request has begun with it.
        pending.place = Place::InFlight { run: run_id, progressed: true };
        let unwanted = match (&pending.unit, pending.wanted, pending.cancelled) {
            (Unit::Undone(reason), _, _) => Some(*reason),
            (Unit::Empty | Unit::Open(_), _, true) => Some("it was cancelled"),
            (Unit::Empty | Unit::Open(_), false, false) => Some("its caller was answered already, or has gone"),
            (Unit::Empty | Unit::Open(_), true, false) => None,
        };
        let run = self.runs.get_mut(&run_id).expect("it has a request in hand");
        if run.in_flight.front() != Some(&id) {
            // It works on a later one while an earlier one is unanswered.
            run.concurrent = true;
        }
        match unwanted {
            Some(reason) => Err(unit::undone(id, reason)),
            None => Ok(Some(id)),
        }
    }

    fn check_not_stopping(&self, caller: Caller) -> Result<(), Failure> {
        match caller {
            Caller::Client(_) if self.shutting_down => {
                Err(refused(ErrorCode::ModuleUnavailable, "layer1 takes no more requests: the host is stopping"))
            }
            // What a module does for a request that it finishes belongs to that request.
            Caller::Client(_) | Caller::Run(_) => Ok(()),
        }
    }

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
            let belongs = match &work {
                Work::Mutation(..) => true,
                Work::Query(_) => self.opened_unit(of).is_some(),
            };
            if belongs {
                self.open_unit(of).operations.push(id);
            }
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
        let unit = match &work {
            Work::Mutation(..) => opened.map(|of| self.unit_id(of)),
            Work::Query(_) => opened.and_then(|of| self.opened_unit(of)?.id),
        };
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

    /// An event of a client or a module: into the unit of the request in hand, or stored at once.
    pub(crate) fn admit_event(
        &mut self,
        now: Time,
        caller: Caller,
        to: Option<Recipient>,
        request: Request,
    ) -> Result<(), Failure> {
        let name = event::event_name(&request.payload).map_err(|reason| refused(ErrorCode::BadRequest, reason))?;
        self.check_emit(caller, &name)?;
        self.check_not_stopping(caller)?;
        if let Some(to) = to {
            self.check_caller(to)?;
        }
        let subscribed =
            |module: &&crate::module::Module| module.desired == Desired::Running && module.subscribes_to(&name);
        let subscribers = self.modules.values().filter(subscribed).count();
        let source = match caller {
            Caller::Client(_) => None,
            Caller::Run(run) => self.module_of(run).cloned(),
        };
        let of = self.wanted_in_hand(caller, request.of)?;
        let new = NewEvent { source, event: name, payload: request.payload };
        if let Some(of) = of {
            self.publish_in_unit(of, new)?;
            if let Some(to) = to {
                let status = Status::Success(published(subscribers, None));
                self.act(Action::Reply { to, status });
            }
            return Ok(());
        }
        let id = self.new_request_id();
        let deadline = now + request.deadline_ms.map_or(DEADLINE_DEFAULT, Duration::from_millis);
        match to {
            Some(to) => {
                self.callers.entry(caller).or_default().insert(to.id, Outstanding::Operation(id));
                self.timers.set(deadline, Timer::Operation(id));
            }
            None => {
                let count = self.layer1.unnumbered.entry(caller).or_default();
                if *count >= UNNUMBERED_MAX {
                    let reason = format!("there are {UNNUMBERED_MAX} events on their way into the store already");
                    return Err(refused(ErrorCode::Overloaded, reason));
                }
                *count += 1;
            }
        }
        let standing = Standing::AtStore { kind: Kind::Event { subscribers }, interrupted: false };
        self.layer1.operations.insert(id, Operation { caller, recipient: to, of: None, deadline, standing });
        self.submit_as(id, Ticket::Operation, StoreOp::Emit { events: vec![new] });
        Ok(())
    }

    /// The store has answered a request.
    pub(crate) fn operation_done(&mut self, now: Time, id: RequestId, outcome: StoreOutcome, cursor: Option<Cursor>) {
        let operation = &self.layer1.operations[&id];
        let Standing::AtStore { kind, .. } = operation.standing else { unreachable!("the store has answered it") };
        let status = match (kind, outcome) {
            (Kind::Query, StoreOutcome::Rows(data)) => Status::Success(data),
            (Kind::Mutation { .. }, StoreOutcome::Mutated { data, .. }) => Status::Success(data),
            (Kind::Mutation { .. }, StoreOutcome::Key(KeyState::Stored(data))) => Status::Success(data),
            (Kind::Event { subscribers }, StoreOutcome::Emitted { .. }) => {
                Status::Success(published(subscribers, cursor))
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
            self.act(Action::Store { ticket: id, op: StoreOp::Interrupt });
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
                module.into_iter().for_each(|module| self.release_held(module));
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
                module.into_iter().for_each(|module| self.release_held(module));
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

/// The data of the answer to an event.
fn published(subscribers: usize, cursor: Option<Cursor>) -> Json {
    let text = match cursor {
        None => format!(r#"{{"subscribers":{subscribers}}}"#),
        Some(cursor) => format!(r#"{{"subscribers":{subscribers},"cursor":{cursor}}}"#),
    };
    Json::parse(&text).expect("it is JSON")
}
