//! The table `usage`: how much each owner's entities hold. The connection that writes keeps what it has
//! read and brings it to the table once for each commit.

use crate::{failure::over_quota, outcome::Usage};
use bulkhead_protocol::Failure;
use rusqlite::{Connection, OptionalExtension, params};
use std::{
    collections::HashMap,
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
    owners: HashMap<Arc<str>, (i64, i64)>,
    changed: Vec<Arc<str>>,
}

impl UsageCache {
    pub(crate) fn bytes(&mut self, connection: &Connection, owner: &Arc<str>) -> rusqlite::Result<i64> {
        if let Some((bytes, _)) = self.owners.get(owner) {
            return Ok(*bytes);
        }
        let found = find(connection, owner)?;
        self.owners.insert(Arc::clone(owner), found);
        Ok(found.0)
    }

    /// Adds to what an owner holds, who was asked for with [`UsageCache::bytes`].
    pub(crate) fn add(&mut self, owner: &Arc<str>, (bytes, entities): (i64, i64)) {
        let held = self.owners.entry(Arc::clone(owner)).or_default();
        *held = (held.0 + bytes, held.1 + entities);
        if !self.changed.contains(owner) {
            self.changed.push(Arc::clone(owner));
        }
    }

    /// Writes what has changed, before the commit.
    pub(crate) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for owner in self.changed.drain(..) {
            let (bytes, entities) = self.owners[&owner];
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
pub(crate) fn find(connection: &Connection, owner: &str) -> rusqlite::Result<(i64, i64)> {
    let mut statement = connection.prepare_cached("SELECT bytes, entities FROM usage WHERE owner = ?1")?;
    Ok(statement.query_row([owner], |row| Ok((row.get(0)?, row.get(1)?))).optional()?.unwrap_or_default())
}

/// What every owner's entities hold.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<Usage>> {
    let mut statement = connection.prepare_cached("SELECT owner, bytes, entities FROM usage ORDER BY owner")?;
    let rows =
        statement.query_map([], |row| Ok(Usage { owner: row.get(0)?, bytes: row.get(1)?, entities: row.get(2)? }))?;
    rows.collect()
}
