//! Checks that the parts of a core agree with each other. For tests: nothing here is needed to decide.

use crate::{
    core::{Core, Outstanding},
    ids::Caller,
    layer1::{JobPurpose, Unit},
    limits::EVENTS_COMMITTING_MAX,
    request::RequestState,
    requests::LookUpState,
    run::Phase,
    slots::{SlotState, Vacancy},
    timers::Timer,
};

/// How much a core remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(hidden)]
pub struct Counts {
    pub requests: usize,
    pub open: usize,
    pub waiters: usize,
    pub runs: usize,
    pub timers: usize,
    pub store_requests: usize,
    pub keys: usize,
}

impl Core {
    /// Whether the host lacks something that starts wait for. For tests.
    pub fn is_lacking(&self) -> bool {
        !self.lacks.is_empty()
    }

    /// Checks every relation between the core's tables, and counts what is in them.
    ///
    /// # Panics
    /// When they disagree.
    #[doc(hidden)]
    pub fn audit(&self) -> Counts {
        let timers = self.audit_modules() + self.audit_runs() + self.audit_requests() + self.audit_waiters();
        let timers = timers + self.audit_store_requests() + self.audit_streams();
        let timers = timers + self.lacks.audit(|at, timer| self.timers.contains(at, timer));
        self.audit_keys();
        self.audit_directory();
        self.audit_starts();
        self.audit_room();
        assert_eq!(timers, self.timers.len(), "timers without an owner: {:?}", self.timers);
        let open = self.callers.iter().map(|(_, open)| open.len()).sum();
        let (requests, waiters, runs) = (self.requests.len(), self.waiters.len(), self.runs.len());
        let (store_requests, keys) = (self.layer1.store_requests.len(), self.layer1.keys.len());
        Counts { requests, open, waiters, runs, timers, store_requests, keys }
    }

    /// Each slot with a moment has a timer, each process one slot, each queue as many requests as its count.
    fn audit_modules(&self) -> usize {
        let (mut timers, mut occupied) = (0, 0);
        for (id, module) in self.modules.iter() {
            for slot in module.slots.iter() {
                match slot.state() {
                    SlotState::Vacant(Vacancy::Waiting { until, .. }) => {
                        assert!(self.timers.contains(*until, Timer::Start(id, slot.id)), "no timer: {slot:?}");
                        timers += 1;
                    }
                    SlotState::Vacant(Vacancy::Lacking(lack)) => {
                        assert!(self.lacks.contains(*lack), "it waits for what is there: {slot:?}");
                        assert!(self.lacks.knows(*lack, (id, slot.id)), "it is not known to wait: {slot:?}");
                    }
                    SlotState::Vacant(vacancy) => assert_ne!(*vacancy, Vacancy::Ordered, "nothing carries it out"),
                    SlotState::Occupied(run) | SlotState::Clearing { run, .. } => {
                        let exited = matches!(slot.state(), SlotState::Clearing { .. });
                        let run = &self.runs[run];
                        assert_eq!((run.module, run.slot, run.phase == Phase::Exited), (id, slot.id, exited));
                        occupied += 1;
                    }
                }
            }
            let queued: usize = module.queue.iter().map(|request| self.requests[request].held).sum();
            let (bytes, keyed, keyed_bytes) = module.queue.accounts();
            assert_eq!(queued, bytes, "bytes in the queue of {}", module.spec.name);
            for request in module.queue.iter() {
                let entry = &self.requests[request];
                assert!(entry.state == RequestState::Queued && entry.wanted && entry.module == id, "{entry:?}");
            }
            let settles = |state: &RequestState| match state {
                RequestState::Settling(done) | RequestState::Committing(done) => Some(done.job),
                RequestState::LookingUp
                | RequestState::Joined
                | RequestState::Queued
                | RequestState::Flushing
                | RequestState::InFlight { .. } => None,
            };
            let mine = || self.requests.values().filter(|entry| entry.module == id);
            let commits: std::collections::BTreeSet<_> = mine().filter_map(|entry| settles(&entry.state)).collect();
            let (begun, waiting) = module.at_store.accounts();
            assert_eq!(&commits, begun, "commits of {}", module.spec.name);
            let flushing = mine().filter(|entry| entry.state == RequestState::Flushing).count();
            assert_eq!(flushing, waiting, "answers of {} that wait for the disk", module.spec.name);
            let aside = || mine().filter(|entry| matches!(entry.state, RequestState::LookingUp | RequestState::Joined));
            let bytes: usize = aside().map(|entry| entry.held).sum();
            assert_eq!((aside().count(), bytes), (keyed, keyed_bytes), "waiting for keys of {}", module.spec.name);
            assert!(module.queue.is_empty() || module.is_available(), "requests wait for nothing: {module:?}");
            if let Some(precedence) = &module.precedence {
                assert!(self.timers.contains(precedence.until, Timer::Precedence(id)), "no timer: {precedence:?}");
                timers += 1;
                let entry = &self.requests[precedence.request];
                assert!(matches!(entry.unit, Unit::Open(_)), "a precedence without a unit: {precedence:?} {entry:?}");
            }
        }
        assert_eq!(occupied, self.runs.len(), "processes without a slot");
        timers
    }

