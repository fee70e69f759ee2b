//! Has a store do units of work, and notes on its disk what it reports, at the moment when it does.

use crate::{
    check::{DEADLINE, Known, Running},
    common::json,
    files::Random,
    units::{Expected, SLOTS, Unit, counter_id, pair_id},
};
use bulkhead_layer1::{Job, JobId, Outcome};
use bulkhead_protocol::{
    Delivery,
    layer1::{CommitNumber, Query},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

/// When the host of these tests believes that a unit is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    /// When `poll` says so.
    WhenPolled,
    /// When `poll_visible` says so and `flushed` has reached its number.
    WhenFlushed,
    /// When `poll_visible` says so, which is wrong.
    AtCommit,
}

pub struct Driver<'a> {
    open: &'a Running,
    random: Random,
    reports: Reports,
    /// Under way, by the number of the job.
    running: BTreeMap<JobId, Unit>,
    /// What was seen and is not reported, with the commit that it waits for.
    waiting: Vec<(CommitNumber, u64)>,
    /// Committed, with the cursor of the first event.
    committed: Vec<(u64, Unit)>,
    maybe: Vec<Unit>,
    stored: Expected,
    /// The pairs of each slot.
    pairs: BTreeMap<u64, Vec<u64>>,
    next_number: u64,
    next_query: u64,
    pub is_over: bool,
}

impl<'a> Driver<'a> {
    /// On a store that has these units.
    pub fn new(open: &'a Running, random: Random, reports: Reports, units: &[Unit], next_number: u64) -> Driver<'a> {
        let stored = Expected::of(units);
        let mut pairs = BTreeMap::<u64, Vec<u64>>::new();
        for unit in units.iter().filter(|unit| stored.has("Left", &pair_id(unit.number))) {
            pairs.entry(unit.slot).or_default().push(unit.number);
        }
        Driver {
            open,
            random,
            reports,
            running: BTreeMap::new(),
            waiting: Vec::new(),
            committed: Vec::new(),
            maybe: Vec::new(),
            stored,
            pairs,
            next_number,
            next_query: 1 << 60,
            is_over: false,
        }
    }

    /// What is known now, after what was known before. Gives the next number, too.
    pub fn known(mut self, before: Vec<Unit>) -> (Known, u64) {
        self.committed.sort_by_key(|(cursor, _)| *cursor);
        let committed = before.into_iter().chain(self.committed.into_iter().map(|(_, unit)| unit)).collect();
        (Known { committed, maybe: self.maybe, reported: 0 }, self.next_number)
    }

    /// Begins a unit in a slot in which none is under way.
    pub fn begin(&mut self, slot: u64) {
        let number = self.next_number;
        self.next_number += 1;
        let pairs = self.pairs.entry(slot).or_default();
        let mut pick = |times| {
            let picked = self.random.percent(times) && !pairs.is_empty();
            picked.then(|| pairs[self.random.below(pairs.len())])
        };
        let (updates, deletes) = (pick(30), pick(30));
        let pad = [10, 50, 300, 1500, 3800][self.random.below(100).min(90) / 20];
        let updates = updates.filter(|number| Some(*number) != deletes);
        let unit = Unit { number, slot, updates, deletes, pad, has_event: self.random.percent(60) };
        self.open.pass(Duration::from_millis(200));
        let job = unit.submit(&self.open.layer1, &self.stored);
        self.running.insert(job, unit);
    }

    /// Asks for the counter of a slot.
    pub fn ask(&mut self, slot: u64) {
        let payload = format!(r#"{{"entity":"Counter","id":"{}"}}"#, counter_id(slot));
        let query = Query::read(&json(&payload)).unwrap();
        self.next_query += 1;
        self.open.layer1.submit(JobId(self.next_query), Job::Query { unit: None, query }, None).unwrap();
    }

    /// Whether a unit is under way in the slot.
    pub fn is_busy(&self, slot: u64) -> bool {
        self.running.values().any(|unit| unit.slot == slot)
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Takes outcomes until as few units are under way, or so much time has passed.
    pub fn take(&mut self, left: usize, most: Duration) {
        let end = Instant::now() + most;
        loop {
            self.take_all();
            if self.running.len() <= left {
                return;
            }
            match self.open.woken.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) if most < DEADLINE => return,
                Err(error) => panic!("{error}: the store has no outcome for {:?}", self.running),
            }
        }
    }

    /// Takes the rest, and waits until all of it is reported, or never will be.
    pub fn finish(&mut self) {
        self.open.disk.open_gate();
        self.take(0, DEADLINE);
        while !self.waiting.is_empty() && self.open.layer1.flush_failure().is_none() {
            self.open.woken.recv_timeout(DEADLINE).expect("a flush ends, one way or the other");
            self.report();
        }
        let layer1 = &self.open.layer1;
        self.is_over |= layer1.broken().is_some() || layer1.flush_failure().is_some();
    }

    fn take_all(&mut self) {
        loop {
            let taken = match self.reports {
                Reports::WhenPolled => self.open.layer1.poll().map(|(job, outcome)| (job, None, outcome)),
                Reports::WhenFlushed | Reports::AtCommit => {
                    self.open.layer1.poll_visible().map(|it| (it.job_id, Some(it.seen), it.outcome))
                }
            };
            let Some((job, seen, outcome)) = taken else { break };
            if let Some(number) = self.outcome(job, outcome) {
                match (self.reports, seen) {
                    (Reports::WhenFlushed, Some(seen)) => self.waiting.push((seen, number)),
                    _ => self.open.disk.reported(number),
                }
            }
        }
        self.report();
    }

    /// Reports what is on the disk by now.
    fn report(&mut self) {
        let flushed = self.open.layer1.flushed();
        let disk = &self.open.disk;
        self.waiting.retain(|(seen, number)| {
            let is_flushed = *seen <= flushed;
            if is_flushed {
                disk.reported(*number);
            }
            !is_flushed
        });
    }

    /// The unit that the outcome shows to be there.
    fn outcome(&mut self, job: JobId, outcome: Outcome) -> Option<u64> {
        let unit = self.running.remove(&job);
        match (unit, outcome) {
            // Its changes have failed, as on a disk of which nothing can be read any more: it is an empty one.
            (Some(_), Outcome::Committed { events }) if events.is_empty() && self.open.disk.counted().0 > 0 => None,
            (Some(unit), Outcome::Committed { events } | Outcome::Mutated { events, .. }) => {
                self.stored.add(&unit);
                let pairs = self.pairs.entry(unit.slot).or_default();
                pairs.retain(|number| Some(*number) != unit.deletes);
                pairs.push(unit.number);
                let number = unit.number;
                self.committed.push((events[0].cursor.0, unit));
                Some(number)
            }
            (Some(unit), Outcome::Failed(failure)) => {
                self.is_over |= self.open.layer1.broken().is_some();
                if failure.delivery == Some(Delivery::Unknown) {
                    self.maybe.push(unit);
                }
                None
            }
            (None, Outcome::Rows(rows)) => {
                let rows: Value = rows.read().unwrap();
                rows["entities"][0]["data"]["n"].as_u64()
            }
            // Parts of a unit; if one of them has failed, so has its commit, or is an empty one.
            (None, _) => None,
            (Some(unit), other) => panic!("{unit:?}: {other:?}"),
        }
    }

    /// So many steps, one job at a time as far as the store reports one at a time.
    pub fn one_after_the_other(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.is_over {
                return;
            }
            let slot = self.random.below(SLOTS as usize) as u64;
            match self.random.below(10) {
                0..4 => self.begin(slot),
                4 => self.ask(slot),
                5 => self.no_room(slot),
                _ => self.while_a_flush_waits(slot),
            }
            self.finish();
        }
    }

