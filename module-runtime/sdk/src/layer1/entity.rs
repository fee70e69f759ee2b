//! Answers: entities, with what they hold as the module's own type.

use super::read;
use crate::{Error, Json, arguments};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// One entity.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Entity<T = Json> {
    /// Its id, a UUID.
    pub id: String,
    /// Its type.
    pub entity: String,
    /// How often it was changed, its creation counted.
    pub version: u64,
    /// When it was created, like `2026-03-01T12:00:00.000000Z`. Such texts compare as times do.
    pub created_at: String,
    /// When it was changed last.
    pub updated_at: String,
    /// What it holds.
    pub data: T,
    /// What the query included, by its name.
    #[serde(default = "BTreeMap::new")]
    pub included: BTreeMap<String, Vec<Entity<Json>>>,
    /// The names of what the query included only a part of.
    #[serde(default)]
    pub more: Vec<String>,
}

impl Entity<Json> {
    /// The same entity, with what it holds as a `T`.
    ///
    /// # Errors
    /// When its data is no `T`: the entity, the member, what was expected and what was found.
    pub fn read<T: DeserializeOwned>(self) -> Result<Entity<T>, Error> {
        let Entity { id, entity, version, created_at, updated_at, data, included, more } = self;
        let data = arguments::stored(&data)
            .map_err(|sentence| Error::failed(format!("{entity} {id} holds something else: {sentence}")))?;
        Ok(Entity { id, entity, version, created_at, updated_at, data, included, more })
    }
}

/// A page of entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T = Json> {
    /// The entities.
    pub entities: Vec<Entity<T>>,
    /// The cursor of the next page, for [`super::Query::after`]; `None` where there is nothing more.
    pub next: Option<String>,
    /// How many there are in all, where the query asked.
    pub count: Option<u64>,
}

impl<T: DeserializeOwned> Page<T> {
    /// Reads the answer to a query.
    pub(super) fn read(answer: &Json) -> Result<Page<T>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            entities: Vec<Entity<Json>>,
            next: Option<String>,
            count: Option<u64>,
        }
        let Answer { entities, next, count } = read(answer)?;
        let entities = entities.into_iter().map(Entity::read).collect::<Result<_, _>>()?;
        Ok(Page { entities, next, count })
    }
}
