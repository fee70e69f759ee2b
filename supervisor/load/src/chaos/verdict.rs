//! Whether what became of the calls is what the wire promises ([`PROTOCOL.md`], "Rules", "After an end" and "Doing things
//! twice"):
//!
//! | end of a call | its effects |
//! |---|---|
//! | success | one; of an idempotent command at least one |
//! | an error, and each of its requests was `not_started` | none |
//! | any other error | none or one; of an idempotent command any number |
//! | no answer until its deadline and the grace have passed | a fault, whatever they are |
//! | cut off by the end of the daemon | none or one; of an idempotent command any number |
//!
//! Without effects that were seen, only the answers are judged.
//!
//! [`PROTOCOL.md`]: ../../../../PROTOCOL.md

use super::effects::Effects;
use super::ledger::{Begun, Call, End, Ledger, Twice};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most faults that are kept by their calls; all of them are counted.
pub(super) const FAULTS_MAX: usize = 1000;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It was answered with success, and there is no effect.
    Lost,
    /// It has so many effects, more than it may have.
    Doubled(u32),
    /// It was not begun, by its answers, and has so many effects.
    NotBegunButDone(u32),
    /// It has no answer.
    Unanswered,
    /// Its answer came so long after its deadline.
    Late(Duration),
}

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Fault::Lost => "lost",
            Fault::Doubled(_) => "doubled",
            Fault::NotBegunButDone(_) => "not_begun_but_done",
            Fault::Unanswered => "unanswered",
            Fault::Late(_) => "late",
        }
    }
}

/// A fault and its call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) fault: Fault,
    pub(super) call: Call,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) calls: u64,
    pub(super) successes: u64,
    /// Calls that failed and were never begun.
    pub(super) not_begun: u64,
    /// Calls that failed and may have had effects, and how many of them had.
    pub(super) perhaps: u64,
    pub(super) perhaps_done: u64,
    /// Calls whose answers the end of the daemon cut off.
    pub(super) cut_off: u64,
    /// Requests beyond the first one of each call.
    pub(super) sent_again: u64,
    /// The codes of calls that failed.
    pub(super) codes: BTreeMap<&'static str, u64>,
    /// The call that took longest until its end, all its requests together.
    pub(super) longest: Option<(u64, Duration)>,
    /// The first faults.
    pub(super) faults: Vec<Found>,
    /// How many there are of each kind.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Answers to requests that had theirs or were never sent.
    pub(super) strange: u64,
    /// Effects with an id of a call that was never made.
    pub(super) unknown_effects: u64,
}

impl Verdict {
    pub(super) fn of(ledger: &Ledger, effects: Option<&Effects>) -> Verdict {
        let mut verdict = Verdict {
            calls: ledger.calls().len() as u64,
            strange: ledger.strange(),
            unknown_effects: effects.map_or(0, Effects::unknown),
            ..Verdict::default()
        };
        for (at, call) in ledger.calls().iter().enumerate() {
            let effects = effects.map(|effects| effects.of(at));
            verdict.add(at as u64, call, effects, ledger.terms().twice);
        }
        verdict
    }

    /// Whether a promise was broken.
    pub(super) fn is_broken(&self) -> bool {
        !self.counts.is_empty() || self.strange > 0 || self.unknown_effects > 0
    }

    fn add(&mut self, number: u64, call: &Call, effects: Option<u32>, twice: Twice) {
        self.sent_again += u64::from(call.requests.saturating_sub(1));
        match call.end {
            End::Success => self.successes += 1,
            End::Refused(refusal) => {
                *self.codes.entry(refusal.code.name()).or_default() += 1;
                match call.begun {
                    Begun::Never => self.not_begun += 1,
                    Begun::Perhaps => {
                        self.perhaps += 1;
                        self.perhaps_done += u64::from(effects.is_some_and(|effects| effects > 0));
                    }
                }
            }
            End::CutOff => self.cut_off += 1,
            End::Open | End::Unanswered => {}
        }
        let took = call.ended.saturating_sub(call.first_sent);
        if self.longest.is_none_or(|(_, longest)| took > longest) {
            self.longest = Some((number, took));
        }
        let late = call.late.map(Fault::Late);
        for fault in
            answer_fault(call).into_iter().chain(late).chain(effects.and_then(|it| effect_fault(call, it, twice)))
        {
            *self.counts.entry(fault.name()).or_default() += 1;
            if self.faults.len() < FAULTS_MAX {
                self.faults.push(Found { number, fault, call: *call });
            }
        }
    }
}

