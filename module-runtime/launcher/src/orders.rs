//! The orders of one iteration: starts are carried out as they come, signals and kills together at its end.
//!
//! How a process is started is not known here, nor how a signal reaches all of a tree.

use crate::cgroup::Group;
use crate::child::SIGNAL_MAX;
use crate::guardian::Guardian;
use crate::host_socket::Incoming;
use crate::trees::Trees;
use bulkhead_protocol::guardian::Order;
use libc::{c_int, pid_t};
use std::collections::BTreeMap;

/// How many orders are taken in one iteration, before the children are served, and how many of them may be starts,
/// which take long. Signals and kills cost less when taken together.
const ORDERS_PER_ITERATION: usize = 256;
const SPAWNS_PER_ITERATION: usize = 16;

/// What the host ordered in one iteration for one run.
#[derive(Default)]
struct Wanted {
    /// Signals, in their order.
    signals: Vec<c_int>,
    /// Afterwards, SIGKILL for all of the tree.
    kill: bool,
}

impl Wanted {
    /// Notes one more signal. After a kill it has no recipient.
    fn signal(&mut self, signal: c_int) {
        if !self.kill {
            self.signals.push(signal);
        }
    }
}

impl Guardian {
    /// Takes the orders that wait, as many as fit into one iteration.
    pub(crate) fn take_orders(&mut self) {
        let mut wanted: BTreeMap<u64, Wanted> = BTreeMap::new();
        let mut spawns = 0;
        for _ in 0..ORDERS_PER_ITERATION {
            if self.ending.is_some() || spawns == SPAWNS_PER_ITERATION {
                break;
            }
            match self.host_socket.receive() {
                Incoming::Nothing => break,
                Incoming::Closed => return self.end(0),
                Incoming::Malformed(problem) => return self.refuse(&problem),
                Incoming::Order { order, descriptors, descriptors_lost } => match order {
                    Order::Spawn(spawn) => {
                        spawns += 1;
                        self.spawn(spawn, &descriptors, descriptors_lost);
                    }
                    Order::Signal { run, signal } if (1..=SIGNAL_MAX).contains(&signal) => {
                        wanted.entry(run).or_default().signal(signal);
                    }
                    Order::Signal { signal, .. } => return self.refuse(&format!("there is no signal {signal}")),
                    Order::Kill { run } => wanted.entry(run).or_default().kill = true,
                },
            }
        }
        self.deliver(&wanted);
    }

    /// Carries out the signals and kills that were ordered in one iteration. The end of its leader starts a
    /// run's clearing. A run that has ended or is being cleared gets nothing: it is being killed anyway.
    fn deliver(&self, wanted: &BTreeMap<u64, Wanted>) {
        let mut signals: BTreeMap<pid_t, &[c_int]> = BTreeMap::new();
        let mut kills: Vec<(pid_t, Option<&Group>)> = Vec::new();
        for (number, wanted) in wanted {
            let Some(run) = self.runs.get(number).filter(|run| run.has_leader()) else { continue };
            if !wanted.signals.is_empty() {
                signals.insert(run.pid, &wanted.signals);
            }
            if wanted.kill {
                kills.push((run.pid, run.group.as_ref()));
            }
        }
        self.explain(self.trees().signal(&signals));
        self.explain(self.trees().kill(&kills));
    }

    /// What is needed to reach trees.
    pub(crate) fn trees(&self) -> Trees {
        Trees { own_pid: self.own_pid, children_listed: self.children.are_listed() }
    }
}
