//! Checks that the parts of a core agree with each other. For tests: nothing here is needed to decide.

use crate::{
    action::Caller,
    core::{Core, Outstanding},
    layer1::{Ticket, Unit},
    module::{LookUpState, SlotState, Vacancy},
    open::Open,
    pending::Place,
    run::Phase,
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
    pub operations: usize,
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
        let timers = timers + self.audit_operations() + self.audit_streams();
        let timers = timers + self.lacks.audit(|at, timer| self.timers.contains(at, timer));
        self.audit_keys();
        self.audit_directory();
        self.audit_starts();
        self.audit_room();
        assert_eq!(timers, self.timers.len(), "timers that nobody has set: {:?}", self.timers);
        let open = self.callers.values().map(Open::len).sum();
        let (requests, waiters, runs) = (self.requests.len(), self.waiters.len(), self.runs.len());
        let (operations, keys) = (self.layer1.operations.len(), self.layer1.keys.len());
        Counts { requests, open, waiters, runs, timers, operations, keys }
    }

    /// Each place with a moment has a timer, each process one place, each queue what its count says.
    fn audit_modules(&self) -> usize {
        let (mut timers, mut occupied) = (0, 0);
        for (id, module) in self.modules.iter() {
            for slot in &module.slots {
                match &slot.state {
                    SlotState::Vacant(Vacancy::Waiting { until, .. }) => {
                        assert!(self.timers.contains(*until, Timer::Start(*id, slot.id)), "no timer: {slot:?}");
                        timers += 1;
                    }
                    SlotState::Vacant(Vacancy::Lacking(lack)) => {
                        assert!(self.lacks.contains(*lack), "it waits for what is there: {slot:?}");
                        assert!(self.lacks.knows(*lack, (*id, slot.id)), "it is not known to wait: {slot:?}");
                    }
                    SlotState::Vacant(vacancy) => assert_ne!(*vacancy, Vacancy::Ordered, "nobody carries it out"),
                    SlotState::Occupied(run) | SlotState::Clearing { run, .. } => {
                        let exited = matches!(slot.state, SlotState::Clearing { .. });
                        let run = &self.runs[run];
                        assert_eq!((run.module, run.slot, run.phase == Phase::Exited), (*id, slot.id, exited));
                        occupied += 1;
                    }
                }
            }
            let queued: usize = module.queue.iter().map(|request| self.requests[request].held).sum();
            assert_eq!(queued, module.queue_bytes, "bytes in the queue of {}", module.spec.name);
            for request in &module.queue {
                let pending = &self.requests[request];
                assert!(pending.place == Place::Queued && pending.wanted && pending.module == *id, "{pending:?}");
            }
            let settles = |place: &Place| match place {
                Place::Settling(done) | Place::Committing(done) => Some(done.ticket),
                Place::LookingUp | Place::Joined | Place::Queued | Place::InFlight { .. } => None,
            };
            let mine = || self.requests.values().filter(|pending| pending.module == *id);
            let commits: std::collections::BTreeSet<_> = mine().filter_map(|pending| settles(&pending.place)).collect();
            assert_eq!(commits, module.commits, "commits of {}", module.spec.name);
            let aside = || mine().filter(|pending| matches!(pending.place, Place::LookingUp | Place::Joined));
            let bytes: usize = aside().map(|pending| pending.held).sum();
            assert_eq!((aside().count(), bytes), (module.aside, module.aside_bytes), "beside {}", module.spec.name);
            assert!(module.queue.is_empty() || module.is_available(), "requests wait for nothing: {module:?}");
            if let Some(turn) = &module.turn {
                assert!(self.timers.contains(turn.until, Timer::Turn(*id)), "no timer: {turn:?}");
                timers += 1;
                let pending = &self.requests[&turn.request];
                assert!(matches!(pending.unit, Unit::Open(_)), "a turn of nobody: {turn:?} {pending:?}");
            }
        }
        assert_eq!(occupied, self.runs.len(), "processes without a place");
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
            for request in &run.in_flight {
                let pending = &self.requests[request];
                assert!(matches!(pending.place, Place::InFlight { run, .. } if run == *id), "{pending:?}");
                bytes += pending.bytes();
            }
            assert_eq!(bytes, run.in_flight_bytes, "bytes in flight: {run:?}");
            let rules = &run.spec.rules;
            let few = run.in_flight.len() <= rules.window && bytes <= rules.window_bytes_max;
            assert!(few || run.in_flight.len() == 1, "more in flight than the window: {run:?}");
        }
        timers
    }

    /// Each request is in one place, and is its caller's exactly while it is wanted.
    fn audit_requests(&self) -> usize {
        let mut timers = 0;
        for (id, pending) in &self.requests {
            let ticket = |ticket| self.layer1.tickets.get(&ticket).copied();
            let there = match &pending.place {
                // What is known to be undone waits only for those before it.
                Place::LookingUp => self.modules[&pending.module].look_ups.iter().any(|it| {
                    it.request == *id
                        && match it.state {
                            LookUpState::Asked => {
                                self.layer1.tickets.values().any(|it| *it == Ticket::LookUp(*id, pending.module))
                            }
                            LookUpState::Vacant => true,
                            LookUpState::Over => false,
                        }
                }),
                Place::Joined => self.layer1.keys.values().any(|running| running.joined.contains(id)),
                Place::Settling(_) => {
                    let turn = self.modules[&pending.module].turn.as_ref();
                    matches!(&pending.unit, Unit::Open(open) if !open.operations.is_empty())
                        || turn.is_some_and(|turn| turn.waiting.contains(id))
                }
                Place::Committing(done) => ticket(done.ticket) == Some(Ticket::Commit(*id)),
                Place::Queued => self.modules[&pending.module].queue.contains(id),
                Place::InFlight { run, .. } => self.runs[run].in_flight.contains(id),
            };
            assert!(there, "lost: {pending:?}");
            assert_eq!(pending.wanted, self.timers.contains(pending.deadline, Timer::Deadline(*id)), "{pending:?}");
            timers += usize::from(pending.wanted);
            if let Some(to) = pending.recipient {
                let open = self.callers.get(&to.caller).and_then(|open| open.get(to.id));
                assert_eq!(open, Some(Outstanding::Request(*id)), "its caller has forgotten it: {pending:?}");
            }
        }
        let clients = self.callers.iter().filter(|(caller, _)| matches!(caller, Caller::Client(_)));
        assert_eq!(clients.map(|(_, open)| open.bytes()).sum::<usize>(), self.client_bytes, "bytes of clients");
        for (caller, open) in &self.callers {
            assert_eq!(open.bytes(), open.recounted(), "bytes of {caller:?}");
            for (number, outstanding) in open.iter() {
                let recipient = match outstanding {
                    Outstanding::Request(id) => self.requests[&id].recipient,
                    Outstanding::Operation(id) => self.layer1.operations[&id].recipient(),
                    Outstanding::Waiter(id) => Some(self.waiters[&id].recipient),
                };
                assert_eq!(recipient.map(|to| (to.caller, to.id)), Some((*caller, number)));
            }
        }
        timers
    }

    /// Each request to the store is in one place, and is its caller's exactly while it is not answered.
    fn audit_operations(&self) -> usize {
        let mut timers = 0;
        for (id, operation) in &self.layer1.operations {
            let at_store = self.layer1.tickets.get(id) == Some(&Ticket::Operation);
            match operation.held_by() {
                Some(run) => assert!(self.runs[&run].held.contains(id) && !at_store, "lost: {operation:?}"),
                None => assert!(at_store, "lost: {operation:?}"),
            }
            let set = self.timers.contains(operation.deadline(), Timer::Operation(*id));
            assert_eq!(operation.recipient().is_some(), set, "the timer of {operation:?}");
            timers += usize::from(set);
        }
        for (id, pending) in &self.requests {
            let Unit::Open(open) = &pending.unit else { continue };
            assert!(matches!(pending.place, Place::InFlight { .. } | Place::Settling(_)), "{id}: {pending:?}");
            assert!(pending.wanted || matches!(pending.place, Place::Settling(_)), "{id}: {pending:?}");
            for operation in &open.operations {
                assert!(self.layer1.operations.contains_key(operation), "an operation that is gone: {pending:?}");
            }
        }
        for run in self.runs.values() {
            for held in &run.held {
                assert!(self.layer1.operations.contains_key(held), "held and gone: {run:?}");
            }
            let module = &self.modules[&run.module];
            let waits = module.turn.is_some() || !module.commits.is_empty();
            assert!(run.held.is_empty() || waits, "held for nothing: {run:?}");
        }
        timers
    }

    /// The work of each key has one request that does it.
    fn audit_keys(&self) {
        for (key, running) in &self.layer1.keys {
            for id in running.joined.iter().chain([&running.leader]) {
                assert_eq!(self.requests[id].scoped_key().as_ref(), Some(key), "the key of {id}");
            }
            assert!(self.requests[&running.leader].place != Place::Joined, "nobody does the work: {running:?}");
        }
    }

    fn audit_streams(&self) -> usize {
        let mut timers = 0;
        for (id, stream) in self.layer1.streams.iter() {
            if let Some(pause) = stream.pause() {
                assert!(self.timers.contains(pause, Timer::Stream(*id)), "no timer: {stream:?}");
                timers += 1;
            }
            if let Some(request) = stream.gives() {
                let event = self.requests.get(&request).and_then(|pending| pending.event);
                assert!(event.is_some(), "it waits for nothing: {stream:?}");
            }
        }
        timers
    }

    fn audit_waiters(&self) -> usize {
        let of_modules: usize =
            self.modules.values().flat_map(|module| module.waiters.values()).map(|ids| ids.len()).sum();
        assert_eq!(of_modules, self.waiters.len(), "waiters that no module knows");
        for (id, waiter) in self.waiters.iter() {
            let known = self.modules.get(&waiter.module).and_then(|module| module.waiters.get(&waiter.goal));
            assert!(known.is_some_and(|ids| ids.contains(id)), "its module does not know: {waiter:?}");
            assert!(self.timers.contains(waiter.deadline, Timer::Waiter(*id)), "no timer: {waiter:?}");
            assert!(self.modules.contains_key(&waiter.module), "a wait for nothing: {waiter:?}");
        }
        self.waiters.len()
    }
}
