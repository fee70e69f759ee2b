//! One row: when a call is sent, which answers count, and when the row is over. The time is an argument and counts from
//! any moment; nothing is sent and nothing is waited for here.

use super::tally::Tally;
use bulkhead_protocol::{ErrorCode, Failure};
use std::collections::HashMap;
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Time(Duration),
    Calls(u64),
}

/// What a row is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) in_flight: usize,
    pub(super) warm_up: Duration,
    pub(super) length: Length,
}

/// Where a row is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Calls are made that do not count.
    WarmUp { until: Duration },
    /// Their answers are waited for.
    Draining,
    /// Calls count.
    Measuring { since: Duration, sent: u64 },
}

/// A row while it is measured. The order: [`Round::may_send`] until it says no, then answers, until
/// [`Round::is_over`].
#[derive(Debug)]
pub(super) struct Round {
    plan: Plan,
    phase: Phase,
    /// When each call that is not answered was sent.
    under_way: HashMap<u64, Duration>,
    tally: Tally,
    last_answer: Duration,
}

/// What a row came to.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) in_flight: usize,
    /// From the first call to the last answer.
    pub(super) time: Duration,
    pub(super) tally: Tally,
    /// Calls that had no answer when the row was broken off.
    pub(super) unanswered: u64,
}

impl Round {
    pub(super) fn new(plan: Plan, now: Duration) -> Round {
        let phase = match plan.warm_up {
            Duration::ZERO => Phase::Measuring { since: now, sent: 0 },
            warm_up => Phase::WarmUp { until: now + warm_up },
        };
        Round { plan, phase, under_way: HashMap::new(), tally: Tally::new(), last_answer: now }
    }

    /// Whether a call is to be sent now.
    pub(super) fn may_send(&mut self, now: Duration) -> bool {
        self.advance(now);
        let has_room = self.under_way.len() < self.plan.in_flight;
        has_room
            && match self.phase {
                Phase::WarmUp { .. } => true,
                Phase::Draining => false,
                Phase::Measuring { since, sent } => match self.plan.length {
                    Length::Time(time) => now < since + time,
                    Length::Calls(calls) => sent < calls,
                },
            }
    }

    /// A call was sent.
    pub(super) fn handle_sent(&mut self, id: u64, now: Duration) {
        self.under_way.insert(id, now);
        if let Phase::Measuring { sent, .. } = &mut self.phase {
            *sent += 1;
        }
    }

    /// A call was answered. What comes back is a failure that every further call would end with.
    pub(super) fn handle_answer(&mut self, id: u64, now: Duration, answer: Result<(), &Failure>) -> Option<Failure> {
        let sent = self.under_way.remove(&id)?;
        if matches!(self.phase, Phase::Measuring { .. }) {
            self.last_answer = now;
            match answer {
                Ok(()) => self.tally.add_success(now.saturating_sub(sent)),
                Err(failure) => self.tally.add_error(failure),
            }
        }
        answer.err().filter(|failure| concerns_every_call(failure.code)).cloned()
    }

    /// When [`Round::may_send`] may change without an answer.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match (self.phase, self.plan.length) {
            (Phase::WarmUp { until }, _) => Some(until),
            (Phase::Measuring { since, .. }, Length::Time(time)) => Some(since + time),
            (Phase::Draining | Phase::Measuring { .. }, _) => None,
        }
    }

    /// Whether all calls that count were sent and answered, once [`Round::may_send`] has said no.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Measuring { .. }) && self.under_way.is_empty()
    }

    pub(super) fn result(self) -> Measured {
        let (since, unanswered) = match self.phase {
            Phase::Measuring { since, .. } => (since, self.under_way.len() as u64),
            Phase::WarmUp { .. } | Phase::Draining => (self.last_answer, 0),
        };
        Measured {
            in_flight: self.plan.in_flight,
            time: self.last_answer.saturating_sub(since),
            tally: self.tally,
            unanswered,
        }
    }

    fn advance(&mut self, now: Duration) {
        if matches!(self.phase, Phase::WarmUp { until } if until <= now) {
            self.phase = Phase::Draining;
        }
        if matches!(self.phase, Phase::Draining) && self.under_way.is_empty() {
            self.phase = Phase::Measuring { since: now, sent: 0 };
        }
    }
}

impl Measured {
    /// Successes in a second.
    pub(super) fn rate(&self) -> Option<f64> {
        let calls = self.tally.successes();
        (calls > 0 && !self.time.is_zero()).then(|| calls as f64 / self.time.as_secs_f64())
    }
}

