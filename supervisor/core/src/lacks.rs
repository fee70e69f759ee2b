//! What the host itself lacks to start processes: its guardian, descriptors, memory, a program of its own.
//! That is no module's failure. Nothing is counted for it, no delay grows by it, and what waits for it is
//! started as soon as it is there again. Where its return is not reported, one start tries it for all, each time
//! another slot's; what only one module needs is tried for that module alone.
//!
//! How a guardian that keeps ending is started again is decided here too. The host finds out what is
//! lacking.

use crate::{
    core::Core,
    exit_class::ExitClass,
    ids::{ModuleId, RunId, SlotId},
    limits::{
        GUARDIAN_DELAY_FIRST, GUARDIAN_DELAY_MAX, GUARDIAN_HELD, GUARDIANS_AT_ONCE, LACK_HASTENED, LACK_PURGE_MIN,
        LACK_REASON_BYTES_MAX, LACK_RETRY_EACH, LACK_RETRY_FIRST, LACK_RETRY_MAX,
    },
    slots::{SlotState, Vacancy},
    steps,
    time::Time,
    timers::Timer,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    time::Duration,
};

/// What is lacking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The guardian, which starts every process. [`Core::handle_able`] reports its return.
    Guardian,
    /// Descriptors, memory or room for another process: the next start would fail as well.
    Resources,
    /// Something of the host's own that not every module needs, identified by its description.
    Part(String),
    /// Something that the host makes for one module alone, like its data folder.
    Own,
}

/// The core's number for one thing that is lacking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LackId(u32);

/// What one thing that is lacking waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// Its return is reported.
    Reported,
    /// It is tried at this moment.
    At(Time),
    /// The next start tries it.
    Due,
    /// This process's start tries it.
    By(RunId),
}

/// What is lacking, and for which module where it is that module's alone.
type Key = (Need, Option<ModuleId>);

#[derive(Debug)]
struct Lack {
    key: Key,
    reason: String,
    retry: Retry,
    /// How long the next wait is.
    delay: Duration,
    queue: Queue,
}

/// The slots that wait for one thing, in the order in which they try it. A slot that no longer waits is left out
/// when its position comes.
#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<(ModuleId, SlotId)>,
    known: BTreeSet<(ModuleId, SlotId)>,
    /// So many may be known before those that no longer wait are left out.
    purge_at: usize,
}

impl Queue {
    fn join(&mut self, who: (ModuleId, SlotId)) {
        if self.known.insert(who) {
            self.order.push_back(who);
        }
    }

    fn next(&mut self) -> Option<(ModuleId, SlotId)> {
        let who = self.order.pop_front()?;
        self.known.remove(&who);
        Some(who)
    }
}

/// The result of a start that tried what is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It got past what was lacking.
    Passed,
    /// It was lost again because of it.
    Lost,
}

/// All that is lacking now.
#[derive(Debug, Default)]
pub(crate) struct Lacks {
    by_id: BTreeMap<LackId, Lack>,
    by_key: BTreeMap<Key, LackId>,
    /// What only one module needs, each.
    own: BTreeSet<LackId>,
    /// The last of them that was tried because another was there again.
    hastened: LackId,
    /// What the next start tries, and what starts try.
    due: Option<LackId>,
    tried: BTreeMap<RunId, LackId>,
    next: u32,
}

impl Lacks {
    fn find(&self, need: &Need, module: Option<ModuleId>) -> Option<LackId> {
        let module = module.filter(|_| *need == Need::Own);
        self.by_key.get(&(need.clone(), module)).copied()
    }

    /// What keeps every start from being tried.
    pub(crate) fn of_all(&self) -> Option<LackId> {
        if self.by_id.is_empty() {
            return None;
        }
        let found = [Need::Guardian, Need::Resources].into_iter().filter_map(|need| self.find(&need, None));
        found.filter(|id| self.by_id[id].retry != Retry::Due).min()
    }

    /// How long a thing is waited for at most.
    fn delay_max(&self, id: LackId) -> Duration {
        let alike = if self.own.contains(&id) { u32::try_from(self.own.len()).unwrap_or(u32::MAX) } else { 0 };
        LACK_RETRY_MAX.max(LACK_RETRY_EACH.saturating_mul(alike))
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
        let then = match &lack.key.0 {
            Need::Guardian => "as soon as there is a guardian",
            Need::Resources => "as soon as the system has what is lacking",
            Need::Part(_) | Need::Own => "as soon as that is mended",
        };
        (format!("the host cannot start it: {}", lack.reason), then.into())
    }

