//! What happens to the requests that were in flight when a process ended: how far each had got, which
//! are sent again, which are answered and with what, which are quarantined.

use crate::{
    action::{Action, Evidence, LostRequest, ModuleEvent, QuarantinedRequest},
    blame::Crash,
    core::Core,
    exit_class::ExitClass,
    ids::{RequestId, RunId},
    leaving::has_begun,
    limits::{CRASHES_MAX, EVENT_ATTEMPTS_MAX, KEYED_CRASHES_MAX, RECORDED_REQUESTS_MAX},
    request::{RequestEntry, RequestState},
    requests::Queued,
    run::Run,
    time::Time,
};
use bulkhead_protocol::{Delivery, ErrorCode, Exit, Failure, ModuleName, RequestType, event};

/// How a process ended, as its callers learn it.
pub(crate) struct End<'a> {
    pub(crate) class: ExitClass,
    pub(crate) reason: &'a str,
    pub(crate) exit: Option<&'a Exit>,
    pub(crate) evidence: &'a Evidence,
}

impl Core {
    /// Settles what a process that ended had in flight; returns what it may have been working on.
    pub(crate) fn settle_in_flight(&mut self, now: Time, run_id: RunId, end: &End<'_>) -> Vec<LostRequest> {
        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        let in_flight = run.in_flight.drain();
        let (module_id, crash) = (run.module, Crash { slot: run.slot, at: now });
        let mut lost = Vec::new();
        let mut again = Vec::new();
        for (at, id) in in_flight.enumerate() {
            let run = &self.runs[&run_id];
            let here = delivery_verdict(run, id, &self.requests[id], at, end.evidence.fate_for(id));
            let blames = here != Delivery::NotStarted && end.is_crash();
            let is_counted = blames && !run.has_culprit();
            self.undo(now, id, "the process that had it has ended");
            self.requests.interrupted(id, here);
            if is_counted {
                self.requests.blamed(id);
                self.modules.get_mut(module_id).expect("a module outlives its runs").blamed.push((id, crash));
            }
            let entry = &self.requests[id];
            if blames && lost.len() < RECORDED_REQUESTS_MAX {
                lost.push(entry.lost(here));
            }
            if self.is_sent_again(now, run_id, id, here, is_counted, end) {
                again.push(id);
            } else {
                self.requests.remove(id);
            }
        }
        for id in again.into_iter().rev() {
            self.requeue(id);
        }
        let module = self.modules.get_mut(module_id).expect("a module outlives its runs");
        module.blamed.retain(|(id, _)| self.requests.contains(*id));
        lost
    }

    /// Decides on one request; answers it when it is not sent again.
    fn is_sent_again(
        &mut self,
        now: Time,
        run_id: RunId,
        id: RequestId,
        here: Delivery,
        is_counted: bool,
        end: &End<'_>,
    ) -> bool {
        let (run, entry) = (&self.runs[&run_id], &self.requests[id]);
        if !entry.wanted {
            return false;
        }
        let name = run.spec.name.clone();
        let delivery = entry.reached;
        if entry.event.is_some() {
            let crash = Crash { slot: run.slot, at: now };
            self.event_interrupted(id, is_counted.then_some((end.reason, crash)));
            self.answer(id, Failure::new(ErrorCode::ModuleCrashed, end.reason).into());
            return false;
        }
        if end.is_crash() && entry.crashes >= self.crashes_max(entry) {
            self.quarantine(id, &name, end);
            return false;
        }
        let comes_back = self.modules[entry.module].is_available();
        if comes_back && (here == Delivery::NotStarted || self.retry_safety(run, entry) == RetrySafety::Safe) {
            if entry.cancelled {
                let reason = format!("cancelled; {name} ended before it answered");
                self.answer(id, end.failure(ErrorCode::Cancelled, reason, delivery).into());
                return false;
            }
            return true;
        }
        let (code, what) = match end.class {
            ExitClass::Commanded => (ErrorCode::ModuleUnavailable, "was stopped".to_owned()),
            ExitClass::Lost => (ErrorCode::ModuleCrashed, format!("was ended ({})", end.reason)),
            // It had said that it would end, and so had not begun with what it leaves unanswered.
            ExitClass::Clean => (ErrorCode::ModuleCrashed, format!("ended ({})", end.reason)),
            ExitClass::Failure | ExitClass::Permanent => {
                (ErrorCode::ModuleCrashed, format!("crashed ({})", end.reason))
            }
        };
        let how_far = match delivery {
            Delivery::NotStarted => "before it began with this request",
            Delivery::Started => "while this request was in progress",
            Delivery::Unknown => "with this request among those it had",
        };
        let failure = end.failure(code, format!("{name} {what} {how_far}"), delivery);
        self.answer(id, failure.into());
        false
    }

