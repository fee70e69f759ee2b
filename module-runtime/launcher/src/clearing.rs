//! How what a dead leader left behind is killed and proven gone.
//!
//! Every leader adopts what its own tree orphans, as long as it lives. When it dies, the guardian
//! adopts the rest. So a child of the guardian that is not a living leader has outlived its leader
//! (or its leader refused to adopt it) and is killed, whatever session or group it has moved to.
//!
//! Invariant: a run is gone only after a look at all children of the guardian found none that may be of the run, dead
//! ones included. Nothing is reaped during a look, so each process that had outlived the leader when the look began is
//! found; and a dead process cannot fork.

use crate::cgroup::Group;
use crate::descendants::descend;
use crate::guardian::Guardian;
use crate::memory;
use crate::processes::{Process, walk};
use crate::run::{MemoryGroup, State};
use crate::sys::{self, Waited};
use bulkhead_protocol::guardian::Report;
use libc::{SIGKILL, pid_t};
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

/// First and longest wait between two looks at a tree that is being killed. The end of a child
/// wakes the guardian earlier, so these are only for what sends no signal.
const LOOK_DELAY_FIRST: Duration = Duration::from_millis(1);
const LOOK_DELAY_MAX: Duration = Duration::from_secs(1);

/// How often to look for processes of modules that refuse to adopt their own.
pub(crate) const STRAY_LOOK_EVERY: Duration = Duration::from_secs(2);

/// So many rounds that each found new processes, and the tree is stopped before it is killed.
const SURVIVOR_ROUNDS: u32 = 2;

/// After so long a leader is assumed to stay in its control group.
const SETTLED_AFTER: Duration = Duration::from_millis(200);

/// After so long it is reported that something cannot be killed.
const COMPLAIN_AFTER: Duration = Duration::from_secs(5);

/// Which run a process is of, where its session shows it.
type Tag = Option<u64>;

/// What one look has found: the runs that are not gone yet.
#[derive(Default)]
struct Found {
    tags: HashSet<Tag>,
    newly_killed: bool,
}

impl Guardian {
    /// Reaps what has ended, kills what has outlived its leader, and reports the runs that are gone.
    pub(crate) fn clear(&mut self) {
        let due = self.next_look.is_some_and(|at| at <= Instant::now());
        if due && self.look_delay.is_zero() {
            self.look_at_memory();
        }
        let orphan_ended = self.reap();
        let clearing = self.runs.values().any(|run| run.is_clearing());
        if !(due || orphan_ended || clearing || self.ending.is_some()) {
            self.next_look =
                (!self.runs.is_empty()).then(|| self.next_look.unwrap_or(Instant::now() + STRAY_LOOK_EVERY));
            return;
        }
        // The second look is for those that were dead already or died at once.
        let nothing_left = self.look_and_finish() || {
            self.reap();
            self.look_and_finish()
        };
        if !nothing_left || self.runs.values().any(|run| run.is_clearing()) {
            self.complain();
            self.look_delay = (self.look_delay * 2).clamp(LOOK_DELAY_FIRST, LOOK_DELAY_MAX);
            self.next_look = Some(Instant::now() + self.look_delay);
        } else {
            self.look_delay = Duration::ZERO;
            self.killed_pids.clear();
            self.next_look = (!self.runs.is_empty()).then(|| Instant::now() + STRAY_LOOK_EVERY);
        }
    }

    /// Reports to the host which runs have a counter of kills of their own. True while that is not known of all.
    pub(crate) fn learn_memory_groups(&mut self) -> bool {
        let mut unknown = false;
        for (number, run) in self.runs.iter_mut().filter(|(_, run)| matches!(run.memory, MemoryGroup::Unknown)) {
            match run.state {
                State::Clearing { .. } | State::Failing(_) => continue,
                // A script that moves itself into a group needs a moment before it is its module's program.
                State::Running if run.started.elapsed() >= SETTLED_AFTER => {}
                State::Starting { .. } | State::Running => {
                    unknown = true;
                    continue;
                }
            }
            run.memory = match self.memory.own_of(run.pid) {
                None => MemoryGroup::Shared,
                Some(counter) => {
                    let seen = memory::kills(&counter).unwrap_or(0);
                    let counter_now = memory::counter_report(&counter, seen);
                    self.host_socket.report(&Report::MemoryGroup { run: *number, counter: counter_now });
                    MemoryGroup::Own(counter, seen)
                }
            };
        }
        unknown
    }

