//! The trees of living leaders: how they are signalled and killed, and how trees that grow are stopped.
//!
//! What a dead leader left behind is not known here, and whether any process is left is not decided here: that is for
//! `clearing.rs`, which does not rely on a complete search here.
//!
//! What comes in one iteration is carried out together, and each tree costs what its own processes cost, so
//! that to end many modules takes a time in proportion to their number. Where the kernel does not list
//! children, all of `/proc` must be read, and is read once for all that came together.
//!
//! A tree that forks while it is read may hide a process. Polite signals miss such a process. SIGKILL does not: a
//! process that was missed outlives the leader, becomes the guardian's child when its last ancestor in the tree dies,
//! and is found by the look that every end of a run needs.

use crate::cgroup::Group;
use crate::descendants::descend;
use crate::processes::{Process, walk};
use crate::sys;
use libc::{SIGKILL, SIGSTOP, c_int, pid_t};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

/// Longest time to go on stopping before killing what was stopped. Each round finds what was forked
/// during the one before, so only a tree that grows faster than it is read takes so long.
pub(crate) const STOP_MAX: Duration = Duration::from_millis(500);

/// Longest time to go on looking before a polite signal is sent to those that were found.
const SEARCH_MAX: Duration = Duration::from_millis(20);

/// What the ways to reach a tree have in common.
#[derive(Clone, Copy)]
pub(crate) struct Trees {
    /// This process, whose children keep their numbers: no other process reaps them, and it does not
    /// while anything here runs.
    pub(crate) own_pid: pid_t,
    /// Whether the kernel lists the children of processes.
    pub(crate) children_listed: bool,
}

impl Trees {
    /// Sends signals to every process of trees, to each process its tree's signals in their order.
    ///
    /// # Errors
    /// What kept `/proc` from being read. The processes found until then have got the signals.
    pub(crate) fn signal(self, wanted: &BTreeMap<pid_t, &[c_int]>) -> io::Result<()> {
        let leaders: Vec<pid_t> = wanted.keys().copied().collect();
        let mut result = Ok(());
        for leaders in self.parts(&leaders) {
            // All are found before the first gets a signal: a process that it ends leaves its children to another,
            // whose list may have been read already.
            let mut found: Vec<(Process, pid_t)> = Vec::new();
            let searched = self.search(leaders, SEARCH_MAX, |process, leader| found.push((process.clone(), leader)));
            result = result.and(searched);
            for (process, leader) in found {
                for signal in wanted[&leader] {
                    let _ = self.send(&process, *signal);
                }
            }
        }
        result
    }

    /// Kills trees, their leaders last.
    ///
    /// # Errors
    /// What kept `/proc` from being read. The leaders and the processes found until then are killed.
    pub(crate) fn kill(self, trees: &[(pid_t, Option<&Group>)]) -> io::Result<()> {
        let mut leaders: Vec<pid_t> = Vec::new();
        for (leader, group) in trees {
            match group {
                // The kernel kills all of it at once, and a process that has left the group outlives the leader and is
                // found by that.
                Some(group) => {
                    group.kill();
                    let _ = sys::kill(*leader, SIGKILL);
                }
                None => leaders.push(*leader),
            }
        }
        let mut result = Ok(());
        for leaders in self.parts(&leaders) {
            let mut stopped: Vec<Process> = Vec::new();
            // Stopped first, so that none of them can start another when one ends.
            let searched = self.search(leaders, STOP_MAX, |process, _| {
                let _ = self.send(process, SIGSTOP);
                stopped.push(process.clone());
            });
            result = result.and(searched);
            for process in stopped.iter().filter(|process| !leaders.contains(&process.pid)) {
                let _ = self.send(process, SIGKILL);
            }
            for leader in leaders {
                let _ = sys::kill(*leader, SIGKILL);
            }
        }
        result
    }