    /// Each process has the timer that its phase asks for and in flight what the table says.
    fn audit_runs(&self) -> usize {
        let mut timers = 0;
        for (id, run) in &self.runs {
            let timed = !run.leader_ended && !matches!(run.phase, Phase::Killing | Phase::Exited);
            assert_eq!(run.timer.is_some(), timed, "the timer of {run:?}");
            if let Some(at) = run.timer {
                assert!(self.timers.contains(at, Timer::Run(*id)), "no timer: {run:?}");
                timers += 1;
            }
            let mut bytes = 0;
            for request in run.in_flight.iter() {
                let entry = &self.requests[request];
                assert!(matches!(entry.state, RequestState::InFlight { run, .. } if run == *id), "{entry:?}");
                bytes += entry.bytes();
            }
            assert_eq!(bytes, run.in_flight.bytes(), "bytes in flight: {run:?}");
            let rules = &run.spec.rules;
            let few = run.in_flight.len() <= rules.window && bytes <= rules.window_bytes_max;
            assert!(few || run.in_flight.len() == 1, "more in flight than the window: {run:?}");
        }
        timers
    }

    /// Each request is in one state, and is its caller's exactly while it is wanted.
    fn audit_requests(&self) -> usize {
        let mut timers = 0;
        let (flushing, _) = self.layer1.held_answers.requests();
        let (bytes, recounted) = self.layer1.held_answers.accounts();
        assert_eq!(bytes, recounted, "bytes of the answers that wait for the disk");
        let (bytes, recounted, is_busy) = self.layer1.entities.accounts();
        assert_eq!(bytes, recounted, "bytes of the entities in memory");
        assert!(!is_busy || !self.layer1.jobs.is_empty() || self.requests.len() > 0, "an entity changes for ever");
        for (id, entry) in self.requests.iter() {
            let job = |job| self.layer1.jobs.get(&job).copied();
            let there = match &entry.state {
                // A request whose work is known to be undone waits only for those before it.
                RequestState::LookingUp => match self.modules[entry.module].at_store.look_up_of(id) {
                    Some(LookUpState::Asked) => {
                        self.layer1.jobs.values().any(|it| *it == JobPurpose::LookUp(id, entry.module))
                    }
                    Some(LookUpState::Vacant) => true,
                    Some(LookUpState::Over) | None => false,
                },
                RequestState::Joined => self.layer1.keys.values().any(|running| running.joined.contains(&id)),
                RequestState::Settling(_) => {
                    let precedence = self.modules[entry.module].precedence.as_ref();
                    matches!(&entry.unit, Unit::Open(open) if !open.store_requests.is_empty())
                        || precedence.is_some_and(|precedence| precedence.waiting.contains(&id))
                }
                RequestState::Committing(done) => job(done.job) == Some(JobPurpose::Commit(id)),
                RequestState::Flushing => flushing.contains(&id),
                RequestState::Queued => self.modules[entry.module].queue.contains(id),
                RequestState::InFlight { run, .. } => self.runs[run].in_flight.contains(id),
            };
            assert!(there, "lost: {entry:?}");
            assert_eq!(entry.wanted, self.timers.contains(entry.deadline, Timer::Deadline(id)), "{entry:?}");
            timers += usize::from(entry.wanted);
            if let Some(to) = entry.recipient {
                let open = self.callers.get(to.caller).and_then(|open| open.get(to.id));
                assert_eq!(open, Some(Outstanding::Request(id)), "its caller has forgotten it: {entry:?}");
            }
        }
        let clients = self.callers.iter().filter(|(caller, _)| matches!(caller, Caller::Client(_)));
        assert_eq!(
            clients.map(|(_, open)| open.bytes()).sum::<usize>(),
            self.callers.client_bytes(),
            "bytes of clients"
        );
        for (caller, open) in self.callers.iter() {
            assert_eq!(open.bytes(), open.recounted(), "bytes of {caller:?}");
            for (number, outstanding) in open.iter() {
                let recipient = match outstanding {
                    Outstanding::Request(id) => self.requests[id].recipient,
                    Outstanding::StoreRequest(id) => self.layer1.store_requests[&id].recipient(),
                    Outstanding::Waiter(id) => Some(self.waiters[&id].recipient),
                };
                assert_eq!(recipient.map(|to| (to.caller, to.id)), Some((caller, number)));
            }
        }
        timers
    }

