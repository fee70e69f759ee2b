//! What the host itself lacks to start processes: its guardian, descriptors, memory, a program of its own.
//! That is no module's failure. Nothing is counted for it, no delay grows by it, and what waits for it is
//! started as soon as it is there again. Where that cannot be told, one start tries it for all.
//!
//! How a guardian that keeps ending is started again is decided here too. What is lacking is found out by
//! the daemon.

use crate::{
    action::RunId,
    core::Core,
    ending::Verdict,
    module::{ModuleId, SlotId, SlotState, Vacancy},
    time::Time,
    timers::Timer,
};
use std::{collections::BTreeMap, time::Duration};

/// First and longest wait between two tries at something that cannot be told to be there again.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(500);

/// Longest reason that is kept.
const REASON_BYTES_MAX: usize = 4096;

/// What is lacking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The guardian, which starts every process. Its return is told by [`Core::handle_able`].
    Guardian,
    /// Descriptors, memory or room for another process: the next start would fail as well.
    Resources,
    /// Something of the host's own that not every module needs, told by what is said of it.
    Part(String),
}

impl Need {
    /// Whether nothing can be started without it.
    fn is_for_all(&self) -> bool {
        matches!(self, Need::Guardian | Need::Resources)
    }
}

/// The core's number for one thing that is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LackId(u32);

/// What one thing that is lacking waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// Its return is told.
    Told,
    /// It is tried at this moment.
    At(Time),
    /// The next start tries it.
    Due,
    /// This process's start tries it.
    By(RunId),
}

#[derive(Debug)]
struct Lack {
    need: Need,
    reason: String,
    retry: Retry,
    /// How long the next wait is.
    delay: Duration,
}

/// All that is lacking now.
#[derive(Debug, Default)]
pub(crate) struct Lacks {
    by_id: BTreeMap<LackId, Lack>,
    next: u32,
}

impl Lacks {
    fn find(&self, need: &Need) -> Option<LackId> {
        self.by_id.iter().find(|(_, lack)| lack.need == *need).map(|(id, _)| *id)
    }

