//! A change of one entity, put together.

use crate::Json;
use serde::{Deserialize, Serialize};

/// A change of one entity: it is created, updated or deleted.
///
/// ```
/// # use bulkhead_module::{json, layer1::Change};
/// let id = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";
/// let change = Change::update("Book", id, &json!({ "lent_to": "Ada" })).expected_version(3);
/// assert_eq!(
///     change.payload().as_str(),
///     r#"{"entity":"Book","operation":"update","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f","data":{"lent_to":"Ada"},"expected_version":3}"#
/// );
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    entity: String,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_version: Option<u64>,
}

/// The result of a change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Changed {
    /// The id of the entity.
    pub id: String,
    /// Its version, which counts its changes from 1. That of a deleted one is one more than its last.
    pub version: u64,
}

impl Change {
    /// Creates an entity that holds `data`, an object.
    pub fn create(entity: impl Into<String>, data: &(impl Serialize + ?Sized)) -> Change {
        Change::new(entity, "create", None, Some(Json::of(data)))
    }

    /// Changes what an entity holds by a JSON merge patch (RFC 7396).
    pub fn update(entity: impl Into<String>, id: impl Into<String>, patch: &(impl Serialize + ?Sized)) -> Change {
        Change::new(entity, "update", Some(id.into()), Some(Json::of(patch)))
    }

    /// Deletes an entity.
    pub fn delete(entity: impl Into<String>, id: impl Into<String>) -> Change {
        Change::new(entity, "delete", Some(id.into()), None)
    }

    /// Creates the entity with this id, a UUID of the module's own; without this, the store makes one. An existing
    /// entity with this id is a conflict.
    pub fn with_id(mut self, id: impl Into<String>) -> Change {
        self.id = Some(id.into());
        self
    }

    /// Only if the entity has this version: otherwise it is a `conflict`, and nothing is changed.
    pub fn expected_version(mut self, version: u64) -> Change {
        self.expected_version = Some(version);
        self
    }

    /// The payload of a mutation that is this change.
    pub fn payload(&self) -> Json {
        Json::of(self)
    }

    fn new(entity: impl Into<String>, operation: &'static str, id: Option<String>, data: Option<Json>) -> Change {
        Change { entity: entity.into(), operation, id, data, expected_version: None }
    }
}

/// The payload of a mutation that is all of these.
pub(super) fn payload_of(changes: impl IntoIterator<Item = Change>) -> Json {
    #[derive(Serialize)]
    struct Operations {
        operations: Vec<Change>,
    }
    Json::of(&Operations { operations: changes.into_iter().collect() })
}
