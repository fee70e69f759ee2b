//! Lenient reading of the answers of a host of another version: a member that is missing, `null`, or of another type is
//! empty, and unknown members are ignored. A partial answer is shown rather than none.

use bulkhead_protocol::Json;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

/// The member, or the empty value of its type.
pub(crate) fn or_empty<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(from: D) -> Result<T, D::Error> {
    Ok(Json::deserialize(from)?.read().unwrap_or_default())
}

/// The elements of a list that can be read.
pub(crate) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let all: Vec<Json> = or_empty(from)?;
    Ok(all.iter().filter_map(|one| one.read().ok()).collect())
}

/// The member, `null` included: only one that is missing is none.
pub(crate) fn as_it_is<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}
