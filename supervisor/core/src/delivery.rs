//! What becomes of the requests that were in flight when a process ended: how far each had got, which
//! are sent again, which are answered and with what, which are quarantined.

use crate::{
    action::{Action, Evidence, LostRequest, RunId},
    blame::Crash,
    core::Core,
    ending::Verdict,
    layer1::{EVENT_ATTEMPTS_MAX, Unit},
    leaving::has_begun,
    pending::{Pending, Place, RequestId},
    run::Run,
    time::Time,
};
use bulkhead_protocol::{Delivery, ErrorCode, Exit, Failure, ModuleName, RequestType, event};

/// Crashes at which one request may be in flight before it is set aside.
pub(crate) const CRASHES_MAX: u32 = 2;

/// The same for a request whose effects are undone by a crash and done once by its key: trying it
/// again costs nothing but time, and a process that is killed from outside is not the request's doing.
pub(crate) const KEYED_CRASHES_MAX: u32 = 5;

/// Requests of one crash whose payloads go into its record.
const RECORDED_MAX: usize = 8;

/// How a process ended, as its callers are told.
pub(crate) struct End<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) reason: &'a str,
    pub(crate) exit: Option<&'a Exit>,
    pub(crate) evidence: &'a Evidence,
}

impl Core {
    /// Settles what a process that ended had in flight; returns what it may have been working on.
    pub(crate) fn settle_in_flight(&mut self, now: Time, run_id: RunId, end: &End<'_>) -> Vec<LostRequest> {
        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        let in_flight = std::mem::take(&mut run.in_flight);
        run.in_flight_bytes = 0;
        let (module_id, crash) = (run.module, Crash { slot: run.slot, at: now });
        let mut lost = Vec::new();
        let mut again = Vec::new();
        for (at, id) in in_flight.into_iter().enumerate() {
            let run = &self.runs[&run_id];
            let here = how_far(run, id, &self.requests[&id], at, end.evidence.unsent.contains(&id));
            let blames = here != Delivery::NotStarted && end.is_crash();
            let is_counted = blames && !run.knows_the_guilty();
            self.undo(now, id, "the process that had it has ended");
            let pending = self.requests.get_mut(&id).expect("it is in flight");
            pending.unit = Unit::Empty;
            pending.reached = pending.how_far(here);
            pending.crashes += u32::from(is_counted);
            if is_counted {
                self.modules.get_mut(&module_id).expect("a module outlives its runs").blamed.push((id, crash));
            }
            let pending = &self.requests[&id];
            if blames && lost.len() < RECORDED_MAX {
                lost.push(pending.lost(here));
            }
            if self.is_sent_again(now, run_id, id, here, is_counted, end) {
                again.push(id);
            } else {
                self.requests.remove(&id);
            }
        }
        for id in again.into_iter().rev() {
            self.requeue(id);
        }
        let module = self.modules.get_mut(&module_id).expect("a module outlives its runs");
        module.blamed.retain(|(id, _)| self.requests.contains_key(id));
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
        let (run, pending) = (&self.runs[&run_id], &self.requests[&id]);
        if !pending.wanted {
            return false;
        }
        let name = run.spec.name.clone();
        let delivery = pending.reached;
        if pending.event.is_some() {
            let crash = Crash { slot: run.slot, at: now };
            self.event_interrupted(id, is_counted.then_some((end.reason, crash)));
            self.answer(id, Failure::new(ErrorCode::ModuleCrashed, end.reason).into());
            return false;
        }
        if end.is_crash() && pending.crashes >= self.crashes_max(pending) {
            self.quarantine(id, &name, end);
            return false;
        }
        let comes_back = self.modules[&pending.module].is_available();
        if comes_back && (here == Delivery::NotStarted || self.again(run, pending) == Again::Safe) {
            if pending.cancelled {
                let reason = format!("cancelled; {name} ended before it answered");
                self.answer(id, end.failure(ErrorCode::Cancelled, reason, delivery).into());
                return false;
            }
            return true;
        }
        let (code, what) = match end.verdict {
            Verdict::Commanded => (ErrorCode::ModuleUnavailable, "was stopped".to_owned()),
            Verdict::Lost => (ErrorCode::ModuleCrashed, format!("was ended ({})", end.reason)),
            // It had said that it would end, and so had not begun with what it leaves behind.
            Verdict::Clean => (ErrorCode::ModuleCrashed, format!("ended ({})", end.reason)),
            Verdict::Failure | Verdict::Permanent => (ErrorCode::ModuleCrashed, format!("crashed ({})", end.reason)),
        };
        let how_far = match delivery {
            Delivery::NotStarted => "before it began with this request",
            Delivery::Started => "while this request was in its hands",
            Delivery::Unknown => "with this request among those it had",
        };
        let failure = end.failure(code, format!("{name} {what} {how_far}"), delivery);
        self.answer(id, failure.into());
        false
    }