    /// Quarantines a request that was in flight at too many crashes: it is their likely cause.
    fn quarantine(&mut self, id: RequestId, name: &ModuleName, end: &End<'_>) {
        let entry = &self.requests[id];
        let delivery = entry.reached;
        let request = Box::new(QuarantinedRequest {
            request: entry.lost(delivery),
            from: entry.key_caller.clone().or_else(|| self.module_that_sent(entry)),
            crashes: entry.crashes,
            reason: end.reason.to_owned(),
            exit: end.exit.cloned(),
        });
        let times = match entry.crashes {
            2 => "twice".to_owned(),
            count => format!("{count} times"),
        };
        let last = end.reason;
        let reason = format!(
            "{name} crashed {times} with this request in flight (the last time: {last}); it is set aside, not tried again"
        );
        self.announce(ModuleEvent::Quarantined, name, None, Some(reason.clone()));
        self.act(Action::Quarantine { module: name.clone(), request });
        self.answer(id, end.failure(ErrorCode::Quarantined, reason, delivery).into());
    }

    /// Whether a request or an event that is with its module is set aside after one more crash.
    pub(crate) fn is_one_crash_too_many(&self, id: RequestId) -> bool {
        let entry = &self.requests[id];
        match entry.event {
            Some(_) => self.event_attempts(id).is_some_and(|attempts| attempts + 1 >= EVENT_ATTEMPTS_MAX),
            None => entry.crashes + 1 >= self.crashes_max(entry),
        }
    }

    fn crashes_max(&self, entry: &RequestEntry) -> u32 {
        if entry.message.key.is_some() { KEYED_CRASHES_MAX } else { CRASHES_MAX }
    }

    /// Whether a request may be done twice with the effect of once.
    pub(crate) fn retry_safety(&self, run: &Run, entry: &RequestEntry) -> RetrySafety {
        let message = &entry.message;
        // The key's first commit is its only one, and what was not committed is undone.
        if message.key.is_some() {
            return RetrySafety::Safe;
        }
        let safe = match message.kind {
            RequestType::Query | RequestType::Event => true,
            RequestType::Command => {
                event::command_name(&message.payload).is_some_and(|name| run.declared.is_idempotent(&name))
            }
            _ => false,
        };
        if safe { RetrySafety::Safe } else { RetrySafety::Unsafe }
    }

    /// Puts a request back at the front of its module's queue.
    pub(crate) fn requeue(&mut self, id: RequestId) {
        let Queued { module, held } = self.requests.restart(id);
        let module = self.modules.get_mut(module).expect("a module outlives its requests");
        module.queue.push_front(id, held);
    }
}

impl End<'_> {
    /// Whether what was in progress there may be the cause.
    fn is_crash(&self) -> bool {
        !matches!(self.class, ExitClass::Commanded | ExitClass::Lost)
    }

    fn failure(&self, code: ErrorCode, reason: String, delivery: Delivery) -> Failure {
        let mut failure = Failure::new(code, reason).delivery(delivery);
        failure.exit = self.exit.cloned();
        failure.stderr = self.evidence.stderr.clone();
        failure
    }
}

/// The state of the process that has a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessFate {
    /// It runs: a request after the head may begin at any moment.
    Runs,
    /// It has ended: what had not begun never will.
    Ended,
    /// It has ended, and the request had not been written to its channel completely.
    EndedUnsent,
}

/// How far the request at position `at` in flight has got. A module that answers in order shows that by its
/// answers: the head may have begun, the requests after it have not. A last answer shows more
/// ([`crate::leaving`]).
pub(crate) fn delivery_verdict(
    run: &Run,
    id: RequestId,
    entry: &RequestEntry,
    at: usize,
    process: ProcessFate,
) -> Delivery {
    let has_ended = match process {
        ProcessFate::EndedUnsent => return Delivery::NotStarted,
        ProcessFate::Ended => true,
        ProcessFate::Runs => false,
    };
    if run.last.is_some() {
        match (has_begun(run, id, entry), has_ended) {
            (false, _) => return Delivery::NotStarted,
            (true, true) => return Delivery::Started,
            (true, false) => {}
        }
    }
    let progressed = matches!(entry.state, RequestState::InFlight { progressed: true, .. });
    match (progressed, run.in_flight.is_concurrent(), at, has_ended) {
        (true, ..) | (false, false, 0, _) => Delivery::Started,
        (false, true, ..) | (false, false, 1.., false) => Delivery::Unknown,
        (false, false, 1.., true) => Delivery::NotStarted,
    }
}

impl Evidence {
    /// The state of the process for one of its requests.
    pub(crate) fn fate_for(&self, id: RequestId) -> ProcessFate {
        if self.unsent.contains(&id) { ProcessFate::EndedUnsent } else { ProcessFate::Ended }
    }
}

/// Whether a request may be run a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetrySafety {
    Safe,
    Unsafe,
}