/// Whether the next call would end in the same way.
fn concerns_every_call(code: ErrorCode) -> bool {
    match code {
        ErrorCode::UnknownModule
        | ErrorCode::UnknownType
        | ErrorCode::UnknownCommand
        | ErrorCode::ModuleUnavailable
        | ErrorCode::PermissionDenied
        | ErrorCode::ProtocolError => true,
        ErrorCode::BadRequest
        | ErrorCode::ModuleError
        | ErrorCode::ModuleCrashed
        | ErrorCode::DeadlineExceeded
        | ErrorCode::Cancelled
        | ErrorCode::Overloaded
        | ErrorCode::FrameTooLarge
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::Quarantined
        | ErrorCode::Internal => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Plays a row against a module that answers each call after `takes`, one after the other in the order of sending.
    fn played(plan: Plan, takes: Duration) -> Measured {
        let mut now = Duration::ZERO;
        let mut round = Round::new(plan, now);
        let mut answers = std::collections::VecDeque::new();
        let mut ids = 0..;
        loop {
            while round.may_send(now) {
                let id = ids.next().unwrap();
                round.handle_sent(id, now);
                answers.push_back((now + takes, id));
            }
            assert!(answers.len() <= plan.in_flight);
            if round.is_over() {
                return round.result();
            }
            let (at, id) = answers.pop_front().expect("a row that is not over waits for an answer");
            now = at;
            assert_eq!(round.handle_answer(id, now, Ok(())), None);
        }
    }

    #[test]
    fn a_row_counts_from_its_first_call_to_its_last_answer_and_nothing_of_its_warm_up() {
        let plan = Plan { in_flight: 4, warm_up: ms(1000), length: Length::Time(ms(2000)) };
        let measured = played(plan, ms(100));
        // Four at a time, each 100 ms, for 2 s.
        assert_eq!((measured.tally.successes(), measured.time), (80, ms(2000)));
        assert_eq!((measured.rate(), measured.unanswered), (Some(40.0), 0));
        assert!(measured.tally.max().unwrap() >= ms(99));
    }

    #[test]
    fn so_many_calls_are_measured_as_were_requested_however_long_that_takes() {
        for warm_up in [0, 50] {
            let plan = Plan { in_flight: 8, warm_up: ms(warm_up), length: Length::Calls(21) };
            let measured = played(plan, ms(10));
            assert_eq!((measured.tally.successes(), measured.time), (21, ms(30)));
        }
    }

    #[test]
    fn a_call_that_is_slow_at_the_end_counts_with_its_whole_time() {
        let plan = Plan { in_flight: 1, warm_up: Duration::ZERO, length: Length::Time(ms(10)) };
        let measured = played(plan, ms(700));
        assert_eq!((measured.tally.successes(), measured.time), (1, ms(700)));
    }

    #[test]
    fn errors_are_no_successes_and_one_that_concerns_every_call_ends_the_row() {
        let plan = Plan { in_flight: 2, warm_up: Duration::ZERO, length: Length::Calls(9) };
        let mut round = Round::new(plan, Duration::ZERO);
        for id in 0..2 {
            assert!(round.may_send(ms(0)));
            round.handle_sent(id, ms(0));
        }
        let full = Failure::new(ErrorCode::Overloaded, "the queue is full");
        assert_eq!(round.handle_answer(0, ms(1), Err(&full)), None);
        let unknown = Failure::new(ErrorCode::UnknownCommand, "there is no such command");
        assert!(round.may_send(ms(1)));
        round.handle_sent(2, ms(1));
        assert_eq!(round.handle_answer(1, ms(2), Err(&unknown)), Some(unknown));
        // An answer to nothing is none.
        assert_eq!(round.handle_answer(77, ms(2), Ok(())), None);
        let measured = round.result();
        assert_eq!((measured.tally.successes(), measured.unanswered, measured.rate()), (0, 1, None));
        assert_eq!(measured.tally.errors().len(), 2);
    }

    #[test]
    fn what_is_broken_off_in_its_warm_up_has_measured_nothing() {
        let plan = Plan { in_flight: 2, warm_up: ms(100), length: Length::Calls(9) };
        let mut round = Round::new(plan, Duration::ZERO);
        assert!(round.may_send(ms(1)));
        round.handle_sent(0, ms(1));
        round.handle_answer(0, ms(5), Ok(()));
        let measured = round.result();
        assert_eq!((measured.tally.successes(), measured.time, measured.unanswered), (0, Duration::ZERO, 0));
    }
}
