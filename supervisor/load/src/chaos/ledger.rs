//! The caller's ledger of its calls: when one is sent, when it is sent again, and how each ended. The time is an argument
//! and counts from the beginning of the run; nothing is sent and nothing is waited for here. Whether an end is what the
//! wire promises is decided in `verdict`.
//!
//! The order of each turn: [`Ledger::next`] until there is none, [`Ledger::is_settled`], [`Ledger::poll_timeout`]; then
//! one of [`Ledger::handle_answer`] and [`Ledger::handle_timeout`].

use bulkhead_protocol::{Delivery, ErrorCode};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// Most calls of a run.
pub(super) const CALLS_MAX: u64 = 1_000_000;

/// The wait before a call is sent again; it doubles with each further time.
const AGAIN_INITIAL: Duration = Duration::from_millis(20);

/// The longest such wait.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// What it means to send a call a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twice {
    /// Its command is idempotent: doing it twice has the same effect as doing it once.
    Idempotent,
    /// It has a key: it is the same work, which is done once.
    Keyed,
    /// It is another piece of work, so a call that may have been begun is not sent again.
    OtherWork,
}

/// How calls are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) in_flight: usize,
    /// Between two new calls, at least.
    pub(super) gap: Duration,
    /// The deadline that each request has.
    pub(super) deadline: Duration,
    /// How much later its answer may come.
    pub(super) grace: Duration,
    pub(super) twice: Twice,
}

/// An answer that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) delivery: Option<Delivery>,
    pub(super) retryable: bool,
}

/// How a call ended so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has no answer yet.
    Open,
    Success,
    Refused(Refusal),
    /// Its answer did not come in time, or not at all.
    Unanswered,
    /// The connection to the daemon ended before its answer came.
    CutOff,
}

/// What is known of how far a call got with all its requests together, apart from a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// Each of them was answered with `not_started`.
    Never,
    /// One of them may have had effects.
    Perhaps,
}

/// One call, with all its requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) first_sent: Duration,
    pub(super) ended: Duration,
    pub(super) requests: u32,
    pub(super) end: End,
    pub(super) begun: Begun,
    /// How long after its deadline an answer came that came too late.
    pub(super) late: Option<Duration>,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    at: Duration,
}

/// The ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    terms: Terms,
    calls: Vec<Call>,
    under_way: HashMap<u64, Sent>,
    /// Requests in the order of their deadlines; some are answered.
    by_deadline: VecDeque<u64>,
    /// Requests whose answers did not come in time.
    overdue: HashMap<u64, Sent>,
    /// Calls that are sent again, and when.
    again: BTreeSet<(Duration, u64)>,
    next_new: Duration,
    /// When the last call is sent again at the latest, once there are no new ones.
    closing: Option<Duration>,
    /// Answers to requests that had their answer, or were never sent.
    strange: u64,
}

impl Ledger {
    pub(super) fn new(terms: Terms) -> Ledger {
        Ledger {
            terms,
            calls: Vec::new(),
            under_way: HashMap::new(),
            by_deadline: VecDeque::new(),
            overdue: HashMap::new(),
            again: BTreeSet::new(),
            next_new: Duration::ZERO,
            closing: None,
            strange: 0,
        }
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// All calls; the number of a call is its place.
    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(super) fn strange(&self) -> u64 {
        self.strange
    }

    /// The number of a call of which a request is to be sent now; [`Ledger::handle_sent`] follows.
    pub(super) fn next(&mut self, now: Duration) -> Option<u64> {
        if self.under_way.len() >= self.terms.in_flight {
            return None;
        }
        if self.closing.is_some_and(|until| until <= now) {
            self.again.clear();
        }
        if let Some((_, number)) = self.again.first().filter(|(at, _)| *at <= now).copied() {
            self.again.pop_first();
            return Some(number);
        }
        if self.closing.is_some() || self.is_full() || now < self.next_new {
            return None;
        }
        // Time in which there was no room is not made good.
        self.next_new = now.max(self.next_new + self.terms.gap);
        let number = self.calls.len() as u64;
        let (begun, late) = (Begun::Never, None);
        self.calls.push(Call { first_sent: now, ended: now, requests: 0, end: End::Open, begun, late });
        Some(number)
    }

    /// The request of a call was sent.
    pub(super) fn handle_sent(&mut self, number: u64, id: u64, now: Duration) {
        self.call(number).requests += 1;
        self.under_way.insert(id, Sent { number, at: now });
        self.by_deadline.push_back(id);
    }

    /// A request was answered.
    pub(super) fn handle_answer(&mut self, id: u64, now: Duration, answer: Result<(), Refusal>) {
        let latest = self.terms.deadline + self.terms.grace;
        let Some(Sent { number, at }) = self.under_way.remove(&id).or_else(|| self.overdue.remove(&id)) else {
            self.strange += 1;
            return;
        };
        let twice = self.terms.twice;
        let is_closed = self.closing.is_some_and(|until| until <= now);
        let deadline = self.terms.deadline;
        let call = self.call(number);
        call.ended = now;
        if now > at + latest {
            call.late = Some(now - at - deadline);
        }
        match answer {
            Ok(()) => call.end = End::Success,
            Err(refusal) => {
                call.end = End::Refused(refusal);
                if refusal.delivery != Some(Delivery::NotStarted) {
                    call.begun = Begun::Perhaps;
                }
                let delay =
                    (AGAIN_INITIAL * 2_u32.saturating_pow(call.requests.saturating_sub(1).min(16))).min(AGAIN_MAX);
                if !is_closed && may_be_sent_again(twice, refusal) {
                    self.again.insert((now + delay, number));
                }
            }
        }
    }

    /// The time that [`Ledger::poll_timeout`] gave has come.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        let latest = self.terms.deadline + self.terms.grace;
        while let Some(id) = self.by_deadline.front() {
            if let Some(sent) = self.under_way.get(id).copied() {
                if now <= sent.at + latest {
                    return;
                }
                let id = *id;
                self.under_way.remove(&id);
                self.overdue.insert(id, sent);
                let call = self.call(sent.number);
                (call.ended, call.end, call.begun) = (now, End::Unanswered, Begun::Perhaps);
            }
            self.by_deadline.pop_front();
        }
    }

