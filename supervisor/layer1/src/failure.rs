//! What is answered when something cannot be done, and the text of the answer.

use crate::open::OpenError;
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, Json,
    layer1::{EntityId, EntityName},
};
use rusqlite::ErrorCode as Sqlite;
use serde::Serialize;
use serde_json::json;

/// A failure that changed nothing.
pub(crate) fn refusal(code: ErrorCode, error: impl Into<String>) -> Failure {
    Failure::new(code, error).delivery(Delivery::NotStarted)
}

/// A refusal at a path inside the payload.
pub(crate) fn bad_request(at: &str, reason: impl std::fmt::Display) -> Failure {
    let failure = refusal(ErrorCode::BadRequest, format!("at {at}: {reason}"));
    with_data(failure, &json!({"at": at}))
}

/// The same failure with details for programs.
pub(crate) fn with_data(mut failure: Failure, data: &impl Serialize) -> Failure {
    failure.data = Some(Json::of(data));
    failure
}

/// There is no entity with this id.
pub(crate) fn not_found(entity: &EntityName, id: &EntityId) -> Failure {
    let failure = refusal(ErrorCode::NotFound, format!("there is no {entity} with the id {id}"));
    with_data(failure, &json!({"entity": entity.as_str(), "id": id.as_str()}))
}

/// The entity has another version than was expected; no version is no entity.
pub(crate) fn conflict(entity: &EntityName, id: &EntityId, expected: Option<u64>, found: Option<u64>) -> Failure {
    let sentence = match (expected, found) {
        (None, _) => format!("there is a {entity} with the id {id} already"),
        (Some(expected), None) => {
            format!("expected version {expected} of the {entity} with the id {id}, found that it was deleted")
        }
        (Some(expected), Some(found)) => {
            format!("expected version {expected} of the {entity} with the id {id}, found version {found}")
        }
    };
    let data = json!({"entity": entity.as_str(), "id": id.as_str(), "expected": expected, "found": found});
    with_data(refusal(ErrorCode::Conflict, sentence), &data)
}

/// The owner's entities would hold more than its quota.
pub(crate) fn over_quota(owner: &str, limit: u64, used: u64, asked: u64) -> Failure {
    let sentence = format!(
        "the storage quota of {owner:?} is {limit} bytes: {used} are used, and this asks for {asked} more; delete some of its entities, or raise storage_quota"
    );
    let data = json!({"reason": "storage_quota", "owner": owner, "limit": limit, "used": used, "asked": asked});
    with_data(refusal(ErrorCode::PermissionDenied, sentence), &data)
}

/// The files under these names are no longer those that are open.
pub(crate) fn gone(reason: &str) -> Failure {
    with_data(refusal(ErrorCode::Internal, reason), &json!({"reason": "database_gone"}))
}

/// What this has made or seen is not on the disk, and never will be for certain.
pub(crate) fn not_flushed(reason: &str) -> Failure {
    Failure { delivery: Some(Delivery::Unknown), ..gone(reason) }
}

/// The answers that are kept under an owner's keys have filled its quota.
pub(crate) fn over_keys_quota(owner: &str, limit: u64, used: u64) -> Failure {
    let who = if owner.is_empty() { "all clients".into() } else { format!("{owner:?}") };
    let sentence = format!(
        "the quota of {who} for answers that are kept under keys is {limit} bytes, and {used} are used; nothing is done under a new key until some have expired (key_ttl): wait, or raise keys_quota"
    );
    let data = json!({"reason": "keys_quota", "owner": owner, "limit": limit, "used": used});
    with_data(refusal(ErrorCode::PermissionDenied, sentence), &data)
}

/// The store is closing, and this was not begun.
pub(crate) fn closing() -> Failure {
    refusal(ErrorCode::ModuleUnavailable, "the store is closing")
}

/// What SQLite's error means for the caller.
pub(crate) fn of_sqlite(error: &rusqlite::Error) -> Failure {
    if is_full(error) {
        let failure = refusal(
            ErrorCode::Internal,
            match was_refused(error) {
                true => format!(
                    "the system refuses to write this, as at a limit of file sizes or a quota, or on a disk that fails: {error}; nothing of it is stored"
                ),
                false => format!("there is no room on the disk for this: {error}; nothing of it is stored"),
            },
        );
        return with_data(failure, &json!({"reason": "disk_full"}));
    }
    if let Some(reason) = breakage(error) {
        return with_data(refusal(ErrorCode::Internal, reason), &json!({"reason": "damaged"}));
    }
    match error.sqlite_error_code() {
        Some(Sqlite::DatabaseBusy | Sqlite::DatabaseLocked) => {
            refusal(ErrorCode::Overloaded, "another program, such as sqlite3, holds a lock on the database")
        }
        _ => refusal(ErrorCode::Internal, format!("the database refused this: {error}")),
    }
}

/// Whether the disk is full. SQLite reports that in several ways, one of them about its shared memory.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
    error.sqlite_error_code() == Some(Sqlite::DiskFull)
        || extended == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
        || was_refused(error)
}

/// Whether a write was refused, for which SQLite knows no other reason than a full disk: a limit of file sizes
/// (EFBIG) and a quota (EDQUOT) are such reasons too. What was written before is unchanged, as nothing counts in
/// the journal before its end is written; that is not so after a flush that failed.
fn was_refused(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE)
}

/// Why nothing more may be written after this error, if so: after a damaged page or a failed flush it is
/// unknown what is on the disk.
pub(crate) fn breakage(error: &rusqlite::Error) -> Option<String> {
    if is_full(error) {
        return None;
    }
    match error.sqlite_error_code()? {
        Sqlite::DatabaseCorrupt | Sqlite::NotADatabase => Some(format!(
            "the database is damaged: {error}; stop the host, keep a copy of the file, and put a backup in its place"
        )),
        Sqlite::SystemIoFailure => {
            Some(format!("the disk of the database failed: {error}; look at the disk, then start the host again"))
        }
        _ => None,
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        refusal(ErrorCode::Internal, error.to_string())
    }
}
