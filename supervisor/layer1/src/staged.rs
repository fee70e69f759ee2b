//! One entity as a unit of work changes it: what it was in the database, and what it is now.

use crate::failure::{conflict, not_found};
use bulkhead_protocol::{
    Failure,
    layer1::{Change, Data, EntityId, EntityName, EntityState},
};
use std::sync::Arc;

/// What names an entity.
pub(crate) type Key = (EntityName, EntityId);

/// An entity as the database has it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) rowid: i64,
    pub(crate) owner: Arc<str>,
    pub(crate) created_at: i64,
    /// The event of its last change, if that holds nothing of its own.
    pub(crate) event: Option<u64>,
    pub(crate) state: State,
}

/// What changes about an entity.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) version: u64,
    pub(crate) updated_at: i64,
    pub(crate) data: Data,
}

/// What the database had when the unit first read or touched the entity.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    /// Its row, which distinguishes it from one of the same id that was deleted before ([`Rows`]).
    ///
    /// [`Rows`]: crate::tables::entities::Rows
    pub(crate) rowid: i64,
    pub(crate) version: u64,
    pub(crate) owner: Arc<str>,
    pub(crate) bytes: u64,
    /// The event that holds nothing of its own, which a change of this state gives a copy.
    pub(crate) event: Option<u64>,
}

/// An entity that the unit changes.
#[derive(Clone, Debug)]
pub(crate) struct StagedEntity {
    /// What it is in the database; `None` where it is not there.
    pub(crate) base: Option<Base>,
    pub(crate) owner: Arc<str>,
    pub(crate) created_at: i64,
    /// What it is in the unit; `None` where it is deleted.
    pub(crate) now: Option<State>,
}

/// Which state of an entity a unit has read.
pub(crate) type Seen = EntityState;

/// Who changes something, and when.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    pub(crate) owner: Arc<str>,
    pub(crate) now: i64,
}

impl Base {
    fn of(stored: &Stored) -> Base {
        Base {
            rowid: stored.rowid,
            version: stored.state.version,
            owner: Arc::clone(&stored.owner),
            bytes: stored.state.data.as_str().len() as u64,
            event: stored.event,
        }
    }
}

impl StagedEntity {
    /// The same change, of an entity that is there.
    pub(crate) fn over(self, stored: Stored) -> StagedEntity {
        StagedEntity { base: Some(Base::of(&stored)), ..self }
    }

    /// An entity that the unit has not touched yet.
    pub(crate) fn of(stored: Option<Stored>, author: &Author) -> StagedEntity {
        match stored {
            None => StagedEntity { base: None, owner: Arc::clone(&author.owner), created_at: author.now, now: None },
            Some(stored) => StagedEntity {
                base: Some(Base::of(&stored)),
                owner: stored.owner,
                created_at: stored.created_at,
                now: Some(stored.state),
            },
        }
    }

    /// The same entity, of which the unit has read this state. If that is not the one in the database, the commit
    /// is in conflict: the change was derived from a state that is gone.
    pub(crate) fn built_on(mut self, seen: Option<Seen>) -> StagedEntity {
        if let (Some(base), Some(seen)) = (&mut self.base, seen) {
            (base.rowid, base.version) = (seen.rowid, seen.version);
        }
        self
    }

    /// The entity after the change, and what the change is called in its event.
    pub(crate) fn changed(
        self,
        change: &Change,
        key: &Key,
        author: &Author,
    ) -> Result<(StagedEntity, &'static str), Failure> {
        let (entity, id) = key;
        let current = |expected: &Option<u64>| match (&self.now, expected) {
            (None, _) => Err(not_found(entity, id)),
            (Some(now), Some(expected)) if now.version != *expected => {
                Err(conflict(entity, id, Some(*expected), Some(now.version)))
            }
            (Some(now), _) => Ok(now),
        };
        match change {
            Change::Create { data, .. } => match &self.now {
                Some(now) => Err(conflict(entity, id, None, Some(now.version))),
                None => {
                    let now = State { version: 1, updated_at: author.now, data: data.clone() };
                    let owner = Arc::clone(&author.owner);
                    Ok((StagedEntity { base: self.base, owner, created_at: author.now, now: Some(now) }, "created"))
                }
            },
            Change::Update { patch, expected, .. } => {
                let now = current(expected)?;
                let data = now.data.patched(patch).map_err(|fault| fault.inside("data"))?;
                // Where the wall clock was set back, the later time of the creation and the last change stays.
                let updated_at = author.now.max(now.updated_at).max(self.created_at);
                let now = State { version: now.version + 1, updated_at, data };
                Ok((StagedEntity { now: Some(now), ..self }, "updated"))
            }
            Change::Delete { expected, .. } => {
                current(expected)?;
                Ok((StagedEntity { now: None, ..self }, "deleted"))
            }
        }
    }
}
