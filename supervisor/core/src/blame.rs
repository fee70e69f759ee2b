//! Crashes that a message explains. A message that was in flight at so many crashes that it is set aside is
//! their likely cause, and that is not a failure of its module: these crashes do not count for the breaker
//! and the delays of the slots in which they happened. Which message is set aside, and when, is decided in
//! [`crate::delivery`], and for events in [`crate::layer1`].

use crate::{
    action::Evidence,
    core::Core,
    delivery::delivery_verdict,
    exit_class::ExitClass,
    ids::{ModuleId, RequestId, RunId, SlotId},
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::Delivery;
use std::time::Duration;

/// One crash of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// In which slot.
    pub(crate) slot: SlotId,
    pub(crate) at: Time,
}

impl Crash {
    /// As [`crate::restart::Restart::postpone`] does with the failure that it was.
    pub(crate) fn postpone(&mut self, now: Time, gap: Duration) {
        self.at = (self.at + gap).min(now);
    }
}

impl Core {
    /// Whether a process's end is explained by a message that is set aside because of it. Earlier crashes
    /// that the same message explains are removed from the accounts. It is called before it is decided what
    /// follows the end, and before the message is set aside.
    pub(crate) fn is_explained(&mut self, now: Time, run_id: RunId, class: ExitClass, evidence: &Evidence) -> bool {
        if class != ExitClass::Failure {
            return false;
        }
        let run = &self.runs[&run_id];
        let module_id = run.module;
        // A process that has said with which request it ends has named the cause.
        if run.has_culprit() {
            return false;
        }
        let culprits = run.in_flight.iter().enumerate().filter(|(at, id)| {
            let entry = &self.requests[*id];
            let here = delivery_verdict(run, *id, entry, *at, evidence.fate_for(*id));
            entry.wanted && here != Delivery::NotStarted && self.is_one_crash_too_many(*id)
        });
        let culprits: Vec<RequestId> = culprits.map(|(_, id)| id).collect();
        for id in &culprits {
            let crashes = match self.stream_of(*id) {
                Some((_, stream)) => stream.take_crashes(),
                None => self.modules[module_id].blamed.iter().filter(|(of, _)| of == id).map(|(_, one)| *one).collect(),
            };
            self.pardon(now, module_id, &crashes);
        }
        !culprits.is_empty()
    }

    /// Removes crashes from the accounts of the slots in which they happened. A slot that waits only
    /// because of them starts at once.
    pub(crate) fn pardon(&mut self, now: Time, module_id: ModuleId, crashes: &[Crash]) {
        let Some(module) = self.modules.get_mut(module_id) else { return };
        for slot in module.slots.iter_mut() {
            let here = crashes.iter().filter(|crash| crash.slot == slot.id).map(|crash| crash.at);
            if !slot.restart.pardon(here, &slot.spec.restart) {
                continue;
            }
            if let Some(until) = slot.pardoned(now) {
                self.timers.clear(until, Timer::Start(module_id, slot.id));
                self.timers.set(now, Timer::Start(module_id, slot.id));
            }
        }
    }
}
