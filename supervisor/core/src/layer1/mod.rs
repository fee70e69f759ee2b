//! What is decided about the data store: which changes belong together, when they are committed, who
//! may touch what, which work is done once only, who is told of which event, in which order.
//!
//! The store itself is not here. The core asks for [`StoreOp`]s by [`crate::Action::Store`], and learns
//! what came of each by [`crate::Core::handle_stored`]. A success is given to nobody before the commit
//! that it speaks of.

mod endings;
mod epochs;
mod hand;
mod keys;
mod operations;
mod permissions;
mod publish;
mod replay;
mod store;
mod stream;
mod streams;
mod turn;
mod unit;

pub use epochs::{Begin, Epoch, Epochs};
pub(crate) use keys::{Running, ScopedKey};
pub use operations::Read;
pub(crate) use operations::{ADDRESS, Operation};
pub use permissions::Entities;
pub(crate) use store::Ticket;
pub use store::{Cursor, KeyState, KeyUse, NewEvent, StoreOp, StoreOutcome, StoredEvent, UnitId};
pub(crate) use stream::Stream;
pub(crate) use streams::EVENT_ATTEMPTS_MAX;
pub use streams::StreamView;
pub(crate) use turn::Turn;
pub(crate) use unit::{Done, Extent, Unit};

use crate::{action::Caller, id_map::IdMap, module::ModuleId, pending::RequestId, steps::Table};
use std::collections::HashMap;

/// Everything that the core remembers on behalf of the store.
#[derive(Debug, Default)]
pub(crate) struct Layer1 {
    /// What the store has in hand.
    pub(crate) tickets: IdMap<RequestId, Ticket>,
    /// Requests to the store itself: queries, mutations, and events that belong to no unit.
    pub(crate) operations: IdMap<RequestId, Operation>,
    /// Events without a number that each caller has at the store.
    pub(crate) unnumbered: IdMap<Caller, usize>,
    /// Keyed work that is under way.
    pub(crate) keys: HashMap<ScopedKey, Running>,
    /// How far each subscribing module has got.
    pub(crate) streams: Table<ModuleId, Stream>,
    pub(crate) last_unit: u64,
    /// Which history cursors belong to, as it stands behind one in a message; nothing where that is not known.
    pub(crate) epoch_beside: String,
}
