//! Jobs that wait for the threads that read, in an order that is fair to their senders: the senders alternate with
//! one job each, so that what one asks for at once delays another by one job and not by all of them. Jobs of one
//! sender keep their order.

use super::queue::Task;
use crate::job::Sender;
use std::collections::{BTreeMap, HashMap};

/// A position in the order: the round in which its sender is served, and a number within that.
type Position = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct Fair {
    tasks: BTreeMap<Position, Task>,
    /// The last round that each sender has a job in, and how many jobs of it wait.
    senders: HashMap<Sender, (u64, usize)>,
    /// The round that goes on.
    round: u64,
    next_number: u64,
}

/// What a job takes here beside itself: its position, and its sender's entry, in trees and tables that are half full.
pub(super) const OVERHEAD_BYTES: usize = 2 * size_of::<Position>() + 2 * 2 * size_of::<(Sender, (u64, usize))>();

impl Fair {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn push_back(&mut self, task: Task) {
        let (last, waiting) = self.senders.entry(task.sender).or_insert((self.round, 0));
        // A sender with no waiting job is served in the current round, after those that have waited for it.
        if *waiting > 0 {
            *last += 1;
        }
        *waiting += 1;
        self.tasks.insert((*last, self.next_number), task);
        self.next_number += 1;
    }

    pub(super) fn pop_front(&mut self) -> Option<Task> {
        let ((round, _), task) = self.tasks.pop_first()?;
        self.round = round;
        let (_, waiting) = self.senders.get_mut(&task.sender).expect("each that waits has a sender");
        *waiting -= 1;
        if *waiting == 0 {
            self.senders.remove(&task.sender);
        }
        Some(task)
    }

    /// Takes all that wait; none is left.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Task> {
        self.senders.clear();
        std::mem::take(&mut self.tasks).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Job, JobId};

    fn push(fair: &mut Fair, sender: u64, job_id: u64) {
        fair.push_back(Task::new(Sender(sender), JobId(job_id), Job::EventEnds, None));
    }

    fn pop(fair: &mut Fair) -> Option<(u64, u64)> {
        fair.pop_front().map(|task| (task.sender.0, task.job_id.0))
    }

    #[test]
    fn each_sender_has_one_in_turn_and_its_own_keep_their_order() {
        let mut fair = Fair::default();
        (0..100).for_each(|job_id| push(&mut fair, 1, job_id));
        assert_eq!((pop(&mut fair), pop(&mut fair)), (Some((1, 0)), Some((1, 1))));
        // Others come when it has been served for a while.
        (0..3).for_each(|job_id| push(&mut fair, 2, job_id));
        push(&mut fair, 3, 0);
        let order: Vec<(u64, u64)> = std::iter::from_fn(|| pop(&mut fair)).collect();
        assert_eq!(order[..8], [(2, 0), (3, 0), (1, 2), (2, 1), (1, 3), (2, 2), (1, 4), (1, 5)]);
        let of_first: Vec<u64> = order.iter().filter(|(sender, _)| *sender == 1).map(|(_, job_id)| *job_id).collect();
        assert_eq!(of_first, (2..100).collect::<Vec<_>>());
        assert!(fair.is_empty() && fair.senders.is_empty());
    }

    #[test]
    fn one_that_comes_again_and_again_does_not_overtake_those_who_wait() {
        let mut fair = Fair::default();
        (0..50).for_each(|job_id| push(&mut fair, 1, job_id));
        let mut found = Vec::new();
        for job_id in 0..20 {
            push(&mut fair, 2, job_id);
            found.extend([pop(&mut fair), pop(&mut fair)]);
        }
        let of_first = found.iter().flatten().filter(|(sender, _)| *sender == 1).count();
        assert_eq!(of_first, 20, "each of them has had half of the turns");
    }
}
