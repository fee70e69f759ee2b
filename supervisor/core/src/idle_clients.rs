//! Which connection is closed when a client connects and there are as many as there may be. The connection that has
//! been idle for longest is closed first: its owner loses nothing that a new connection would not give back. Where
//! none is idle, the newest few are replaced by newer ones, so that an operator gets in whatever the others do.
//!
//! The host reports what a connection is doing; it decides who may connect, and informs the client that it closes.

use crate::limits::{HALF_SENT_MAX, NEWEST_MAX, REMEMBERED_MAX};
use crate::{ids::ClientId, time::Time};
use std::{cmp::Reverse, collections::VecDeque};

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It waits for nothing and nothing waits for it, since that time.
    Nothing {
        /// When it last sent or took something.
        since: Time,
    },
    /// It has sent a part of a message, the last byte at that time.
    HalfSent {
        /// When.
        since: Time,
    },
    /// It has a request open, follows something, or has answers to take.
    Something,
}

impl Doing {
    fn idle_since(self, now: Time) -> Option<Time> {
        match self {
            Doing::Nothing { since } => Some(since),
            Doing::HalfSent { since } if now.since(since) >= HALF_SENT_MAX => Some(since),
            Doing::HalfSent { .. } | Doing::Something => None,
        }
    }
}

/// Whose connection it is. Other users may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The superuser's.
    Root,
    /// The host's own user's.
    Own,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct ClientState {
    /// Its number. A later one has a higher number.
    pub client: ClientId,
    /// Whose.
    pub owner: Owner,
    /// What it does.
    pub doing: Doing,
}

/// Remembers which have been idle for longest, so that not each new connection costs a search over all.
#[derive(Debug, Default)]
pub struct IdleClients {
    /// Longest idle first, with the moment since when.
    idle: VecDeque<(ClientId, Time)>,
}

impl IdleClients {
    /// Which connection is closed so that a new one can be taken; `None` if it cannot. Without a known newcomer, only
    /// idle ones are closed. `find` returns one connection, `all` all of them.
    pub fn make_room(
        &mut self,
        now: Time,
        newcomer: Option<Owner>,
        find: impl Fn(ClientId) -> Option<ClientState>,
        all: impl FnOnce() -> Vec<ClientState>,
    ) -> Option<ClientId> {
        if let Some(idle) = self.longest_idle(now, &find) {
            return Some(idle);
        }
        let clients = all();
        self.remember_idle(now, &clients);
        self.longest_idle(now, &find).or_else(|| oldest_of_newest(clients, newcomer?))
    }

    /// The one that has been idle for longest, as far as it is remembered. One that was not remembered
    /// has been idle for a shorter time than those that were; one that did something since is no longer idle.
    fn longest_idle(&mut self, now: Time, find: impl Fn(ClientId) -> Option<ClientState>) -> Option<ClientId> {
        while let Some((client, since)) = self.idle.pop_front() {
            if find(client).is_some_and(|client| client.doing.idle_since(now) == Some(since)) {
                return Some(client);
            }
        }
        None
    }

    fn remember_idle(&mut self, now: Time, clients: &[ClientState]) {
        let idle = clients.iter().filter_map(|client| Some((client.doing.idle_since(now)?, client.client)));
        let mut idle: Vec<(Time, ClientId)> = idle.collect();
        if idle.len() > REMEMBERED_MAX {
            idle.select_nth_unstable(REMEMBERED_MAX);
            idle.truncate(REMEMBERED_MAX);
        }
        idle.sort_unstable();
        self.idle = idle.into_iter().map(|(since, client)| (client, since)).collect();
    }
}

