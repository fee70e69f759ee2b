//! A test's substitute for the host's data store. The SDK has no store of its own: one that is almost like the host's
//! would be worse than none.

use crate::{Error, Json};
use bulkhead_protocol::RequestType;

/// A data store for a module under test; see [`super::Harness::with_store`]. The host's own store is
/// in the crate `bulkhead-module-testing`.
pub trait Store {
    /// Answers a query or a mutation that the handler of `request` sends.
    ///
    /// # Errors
    /// What the handler is to see.
    fn ask(&mut self, request: u64, kind: &RequestType, payload: &Json) -> Result<Json, Error>;

    /// The handler of `request` succeeded: what it changed is committed, or the request fails.
    ///
    /// # Errors
    /// What the caller gets instead of the handler's answer.
    fn commit(&mut self, request: u64) -> Result<(), Error>;

    /// The handler of `request` failed: what it changed is undone.
    fn undo(&mut self, request: u64);
}