    /// Stops the processes that `root` picks and all their descendants, round after round over all
    /// processes until one finds none that is new. What is stopped cannot fork or wait for others.
    ///
    /// # Errors
    /// What kept `/proc` from being read. The processes found until then are stopped.
    pub(crate) fn stop<T: Copy>(self, root: impl Fn(&Process) -> Option<T>) -> io::Result<()> {
        let mut stopped: HashSet<(pid_t, u64)> = HashSet::new();
        let mut result = Ok(());
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            let before = stopped.len();
            result = result.and(walk(&root, |process, _| {
                if !process.dead && stopped.insert(process.name()) {
                    let _ = self.send(process, SIGSTOP);
                }
            }));
            if stopped.len() == before {
                break;
            }
        }
        result
    }

    /// Signals one process and no other. A child of ours keeps its number until we reap it; any other process has to be
    /// read again.
    pub(crate) fn send(self, process: &Process, signal: c_int) -> io::Result<()> {
        if process.parent == self.own_pid { sys::kill(process.pid, signal) } else { process.signal(signal) }
    }

    /// What is looked at together: each tree alone where a round costs what the tree does, so that one
    /// which grows makes no rounds over the others, and all at once where each round costs the same.
    fn parts(self, leaders: &[pid_t]) -> std::slice::Chunks<'_, pid_t> {
        leaders.chunks(if self.children_listed { 1 } else { leaders.len().max(1) })
    }

    /// Calls `visit` with each living process of these trees once, round after round until a round finds no new one or
    /// the time is over.
    fn search(self, leaders: &[pid_t], time_max: Duration, mut visit: impl FnMut(&Process, pid_t)) -> io::Result<()> {
        let mut seen: HashSet<(pid_t, u64)> = HashSet::new();
        let deadline = Instant::now() + time_max;
        loop {
            let before = seen.len();
            let mut see = |process: &Process, leader| {
                if !process.dead && seen.insert(process.name()) {
                    visit(process, leader);
                }
            };
            if self.children_listed {
                leaders.iter().try_for_each(|leader| descend(*leader, |process| see(process, *leader)))?;
            } else {
                let leaders: HashSet<pid_t> = leaders.iter().copied().collect();
                walk(|process| leaders.contains(&process.pid).then_some(process.pid), &mut see)?;
            }
            if seen.len() == before || Instant::now() >= deadline {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descendants::OwnChildren;
    use crate::processes::tests::{READS, SCANS};
    use libc::{SIGCONT, SIGTERM};
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    /// What was read to do something: files about processes, and rounds over all of them.
    fn cost(of: impl FnOnce()) -> (usize, usize) {
        let before = (READS.get(), SCANS.get());
        of();
        (READS.get() - before.0, SCANS.get() - before.1)
    }

    /// Leaders without descendants, which end by themselves.
    struct Leaders(Vec<Child>);

    impl Leaders {
        fn start(count: usize) -> Leaders {
            // In groups of their own, as leaders are, so that a terminal's signals do not reach them.
            Leaders(
                (0..count).map(|_| Command::new("/bin/sleep").arg("20").process_group(0).spawn().unwrap()).collect(),
            )
        }

        fn pids(&self) -> Vec<pid_t> {
            self.0.iter().map(|child| pid_t::try_from(child.id()).unwrap()).collect()
        }

        fn assert_ended_by(&mut self, signal: c_int) {
            for child in &mut self.0 {
                assert_eq!(child.wait().unwrap().signal(), Some(signal));
            }
        }
    }

    fn trees(children_listed: bool) -> Trees {
        Trees { own_pid: pid_t::try_from(std::process::id()).unwrap(), children_listed }
    }

    /// By each method that works here.
    fn each_way(test: impl Fn(Trees)) {
        test(trees(false));
        if OwnChildren::open().unwrap().are_listed() {
            test(trees(true));
        } else {
            eprintln!("skipped: lists of children, which this kernel does not have (CONFIG_PROC_CHILDREN)");
        }
    }

    /// Two rounds, of which the second finds no new one: by two files for each leader, or over all processes, but then
    /// once for all leaders. A round over all for each of them would make the end of many modules take a time that
    /// grows with the square of their number.
    fn assert_in_proportion(trees: Trees, leaders: usize, (reads, scans): (usize, usize)) {
        if trees.children_listed {
            assert!(reads <= 4 * leaders && scans == 0, "{reads} files, {scans} rounds for {leaders}");
        } else {
            assert!(scans <= 2, "{scans} rounds for {leaders}");
        }
    }

    #[test]
    fn to_kill_many_trees_costs_in_proportion_to_their_number() {
        each_way(|trees| {
            for count in [1, 10, 40] {
                let (mut leaders, mut bystander) = (Leaders::start(count), Leaders::start(1));
                let kills: Vec<_> = leaders.pids().into_iter().map(|pid| (pid, None)).collect();
                assert_in_proportion(trees, count, cost(|| trees.kill(&kills).unwrap()));
                leaders.assert_ended_by(SIGKILL);
                assert!(bystander.0[0].try_wait().unwrap().is_none());
                bystander.0[0].kill().unwrap();
                bystander.assert_ended_by(SIGKILL);
            }
        });
    }

    #[test]
    fn to_signal_many_trees_costs_in_proportion_to_their_number() {
        each_way(|trees| {
            for count in [1, 10, 40] {
                let mut leaders = Leaders::start(count);
                let wanted = leaders.pids().into_iter().map(|pid| (pid, &[SIGTERM, SIGCONT][..])).collect();
                assert_in_proportion(trees, count, cost(|| trees.signal(&wanted).unwrap()));
                leaders.assert_ended_by(SIGTERM);
            }
        });
    }

    #[test]
    fn each_tree_gets_its_own_signals_and_no_other_tree_does() {
        each_way(|trees| {
            let (mut some, mut others) = (Leaders::start(3), Leaders::start(3));
            let wanted = some.pids().into_iter().map(|pid| (pid, &[SIGTERM][..]));
            trees
                .signal(&wanted.chain(others.pids().into_iter().map(|pid| (pid, &[libc::SIGUSR1][..]))).collect())
                .unwrap();
            some.assert_ended_by(SIGTERM);
            others.assert_ended_by(libc::SIGUSR1);
        });
    }
}