/// The oldest of the newest connections, which is closed where all are busy. Root's are closed for root only.
fn oldest_of_newest(mut clients: Vec<ClientState>, newcomer: Owner) -> Option<ClientId> {
    let newest = NEWEST_MAX.min(clients.len() / 4);
    clients.sort_unstable_by_key(|client| Reverse(client.client));
    clients.truncate(newest);
    let may_go = |client: &&ClientState| client.owner == Owner::Own || newcomer == Owner::Root;
    let goes_first = |client: &&ClientState| (client.owner == Owner::Root, client.client);
    clients.iter().filter(may_go).min_by_key(goes_first).map(|client| client.client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Test {
        idle_clients: IdleClients,
        clients: BTreeMap<u64, ClientState>,
        now: u64,
    }

    impl Test {
        fn add(&mut self, client: u64, owner: Owner, doing: Doing) {
            self.clients.insert(client, ClientState { client: ClientId(client), owner, doing });
        }

        fn idle(&mut self, client: u64, since: u64) {
            self.add(client, Owner::Own, Doing::Nothing { since: Time::from_millis(since) });
        }

        fn busy(&mut self, clients: impl IntoIterator<Item = u64>, owner: Owner) {
            clients.into_iter().for_each(|client| self.add(client, owner, Doing::Something));
        }

        /// Closes a connection for a newcomer, and returns which.
        fn goes(&mut self, newcomer: Owner) -> Option<u64> {
            let clients = &self.clients;
            let find = |client: ClientId| clients.get(&client.0).copied();
            let all = || clients.values().copied().collect();
            let gone = self.idle_clients.make_room(Time::from_millis(self.now), Some(newcomer), find, all)?.0;
            self.clients.remove(&gone);
            Some(gone)
        }
    }

    #[test]
    fn the_longest_idle_go_first_and_one_that_does_something_meanwhile_stays() {
        let mut test = Test { now: 10_000, ..Test::default() };
        for client in 1..=300 {
            test.idle(client, 1000 - client);
        }
        assert_eq!(test.goes(Owner::Own), Some(300));
        test.busy([299], Owner::Own);
        test.idle(298, 9000);
        assert_eq!(test.goes(Owner::Own), Some(297));
        let rest: Vec<u64> = std::iter::from_fn(|| test.goes(Owner::Own)).take(297).collect();
        let expected: Vec<u64> = (1..=296).rev().chain([298]).collect();
        assert_eq!(rest, expected, "the longest idle first, whatever was remembered");
    }

    #[test]
    fn a_half_sent_message_keeps_its_connection_for_a_while_only() {
        let mut test = Test { now: 10_000, ..Test::default() };
        test.add(1, Owner::Own, Doing::HalfSent { since: Time::from_millis(1) });
        test.idle(2, 5000);
        assert_eq!(test.goes(Owner::Own), Some(2), "a long message may be on its way");
        assert_eq!(test.goes(Owner::Own), None);
        test.now = 10_001;
        assert_eq!(test.goes(Owner::Own), Some(1));
    }

    #[test]
    fn where_all_are_busy_the_newest_sixteen_connections_go_round() {
        let mut test = Test::default();
        test.busy(1..=2048, Owner::Own);
        for newcomer in 2049..3000 {
            assert_eq!(test.goes(Owner::Own), Some(newcomer - 16));
            test.busy([newcomer], Owner::Own);
        }
        assert!((1..=2032).all(|client| test.clients.contains_key(&client)), "the first ones keep their connections");
    }

    #[test]
    fn root_gives_way_to_root_only() {
        let mut test = Test::default();
        test.busy(1..=48, Owner::Own);
        test.busy(49..=63, Owner::Root);
        test.busy([64], Owner::Own);
        assert_eq!(test.goes(Owner::Own), Some(64));
        test.busy([65], Owner::Root);
        assert_eq!(test.goes(Owner::Own), None);
        assert_eq!(test.goes(Owner::Root), Some(49));
    }

    #[test]
    fn of_few_connections_a_quarter_goes_round_and_of_less_than_four_none() {
        let mut test = Test::default();
        test.busy(1..=3, Owner::Own);
        assert_eq!(test.goes(Owner::Root), None);
        test.busy([4], Owner::Own);
        assert_eq!(test.goes(Owner::Own), Some(4));
    }
}