    /// What keeps every start from being tried.
    pub(crate) fn of_all(&self) -> Option<LackId> {
        let blocks = |lack: &Lack| lack.need.is_for_all() && lack.retry != Retry::Due;
        self.by_id.iter().find(|(_, lack)| blocks(lack)).map(|(id, _)| *id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn contains(&self, id: LackId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Why something waits for it, and what it waits for.
    pub(crate) fn describe(&self, id: LackId) -> (String, String) {
        let Some(lack) = self.by_id.get(&id) else { return (String::new(), "at once".into()) };
        let then = match &lack.need {
            Need::Guardian => "as soon as there is a guardian",
            Need::Resources => "as soon as the system has what is lacking",
            Need::Part(_) => "as soon as that is mended",
        };
        (format!("the host cannot start it: {}", lack.reason), then.into())
    }

    /// Timers that are set, each of which must be known. For tests.
    pub(crate) fn audit(&self, contains: impl Fn(Time, Timer) -> bool) -> usize {
        let mut timers = 0;
        for (id, lack) in &self.by_id {
            assert_ne!(lack.retry, Retry::Due, "nobody tries it: {lack:?}");
            if let Retry::At(at) = lack.retry {
                assert!(contains(at, Timer::Lack(*id)), "no timer: {lack:?}");
                timers += 1;
            }
        }
        timers
    }
}

impl Core {
    /// The host lacks something from now on, until [`Core::handle_able`] says otherwise.
    pub fn handle_lack(&mut self, need: Need, reason: &str) {
        self.note_lack(need, reason, Retry::Told);
    }

    /// What was lacking is there: whatever waits for it is started.
    pub fn handle_able(&mut self, now: Time, need: &Need) {
        if let Some(id) = self.lacks.find(need) {
            self.lack_ended(now, id);
        }
    }

    /// A process could not be started, and that is not its module's fault. Returns whether that is news.
    pub fn handle_start_refused(&mut self, now: Time, run_id: RunId, need: Need, reason: &str) -> bool {
        if !self.runs.contains_key(&run_id) {
            return false;
        }
        let is_new = self.lacks.find(&need).is_none();
        let id = self.note_lack(need, reason, Retry::At(now + RETRY_FIRST));
        if is_new {
            self.timers.set(now + RETRY_FIRST, Timer::Lack(id));
        }
        let run = self.runs.get_mut(&run_id).expect("it was there above");
        run.lack = Some(id);
        let commanded = run.cause == Some(crate::ending::Cause::Stop);
        let verdict = if commanded { Verdict::Commanded } else { Verdict::Lost };
        self.ended(now, run_id, verdict, reason.to_owned(), None, Default::default());
        self.handle_gone(now, run_id);
        is_new
    }

    fn note_lack(&mut self, need: Need, reason: &str, retry: Retry) -> LackId {
        let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        if let Some(id) = self.lacks.find(&need) {
            self.lacks.by_id.get_mut(&id).expect("it was found").reason = reason;
            return id;
        }
        let id = LackId(self.lacks.next);
        self.lacks.next = self.lacks.next.wrapping_add(1);
        self.lacks.by_id.insert(id, Lack { need, reason, retry, delay: RETRY_FIRST * 2 });
        id
    }

    /// One of those that wait for it tries whether it is there again.
    pub(crate) fn lack_due(&mut self, now: Time, id: LackId) {
        let has_turn = self.has_free_turn();
        let Some(lack) = self.lacks.by_id.get_mut(&id) else { return };
        if !has_turn {
            lack.retry = Retry::At(now + RETRY_FIRST);
            return self.timers.set(now + RETRY_FIRST, Timer::Lack(id));
        }
        lack.retry = Retry::Due;
        let waiting = self.waiting_for(id);
        for (module, slot) in waiting {
            self.start_now(now, module, slot);
            match self.lacks.by_id.get(&id) {
                Some(Lack { retry: Retry::Due, .. }) => {}
                Some(_) | None => return,
            }
        }
        // No module waits for it any more.
        self.lack_ended(now, id);
    }

    /// A start is ordered: it tries what is due to be tried.
    pub(crate) fn tries_lacks(&mut self, run_id: RunId) {
        for lack in self.lacks.by_id.values_mut().filter(|lack| lack.retry == Retry::Due) {
            lack.retry = Retry::By(run_id);
        }
    }

    /// A start that tried what is lacking has come to something: it is there, unless it was lost again.
    pub(crate) fn tried_lacks(&mut self, now: Time, run_id: RunId, lost: bool) {
        let tried = |lack: &Lack| lack.retry == Retry::By(run_id);
        let Some(id) = self.lacks.by_id.iter().find(|(_, lack)| tried(lack)).map(|(id, _)| *id) else { return };
        if !lost {
            return self.lack_ended(now, id);
        }
        let lack = self.lacks.by_id.get_mut(&id).expect("it was found");
        let at = now + lack.delay;
        lack.retry = Retry::At(at);
        lack.delay = (lack.delay * 2).min(RETRY_MAX);
        self.timers.set(at, Timer::Lack(id));
    }

    fn lack_ended(&mut self, now: Time, id: LackId) {
        let waiting = self.waiting_for(id);
        let Some(lack) = self.lacks.by_id.remove(&id) else { return };
        if let Retry::At(at) = lack.retry {
            self.timers.clear(at, Timer::Lack(id));
        }
        for (module, slot) in waiting {
            self.try_start(now, module, slot);
        }
    }

    fn waiting_for(&self, id: LackId) -> Vec<(ModuleId, SlotId)> {
        let lacking = SlotState::Vacant(Vacancy::Lacking(id));
        let slots = self.modules.iter().flat_map(|(module, it)| it.slots.iter().map(move |slot| (*module, slot)));
        slots.filter(|(_, slot)| slot.state == lacking).map(|(module, slot)| (module, slot.id)).collect()
    }
}

/// Ends in a row after which the next start of the guardian has to wait.
const GUARDIANS_AT_ONCE: u32 = 10;

/// First and longest wait for the next guardian, which everything waits for.
const GUARDIAN_DELAY_FIRST: Duration = Duration::from_millis(50);
const GUARDIAN_DELAY_MAX: Duration = Duration::from_millis(500);

/// A guardian that lived so long ends the row.
const GUARDIAN_HELD: Duration = Duration::from_secs(10);

/// When a guardian that ended, or could not be started, is followed by the next one.
#[derive(Clone, Debug, Default)]
pub struct GuardianRestarts {
    started: Option<Time>,
    in_a_row: u32,
    delay: Duration,
}

impl GuardianRestarts {
    /// One was started and has said its first word.
    pub fn handle_started(&mut self, now: Time) {
        self.started = Some(now);
    }

    /// It ended, or never came so far. Returns when to start the next one. One that never said a word
    /// would most likely end again at once, so the next one waits in any case.
    pub fn handle_ended(&mut self, now: Time) -> Time {
        let started = self.started.take();
        if started.is_some_and(|at| now.since(at) >= GUARDIAN_HELD) {
            *self = GuardianRestarts::default();
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        if started.is_some() && self.in_a_row <= GUARDIANS_AT_ONCE {
            self.delay = Duration::ZERO;
            return now;
        }
        self.delay = (self.delay * 2).clamp(GUARDIAN_DELAY_FIRST, GUARDIAN_DELAY_MAX);
        now + self.delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guardian_that_ends_is_followed_at_once_and_one_that_ends_again_and_again_waits() {
        let mut restarts = GuardianRestarts::default();
        let mut now = Time::from_millis(1000);
        for n in 0..30 {
            restarts.handle_started(now);
            now = now + Duration::from_millis(100);
            let next = restarts.handle_ended(now);
            let waits = next.since(now);
            match n {
                0..10 => assert_eq!(waits, Duration::ZERO, "{n}"),
                10 => assert_eq!(waits, GUARDIAN_DELAY_FIRST),
                _ => assert!((GUARDIAN_DELAY_FIRST..=GUARDIAN_DELAY_MAX).contains(&waits), "{n}: {waits:?}"),
            }
            now = next;
        }
        restarts.handle_started(now);
        now = now + GUARDIAN_HELD;
        assert_eq!(restarts.handle_ended(now), now, "one that held ends the row");
    }

    #[test]
    fn a_guardian_that_cannot_be_started_is_tried_at_least_twice_a_second() {
        let mut restarts = GuardianRestarts::default();
        let now = Time::from_millis(1000);
        let waits: Vec<Duration> = (0..8).map(|_| restarts.handle_ended(now).since(now)).collect();
        assert!(waits.iter().all(|wait| (GUARDIAN_DELAY_FIRST..=GUARDIAN_DELAY_MAX).contains(wait)), "{waits:?}");
        assert_eq!(waits.last(), Some(&GUARDIAN_DELAY_MAX));
    }
}
