//! The table `usage`: how much is stored of each owner: its entities, its events, the answers under its keys. The
//! connection that writes keeps what it has read and brings it to the table once for each commit.

use crate::{held::Amount, outcome::Usage};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::{collections::HashMap, sync::Arc};

/// What is stored of one owner; or by how much more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) entities: Amount,
    pub(crate) events: Amount,
    pub(crate) keys: Amount,
}

impl Account {
    pub(crate) fn of_entities(entities: Amount) -> Account {
        Account { entities, ..Account::default() }
    }

    pub(crate) fn of_events(events: Amount) -> Account {
        Account { events, ..Account::default() }
    }

    pub(crate) fn of_keys(keys: Amount) -> Account {
        Account { keys, ..Account::default() }
    }

    fn plus(self, other: Account) -> Account {
        Account {
            entities: self.entities.plus(other.entities),
            events: self.events.plus(other.events),
            keys: self.keys.plus(other.keys),
        }
    }
}

/// What the connection that writes knows of the table, with what its transaction has changed.
#[derive(Debug, Default)]
pub(crate) struct UsageCache {
    owners: Vec<Known>,
    /// The index of each owner there.
    indexes: HashMap<Arc<str>, usize>,
    /// The index of the last owner that was asked for: mostly it is asked for again.
    last: usize,
    changed: Vec<usize>,
}

#[derive(Debug)]
struct Known {
    owner: Arc<str>,
    account: Account,
    is_changed: bool,
}

impl UsageCache {
    /// What is stored of an owner.
    pub(crate) fn of(&mut self, connection: &Connection, owner: &Arc<str>) -> rusqlite::Result<Account> {
        let index = self.index(connection, owner)?;
        Ok(self.owners[index].account)
    }

    fn index(&mut self, connection: &Connection, owner: &Arc<str>) -> rusqlite::Result<usize> {
        if self.owners.get(self.last).is_some_and(|known| known.owner == *owner) {
            return Ok(self.last);
        }
        self.last = match self.indexes.get(owner) {
            Some(index) => *index,
            None => {
                let account = find(connection, owner)?;
                self.owners.push(Known { owner: Arc::clone(owner), account, is_changed: false });
                self.indexes.insert(Arc::clone(owner), self.owners.len() - 1);
                self.owners.len() - 1
            }
        };
        Ok(self.last)
    }

    /// Adds to what is stored of an owner, and says what that is then.
    pub(crate) fn add(
        &mut self,
        connection: &Connection,
        owner: &Arc<str>,
        more: Account,
    ) -> rusqlite::Result<Account> {
        let index = self.index(connection, owner)?;
        let known = &mut self.owners[index];
        if more != Account::default() {
            known.account = known.account.plus(more);
            if !std::mem::replace(&mut known.is_changed, true) {
                self.changed.push(index);
            }
        }
        Ok(known.account)
    }

    /// Writes what has changed, before the commit.
    pub(crate) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for index in self.changed.drain(..) {
            let Known { owner, account: Account { entities, events, keys }, is_changed } = &mut self.owners[index];
            *is_changed = false;
            let sql = "INSERT OR REPLACE INTO usage (owner, bytes, entities, event_bytes, events, key_bytes, keys)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            connection.prepare_cached(sql)?.execute(params![
                &**owner,
                entities.bytes,
                entities.rows,
                events.bytes,
                events.rows,
                keys.bytes,
                keys.rows
            ])?;
        }
        // Modules come and go; the table has what is forgotten here.
        if self.owners.len() > 1000 {
            self.forget();
        }
        Ok(())
    }

    /// Forgets everything, after a transaction that was undone.
    pub(crate) fn forget(&mut self) {
        *self = UsageCache::default();
    }
}

/// What is stored of an owner.
pub(crate) fn find(connection: &Connection, owner: &str) -> rusqlite::Result<Account> {
    let sql = "SELECT bytes, entities, event_bytes, events, key_bytes, keys FROM usage WHERE owner = ?1";
    let amount = |row: &Row<'_>, first: usize| {
        Ok::<_, rusqlite::Error>(Amount { bytes: row.get(first)?, rows: row.get(first + 1)? })
    };
    let read =
        |row: &Row<'_>| Ok(Account { entities: amount(row, 0)?, events: amount(row, 2)?, keys: amount(row, 4)? });
    Ok(connection.prepare_cached(sql)?.query_row([owner], read).optional()?.unwrap_or_default())
}

/// What is stored of every owner.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<Usage>> {
    let mut statement = connection.prepare_cached(
        "SELECT owner, bytes, entities, event_bytes, events, key_bytes, keys FROM usage ORDER BY owner",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Usage {
            owner: row.get(0)?,
            bytes: row.get(1)?,
            entities: row.get(2)?,
            event_bytes: row.get(3)?,
            events: row.get(4)?,
            key_bytes: row.get(5)?,
            keys: row.get(6)?,
        })
    })?;
    rows.collect()
}

/// What is stored of all owners' events.
pub(crate) fn of_all_events(connection: &Connection) -> rusqlite::Result<Amount> {
    connection
        .prepare_cached("SELECT ifnull(sum(event_bytes), 0), ifnull(sum(events), 0) FROM usage")?
        .query_row([], |row| Ok(Amount { bytes: row.get(0)?, rows: row.get(1)? }))
}