    /// Commits while an earlier flush is under way.
    fn while_a_flush_waits(&mut self, slot: u64) {
        /// As long as anything takes that does not wait for the flush itself.
        const MOMENT: Duration = Duration::from_millis(5);
        self.open.disk.close_gate();
        for number in 0..2 + self.random.below(3) as u64 {
            self.open.layer1.hasten();
            self.begin((slot + number) % SLOTS);
            if self.random.percent(30) {
                self.ask((slot + number) % SLOTS);
            }
            let left = if self.reports == Reports::WhenPolled { self.running() } else { 0 };
            if left == 0 {
                self.take(0, MOMENT);
            } else {
                self.open.disk.wait_for_flush(MOMENT);
            }
        }
    }

    /// The disk is full, and has room again.
    fn no_room(&mut self, slot: u64) {
        let after = 1 + self.random.below(12);
        self.open.disk.set_full_after(Some(after));
        for number in 0..3 {
            self.begin((slot + number) % SLOTS);
            self.finish();
        }
        self.open.disk.set_full_after(None);
    }

    /// So many units, of which several are always under way, and queries meanwhile.
    pub fn many_at_once(&mut self, units: usize) {
        for _ in 0..units {
            if self.is_over {
                break;
            }
            let most = 1 + self.random.below(SLOTS as usize);
            while let Some(slot) = (0..SLOTS).find(|slot| !self.is_busy(*slot)).filter(|_| self.running() < most) {
                self.begin(slot);
            }
            self.ask(self.random.clone().next() % SLOTS);
            self.take(most / 2, DEADLINE);
        }
        self.finish();
    }
}
