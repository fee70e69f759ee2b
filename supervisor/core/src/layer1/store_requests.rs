//! Requests to the store itself: queries and mutations of clients and modules. What a module reads or
//! builds on waits here until what the module had answered before is committed. How these requests end is
//! in [`super::completion`].

use super::{Extent, JobPurpose, KeyUse, StoreOp, entities, flush::When, unit::OpenUnit};
use crate::{
    action::Action,
    core::{Core, Outstanding},
    ids::{Caller, ModuleId, Recipient, RequestId, RunId},
    limits::{STORE_DEADLINE_DEFAULT, STORE_REQUEST_BYTES, UNIT_SHOWN_MAX},
    routing::refused,
    run::Phase,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, HeldBytes, Json, Request, RequestType, Status,
    layer1::{Command, Mutation, Query},
};
use std::{collections::HashSet, time::Duration};

/// The store's address.
pub(crate) const ADDRESS: &str = "layer1";

/// The payload of a request to the store, read.
#[derive(Clone, Debug)]
pub enum Read {
    /// Of a query.
    Query(Box<Query>),
    /// Of a mutation.
    Mutation(Box<Mutation>),
    /// Of a command.
    Command(Command),
}

impl Read {
    /// Reads the payload. It needs only the request, and may be done on any thread.
    ///
    /// # Errors
    /// With the path inside the payload, or when it is of another type.
    pub fn of(request: &Request) -> Result<Read, Failure> {
        match &request.kind {
            RequestType::Query => Ok(Read::Query(Box::new(Query::read(&request.payload)?))),
            RequestType::Mutation => Ok(Read::Mutation(Box::new(Mutation::read(&request.payload)?))),
            RequestType::Command => Ok(Read::Command(Command::read(&request.payload)?)),
            other => {
                let reason =
                    format!("layer1 takes requests of type query, mutation and command, found {:?}", other.name());
                Err(refused(ErrorCode::UnknownType, reason))
            }
        }
    }
}

impl HeldBytes for Read {
    fn held_bytes(&self) -> usize {
        match self {
            Read::Query(query) => query.held_bytes(),
            Read::Mutation(mutation) => mutation.held_bytes(),
            Read::Command(_) => 0,
        }
    }
}

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
    /// `keyed`: a request with the same key gets the outcome.
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
pub(super) enum StoreRequestState {
    /// It waits until earlier commits of its module have ended: those with a number up to this.
    Held { run: RunId, after: RequestId, work: Work },
    /// The store has it.
    AtStore { kind: Kind, interrupted: bool },
    /// Its answer waits until what it has made or seen is on the disk.
    Flushing { kind: Kind },
}

/// One request to the store.
#[derive(Debug)]
pub(crate) struct StoreRequest {
    pub(super) caller: Caller,
    /// The recipient of the answer, until it is answered.
    pub(super) recipient: Option<Recipient>,
    /// The request that the module's request belongs to.
    pub(super) of: Option<RequestId>,
    pub(super) deadline: Time,
    pub(super) state: StoreRequestState,
}

impl StoreRequest {
    pub(crate) fn recipient(&self) -> Option<Recipient> {
        self.recipient
    }

    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }

    pub(crate) fn held_by(&self) -> Option<RunId> {
        match self.state {
            StoreRequestState::Held { run, .. } => Some(run),
            StoreRequestState::AtStore { .. } | StoreRequestState::Flushing { .. } => None,
        }
    }
}

impl Core {
    /// As [`Core::handle_request`], of a request for the store whose payload was read before: reading a long
    /// one takes time that only its sender should have to wait.
    pub fn handle_read_request(&mut self, now: Time, caller: Caller, request: Request, read: Result<Read, Failure>) {
        if let Caller::Run(run) = caller {
            let Some(run) = self.runs.get_mut(&run).filter(|run| run.phase != Phase::Exited) else { return };
            run.heard(now);
        }
        let to = Recipient { caller, id: request.id.expect("only an event comes without an id") };
        let admitted = read
            .map_err(|failure| failure.delivery(Delivery::NotStarted))
            .and_then(|read| self.admit_read(now, to, request, read));
        if let Err(failure) = admitted {
            self.act(Action::Reply { to, status: failure.into() });
        }
    }

