//! What is configured about the data store: how long it keeps data, and by what its entities are found. Modules and the
//! operator declare the latter; here the declarations are merged.

use crate::{Loaded, ModuleConfig};
use bulkhead_protocol::layer1::{EntityName, MemberPath, Path};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Paths by type of entity.
pub type Declarations<T> = BTreeMap<EntityName, Vec<T>>;

/// By which members entities are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Paths that are indexed.
    pub index: Declarations<Path>,
    /// Members whose words can be searched.
    pub search: Declarations<MemberPath>,
}

/// The data store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer1 {
    /// How long the answer to a request with a key is kept (7 days).
    pub key_ttl: Duration,
    /// How long events are kept (30 days).
    pub event_ttl: Duration,
    /// How many events are kept (1,000,000).
    pub events_max: usize,
    /// How many bytes the events take that are kept (1 GiB).
    pub events_bytes_max: usize,
    /// Bytes that the events of all clients together may take; none: no limit (256 MiB).
    pub clients_events_quota: Option<u64>,
    /// Bytes that the answers under the keys of all clients together may take; none: no limit (256 MiB).
    pub clients_keys_quota: Option<u64>,
    /// How many events are kept that modules failed on and that were set aside (10,000).
    pub set_aside_max: usize,
    /// How many bytes these take (256 MiB).
    pub set_aside_bytes_max: usize,
    /// Threads that answer queries; one of several is kept free of long ones (3).
    pub readers: usize,
    /// The longest that a query may take (30 s).
    pub query_time_max: Duration,
    /// How many bytes in memory jobs that wait for the store, and unread outcomes, may hold (128 MiB).
    pub queue_bytes_max: usize,
    /// What the operator declares.
    pub declared: Declared,
}

impl Default for Layer1 {
    fn default() -> Layer1 {
        const DAY: u64 = 24 * 60 * 60;
        Layer1 {
            key_ttl: Duration::from_secs(7 * DAY),
            event_ttl: Duration::from_secs(30 * DAY),
            events_max: 1_000_000,
            events_bytes_max: 1024 * 1024 * 1024,
            clients_events_quota: Some(256 * 1024 * 1024),
            clients_keys_quota: Some(256 * 1024 * 1024),
            set_aside_max: 10_000,
            set_aside_bytes_max: 256 * 1024 * 1024,
            readers: 3,
            query_time_max: Duration::from_secs(30),
            queue_bytes_max: 128 * 1024 * 1024,
            declared: Declared::default(),
        }
    }
}

impl ModuleConfig {
    /// Whether the module may read, create or update entities of this type.
    pub(crate) fn touches(&self, entity: &EntityName) -> bool {
        let granted = &self.capabilities;
        let lists = [&granted.entity_read, &granted.entity_create, &granted.entity_write];
        lists.into_iter().flatten().any(|pattern| pattern.matches(entity.as_str()))
    }
}

impl Loaded {
    /// Everything that the operator and the modules declare: every index, and for each type of entity the search that
    /// the operator declares, or else the one that the modules agree on.
    pub fn declared(&self) -> Declared {
        self.declared_beside(std::iter::empty())
    }

    /// As [`Loaded::declared`], with what modules declare that are not loaded.
    pub fn declared_beside<'a>(&'a self, others: impl Iterator<Item = &'a Declared>) -> Declared {
        let mut index: BTreeMap<EntityName, BTreeSet<Path>> = BTreeMap::new();
        let mut search = BTreeMap::new();
        let of_modules = self.modules.iter().map(|module| &module.declared);
        let all = std::iter::once(&self.host.layer1.declared).chain(of_modules).chain(others);
        for declared in all {
            for (entity, paths) in &declared.index {
                index.entry(entity.clone()).or_default().extend(paths.iter().cloned());
            }
            for (entity, paths) in &declared.search {
                search.entry(entity.clone()).or_insert_with(|| sorted(paths));
            }
        }
        let index = index.into_iter().map(|(entity, paths)| (entity, paths.into_iter().collect())).collect();
        Declared { index, search }
    }
}

/// The order in which members are searched has no meaning, and must not count as a change.
pub(crate) fn sorted(paths: &[MemberPath]) -> Vec<MemberPath> {
    let mut paths = paths.to_vec();
    paths.sort();
    paths.dedup();
    paths
}