    /// Timers that are set, each of which must be known. For tests.
    pub(crate) fn audit(&self, contains: impl Fn(Time, Timer) -> bool) -> usize {
        let mut timers = 0;
        for (id, lack) in &self.by_id {
            assert_ne!(lack.retry, Retry::Due, "no start tries it: {lack:?}");
            assert_eq!(self.by_key.get(&lack.key), Some(id), "{lack:?}");
            assert_eq!(self.own.contains(id), lack.key.0 == Need::Own, "{lack:?}");
            let by = self.tried.iter().find(|(_, tried)| *tried == id).map(|(run, _)| Retry::By(*run));
            assert!(by.is_none_or(|by| by == lack.retry), "{by:?}, {lack:?}");
            if let Retry::At(at) = lack.retry {
                assert!(contains(at, Timer::Lack(*id)), "no timer: {lack:?}");
                timers += 1;
            }
        }
        assert_eq!((self.by_key.len(), self.due), (self.by_id.len(), None));
        assert!(self.tried.values().all(|id| self.by_id.contains_key(id)), "{:?}", self.tried);
        timers
    }

    /// Whether a slot waits in the queue for a thing. For tests.
    pub(crate) fn knows(&self, id: LackId, who: (ModuleId, SlotId)) -> bool {
        self.by_id.get(&id).is_some_and(|lack| lack.queue.known.contains(&who))
    }
}

impl Core {
    /// The host lacks something from now on, until [`Core::handle_able`] says otherwise.
    pub fn handle_lack(&mut self, need: Need, reason: &str) {
        self.note_lack((need, None), reason, Retry::Reported);
    }

    /// What was lacking is there: the slots that wait for it are started.
    pub fn handle_able(&mut self, now: Time, need: &Need) {
        if let Some(id) = self.lacks.find(need, None) {
            self.lack_ended(now, id);
        }
    }

    /// A process could not be started, and that is not its module's fault. Returns whether that is news.
    pub fn handle_start_refused(&mut self, now: Time, run_id: RunId, need: Need, reason: &str) -> bool {
        let Some(run) = self.runs.get(&run_id) else { return false };
        let module = Some(run.module).filter(|_| need == Need::Own);
        let is_new = self.lacks.find(&need, module).is_none();
        let id = self.note_lack((need, module), reason, Retry::At(now + LACK_RETRY_FIRST));
        if is_new {
            self.timers.set(now + LACK_RETRY_FIRST, Timer::Lack(id));
        }
        let run = self.runs.get_mut(&run_id).expect("it was there above");
        run.lack = Some(id);
        let commanded = run.cause == Some(crate::exit_class::Cause::Stop);
        let class = if commanded { ExitClass::Commanded } else { ExitClass::Lost };
        self.ended(now, run_id, class, reason.to_owned(), None, Default::default());
        self.handle_gone(now, run_id);
        is_new
    }

    fn note_lack(&mut self, key: Key, reason: &str, retry: Retry) -> LackId {
        let reason = reason[..reason.floor_char_boundary(LACK_REASON_BYTES_MAX)].to_owned();
        if let Some(id) = self.lacks.find(&key.0, key.1) {
            self.lacks.by_id.get_mut(&id).expect("it was found").reason = reason;
            return id;
        }
        let id = LackId(self.lacks.next);
        self.lacks.next = self.lacks.next.wrapping_add(1);
        if key.0 == Need::Own {
            self.lacks.own.insert(id);
        }
        self.lacks.by_key.insert(key.clone(), id);
        let queue = Queue { purge_at: LACK_PURGE_MIN, ..Queue::default() };
        self.lacks.by_id.insert(id, Lack { key, reason, retry, delay: LACK_RETRY_FIRST * 2, queue });
        id
    }

    /// A vacant slot waits for what is lacking.
    pub(crate) fn await_lack(&mut self, id: LackId, who: (ModuleId, SlotId)) {
        let Some(lack) = self.lacks.by_id.get_mut(&id) else { return };
        lack.queue.join(who);
        if lack.queue.known.len() > lack.queue.purge_at {
            let mut queue = std::mem::take(&mut lack.queue);
            queue.order.retain(|who| self.lacks_this(id, *who));
            queue.known = queue.order.iter().copied().collect();
            queue.purge_at = LACK_PURGE_MIN.max(2 * queue.known.len());
            self.lacks.by_id.get_mut(&id).expect("it was there above").queue = queue;
        }
    }