    /// A query or a mutation for the store.
    pub(crate) fn admit_store_request(&mut self, now: Time, to: Recipient, request: Request) -> Result<(), Failure> {
        self.check_caller(to, STORE_REQUEST_BYTES + request.payload.held_bytes())?;
        let read = Read::of(&request)?;
        self.admit_read(now, to, request, read)
    }

    fn admit_read(&mut self, now: Time, to: Recipient, request: Request, read: Read) -> Result<(), Failure> {
        let caller = to.caller;
        // Under a key, the payload as it came distinguishes the work from other work.
        let kept = request.key.as_ref().map_or(0, |key| key.held_bytes() + request.payload.held_bytes());
        let bytes = STORE_REQUEST_BYTES + read.held_bytes() + kept;
        self.check_caller(to, bytes)?;
        self.check_not_stopping(caller)?;
        let work = match read {
            Read::Command(Command::Flush) => return self.admit_flush(now, to, request.deadline_ms, bytes),
            Read::Query(query) => Work::Query(query),
            Read::Mutation(mutation) => {
                let key = request.key.map(|key| KeyUse {
                    caller: self.key_caller(caller),
                    key,
                    to: ADDRESS.to_owned(),
                    kind: RequestType::Mutation,
                    payload: request.payload,
                });
                Work::Mutation(mutation, key)
            }
        };
        if let Caller::Run(run) = caller {
            let needs = match &work {
                Work::Query(query) => query.needs(),
                Work::Mutation(mutation, _) => mutation.needs(),
            };
            self.check_entities(run, &needs)?;
        }
        let of = self.attribute_change(caller, request.of)?;
        if let (Some(of), Work::Mutation(_, Some(_))) = (of, &work) {
            let reason = format!(
                "a mutation in the handling of a request has no key of its own, found one: what it does is done \
                 once if request {of} has a key"
            );
            return Err(refused(ErrorCode::BadRequest, reason));
        }
        if let Work::Query(query) = &work
            && let Some(status) = self.answer_from_memory(now, caller, of, query)
        {
            self.act(Action::Reply { to, status });
            return Ok(());
        }
        let id = self.ids.request();
        if let Work::Mutation(mutation, _) = &work {
            let keys = entities::named(mutation);
            match of {
                Some(of) => self.requests.open_unit(of).changes.extend(keys),
                None => self.layer1.entities.commit_begins(id, keys),
            }
        }
        if let Some(of) = of {
            self.requests.open_unit(of).store_requests.push(id);
        }
        let deadline = self.open_store_request(now, to, id, request.deadline_ms, bytes);
        let (run, after) = match caller {
            Caller::Client(_) => (None, None),
            Caller::Run(run) => (Some(run), self.held_until(now, run, of, &work)),
        };
        let state = match (run, after) {
            (Some(run_id), Some(after)) => {
                self.runs.get_mut(&run_id).expect("it asks").held.push_back(id);
                self.act(Action::HastenCommits);
                StoreRequestState::Held { run: run_id, after, work }
            }
            (Some(_), None) | (None, _) => self.send_to_store(id, of, caller, work),
        };
        self.layer1.store_requests.insert(id, StoreRequest { caller, recipient: Some(to), of, deadline, state });
        Ok(())
    }

    /// From now on the caller waits for the answer, until its deadline.
    fn open_store_request(
        &mut self,
        now: Time,
        to: Recipient,
        id: RequestId,
        deadline_ms: Option<u64>,
        bytes: usize,
    ) -> Time {
        let deadline = now + deadline_ms.map_or(STORE_DEADLINE_DEFAULT, Duration::from_millis);
        self.callers.open(to, Outstanding::StoreRequest(id), bytes);
        self.timers.set(deadline, Timer::StoreRequest(id));
        deadline
    }