    /// This program did not run for so long: its requests have not been waited for in that time.
    pub(super) fn handle_gap(&mut self, length: Duration) {
        self.under_way.values_mut().chain(self.overdue.values_mut()).for_each(|sent| sent.at += length);
    }

    /// The connection has ended: nothing is sent and answered any more.
    pub(super) fn handle_disconnect(&mut self, now: Duration) {
        self.again.clear();
        for Sent { number, .. } in std::mem::take(&mut self.under_way).into_values() {
            let call = self.call(number);
            (call.ended, call.end, call.begun) = (now, End::CutOff, Begun::Perhaps);
        }
    }

    /// When the next call is sent, or an answer is overdue, if nothing is answered before.
    pub(super) fn poll_timeout(&mut self) -> Option<Duration> {
        while let Some(id) = self.by_deadline.front()
            && !self.under_way.contains_key(id)
        {
            self.by_deadline.pop_front();
        }
        let latest = self.terms.deadline + self.terms.grace + Duration::from_nanos(1);
        let overdue = self.by_deadline.front().map(|id| self.under_way[id].at + latest);
        let has_room = self.under_way.len() < self.terms.in_flight;
        let again = self.again.first().map(|(at, _)| *at).filter(|_| has_room);
        let new = Some(self.next_new).filter(|_| has_room && self.closing.is_none() && !self.is_full());
        let closed = self.closing.filter(|_| !self.again.is_empty());
        [overdue, again, new, closed].into_iter().flatten().min()
    }

    /// No new calls are made. Those that failed are sent again for the length of one more deadline.
    pub(super) fn close(&mut self, now: Duration) {
        self.closing.get_or_insert(now + self.terms.deadline);
    }

    /// Whether there are as many calls as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.calls.len() as u64 >= CALLS_MAX
    }

    /// Whether nothing is to be sent and nothing is waited for any more, once [`Ledger::next`] has given nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.closing.is_some() && self.under_way.is_empty() && self.again.is_empty()
    }

    fn call(&mut self, number: u64) -> &mut Call {
        let at = usize::try_from(number).expect("it is the place of a call");
        &mut self.calls[at]
    }
}