    /// Sets aside a request that was in flight at too many crashes: it is their likely cause.
    fn quarantine(&mut self, id: RequestId, name: &ModuleName, end: &End<'_>) {
        let pending = &self.requests[&id];
        let (delivery, request) = (pending.reached, Box::new(pending.lost(pending.reached)));
        let times = match pending.crashes {
            2 => "twice".to_owned(),
            count => format!("{count} times"),
        };
        let last = end.reason;
        let reason = format!(
            "{name} crashed {times} with this request in flight (the last time: {last}); it is set aside, not tried again"
        );
        self.announce("module.quarantined", name, None, Some(reason.clone()));
        self.act(Action::Quarantine { module: name.clone(), request });
        self.answer(id, end.failure(ErrorCode::Quarantined, reason, delivery).into());
    }

    /// Whether a request or an event that is with its module is set aside after one crash more.
    pub(crate) fn is_one_crash_too_many(&self, id: RequestId) -> bool {
        let pending = &self.requests[&id];
        match pending.event {
            Some(_) => self.event_attempts(id).is_some_and(|attempts| attempts + 1 >= EVENT_ATTEMPTS_MAX),
            None => pending.crashes + 1 >= self.crashes_max(pending),
        }
    }

    fn crashes_max(&self, pending: &Pending) -> u32 {
        if pending.message.key.is_some() { KEYED_CRASHES_MAX } else { CRASHES_MAX }
    }

    /// Whether doing a request twice is the same as doing it once.
    pub(crate) fn again(&self, run: &Run, pending: &Pending) -> Again {
        let message = &pending.message;
        // The key's first commit is its only one, and what was not committed is undone.
        if message.key.is_some() {
            return Again::Safe;
        }
        let safe = match message.kind {
            RequestType::Query | RequestType::Event => true,
            RequestType::Command => event::command_name(&message.payload)
                .is_some_and(|name| run.commands.iter().any(|command| command.idempotent && command.name == name)),
            _ => false,
        };
        if safe { Again::Safe } else { Again::Unsafe }
    }

    /// Puts a request back at the front of its module's queue.
    pub(crate) fn requeue(&mut self, id: RequestId) {
        let pending = self.requests.get_mut(&id).expect("the caller decided on it");
        pending.place = Place::Queued;
        let module = self.modules.get_mut(&pending.module).expect("a module outlives its requests");
        module.queue.push_front(id);
        module.queue_bytes += pending.held;
    }
}

impl End<'_> {
    /// Whether what was in its hands may be to blame.
    fn is_crash(&self) -> bool {
        !matches!(self.verdict, Verdict::Commanded | Verdict::Lost)
    }

    fn failure(&self, code: ErrorCode, reason: String, delivery: Delivery) -> Failure {
        let mut failure = Failure::new(code, reason).delivery(delivery);
        failure.exit = self.exit.cloned();
        failure.stderr = self.evidence.stderr.clone();
        failure
    }
}

/// How far a request got. A module that answers in order tells by that: the first unanswered request
/// may have begun, all behind it have not. One that has said that it ends tells more by that.
pub(crate) fn how_far(run: &Run, id: RequestId, pending: &Pending, at: usize, unsent: bool) -> Delivery {
    if run.last.is_some() {
        let has_begun = !unsent && has_begun(run, id, pending);
        return if has_begun { Delivery::Started } else { Delivery::NotStarted };
    }
    let progressed = matches!(pending.place, Place::InFlight { progressed: true, .. });
    match (unsent, progressed, run.concurrent, at) {
        (true, _, _, _) => Delivery::NotStarted,
        (false, true, _, _) | (false, false, false, 0) => Delivery::Started,
        (false, false, true, _) => Delivery::Unknown,
        (false, false, false, 1..) => Delivery::NotStarted,
    }
}

/// Whether a request may be run a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Safe,
    Unsafe,
}