fn answer_fault(call: &Call) -> Option<Fault> {
    match call.end {
        End::Open | End::Unanswered => Some(Fault::Unanswered),
        End::Success | End::Refused(_) | End::CutOff => None,
    }
}

fn effect_fault(call: &Call, effects: u32, twice: Twice) -> Option<Fault> {
    let allowed = allowed(call, twice);
    if allowed.contains(&effects) {
        return None;
    }
    Some(match effects {
        0 => Fault::Lost,
        _ if *allowed.end() == 0 => Fault::NotBegunButDone(effects),
        _ => Fault::Doubled(effects),
    })
}

/// How many effects a call may have.
fn allowed(call: &Call, twice: Twice) -> RangeInclusive<u32> {
    let most = match twice {
        Twice::Idempotent => u32::MAX,
        Twice::Keyed | Twice::OtherWork => 1,
    };
    match (call.end, call.begun) {
        (End::Success, _) => 1..=most,
        (End::Refused(_), Begun::Never) => 0..=0,
        (End::Refused(_), Begun::Perhaps) | (End::Open | End::Unanswered | End::CutOff, _) => 0..=most,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Refusal;
    use super::*;
    use bulkhead_protocol::ErrorCode;

    fn call(end: End, begun: Begun) -> Call {
        let ended = Duration::from_millis(7);
        Call { first_sent: Duration::ZERO, ended, requests: 1, end, begun, late: None }
    }

    fn refused() -> End {
        End::Refused(Refusal { code: ErrorCode::ModuleCrashed, delivery: None, retryable: true })
    }

    #[test]
    fn each_end_with_each_number_of_effects_is_what_the_wire_promises_or_a_fault() {
        use Fault::{Doubled, Lost, NotBegunButDone};
        use Twice::{Idempotent, Keyed, OtherWork};
        for (end, begun, twice, faults) in [
            (End::Success, Begun::Never, Keyed, [Some(Lost), None, Some(Doubled(2))]),
            (End::Success, Begun::Perhaps, Keyed, [Some(Lost), None, Some(Doubled(2))]),
            (End::Success, Begun::Never, OtherWork, [Some(Lost), None, Some(Doubled(2))]),
            (End::Success, Begun::Never, Idempotent, [Some(Lost), None, None]),
            (refused(), Begun::Never, Keyed, [None, Some(NotBegunButDone(1)), Some(NotBegunButDone(2))]),
            (refused(), Begun::Never, Idempotent, [None, Some(NotBegunButDone(1)), Some(NotBegunButDone(2))]),
            (refused(), Begun::Perhaps, Keyed, [None, None, Some(Doubled(2))]),
            (refused(), Begun::Perhaps, OtherWork, [None, None, Some(Doubled(2))]),
            (refused(), Begun::Perhaps, Idempotent, [None, None, None]),
            (End::Unanswered, Begun::Perhaps, Keyed, [None, None, Some(Doubled(2))]),
        ] {
            let found = [0, 1, 2].map(|effects| effect_fault(&call(end, begun), effects, twice));
            assert_eq!(found, faults, "{end:?} {begun:?} {twice:?}");
        }
    }

    #[test]
    fn a_call_without_an_answer_and_one_whose_answer_is_late_are_faults_also_without_effects() {
        assert_eq!(answer_fault(&call(End::Unanswered, Begun::Perhaps)), Some(Fault::Unanswered));
        assert_eq!(answer_fault(&call(End::Success, Begun::Never)), None);
        let mut verdict = Verdict::default();
        let late = Call { late: Some(Duration::from_secs(3)), ..call(End::Success, Begun::Never) };
        verdict.add(4, &late, None, Twice::Keyed);
        assert_eq!(verdict.counts, BTreeMap::from([("late", 1)]));
        assert_eq!(verdict.faults[0].number, 4);
        assert!(verdict.is_broken());
    }

    #[test]
    fn all_faults_are_counted_and_the_first_are_kept() {
        let mut verdict = Verdict::default();
        for number in 0..2 * FAULTS_MAX as u64 {
            verdict.add(number, &call(End::Success, Begun::Never), Some(0), Twice::Keyed);
        }
        assert_eq!((verdict.faults.len(), verdict.counts["lost"]), (FAULTS_MAX, 2 * FAULTS_MAX as u64));
    }
}
