//! The data of `why`, from a host of any version.

use crate::lenient::{list, or_empty};
use bulkhead_protocol::Json;
use serde::Deserialize;

/// Why a module is in its state.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Explained {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) state: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) desired: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) reason: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) next: Option<Next>,
    #[serde(deserialize_with = "list")]
    pub(super) rules: Vec<Setting>,
    #[serde(deserialize_with = "list")]
    pub(super) requests: Vec<Request>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) more_requests: u64,
    #[serde(deserialize_with = "list")]
    pub(super) history: Vec<Happening>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) earlier: u64,
}

/// What comes next.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Next {
    #[serde(deserialize_with = "or_empty")]
    pub(super) action: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) in_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) why: String,
}

/// A setting that applied.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Setting {
    #[serde(deserialize_with = "or_empty")]
    pub(super) key: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) value: Json,
    #[serde(deserialize_with = "or_empty")]
    pub(super) origin: Option<String>,
}

/// One request of a module.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RequestOf {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) request: Request,
}

/// Where a request waits.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Request {
    #[serde(deserialize_with = "or_empty")]
    pub(super) id: u64,
    #[serde(rename = "type", deserialize_with = "or_empty")]
    pub(super) kind: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) command: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) from: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) stage: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) why: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) deadline_in_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) crashes: u64,
    #[serde(deserialize_with = "list")]
    pub(super) rules: Vec<Setting>,
}

/// Something that happened.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Happening {
    #[serde(deserialize_with = "or_empty")]
    pub(super) ago_ms: u64,
    #[serde(deserialize_with = "or_empty")]
    pub(super) what: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) initial: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) order: String,
    /// Who gave an order, or what ended a process.
    #[serde(deserialize_with = "or_empty")]
    pub(super) by: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) module: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) instance: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) reason: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) lived_ms: u64,
    #[serde(deserialize_with = "or_empty")]
    pub(super) ready_for_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) counted: String,
    #[serde(deserialize_with = "list")]
    pub(super) ended_rules: Vec<Setting>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) sequel: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) after_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) why: Option<String>,
    #[serde(deserialize_with = "list")]
    pub(super) sequel_rules: Vec<Setting>,
    #[serde(deserialize_with = "list")]
    pub(super) rules: Vec<Setting>,
}