    /// The command `flush`: it is answered when everything that is committed now is on the disk. It is no part of a
    /// unit of work, since that is committed only after it.
    fn admit_flush(&mut self, now: Time, to: Recipient, deadline_ms: Option<u64>, bytes: usize) -> Result<(), Failure> {
        let newest = self.layer1.held_answers.newest();
        let done = Status::Success(Json::null());
        match self.layer1.held_answers.when(newest) {
            When::Now => self.act(Action::Reply { to, status: done }),
            When::Never(failure) => return Err(failure),
            When::Flushed => {
                let id = self.ids.request();
                let deadline = self.open_store_request(now, to, id, deadline_ms, bytes);
                let state = StoreRequestState::Flushing { kind: Kind::Query };
                let caller = to.caller;
                let waits = StoreRequest { caller, recipient: Some(to), of: None, deadline, state };
                self.layer1.store_requests.insert(id, waits);
                self.layer1.held_answers.hold_store_answer(newest, id, done);
            }
        }
        Ok(())
    }

    /// The answer to a query for one entity that is kept in memory, if it may be given at once: the unit has not
    /// changed the entity itself and waits for nothing, and a client may be shown it.
    fn answer_from_memory(
        &mut self,
        now: Time,
        caller: Caller,
        of: Option<RequestId>,
        query: &Query,
    ) -> Option<Status> {
        let key = entities::asked_for(query)?;
        let known = self.layer1.entities.get(&key)?.clone();
        match caller {
            Caller::Client(_) if self.layer1.held_answers.when(known.seen) != When::Now => return None,
            Caller::Client(_) => {}
            Caller::Run(run) => {
                let waits = |held: &RequestId| self.layer1.store_requests[held].of == of;
                if self.runs.get(&run)?.held.iter().any(waits) {
                    return None;
                }
            }
        }
        if let Some(of) = of {
            let asks_the_store = |open: &OpenUnit| open.changes.contains(&key) || open.shown.len() >= UNIT_SHOWN_MAX;
            if self.opened_unit(of).is_some_and(asks_the_store) || self.waits_for_precedence(now, of) {
                return None;
            }
            self.requests.open_unit(of).shown.push((key, known.state));
        }
        if let Caller::Run(run) = caller {
            self.has_seen(run, known.seen);
        }
        Some(Status::Success(known.data))
    }

    /// Until which commit of its module a process's request to the store has to wait: what it reads, or
    /// builds on, is what was acknowledged to the module as done. It stays after those of the same unit that
    /// wait already, and may have to wait for the precedence of another request.
    fn held_until(&mut self, now: Time, run_id: RunId, of: Option<RequestId>, work: &Work) -> Option<RequestId> {
        let waits_for_precedence = of.is_some_and(|of| self.waits_for_precedence(now, of));
        let run = self.runs.get(&run_id)?;
        let waits_for_others =
            waits_for_precedence || run.held.iter().any(|held| self.layer1.store_requests[held].of == of);
        let newest = self.newest_commit(run.module, of).filter(|_| work.needs_a_base());
        newest.or(waits_for_others.then_some(RequestId(0)))
    }

