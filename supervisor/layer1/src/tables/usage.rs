//! The table `usage`: how much each owner's entities hold. The connection that writes keeps what it has
//! read and brings it to the table once for each commit.

use crate::{failure::over_quota, held::Amount, outcome::Usage};
use bulkhead_protocol::Failure;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, RwLock},
};

/// How many bytes each owner's entities may hold; an owner without one has no limit.
#[derive(Debug, Default)]
pub(crate) struct Quotas(RwLock<HashMap<String, u64>>);

impl Quotas {
    pub(crate) fn set(&self, owner: &str, quota: Option<u64>) {
        let mut quotas = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        match quota {
            Some(quota) => drop(quotas.insert(owner.to_owned(), quota)),
            None => drop(quotas.remove(owner)),
        }
    }

    /// Refuses what would bring an owner over its quota. What makes an owner's entities smaller is never
    /// refused.
    pub(crate) fn check(&self, owner: &str, used: i64, asked: i64) -> Result<(), Failure> {
        let quotas = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let used = used.max(0).cast_unsigned();
        match (quotas.get(owner), u64::try_from(asked)) {
            (Some(quota), Ok(asked)) if asked > 0 && used.saturating_add(asked) > *quota => {
                Err(over_quota(owner, *quota, used, asked))
            }
            _ => Ok(()),
        }
    }
}

/// What the connection that writes knows of the table, with what its transaction has changed.
#[derive(Debug, Default)]
pub(crate) struct UsageCache {
    owners: HashMap<Arc<str>, Amount>,
    changed: Vec<Arc<str>>,
}

impl UsageCache {
    pub(crate) fn bytes(&mut self, connection: &Connection, owner: &Arc<str>) -> rusqlite::Result<i64> {
        self.held(connection, owner).map(|held| held.bytes)
    }

    fn held(&mut self, connection: &Connection, owner: &Arc<str>) -> rusqlite::Result<&mut Amount> {
        Ok(match self.owners.entry(Arc::clone(owner)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(find(connection, owner)?),
        })
    }

    /// Adds to what an owner holds.
    pub(crate) fn add(&mut self, connection: &Connection, owner: &Arc<str>, amount: Amount) -> rusqlite::Result<()> {
        if amount == Amount::default() {
            return Ok(());
        }
        let held = self.held(connection, owner)?;
        *held = held.plus(amount);
        if !self.changed.contains(owner) {
            self.changed.push(Arc::clone(owner));
        }
        Ok(())
    }

    /// Writes what has changed, before the commit.
    pub(crate) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for owner in self.changed.drain(..) {
            let Amount { bytes, entities } = self.owners[&owner];
            let sql = "INSERT OR REPLACE INTO usage (owner, bytes, entities) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(sql)?.execute(params![&*owner, bytes, entities])?;
        }
        // Modules come and go; the table is a look away.
        if self.owners.len() > 1000 {
            self.owners.clear();
        }
        Ok(())
    }

    /// Forgets everything, after a transaction that was undone.
    pub(crate) fn forget(&mut self) {
        *self = UsageCache::default();
    }
}

/// What an owner's entities hold: bytes and number.
pub(crate) fn find(connection: &Connection, owner: &str) -> rusqlite::Result<Amount> {
    let mut statement = connection.prepare_cached("SELECT bytes, entities FROM usage WHERE owner = ?1")?;
    let read = |row: &Row<'_>| Ok(Amount { bytes: row.get(0)?, entities: row.get(1)? });
    Ok(statement.query_row([owner], read).optional()?.unwrap_or_default())
}

/// What every owner's entities hold.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<Usage>> {
    let mut statement = connection.prepare_cached("SELECT owner, bytes, entities FROM usage ORDER BY owner")?;
    let rows =
        statement.query_map([], |row| Ok(Usage { owner: row.get(0)?, bytes: row.get(1)?, entities: row.get(2)? }))?;
    rows.collect()
}