    /// Each request to the store is in one state, and is its caller's exactly while it is not answered.
    fn audit_store_requests(&self) -> usize {
        let mut timers = 0;
        let (_, flushing) = self.layer1.held_answers.requests();
        for (id, store_request) in &self.layer1.store_requests {
            let at_store = self.layer1.jobs.get(id) == Some(&JobPurpose::StoreRequest);
            match store_request.held_by() {
                Some(run) => assert!(self.runs[&run].held.contains(id) && !at_store, "lost: {store_request:?}"),
                None => assert!(at_store || flushing.contains(id), "lost: {store_request:?}"),
            }
            let set = self.timers.contains(store_request.deadline(), Timer::StoreRequest(*id));
            assert_eq!(store_request.recipient().is_some(), set, "the timer of {store_request:?}");
            timers += usize::from(set);
        }
        for (id, entry) in self.requests.iter() {
            let Unit::Open(open) = &entry.unit else { continue };
            assert!(
                matches!(entry.state, RequestState::InFlight { .. } | RequestState::Settling(_)),
                "{id}: {entry:?}"
            );
            assert!(entry.wanted || matches!(entry.state, RequestState::Settling(_)), "{id}: {entry:?}");
            for store_request in &open.store_requests {
                assert!(
                    self.layer1.store_requests.contains_key(store_request),
                    "a store request that is gone: {entry:?}"
                );
            }
        }
        for run in self.runs.values() {
            for held in &run.held {
                assert!(self.layer1.store_requests.contains_key(held), "held and gone: {run:?}");
            }
            let module = &self.modules[run.module];
            let waits = module.precedence.is_some() || module.at_store.has_commits();
            assert!(run.held.is_empty() || waits, "held for nothing: {run:?}");
        }
        timers
    }

    /// The work of each key has one request that does it.
    fn audit_keys(&self) {
        for (key, running) in &self.layer1.keys {
            for id in running.joined.iter().chain([&running.leader]) {
                assert_eq!(self.requests[*id].scoped_key().as_ref(), Some(key), "the key of {id}");
            }
            assert!(
                self.requests[running.leader].state != RequestState::Joined,
                "no request does the work: {running:?}"
            );
        }
    }

    fn audit_streams(&self) -> usize {
        let mut timers = 0;
        for (id, stream) in self.layer1.streams.iter() {
            if let Some(pause) = stream.pause() {
                assert!(self.timers.contains(pause, Timer::Stream(*id)), "no timer: {stream:?}");
                timers += 1;
            }
            for request in stream.gives().into_iter().chain(stream.commits()) {
                let event = self.requests.get(request).and_then(|entry| entry.event);
                assert!(event.is_some(), "it waits for nothing: {stream:?}");
            }
            assert!(stream.commits().count() <= EVENTS_COMMITTING_MAX, "too many at once: {stream:?}");
        }
        timers
    }

    fn audit_waiters(&self) -> usize {
        let of_modules: usize =
            self.modules.values().flat_map(|module| module.waiters.values()).map(|ids| ids.len()).sum();
        assert_eq!(of_modules, self.waiters.len(), "waiters that no module knows");
        for (id, waiter) in self.waiters.iter() {
            let known = self.modules.get(waiter.module).and_then(|module| module.waiters.get(&waiter.goal));
            assert!(known.is_some_and(|ids| ids.contains(id)), "its module does not know: {waiter:?}");
            assert!(self.timers.contains(waiter.deadline, Timer::Waiter(*id)), "no timer: {waiter:?}");
            assert!(self.modules.get(waiter.module).is_some(), "a wait for nothing: {waiter:?}");
        }
        self.waiters.len()
    }
}
