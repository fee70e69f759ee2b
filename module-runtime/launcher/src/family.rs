//! A record of the processes that are below the leaders, for the case that the guardian itself is killed: the process
//! that clears up then knows them by number and start time, which no program can change, unlike its environment.
//!
//! The record is made by polling, so a process that starts and loses its parent between two looks is not in it. It is
//! kept by the host; nothing is killed here because of it.

use crate::descendants::descend;
use crate::guardian::Guardian;
use crate::processes::{Process, walk};
use bulkhead_protocol::guardian::{FAMILY_MAX, Relative, Report};
use libc::pid_t;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// How often to ask whether anything was started.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks at families take at most one part in so many of the time.
const PAUSE_FACTOR: u32 = 400;

/// What was last reported to the host.
#[derive(Default)]
pub(crate) struct Family {
    reported: Vec<Relative>,
    /// The number of the process that was started last, in all of this namespace.
    newest: Option<String>,
    /// When to look again; none while nothing runs.
    pub(crate) next_look: Option<Instant>,
}

impl Family {
    /// There is something to look at from now on.
    pub(crate) fn begin(&mut self) {
        self.next_look.get_or_insert(Instant::now() + LOOK_EVERY);
    }
}

impl Guardian {
    /// Looks whether there is something new below the leaders, when it is time to.
    pub(crate) fn look_at_families(&mut self) {
        let began = Instant::now();
        if self.family.next_look.is_none_or(|at| began < at) {
            return;
        }
        let unknown = self.learn_memory_groups();
        // A tree in a control group is found by that, whichever process has died.
        let recorded = self.base.is_none() && !self.runs.is_empty();
        self.family.next_look = (unknown || recorded).then(|| began + LOOK_EVERY);
        // A host that does not read gets no more reports.
        if recorded && !self.host_socket.has_unsent() {
            self.record_family(began);
        }
    }

    /// Reports to the host the processes below the leaders, if there are others than at the last look.
    fn record_family(&mut self, began: Instant) {
        let newest = newest();
        // Where nothing was started, the record lacks nothing. Processes that have ended do no harm in it.
        if newest.is_some() && newest == self.family.newest {
            return;
        }
        let relatives = match self.relatives() {
            Ok(relatives) => relatives,
            Err(error) => return self.explain(Err(error)),
        };
        self.family.newest = newest;
        self.family.next_look = Some(began + (began.elapsed() * PAUSE_FACTOR).max(LOOK_EVERY));
        if relatives.iter().any(|relative| self.family.reported.binary_search(relative).is_err()) {
            self.host_socket.report(&Report::Family { processes: relatives.clone() });
            self.family.reported = relatives;
        }
    }

    fn relatives(&self) -> io::Result<Vec<Relative>> {
        let leaders: HashSet<pid_t> = self.runs.values().filter(|run| run.has_leader()).map(|run| run.pid).collect();
        let mut relatives = Vec::new();
        let mut note = |process: &Process| {
            if !process.dead && !leaders.contains(&process.pid) && relatives.len() < FAMILY_MAX {
                let (pid, started) = process.name();
                relatives.push(Relative { pid, started, session: process.session });
            }
        };
        if self.children.are_listed() {
            leaders.iter().try_for_each(|leader| descend(*leader, &mut note))?;
        } else {
            walk(|process| leaders.contains(&process.pid).then_some(()), |process, ()| note(process))?;
        }
        relatives.sort_unstable();
        relatives.dedup();
        Ok(relatives)
    }
}

/// The last field of `loadavg`, in proc(5).
fn newest() -> Option<String> {
    Some(fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next_back()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_shows_in_the_number_of_the_newest_process() {
        let before = newest().unwrap();
        assert!(before.parse::<pid_t>().is_ok(), "{before}");
        std::process::Command::new("/bin/true").status().unwrap();
        assert_ne!(newest().unwrap(), before);
    }
}
