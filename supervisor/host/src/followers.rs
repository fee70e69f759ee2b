//! The followers of events, of logs and of messages, found by number, by caller and by the log: nothing that happens to one of them,
//! or to one log, goes through all the others. What they are sent is decided elsewhere.

use crate::{
    clients::Counted,
    log_lines::Line,
    state::{Following, Inspected},
};
use bulkhead_core::{Caller, Recipient};
use bulkhead_protocol::{allocation, limits::EVENT_NAME_BYTES_MAX};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

/// A caller that gets things as they happen, until it cancels or is gone.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) recipient: Recipient,
    pub(crate) what: Followed,
    pub(crate) held: Counted,
}

/// What one takes beside what is kept for it: its slot in a tree, the pattern or the name that it follows, and what it
/// is found by, in tables that are half full or have just grown.
pub(crate) const FOLLOWER_BYTES: usize = 2 * size_of::<(FollowerId, Follower)>()
    + allocation(EVENT_NAME_BYTES_MAX)
    + 4 * size_of::<(Recipient, FollowerId)>()
    + 4 * size_of::<(Caller, BTreeSet<FollowerId>)>()
    + 4 * size_of::<(Arc<str>, BTreeSet<FollowerId>)>()
    + 3 * allocation(SET_NODE_BYTES);

/// A node of a set of numbers: eleven of them, and what is around them.
const SET_NODE_BYTES: usize = 12 * size_of::<FollowerId>();

/// What a follower follows.
#[derive(Debug)]
pub(crate) enum Followed {
    Events(Following),
    Log {
        /// The module.
        module: Arc<str>,
        /// The line that it begins after.
        after: u64,
        /// Lines that it was not sent, since it did not read.
        left_out: u64,
        /// The lines that came before it was sent the earlier ones; `None` once it was.
        early: Option<Vec<Line>>,
    },
    Messages(Inspected),
}

impl Followed {
    /// Whether it is to learn that it was not sent something, and can.
    pub(crate) fn has_left_out(&self) -> bool {
        match self {
            Followed::Log { left_out, early: None, .. } => *left_out > 0,
            Followed::Messages(inspected) => inspected.has_left_out(),
            Followed::Log { .. } | Followed::Events(_) => false,
        }
    }
}

/// The number of one follower. A later one has a higher number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FollowerId(u64);

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    by_id: BTreeMap<FollowerId, Follower>,
    by_recipient: HashMap<Recipient, FollowerId>,
    by_caller: HashMap<Caller, BTreeSet<FollowerId>>,
    of_events: BTreeSet<FollowerId>,
    of_logs: HashMap<Arc<str>, BTreeSet<FollowerId>>,
    of_messages: BTreeSet<FollowerId>,
    /// Those that wait for something to be read for them, or for the count of what they missed.
    waiting: BTreeSet<FollowerId>,
    last: FollowerId,
}

impl Followers {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn add(&mut self, follower: Follower) -> FollowerId {
        self.last.0 += 1;
        let id = self.last;
        self.by_recipient.insert(follower.recipient, id);
        self.by_caller.entry(follower.recipient.caller).or_default().insert(id);
        match &follower.what {
            Followed::Events(_) => _ = self.of_events.insert(id),
            Followed::Log { module, .. } => _ = self.of_logs.entry(module.clone()).or_default().insert(id),
            Followed::Messages(_) => _ = self.of_messages.insert(id),
        }
        self.by_id.insert(id, follower);
        id
    }

    /// The number of the one that came last.
    pub(crate) fn last(&self) -> FollowerId {
        self.last
    }

    /// The number of the one that this request made.
    pub(crate) fn id_of(&self, who: Recipient) -> Option<FollowerId> {
        self.by_recipient.get(&who).copied()
    }

    pub(crate) fn get(&self, id: FollowerId) -> Option<&Follower> {
        self.by_id.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: FollowerId) -> Option<&mut Follower> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn contains(&self, who: Recipient) -> bool {
        self.by_recipient.contains_key(&who)
    }

    /// How much a caller follows.
    pub(crate) fn count_of(&self, caller: Caller) -> usize {
        self.by_caller.get(&caller).map_or(0, BTreeSet::len)
    }

    /// Those that follow events, from the first to the last.
    pub(crate) fn of_events(&self) -> Vec<FollowerId> {
        self.of_events.iter().copied().collect()
    }

    /// Those that follow messages, from the first to the last.
    pub(crate) fn of_messages(&self) -> Vec<FollowerId> {
        self.of_messages.iter().copied().collect()
    }

    /// Those that follow the log of a module.
    pub(crate) fn of_log(&self, module: &str) -> Vec<FollowerId> {
        self.of_logs.get(module).into_iter().flatten().copied().collect()
    }

    pub(crate) fn remove(&mut self, id: FollowerId) -> Option<Follower> {
        let follower = self.by_id.remove(&id)?;
        self.by_recipient.remove(&follower.recipient);
        take_out(&mut self.by_caller, &follower.recipient.caller, id);
        match &follower.what {
            Followed::Events(_) => _ = self.of_events.remove(&id),
            Followed::Log { module, .. } => take_out(&mut self.of_logs, module, id),
            Followed::Messages(_) => _ = self.of_messages.remove(&id),
        }
        self.waiting.remove(&id);
        Some(follower)
    }

