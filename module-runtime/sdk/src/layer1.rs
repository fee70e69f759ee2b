//! Layer 1, the host's data store, as a module uses it: queries and changes as values, answers as
//! the module's own types.
//!
//! ```
//! use bulkhead_module::layer1::{Entity, Query};
//! use bulkhead_module::{Context, Error};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Reading {
//!     sensor: String,
//!     celsius: f64,
//! }
//!
//! /// Keeps a reading, and returns how many of its sensor were above zero so far.
//! fn keep(ctx: &mut Context<'_>, reading: &Reading) -> Result<usize, Error> {
//!     ctx.create("Reading", reading)?;
//!     let mut above = 0;
//!     let query = Query::of("Reading").eq("sensor", &reading.sensor).order("-celsius");
//!     for found in ctx.entities::<Reading>(query) {
//!         let Entity { data, .. } = found?;
//!         if data.celsius <= 0.0 {
//!             break;
//!         }
//!         above += 1;
//!     }
//!     Ok(above)
//! }
//! ```
//!
//! Everything that is changed while one request is handled becomes visible to others together with
//! its success, and is undone if it fails; the handler sees its own changes at once. The manifest
//! must grant `entity_read`, `entity_create`, `entity_write` and `entity_delete` for what is done.
//!
//! The words are those of the payloads, which `PROTOCOL.md` describes. Nothing is checked here: only the host knows the
//! grammar, and its answer to what it cannot read names the path inside the payload. What these types cannot express
//! goes through [`Context::query`] and [`Context::mutate`].

mod change;
mod entity;
mod pages;
mod query;

pub use change::{Change, Changed};
pub use entity::{Entity, Page};
pub use pages::Entities;
pub use query::Query;

use crate::{Context, Error, Json};
use bulkhead_protocol::ErrorCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

impl Context<'_> {
    /// The entity of this type with this id.
    ///
    /// # Errors
    /// `not_found` when there is none, and as [`Context::find`].
    pub fn entity<T: DeserializeOwned>(&mut self, entity: &str, id: &str) -> Result<Entity<T>, Error> {
        let missing = || Error::not_found(format!("there is no {entity} {id}"));
        self.find(&Query::one(entity, id))?.entities.pop().ok_or_else(missing)
    }

    /// The entity of this type with this id, if there is one.
    ///
    /// # Errors
    /// As [`Context::find`].
    pub fn entity_if_any<T: DeserializeOwned>(&mut self, entity: &str, id: &str) -> Result<Option<Entity<T>>, Error> {
        match self.entity(entity, id) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One page of the entities that the query asks for. `Json` as `T` takes the data as it is.
    ///
    /// # Errors
    /// What the host answered: `bad_request` with the path inside the payload, `permission_denied`,
    /// `deadline_exceeded`, `cancelled`; and `module_error` when an entity's data is no `T`, with the
    /// entity and the member.
    pub fn find<T: DeserializeOwned>(&mut self, query: &Query) -> Result<Page<T>, Error> {
        Page::read(&self.query(query.payload())?)
    }

    /// All entities that the query asks for, page by page: a page is requested after the last entity of the one before,
    /// so the memory holds one at a time.
    pub fn entities<T: DeserializeOwned>(&mut self, query: Query) -> Entities<'_, T> {
        Entities::new(self, query)
    }

    /// How many entities the query asks for, without their data.
    ///
    /// # Errors
    /// As [`Context::find`].
    pub fn count(&mut self, query: &Query) -> Result<u64, Error> {
        let page = self.find::<Json>(&query.clone().limit(0).count())?;
        page.count.ok_or_else(|| Error::failed("expected a count in the host's answer, found none"))
    }

    /// Creates an entity. Its id is in what is returned.
    ///
    /// # Errors
    /// As [`Context::change`].
    pub fn create(&mut self, entity: &str, data: &(impl Serialize + ?Sized)) -> Result<Changed, Error> {
        self.change(Change::create(entity, data))
    }

    /// Changes what an entity holds by a JSON merge patch (RFC 7396): members of `patch` replace
    /// those of the entity, `null` removes one, and what is not named stays.
    ///
    /// # Errors
    /// As [`Context::change`].
    pub fn update(&mut self, entity: &str, id: &str, patch: &(impl Serialize + ?Sized)) -> Result<Changed, Error> {
        self.change(Change::update(entity, id, patch))
    }

    /// Deletes an entity.
    ///
    /// # Errors
    /// As [`Context::change`].
    pub fn delete(&mut self, entity: &str, id: &str) -> Result<Changed, Error> {
        self.change(Change::delete(entity, id))
    }

    /// Makes one change.
    ///
    /// # Errors
    /// What the host answered: `not_found`, `conflict` where a version is not the expected one,
    /// `bad_request` with the path inside the payload, `permission_denied`. Whether it can be
    /// committed is known only after the handler has answered.
    pub fn change(&mut self, change: Change) -> Result<Changed, Error> {
        read(&self.mutate(change.payload())?)
    }

    /// Makes all these changes, or none where one cannot be made; at most 1,000.
    ///
    /// # Errors
    /// As [`Context::change`].
    pub fn change_all(&mut self, changes: impl IntoIterator<Item = Change>) -> Result<Vec<Changed>, Error> {
        #[derive(Deserialize)]
        struct Results {
            results: Vec<Changed>,
        }
        let answer = self.mutate(change::payload_of(changes))?;
        read::<Results>(&answer).map(|answer| answer.results)
    }
}

/// Reads an answer of the host.
fn read<'a, T: Deserialize<'a>>(answer: &'a Json) -> Result<T, Error> {
    answer.read().map_err(|error| Error::failed(format!("the host's answer has another form: {error}")))
}

#[cfg(test)]
mod tests;
