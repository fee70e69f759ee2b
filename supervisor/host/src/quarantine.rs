//! What is kept of a quarantined message, as it stands in its file. How such files are named and ordered is decided in
//! [`crate::records`], how they are read for a question in [`crate::history`].

use crate::crashes::Lost;
use bulkhead_core::QuarantinedRequest;
use bulkhead_protocol::{Exit, Json, ModuleName};
use serde::Serialize;

/// A message that was in flight at too many crashes.
#[derive(Debug, Serialize)]
pub(crate) struct QuarantineRecord {
    module: String,
    time: String,
    r#type: String,
    payload: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// `null` is a client. A record of an earlier version lacks it.
    from: Option<String>,
    delivery: &'static str,
    crashes: u32,
    reason: String,
    exit: Option<Exit>,
}

impl QuarantineRecord {
    pub(crate) fn new(module: &ModuleName, time: String, quarantined: QuarantinedRequest) -> QuarantineRecord {
        let QuarantinedRequest { request, from, crashes, reason, exit } = quarantined;
        let Lost { r#type, payload, key, delivery, .. } = Lost::from(request);
        let from = from.map(|from| from.to_string());
        QuarantineRecord {
            module: module.to_string(),
            time,
            r#type,
            payload,
            key,
            from,
            delivery,
            crashes,
            reason,
            exit,
        }
    }
}