    /// Reports to the host where the kernel's memory killer was at work.
    fn look_at_memory(&mut self) {
        for counter in self.memory.risen() {
            self.host_socket.report(&Report::MemoryKills { run: None, counter });
        }
        for (number, run) in self.runs.iter_mut().filter(|(_, run)| matches!(run.state, State::Running)) {
            if let MemoryGroup::Own(counter, seen) = &mut run.memory
                && let Some(counter) = memory::risen(counter, seen)
            {
                self.host_socket.report(&Report::MemoryKills { run: Some(*number), counter });
            }
        }
    }

    /// Reaps every child that has ended. True if one of them was no leader.
    fn reap(&mut self) -> bool {
        let mut orphan_ended = false;
        while let Waited::Ended(ended) = sys::wait() {
            self.killed_pids.remove(&ended.pid);
            let leader = self.runs.iter_mut().find(|(_, run)| run.pid == ended.pid && run.has_leader());
            let Some((&number, run)) = leader else {
                orphan_ended = true;
                continue;
            };
            if run.settle() {
                self.host_socket.report(&Report::Spawned { run: number, pid: ended.pid });
            }
            if let State::Failing(failure) = &run.state {
                let (message, fault) = (failure.message.clone(), failure.fault);
                run.group.take().inspect(|group| group.remove());
                self.runs.remove(&number);
                self.host_socket.report(&Report::SpawnFailed { run: number, fault, message });
                continue;
            }
            run.state = State::Clearing { since: Instant::now(), complained: false };
            self.host_socket.report(&Report::Exited {
                run: number,
                code: ended.code,
                signal: ended.signal,
                cpu_ms: ended.cpu_ms,
                memory_bytes_peak: ended.memory_bytes_peak,
            });
        }
        orphan_ended
    }

