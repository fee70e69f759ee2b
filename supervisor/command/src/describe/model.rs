//! What the host tells of a module, as far as it is shown. A host of another version may say more, or less.

use crate::lenient::{list, or_empty};
use bulkhead_protocol::Json;
use serde::Deserialize;

/// The answer to `describe`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Description {
    #[serde(deserialize_with = "or_empty")]
    pub(super) version: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) state: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) description: String,
    #[serde(deserialize_with = "list")]
    pub(super) commands: Vec<Command>,
    /// What the data store takes, which has no commands.
    #[serde(deserialize_with = "list")]
    pub(super) requests: Vec<Command>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) left_out: u64,
}

/// One command.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Command {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) idempotent: bool,
    #[serde(deserialize_with = "or_empty")]
    pub(super) read_only: bool,
    #[serde(deserialize_with = "or_empty")]
    pub(super) description: String,
    pub(super) args: Option<Json>,
    pub(super) returns: Option<Json>,
    #[serde(deserialize_with = "list")]
    pub(super) examples: Vec<Json>,
    #[serde(deserialize_with = "list")]
    pub(super) dropped: Vec<Dropped>,
}

/// A member that the host has not kept.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Dropped {
    #[serde(deserialize_with = "or_empty")]
    pub(super) member: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) reason: String,
}

/// An example of a call.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Example {
    pub(super) args: Option<Json>,
    pub(super) returns: Option<Json>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) description: String,
}
