//! The resident memory of process trees: of each leader and all that is below it, as `/proc` has it. Pages that several
//! processes share count for each of them. The trees do not stop for this: one that forks meanwhile is seen
//! in part.
//!
//! Many trees are read in one round over all processes of the machine, each of which is looked at once, so the cost
//! does not depend on how many are asked for. A few are read by the kernel's lists of children, where it has them
//! (`CONFIG_PROC_CHILDREN`), at the cost of what is in them.

use crate::processes::{self, Process};
use std::{
    collections::{HashMap, HashSet},
    fs,
};

/// So many trees are read one by one.
const ONE_BY_ONE_MAX: usize = 4;

/// The memory of each tree whose leader is there, in bytes.
pub(crate) fn of_trees(leaders: &[i32]) -> HashMap<i32, u64> {
    let page = processes::page_bytes();
    let in_bytes = |pages: HashMap<i32, u64>| pages.into_iter().map(|(leader, pages)| (leader, pages * page)).collect();
    if leaders.len() <= ONE_BY_ONE_MAX && fs::exists("/proc/thread-self/children").unwrap_or(false) {
        return in_bytes(by_lists(leaders));
    }
    in_bytes(sums(leaders, &processes::all()))
}

/// The memory of one process alone, in bytes.
pub(crate) fn of_process(pid: i32) -> Option<u64> {
    Some(processes::read(pid)?.resident_pages * processes::page_bytes())
}

/// In pages, by the kernel's lists of children.
fn by_lists(leaders: &[i32]) -> HashMap<i32, u64> {
    let of_leader = |leader: i32| {
        let mut pages = processes::read(leader)?.resident_pages;
        let mut seen = HashSet::from([leader]);
        let mut waiting = vec![leader];
        while let Some(pid) = waiting.pop() {
            for child in processes::children_of(pid, usize::MAX) {
                // A number that another process has got since does not belong to the tree.
                if let Some(process) = processes::read(child).filter(|child| child.parent == pid)
                    && seen.insert(child)
                {
                    pages += process.resident_pages;
                    waiting.push(child);
                }
            }
        }
        Some((leader, pages))
    };
    leaders.iter().filter_map(|leader| of_leader(*leader)).collect()
}

/// In pages, of those that are among `processes`.
fn sums(leaders: &[i32], processes: &[Process]) -> HashMap<i32, u64> {
    let by_pid: HashMap<i32, &Process> = processes.iter().map(|process| (process.pid, process)).collect();
    let leaders: HashSet<i32> = leaders.iter().copied().collect();
    // The leader of each process that was looked up; those on the way to it have the same.
    let mut known: HashMap<i32, Option<i32>> = leaders.iter().map(|leader| (*leader, Some(*leader))).collect();
    let mut pages = HashMap::new();
    for process in processes {
        let mut way = Vec::new();
        let mut at = process.pid;
        let leader = loop {
            if let Some(leader) = known.get(&at) {
                break *leader;
            }
            way.push(at);
            // None twice, as numbers that were used again meanwhile may seem to go in a circle.
            known.insert(at, None);
            match by_pid.get(&at) {
                Some(process) => at = process.parent,
                None => break None,
            }
        };
        known.extend(way.into_iter().map(|pid| (pid, leader)));
        if let Some(leader) = leader {
            *pages.entry(leader).or_insert(0) += process.resident_pages;
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Ended;
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    fn process(pid: i32, parent: i32, resident_pages: u64) -> Process {
        Process { pid, parent, resident_pages, ..Process::default() }
    }

    #[test]
    fn each_process_counts_for_the_leader_that_it_is_below() {
        // The numbers have wrapped around: a child may come before its parent. 90 and 91 go in a circle.
        let all = [
            process(3, 50, 1),
            process(50, 40, 10),
            process(40, 1, 100),
            process(60, 1, 1000),
            process(61, 60, 10_000),
            process(70, 1, 5),
            process(90, 91, 7),
            process(91, 90, 7),
            process(1, 0, 9),
        ];
        assert_eq!(sums(&[40, 60, 41], &all), HashMap::from([(40, 111), (60, 11_000)]));
    }

    #[test]
    fn a_long_chain_of_processes_is_one_tree() {
        let all: Vec<Process> = (2..20_000).map(|pid| process(pid, pid - 1, 1)).collect();
        assert_eq!(sums(&[2], &all), HashMap::from([(2, 19_998)]));
    }

    #[test]
    fn the_memory_of_a_tree_is_that_of_all_its_processes_however_it_is_read() {
        // It says the number of its child, and both end by themselves when the pipe does.
        // A shell's background process has its own standard input, so it is given another descriptor.
        let script = "exec 3<&0; sh -c 'echo $$; read line <&3' & wait";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut leader = Ended(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(leader.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child: i32 = line.trim().parse().unwrap();
        let pid = i32::try_from(leader.0.id()).unwrap();
        let parts = of_process(pid).unwrap() + of_process(child).unwrap();
        assert!(of_process(child).unwrap() > 0);
        let by_round = sums(&[pid], &processes::all())[&pid] * processes::page_bytes();
        assert_eq!(by_round, parts);
        assert_eq!(of_trees(&[pid]), HashMap::from([(pid, parts)]));
        if fs::exists("/proc/thread-self/children").unwrap() {
            assert_eq!(by_lists(&[pid])[&pid] * processes::page_bytes(), parts);
        }
        assert_eq!(of_trees(&[i32::MAX]), HashMap::new());
    }
}