    /// One look, and its consequences. True if it found no process.
    fn look_and_finish(&mut self) -> bool {
        self.kill_groups();
        let found = match self.look() {
            Ok(found) => found,
            Err(error) => {
                self.explain(Err(error));
                return false;
            }
        };
        self.rounds_with_survivors = if found.newly_killed { self.rounds_with_survivors + 1 } else { 0 };
        let gone = |number: u64, run: &crate::run::Run| {
            run.is_clearing()
                && !found.tags.contains(&None)
                && !found.tags.contains(&Some(number))
                && !run.group.as_ref().is_some_and(|group| group.is_populated())
        };
        let numbers: Vec<u64> =
            self.runs.iter().filter(|(number, run)| gone(**number, run)).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(run) = self.runs.remove(&number) else { continue };
            run.group.inspect(|group| group.remove());
            let killed = run.killed + std::mem::take(&mut self.strays);
            self.host_socket.report(&Report::Gone { run: number, killed });
        }
        found.tags.is_empty()
    }

    /// Kills the control groups of the runs that are being cleared, and removes those that are empty: the kernel
    /// removes none with a living process, and no process enters one that is removed.
    fn kill_groups(&mut self) {
        let ending = self.ending.is_some();
        for run in self.runs.values_mut().filter(|run| ending || run.is_clearing()) {
            if run.is_clearing() && run.group.as_ref().is_some_and(Group::remove_if_empty) {
                run.group = None;
            }
            if let Some(group) = run.group.as_ref().filter(|group| group.is_populated()) {
                let new = group.processes().into_iter().filter(|pid| *pid != run.pid && self.killed_pids.insert(*pid));
                run.killed += u32::try_from(new.count()).unwrap_or(u32::MAX);
                group.kill();
            }
        }
    }

    /// Looks at all children of the guardian and kills those that are no living leaders, with all
    /// their descendants. Once the host is gone, living leaders are killed too.
    fn look(&mut self) -> io::Result<Found> {
        let leaders: HashSet<pid_t> = match self.ending {
            Some(_) => HashSet::new(),
            None => self.runs.values().filter(|run| run.has_leader()).map(|run| run.pid).collect(),
        };
        // Where the kernel lists our children, that answers the common case: there is none.
        let orphans = self.children.list()?.map(|mut children| {
            children.retain(|pid| !leaders.contains(pid));
            children
        });
        if orphans.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Found::default());
        }
        // The number of a leader that was reaped may be used again, but not while its session lives;
        // so a living leader of the same number is the one that a session belongs to.
        let mut sessions: HashMap<pid_t, u64> = HashMap::new();
        for living in [false, true] {
            let runs = self.runs.iter().filter(|(_, run)| run.has_leader() == living);
            sessions.extend(runs.map(|(number, run)| (run.pid, *number)));
        }
        let tag_of = |process: &Process| -> Tag { sessions.get(&process.session).copied() };
        let own_pid = self.own_pid;
        let root = |process: &Process| -> Option<Tag> {
            let orphan = process.parent == own_pid && !leaders.contains(&process.pid);
            orphan.then(|| tag_of(process))
        };
        let is_surviving = self.rounds_with_survivors >= SURVIVOR_ROUNDS;
        if is_surviving {
            self.explain(self.trees().stop(root));
        }
        let mut found = Found::default();
        let mut killed: Vec<(pid_t, Tag)> = Vec::new();
        let trees = self.trees();
        let mut kill = |process: &Process, tag| {
            found.tags.insert(tag);
            if !process.dead && trees.send(process, SIGKILL).is_ok() {
                killed.push((process.pid, tag));
                // Reaches those that were forked meanwhile, all at once, but uncounted. The group is inside a session
                // of the dead leader's tree, unless that leader lives and refuses to adopt.
                let is_orphan = process.parent == own_pid && process.group != own_pid;
                if is_surviving && is_orphan && !leaders.contains(&process.session) {
                    let _ = sys::kill(-process.group, SIGKILL);
                }
            }
        };
        let mut hidden = Vec::new();
        match orphans {
            // Every child of ours is found. A descendant of one may be missed, as its list of children changes during
            // the read. The child's tag still keeps the run from being gone, and the child has got SIGKILL, so the
            // descendant becomes our own child and is found by a later look. A tree that grows all the same is looked
            // for among all processes, new ones included.
            Some(orphans) if !is_surviving => {
                for orphan in orphans {
                    let mut tag = None;
                    descend(orphan, |process| kill(process, *tag.get_or_insert_with(|| tag_of(process))))?;
                    if tag.is_none() {
                        hidden.push(orphan);
                    }
                }
            }
            _ => walk(root, kill)?,
        }
        // A child that is hidden from us (`hidepid` of proc(5)) still exists.
        for orphan in hidden {
            found.tags.insert(None);
            let _ = sys::kill(orphan, SIGKILL);
        }
        for (pid, tag) in killed {
            if self.killed_pids.insert(pid) {
                found.newly_killed = true;
                self.count(tag);
            }
        }
        Ok(found)
    }

    /// Counts one killed process for its run, or for all that it may be of.
    fn count(&mut self, tag: Tag) {
        if let Some(run) = tag.and_then(|number| self.runs.get_mut(&number)) {
            run.killed += 1;
            return;
        }
        let mut candidates = self.runs.values_mut().filter(|run| run.is_clearing()).peekable();
        if candidates.peek().is_none() {
            self.strays += 1;
        }
        candidates.for_each(|run| run.killed += 1);
    }

    /// Reports once for each run that it takes long.
    fn complain(&mut self) {
        for (number, run) in &mut self.runs {
            if let State::Clearing { since, complained } = &mut run.state
                && !*complained
                && since.elapsed() >= COMPLAIN_AFTER
            {
                *complained = true;
                sys::say(&format!(
                    "run {number}: after {} s some processes that leader {} left behind still live; \
                     they run as another user or wait inside the kernel",
                    COMPLAIN_AFTER.as_secs(),
                    run.pid
                ));
            }
        }
    }

    pub(crate) fn explain(&self, result: io::Result<()>) {
        if let Err(error) = result {
            sys::say(&format!("cannot read /proc: {error}; trying again"));
        }
    }
}