    pub(crate) fn remove_recipient(&mut self, who: Recipient) -> Option<Follower> {
        let id = *self.by_recipient.get(&who)?;
        self.remove(id)
    }

    /// Removes all of a caller.
    pub(crate) fn remove_caller(&mut self, caller: Caller) {
        for id in self.by_caller.get(&caller).cloned().unwrap_or_default() {
            self.remove(id);
        }
    }

    /// Notes that one has something to wait for, or no longer has.
    pub(crate) fn set_waiting(&mut self, id: FollowerId, waits: bool) {
        match waits {
            true => _ = self.waiting.insert(id),
            false => _ = self.waiting.remove(&id),
        }
    }

    /// Those that wait, beginning after one of them.
    pub(crate) fn waiting_after(&self, last: FollowerId) -> Vec<FollowerId> {
        let after = self.waiting.range((Bound::Excluded(last), Bound::Unbounded));
        after.chain(self.waiting.range(..=last)).copied().collect()
    }
}

fn take_out<K: std::hash::Hash + Eq>(by: &mut HashMap<K, BTreeSet<FollowerId>>, key: &K, id: FollowerId) {
    if let Some(ids) = by.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            by.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_core::{ClientId, RunId};
    use std::{cell::Cell, collections::HashSet, rc::Rc};

    fn log(sum: &Rc<Cell<usize>>, caller: Caller, id: u64, module: &Arc<str>) -> Follower {
        let what = Followed::Log { module: module.clone(), after: 0, left_out: 0, early: None };
        Follower { recipient: Recipient { caller, id }, what, held: Counted::new(sum, FOLLOWER_BYTES) }
    }

    /// Plays random changes, against a list that is gone through.
    #[test]
    fn they_are_found_as_a_look_at_all_of_them_would_find_them() {
        let sum = Rc::<Cell<usize>>::default();
        let (mut followers, mut list) = (Followers::default(), Vec::<(FollowerId, Recipient, Arc<str>)>::new());
        let callers: Vec<Caller> = (1..6).flat_map(|n| [Caller::Client(ClientId(n)), Caller::Run(RunId(n))]).collect();
        let modules: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).into();
        let mut random = 1_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        for step in 0..5000_u64 {
            let (caller, module) = (callers[next(callers.len())], modules[next(modules.len())].clone());
            match next(10) {
                0..6 => {
                    let id = followers.add(log(&sum, caller, step, &module));
                    assert_eq!(followers.last(), id);
                    followers.set_waiting(id, step % 3 == 0);
                    list.push((id, Recipient { caller, id: step }, module));
                }
                6..9 if !list.is_empty() => {
                    let (_, who, _) = list.remove(next(list.len()));
                    assert!(followers.contains(who) && followers.remove_recipient(who).is_some());
                    assert!(!followers.contains(who) && followers.remove_recipient(who).is_none());
                }
                _ => {
                    followers.remove_caller(caller);
                    list.retain(|(_, who, _)| who.caller != caller);
                }
            }
            let module = &modules[0];
            let of_module = list.iter().filter(|(.., of)| of == module).map(|(id, ..)| *id);
            assert_eq!(followers.of_log(module), of_module.collect::<Vec<_>>());
            assert_eq!(followers.count_of(caller), list.iter().filter(|(_, who, _)| who.caller == caller).count());
            let waiting: HashSet<FollowerId> = followers.waiting_after(FollowerId(step / 2)).into_iter().collect();
            assert!(waiting.iter().all(|id| followers.get(*id).is_some()));
            assert_eq!(sum.get(), list.len() * FOLLOWER_BYTES);
        }
        callers.into_iter().for_each(|caller| followers.remove_caller(caller));
        assert!(followers.is_empty() && followers.by_recipient.is_empty() && followers.by_caller.is_empty());
        assert!(followers.of_logs.is_empty() && followers.of_events.is_empty() && followers.waiting.is_empty());
        assert_eq!(sum.get(), 0);
    }

    #[test]
    fn those_that_wait_are_served_one_after_the_other() {
        let (sum, module) = (Rc::<Cell<usize>>::default(), Arc::from("a"));
        let mut followers = Followers::default();
        let add = |n: u64| followers.add(log(&sum, Caller::Client(ClientId(n)), 1, &module));
        let ids: Vec<FollowerId> = (1..6).map(add).collect();
        for at in [0, 2, 3] {
            followers.set_waiting(ids[at], true);
        }
        assert_eq!(followers.waiting_after(FollowerId::default()), [ids[0], ids[2], ids[3]]);
        assert_eq!(followers.waiting_after(ids[1]), [ids[2], ids[3], ids[0]]);
        assert_eq!(followers.waiting_after(ids[3]), [ids[0], ids[2], ids[3]]);
        followers.set_waiting(ids[3], false);
        followers.remove(ids[0]);
        assert_eq!(followers.waiting_after(ids[3]), [ids[2]]);
    }
}