/// Whether a caller that keeps the contract sends a call again after such an answer.
fn may_be_sent_again(twice: Twice, refusal: Refusal) -> bool {
    let is_safe = match twice {
        Twice::Idempotent | Twice::Keyed => true,
        Twice::OtherWork => refusal.delivery == Some(Delivery::NotStarted),
    };
    refusal.retryable && is_safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn ledger(twice: Twice) -> Ledger {
        Ledger::new(Terms { in_flight: 2, gap: ms(10), deadline: ms(1000), grace: ms(500), twice })
    }

    fn crashed(delivery: Delivery) -> Refusal {
        Refusal { code: ErrorCode::ModuleCrashed, delivery: Some(delivery), retryable: true }
    }

    #[test]
    fn new_calls_keep_their_pace_and_never_exceed_what_may_be_in_flight() {
        let mut ledger = ledger(Twice::Keyed);
        assert_eq!(ledger.next(ms(0)), Some(0));
        ledger.handle_sent(0, 100, ms(0));
        assert_eq!((ledger.next(ms(0)), ledger.poll_timeout()), (None, Some(ms(10))));
        assert_eq!(ledger.next(ms(10)), Some(1));
        ledger.handle_sent(1, 101, ms(10));
        assert_eq!(ledger.next(ms(500)), None);
        ledger.handle_answer(100, ms(600), Ok(()));
        assert_eq!(ledger.next(ms(600)), Some(2));
        ledger.handle_sent(2, 102, ms(600));
        ledger.handle_answer(101, ms(601), Ok(()));
        // The time without room is not made good.
        assert_eq!(ledger.next(ms(601)), Some(3));
        ledger.handle_sent(3, 103, ms(601));
        ledger.handle_answer(102, ms(602), Ok(()));
        assert_eq!(ledger.next(ms(602)), None);
    }

    #[test]
    fn what_was_not_begun_is_sent_again_and_what_may_have_been_only_where_that_is_safe() {
        for (twice, delivery, is_sent) in [
            (Twice::Keyed, Delivery::Started, true),
            (Twice::Idempotent, Delivery::Unknown, true),
            (Twice::OtherWork, Delivery::NotStarted, true),
            (Twice::OtherWork, Delivery::Started, false),
            (Twice::OtherWork, Delivery::Unknown, false),
        ] {
            let mut ledger = ledger(twice);
            ledger.next(ms(0));
            ledger.handle_sent(0, 100, ms(0));
            ledger.close(ms(1));
            ledger.handle_answer(100, ms(5), Err(crashed(delivery)));
            assert_eq!(ledger.next(ms(5)), None);
            assert_eq!(ledger.next(ms(25)), is_sent.then_some(0), "{twice:?} {delivery:?}");
            let begun = if delivery == Delivery::NotStarted { Begun::Never } else { Begun::Perhaps };
            assert_eq!(ledger.calls()[0].begun, begun);
        }
        let lasting = Refusal { retryable: false, ..crashed(Delivery::NotStarted) };
        assert!(!may_be_sent_again(Twice::Keyed, lasting));
    }

    #[test]
    fn a_closed_ledger_sends_again_for_one_more_deadline_and_is_settled_then() {
        let mut ledger = ledger(Twice::Keyed);
        ledger.next(ms(0));
        ledger.handle_sent(0, 100, ms(0));
        assert!(!ledger.is_settled());
        ledger.close(ms(50));
        let (mut now, mut id) = (ms(50), 100);
        let mut times = 0;
        while !ledger.is_settled() {
            ledger.handle_answer(id, now, Err(crashed(Delivery::NotStarted)));
            while let Some(at) = ledger.poll_timeout() {
                now = now.max(at);
                if let Some(number) = ledger.next(now) {
                    id += 1;
                    times += 1;
                    ledger.handle_sent(number, id, now);
                    break;
                }
            }
        }
        assert!((5..=60).contains(&times) && now <= ms(1050), "{times} times until {now:?}");
        assert_eq!(ledger.calls()[0].end, End::Refused(crashed(Delivery::NotStarted)));
        assert_eq!((ledger.calls()[0].begun, ledger.calls()[0].requests), (Begun::Never, times + 1));
    }

    #[test]
    fn an_answer_that_does_not_come_is_missed_and_one_that_comes_too_late_is_late() {
        let mut ledger = ledger(Twice::Keyed);
        for number in 0..2 {
            assert_eq!(ledger.next(ms(number * 10)), Some(number));
            ledger.handle_sent(number, 100 + number, ms(number * 10));
        }
        ledger.close(ms(20));
        ledger.handle_timeout(ms(1500));
        assert!(!ledger.is_settled(), "an answer that comes at the last moment is in time");
        ledger.handle_answer(101, ms(1510), Ok(()));
        ledger.handle_timeout(ms(1501));
        assert!(ledger.is_settled());
        assert_eq!((ledger.calls()[0].end, ledger.calls()[1].late), (End::Unanswered, None));
        ledger.handle_answer(100, ms(1700), Ok(()));
        assert_eq!((ledger.calls()[0].end, ledger.calls()[0].late), (End::Success, Some(ms(700))));
        assert_eq!(ledger.strange(), 0);
        ledger.handle_answer(100, ms(1701), Ok(()));
        assert_eq!(ledger.strange(), 1);
    }

    #[test]
    fn time_in_which_this_program_did_not_run_makes_no_answer_late() {
        let mut ledger = ledger(Twice::Keyed);
        ledger.next(ms(0));
        ledger.handle_sent(0, 100, ms(0));
        ledger.close(ms(1));
        ledger.handle_gap(ms(20_000));
        ledger.handle_timeout(ms(20_100));
        ledger.handle_answer(100, ms(20_100), Ok(()));
        assert_eq!((ledger.calls()[0].end, ledger.calls()[0].late), (End::Success, None));
    }
}
