//! The ledger and the verdict against a module that is made up, in simulated time: one that keeps the wire's promises is
//! never blamed, and one that breaks one of them is.

use super::effects::Effects;
use super::ledger::{Ledger, Refusal, Terms, Twice};
use super::schedule::Random;
use super::verdict::Verdict;
use crate::called::Run;
use bulkhead_protocol::{Delivery, ErrorCode};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is wrong with the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// It says success, and has done nothing.
    Loses,
    /// It does again what it has done under the same key.
    DoesAgain,
    /// It has done what it says it has not begun.
    Denies,
    /// It says nothing.
    KeepsSilent,
    /// It answers after the deadline.
    IsLate,
}

/// How often a flaw shows, among so many answers.
const FLAWED: u64 = 60;

struct Module {
    random: Random,
    flaw: Flaw,
    twice: Twice,
    done: BTreeMap<u64, u32>,
}

type Answer = Result<(), Refusal>;

impl Module {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.next() % bound
    }

    fn do_it(&mut self, number: u64) {
        let is_done = self.done.contains_key(&number);
        if !(is_done && self.twice == Twice::Keyed && self.flaw != Flaw::DoesAgain) {
            *self.done.entry(number).or_default() += 1;
        }
    }

    /// What becomes of a request: after which time it has which answer.
    fn ask(&mut self, number: u64) -> (Duration, Option<Answer>) {
        let refused =
            |delivery| Some(Err(Refusal { code: ErrorCode::ModuleCrashed, delivery: Some(delivery), retryable: true }));
        let soon = Duration::from_millis(1 + self.below(300));
        let is_flawed = self.below(FLAWED) == 0;
        match self.flaw {
            Flaw::KeepsSilent if is_flawed => return (soon, None),
            Flaw::Loses if is_flawed && !self.done.contains_key(&number) => return (soon, Some(Ok(()))),
            Flaw::IsLate if is_flawed => {
                self.do_it(number);
                return (Duration::from_secs(4), Some(Ok(())));
            }
            Flaw::Denies if is_flawed => {
                self.do_it(number);
                // It is not asked again.
                let refusal =
                    Refusal { code: ErrorCode::NotFound, delivery: Some(Delivery::NotStarted), retryable: false };
                return (soon, Some(Err(refusal)));
            }
            _ => {}
        }
        match self.below(8) {
            0 => (soon, refused(Delivery::NotStarted)),
            1 => (soon, refused(Delivery::Started)),
            2 => {
                self.do_it(number);
                (soon, refused(Delivery::Unknown))
            }
            _ => {
                self.do_it(number);
                (soon, Some(Ok(())))
            }
        }
    }
}

/// Plays a run of ten seconds.
fn played(seed: u64, flaw: Flaw, twice: Twice) -> Verdict {
    let ms = Duration::from_millis;
    let mut module = Module { random: Random(seed), flaw, twice, done: BTreeMap::new() };
    let terms = Terms { in_flight: 4, gap: ms(20), deadline: ms(2000), grace: ms(1000), twice };
    let mut ledger = Ledger::new(terms);
    let mut now = Duration::ZERO;
    let mut answers: BTreeMap<(Duration, u64), Answer> = BTreeMap::new();
    let mut ids = 1..;
    loop {
        while let Some(number) = ledger.next(now) {
            let id = ids.next().unwrap();
            ledger.handle_sent(number, id, now);
            if let (after, Some(answer)) = module.ask(number) {
                answers.insert((now + after, id), answer);
            }
        }
        if ledger.is_settled() {
            break;
        }
        let timeout = ledger.poll_timeout();
        match answers.first_key_value().map(|(key, _)| *key) {
            Some((at, id)) if timeout.is_none_or(|timeout| at <= timeout) => {
                now = now.max(at);
                let answer = answers.remove(&(at, id)).unwrap();
                ledger.handle_answer(id, now, answer);
            }
            _ => {
                now = now.max(timeout.expect("a run that is not settled waits for something"));
                ledger.handle_timeout(now);
            }
        }
        if now >= ms(10_000) {
            ledger.close(now);
        }
    }
    let mut effects = Effects::new(&Run::named("ab12"), ledger.calls().len());
    for (number, times) in &module.done {
        (0..*times).for_each(|_| effects.add_one(&format!("ab12-{number}")));
    }
    Verdict::of(&ledger, Some(&effects))
}

#[test]
fn a_module_that_keeps_the_promises_is_never_blamed() {
    for twice in [Twice::Keyed, Twice::Idempotent, Twice::OtherWork] {
        for seed in 0..200 {
            let verdict = played(seed, Flaw::None, twice);
            assert!(!verdict.is_broken(), "{twice:?}, seed {seed}: {:?}", verdict.faults);
            assert!(verdict.successes > 100 && verdict.sent_again > 0, "{twice:?}, seed {seed}: {verdict:?}");
        }
    }
}

#[test]
fn a_module_that_breaks_a_promise_is_blamed_for_that_and_for_nothing_else() {
    for (flaw, twice, faults) in [
        (Flaw::Loses, Twice::Keyed, &["lost"][..]),
        (Flaw::Loses, Twice::Idempotent, &["lost"][..]),
        (Flaw::DoesAgain, Twice::Keyed, &["doubled"][..]),
        (Flaw::Denies, Twice::Keyed, &["not_begun_but_done"][..]),
        (Flaw::KeepsSilent, Twice::Keyed, &["unanswered"][..]),
        // What is late when the run ends does not come any more.
        (Flaw::IsLate, Twice::Keyed, &["late", "unanswered"]),
    ] {
        let mut blamed = 0;
        for seed in 0..50 {
            let verdict = played(seed, flaw, twice);
            let kinds: Vec<_> = verdict.counts.keys().copied().collect();
            assert!(kinds.iter().all(|kind| faults.contains(kind)), "{flaw:?}, seed {seed}: {kinds:?}");
            blamed += u32::from(verdict.is_broken());
        }
        // In a run or two it does not come to that.
        assert!(blamed >= 40, "{flaw:?}: {blamed}");
    }
}