    /// Whether a slot waits for this, and for nothing else.
    fn lacks_this(&self, id: LackId, (module, slot): (ModuleId, SlotId)) -> bool {
        steps::count(1);
        let slot = self.modules.get(module).and_then(|module| module.slots.get(slot));
        slot.is_some_and(|slot| *slot.state() == SlotState::Vacant(Vacancy::Lacking(id)))
    }

    /// One of the slots that wait for it tries whether it is there again.
    pub(crate) fn lack_due(&mut self, now: Time, id: LackId) {
        let holds_permit = self.has_free_permit();
        let Some(lack) = self.lacks.by_id.get_mut(&id) else { return };
        if !holds_permit {
            lack.retry = Retry::At(now + LACK_RETRY_FIRST);
            return self.timers.set(now + LACK_RETRY_FIRST, Timer::Lack(id));
        }
        lack.retry = Retry::Due;
        self.lacks.due = Some(id);
        while let Some(who) = self.lacks.by_id.get_mut(&id).and_then(|lack| lack.queue.next()) {
            if self.lacks_this(id, who) {
                self.start_now(now, who.0, who.1);
            }
            match self.lacks.by_id.get(&id) {
                Some(Lack { retry: Retry::Due, .. }) => {}
                Some(_) | None => return,
            }
        }
        // No module waits for it any more.
        self.lack_ended(now, id);
    }

    /// A start is ordered: it tries what is due.
    pub(crate) fn tries_lacks(&mut self, run_id: RunId) {
        if let Some(id) = self.lacks.due.take()
            && let Some(lack) = self.lacks.by_id.get_mut(&id)
        {
            lack.retry = Retry::By(run_id);
            self.lacks.tried.insert(run_id, id);
        }
    }

    /// A start that tried what is lacking has a result: it is there, unless the start was lost again.
    pub(crate) fn start_attempted(&mut self, now: Time, run_id: RunId, attempt: Attempt) {
        let Some(id) = self.lacks.tried.remove(&run_id) else { return };
        if attempt == Attempt::Passed {
            self.lack_ended(now, id);
            return self.hasten(now);
        }
        let delay_max = self.lacks.delay_max(id);
        let Some(lack) = self.lacks.by_id.get_mut(&id) else { return };
        let at = now + lack.delay;
        lack.retry = Retry::At(at);
        lack.delay = (lack.delay * 2).min(delay_max);
        self.timers.set(at, Timer::Lack(id));
    }

    /// Something is there again: what single modules lack may be as well.
    fn hasten(&mut self, now: Time) {
        let own = &self.lacks.own;
        let after = own.range((Bound::Excluded(self.lacks.hastened), Bound::Unbounded));
        let next: Vec<LackId> = after.chain(own.range(..=self.lacks.hastened)).take(LACK_HASTENED).copied().collect();
        for id in next {
            self.lacks.hastened = id;
            let lack = self.lacks.by_id.get_mut(&id).expect("it is among those that are lacking");
            if let Retry::At(at) = lack.retry
                && at > now
            {
                self.timers.clear(at, Timer::Lack(id));
                lack.retry = Retry::At(now);
                self.timers.set(now, Timer::Lack(id));
            }
        }
    }

    fn lack_ended(&mut self, now: Time, id: LackId) {
        let Some(mut lack) = self.lacks.by_id.remove(&id) else { return };
        self.lacks.by_key.remove(&lack.key);
        self.lacks.own.remove(&id);
        self.lacks.due.take_if(|due| *due == id);
        match lack.retry {
            Retry::At(at) => self.timers.clear(at, Timer::Lack(id)),
            Retry::By(run) => _ = self.lacks.tried.remove(&run),
            Retry::Reported | Retry::Due => {}
        }
        while let Some(who) = lack.queue.next() {
            if self.lacks_this(id, who) {
                self.try_start(now, who.0, who.1);
            }
        }
    }
}

/// When a guardian that ended, or could not be started, is followed by the next one.
#[derive(Clone, Debug, Default)]
pub struct GuardianRestarts {
    started: Option<Time>,
    in_a_row: u32,
    delay: Duration,
}

impl GuardianRestarts {
    /// A guardian was started and has sent its first message.
    pub fn handle_started(&mut self, now: Time) {
        self.started = Some(now);
    }

    /// It ended, or was not started. Returns when to start the next one. One that never sent a message
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