    fn send_to_store(&mut self, id: RequestId, of: Option<RequestId>, caller: Caller, work: Work) -> StoreRequestState {
        let opened = of.filter(|of| self.opened_unit(*of).is_some());
        if let (Some(of), Work::Mutation(..)) = (opened, &work) {
            self.requests.open_unit(of).extent = Extent::Changes;
        }
        let unit = opened.map(|of| self.unit_id(of));
        let (kind, op) = match work {
            Work::Query(query) => {
                let open = opened.and_then(|of| self.opened_unit(of));
                let key = entities::asked_for(&query);
                if let Some(key) = key.filter(|key| !open.is_some_and(|open| open.changes.contains(key))) {
                    self.layer1.entities.read_begins(id, key);
                }
                (Kind::Query, StoreOp::Query { unit, query })
            }
            Work::Mutation(mutation, key) => {
                let shown = opened.map(|of| std::mem::take(&mut self.requests.open_unit(of).shown)).unwrap_or_default();
                let spec = match caller {
                    Caller::Client(_) => None,
                    Caller::Run(run) => self.runs.get(&run).map(|run| &run.spec),
                };
                let (owner, quota) = (spec.map(|spec| spec.name.clone()), spec.and_then(|spec| spec.storage_quota));
                (Kind::Mutation { keyed: key.is_some() }, StoreOp::Mutate { unit, owner, quota, mutation, key, shown })
            }
        };
        self.submit_as(id, JobPurpose::StoreRequest, op);
        StoreRequestState::AtStore { kind, interrupted: false }
    }

    /// Earlier commits of a module have ended, or a precedence has ended: what waited for that goes on, in order.
    pub(crate) fn release_held(&mut self, now: Time, module_id: ModuleId) {
        let Some(module) = self.modules.get(module_id) else { return };
        let runs = module.slots.runs().filter_map(|run| self.runs.get(&run));
        let mut held: Vec<RequestId> = runs.flat_map(|run| run.held.iter().copied()).collect();
        held.sort_unstable();
        let mut waiting = HashSet::new();
        for id in held {
            // A request that goes on may end others that wait.
            let Some(store_request) = self.layer1.store_requests.get(&id) else { continue };
            let StoreRequestState::Held { run, .. } = store_request.state else { continue };
            if waiting.contains(&(run, store_request.of)) || self.still_waits(now, module_id, id) {
                waiting.insert((run, self.layer1.store_requests[&id].of));
            } else {
                self.unheld_to_store(id, run);
            }
        }
    }

    /// Whether a request to the store that waits, and is the first of those of its unit, has to keep waiting.
    fn still_waits(&mut self, now: Time, module_id: ModuleId, id: RequestId) -> bool {
        let waits_for_commit = |core: &Core| {
            let oldest = core.modules[module_id].at_store.oldest_commit();
            let StoreRequestState::Held { after, .. } = &core.layer1.store_requests[&id].state else {
                unreachable!("it is held")
            };
            oldest.is_some_and(|oldest| oldest <= *after)
        };
        if waits_for_commit(self) {
            return true;
        }
        let Some(of) = self.layer1.store_requests[&id].of else { return false };
        if self.waits_for_precedence(now, of) {
            return true;
        }
        if self.has_precedence(of) {
            // A request that takes precedence builds on all that was answered before.
            let newest = self.newest_commit(module_id, Some(of)).unwrap_or(RequestId(0));
            let store_request = self.layer1.store_requests.get_mut(&id).expect("it was there above");
            let StoreRequestState::Held { after, .. } = &mut store_request.state else { unreachable!("it is held") };
            *after = newest;
        }
        waits_for_commit(self)
    }

    fn unheld_to_store(&mut self, id: RequestId, run_id: RunId) {
        let run = self.runs.get_mut(&run_id).expect("what is held has a process");
        run.held.retain(|other| *other != id);
        let mut store_request = self.layer1.store_requests.remove(&id).expect("what is held is in the table");
        let StoreRequestState::Held { work, .. } = store_request.state else { unreachable!("it is held") };
        store_request.state = self.send_to_store(id, store_request.of, store_request.caller, work);
        self.layer1.store_requests.insert(id, store_request);
    }
}

impl Work {
    /// Whether it reads or builds on what is stored. What is created under an id that the store makes
    /// does not.
    fn needs_a_base(&self) -> bool {
        match self {
            Work::Query(_) => true,
            Work::Mutation(mutation, _) => !mutation.creates_only_new(),
        }
    }
}
