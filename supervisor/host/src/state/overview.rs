//! The status of the data store for people: read from it piece by piece, each piece after the last one.

use super::*;
use crate::status::StoreStatus;
use bulkhead_config::Resources;
use bulkhead_layer1::{
    Job,
    job::Subscriber,
    limits::ENTITY_OVERHEAD_BYTES,
    outcome::{More, SubscriptionStatus, Usage},
};
use serde::Serialize;

/// What is asked first.
pub(super) const FIRST: Job = Job::EventEnds;

/// What is known so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Overview {
    #[serde(flatten)]
    status: Option<StoreStatus>,
    events: Ends,
    subscriptions: Vec<Subscribed>,
    set_aside: SetAside,
    owners: Vec<Owner>,
}

#[derive(Debug, Default, Serialize)]
struct Ends {
    oldest: u64,
    newest: u64,
}

#[derive(Debug, Serialize)]
struct Subscribed {
    module: String,
    cursor: u64,
    missed: u64,
    loaded: bool,
    behind: Option<u64>,
    more: bool,
}

impl Subscribed {
    fn of(SubscriptionStatus { subscription, waiting }: SubscriptionStatus) -> Subscribed {
        Subscribed {
            module: subscription.module,
            cursor: subscription.cursor.0,
            missed: subscription.missed,
            loaded: waiting.is_some(),
            behind: waiting.map(|waiting| waiting.events),
            more: waiting.is_some_and(|waiting| waiting.more == More::Yes),
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct SetAside {
    events: u64,
    max: usize,
    dropped: u64,
}

#[derive(Debug, Serialize)]
struct Owner {
    owner: String,
    bytes: u64,
    entities: u64,
    storage_quota: Option<u64>,
    event_bytes: u64,
    events: u64,
    events_quota: Option<u64>,
    key_bytes: u64,
    keys: u64,
    keys_quota: Option<u64>,
}

impl Owner {
    /// What is stored of an owner, with its quotas. A module that is not loaded has no quotas, which has no
    /// effect.
    fn of(usage: Usage, host: &HostState) -> Owner {
        let Usage { owner, bytes, entities, event_bytes, events, key_bytes, keys } = usage;
        let (storage_quota, events_quota, keys_quota) = match ModuleName::new(&owner) {
            Ok(name) => host.in_force(&name).map_or((None, None, None), |module| {
                let Resources { storage_quota, events_quota, keys_quota, .. } = module.resources;
                (storage_quota, events_quota, keys_quota)
            }),
            Err(_) => (None, host.config.layer1.clients_events_quota, host.config.layer1.clients_keys_quota),
        };
        // As the quota counts them.
        let bytes = bytes + entities * ENTITY_OVERHEAD_BYTES.unsigned_abs();
        Owner { owner, bytes, entities, storage_quota, event_bytes, events, events_quota, key_bytes, keys, keys_quota }
    }
}

impl Overview {
    /// Takes a piece, and returns the next question; nothing after the last one.
    pub(super) fn take(&mut self, piece: Outcome, host: &HostState) -> Option<Job> {
        match piece {
            Outcome::Ends { oldest, newest } => {
                self.events = Ends { oldest: oldest.0, newest: newest.0 };
                Some(Job::Subscriptions { known: host.subscribers() })
            }
            Outcome::Subscriptions(list) => {
                self.subscriptions = list.into_iter().map(Subscribed::of).collect();
                Some(Job::CountSetAside)
            }
            Outcome::SetAsideCount(events) => {
                let max = host.config.layer1.set_aside_max;
                self.set_aside = SetAside { events, max, dropped: host.store.set_aside_dropped() };
                Some(Job::Usage)
            }
            Outcome::Usage(list) => {
                self.owners = list.into_iter().map(|usage| Owner::of(usage, host)).collect();
                None
            }
            other => unreachable!("a piece of an overview was asked for, and the store answered {other:?}"),
        }
    }

    /// The whole, once the store's files were looked at.
    pub(crate) fn whole(mut self, status: StoreStatus) -> Json {
        self.status = Some(status);
        Json::of(&self)
    }
}

impl HostState {
    /// What each module that is loaded subscribes to.
    fn subscribers(&self) -> Vec<Subscriber> {
        let names = self.core.module_names().into_iter();
        names
            .filter_map(|name| {
                let patterns = self.in_force(&name)?.capabilities.event_subscribe.clone();
                Some(Subscriber { module: name.to_string(), patterns })
            })
            .collect()
    }
}
