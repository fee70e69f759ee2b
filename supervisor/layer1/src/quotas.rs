//! How much may be stored of each owner. Entities and keys beyond that are refused; of events, an owner's own
//! oldest go ([`crate::tables::event_quota`]).

use crate::{
    failure::{over_keys_quota, over_quota},
    held::Amount,
    limits::ENTITY_OVERHEAD_BYTES,
};
use bulkhead_protocol::Failure;
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockWriteGuard},
};

/// What may be stored of one owner, in bytes; `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
struct Quota {
    storage: Option<u64>,
    events: Option<u64>,
    keys: Option<u64>,
}

/// What may be stored of each owner; one that is not in it has no limits.
#[derive(Debug, Default)]
pub(crate) struct Quotas(RwLock<HashMap<String, Quota>>);

impl Quotas {
    pub(crate) fn set_storage(&self, owner: &str, quota: Option<u64>) {
        self.write().entry(owner.to_owned()).or_default().storage = quota;
    }

    pub(crate) fn set_events(&self, owner: &str, quota: Option<u64>) {
        self.write().entry(owner.to_owned()).or_default().events = quota;
    }

    pub(crate) fn set_keys(&self, owner: &str, quota: Option<u64>) {
        self.write().entry(owner.to_owned()).or_default().keys = quota;
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Quota>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, owner: &str) -> Quota {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(owner).copied().unwrap_or_default()
    }

    /// Whether an owner's entities have a quota.
    pub(crate) fn has_storage(&self, owner: &str) -> bool {
        self.of(owner).storage.is_some()
    }

    /// Refuses what would bring an owner's entities over its quota. What makes them smaller is never refused.
    pub(crate) fn check(&self, owner: &str, used: Amount, asked: Amount) -> Result<(), Failure> {
        let counted = |amount: Amount| amount.bytes + amount.rows * ENTITY_OVERHEAD_BYTES;
        let used = counted(used).max(0).cast_unsigned();
        match (self.of(owner).storage, u64::try_from(counted(asked))) {
            (Some(quota), Ok(asked)) if asked > 0 && used.saturating_add(asked) > quota => {
                Err(over_quota(owner, quota, used, asked))
            }
            _ => Ok(()),
        }
    }

    /// How many bytes an owner's events are over its quota.
    pub(crate) fn events_over(&self, owner: &str, used: i64) -> Option<i64> {
        let quota = i64::try_from(self.of(owner).events?).unwrap_or(i64::MAX);
        (used > quota).then(|| used - quota)
    }

    /// How many bytes an owner's events may take.
    pub(crate) fn events(&self, owner: &str) -> i64 {
        self.of(owner).events.and_then(|quota| i64::try_from(quota).ok()).unwrap_or(i64::MAX)
    }

    /// Refuses a new key of an owner whose keys have filled their quota. How long the answer to one will be is
    /// not known before, so the last one may go beyond the quota.
    pub(crate) fn check_keys(&self, owner: &str, used: i64) -> Result<(), Failure> {
        let used = used.max(0).cast_unsigned();
        match self.of(owner).keys {
            Some(quota) if used >= quota => Err(over_keys_quota(owner, quota, used)),
            _ => Ok(()),
        }
    }
}
