//! What is decided about the data store: which changes belong together, when they are committed, which module
//! may touch what, which work is done once only, and which events go to which module, in which order.
//!
//! The store itself is not here. The core asks for [`StoreOp`]s by [`crate::Action::Store`], and learns
//! what came of each by [`crate::Core::handle_stored`]. A success is given to no client before the commit
//! that it speaks of is on the disk.

mod answered;
mod attribution;
mod completion;
mod entities;
mod epochs;
mod flush;
mod keys;
mod precedence;
mod publish;
mod replay;
mod store;
mod store_requests;
mod stream;
mod streams;
mod unit;

pub use bulkhead_protocol::layer1::{CommitNumber, Cursor, EntityState, KeyState, NewEvent, StoredEvent, UnitId};
pub(crate) use entities::{Entities, EntityKey};
pub use epochs::{Begin, Epoch, Epochs};
pub(crate) use flush::HeldAnswers;
pub(crate) use keys::{Running, ScopedKey};
pub(crate) use precedence::Precedence;
pub(crate) use store::JobPurpose;
pub use store::{Advance, KeyUse, StoreOp, StoreOutcome};
pub use store_requests::Read;
pub(crate) use store_requests::{ADDRESS, StoreRequest};
pub(crate) use stream::Stream;
pub use streams::StreamView;
pub(crate) use unit::{Done, Extent, OpenUnit, Unit};

use crate::{
    id_map::IdMap,
    ids::{Caller, ModuleId, RequestId},
    steps::Table,
};
use std::collections::HashMap;

/// Everything that the core remembers on behalf of the store.
#[derive(Debug, Default)]
pub(crate) struct Layer1 {
    /// The jobs of the store.
    pub(crate) jobs: IdMap<RequestId, JobPurpose>,
    /// Requests to the store itself: queries, mutations, and events that belong to no unit.
    pub(crate) store_requests: IdMap<RequestId, StoreRequest>,
    /// Events without a number that each caller has at the store.
    pub(crate) unnumbered: IdMap<Caller, usize>,
    /// Keyed work that is under way.
    pub(crate) keys: HashMap<ScopedKey, Running>,
    /// How far each subscribing module has got.
    pub(crate) streams: Table<ModuleId, Stream>,
    pub(crate) held_answers: HeldAnswers,
    pub(crate) entities: Entities,
    pub(crate) last_unit: u64,
    /// Which history cursors belong to, as it follows one in a message; nothing where that is not known.
    pub(crate) epoch_beside: String,
}
