//! Checks that the parts of a core agree with each other. For tests: nothing here is needed to decide.

use crate::{
    core::{Core, Outstanding},
    module::{SlotState, Vacancy},
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
}

impl Core {
    /// Checks every relation between the core's tables, and counts what is in them.
    ///
    /// # Panics
    /// When they disagree.
    #[doc(hidden)]
    pub fn audit(&self) -> Counts {
        let timers = self.audit_modules() + self.audit_runs() + self.audit_requests() + self.audit_waiters();
        assert_eq!(timers, self.timers.len(), "timers that nobody has set: {:?}", self.timers);
        let open = self.callers.values().map(std::collections::HashMap::len).sum();
        let (requests, waiters, runs) = (self.requests.len(), self.waiters.len(), self.runs.len());
        Counts { requests, open, waiters, runs, timers }
    }

    /// Each place with a moment has a timer, each process one place, each queue what its count says.
    fn audit_modules(&self) -> usize {
        let (mut timers, mut occupied) = (0, 0);
        for (id, module) in &self.modules {
            for slot in &module.slots {
                match &slot.state {
                    SlotState::Vacant(Vacancy::Waiting { until, .. }) => {
                        assert!(self.timers.contains(*until, Timer::Start(*id, slot.id)), "no timer: {slot:?}");
                        timers += 1;
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
            let queued: usize = module.queue.iter().map(|request| self.requests[request].bytes()).sum();
            assert_eq!(queued, module.queue_bytes, "bytes in the queue of {}", module.spec.name);
            for request in &module.queue {
                let pending = &self.requests[request];
                assert!(pending.place == Place::Queued && pending.wanted && pending.module == *id, "{pending:?}");
            }
            assert!(module.queue.is_empty() || module.is_available(), "requests wait for nothing: {module:?}");
        }
        assert_eq!(occupied, self.runs.len(), "processes without a place");
        timers
    }

    /// Each process has the timer that its phase asks for and in flight what the table says.
    fn audit_runs(&self) -> usize {
        let mut timers = 0;
        for (id, run) in &self.runs {
            let timed = !matches!(run.phase, Phase::Killing | Phase::Exited);
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
            let there = match pending.place {
                Place::Queued => self.modules[&pending.module].queue.contains(id),
                Place::InFlight { run, .. } => self.runs[&run].in_flight.contains(id),
            };
            assert!(there, "lost: {pending:?}");
            assert_eq!(pending.wanted, self.timers.contains(pending.deadline, Timer::Deadline(*id)), "{pending:?}");
            timers += usize::from(pending.wanted);
            if let Some(to) = pending.recipient {
                let open = self.callers.get(&to.caller).and_then(|open| open.get(&to.id));
                assert_eq!(open, Some(&Outstanding::Request(*id)), "its caller has forgotten it: {pending:?}");
            }
        }
        for (caller, open) in &self.callers {
            for (number, outstanding) in open {
                let recipient = match outstanding {
                    Outstanding::Request(id) => self.requests[id].recipient,
                    Outstanding::Waiter(id) => Some(self.waiters[id].recipient),
                };
                assert_eq!(recipient.map(|to| (to.caller, to.id)), Some((*caller, *number)));
            }
        }
        timers
    }

    fn audit_waiters(&self) -> usize {
        for (id, waiter) in &self.waiters {
            assert!(self.timers.contains(waiter.deadline, Timer::Waiter(*id)), "no timer: {waiter:?}");
            assert!(self.modules.contains_key(&waiter.module), "a wait for nothing: {waiter:?}");
        }
        self.waiters.len()
    }
}
