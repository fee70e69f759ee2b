//! What stands for the host's data store in a test. The SDK has no store of its own: one that is almost
//! like the host's would be worse than none.

use crate::{Error, Json};
use bulkhead_protocol::RequestType;

/// A data store behind a module under test; see [`super::Harness::with_store`]. The host's own store is
/// in the crate `bulkhead-module-testing`.
pub trait Store {
    /// Answers a query or a mutation that the handler of `request` asks.
    ///
    /// # Errors
    /// What the handler is to see.
    fn ask(&mut self, request: u64, kind: &RequestType, payload: &Json) -> Result<Json, Error>;

    /// The handler of `request` succeeded: what it changed becomes true, or the request fails.
    ///
    /// # Errors
    /// What the caller is told instead of the handler's answer.
    fn commit(&mut self, request: u64) -> Result<(), Error>;

    /// The handler of `request` failed: what it changed is undone.
    fn undo(&mut self, request: u64);
}
