//! One request that has come and is not forgotten yet: its recipient, its state, how far it got.

use crate::{
    action::LostRequest,
    ids::{ModuleId, Recipient, RunId},
    layer1::{CommitNumber, Cursor, Done, Unit},
    limits::REQUEST_BYTES,
    time::Time,
};
use bulkhead_protocol::{Delivery, HeldBytes, ModuleName, Request, RequestType};

/// The state of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestState {
    /// The store is asked whether the work of its key was done before.
    LookingUp,
    /// Another request does the work of its key.
    Joined,
    /// In its module's queue.
    Queued,
    /// Sent to a process and not answered by it.
    InFlight {
        /// Which process.
        run: RunId,
        /// Whether the process has reported progress, and so has begun.
        progressed: bool,
    },
    /// Its module has answered with success before all that it asked of the store for it was done.
    Settling(Box<Done>),
    /// Its module has answered with success, and the store commits that.
    Committing(Box<Done>),
    /// Its answer waits until what it has made and seen is on the disk.
    Flushing,
}

/// One request. It stays until its module is done with it, which may be after its caller was
/// answered: a deadline answers the caller, not the module.
#[derive(Debug)]
pub(crate) struct RequestEntry {
    /// Where the answer goes; `None` for an event, and once it was answered.
    pub(crate) recipient: Option<Recipient>,
    /// Whether it is still wanted: not answered, not cancelled by the end of its caller.
    pub(crate) wanted: bool,
    pub(crate) module: ModuleId,
    pub(crate) message: Request,
    /// The caller of its key, if it has one: a module; clients are `None`.
    pub(crate) key_caller: Option<ModuleName>,
    /// What it takes in memory, as it came.
    pub(crate) held: usize,
    pub(crate) deadline: Time,
    pub(crate) state: RequestState,
    /// How far it got in the processes that had it before; this stays true while it waits again.
    pub(crate) reached: Delivery,
    /// Its caller has cancelled it: it is not sent again.
    pub(crate) cancelled: bool,
    /// Crashes at which it was or may have been worked on.
    pub(crate) crashes: u32,
    /// What its module has done for it so far and is not committed.
    pub(crate) unit: Unit,
    /// Commits of it that failed because of others.
    pub(crate) conflicts: u32,
    /// The newest commit that it can have seen, or has made: of its caller or event, its process and its unit.
    pub(crate) seen: CommitNumber,
    /// Which stored event it is, if it is one.
    pub(crate) event: Option<Cursor>,
}

impl RequestEntry {
    pub(crate) fn new(
        module: ModuleId,
        recipient: Option<Recipient>,
        message: Request,
        deadline: Time,
        state: RequestState,
    ) -> RequestEntry {
        RequestEntry {
            recipient,
            wanted: true,
            module,
            held: REQUEST_BYTES + message.held_bytes(),
            message,
            key_caller: None,
            deadline,
            state,
            reached: Delivery::NotStarted,
            cancelled: false,
            crashes: 0,
            unit: Unit::Empty,
            conflicts: 0,
            seen: CommitNumber(0),
            event: None,
        }
    }

    /// What it takes of its module's window: the bytes that are sent.
    pub(crate) fn bytes(&self) -> usize {
        self.message.payload.as_str().len()
    }

    /// Whether its answer is its only effect: it asked nothing of the store, and has neither a key
    /// nor a stream that waits for it.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.unit, Unit::Empty) && !self.is_awaited_by_others()
    }

    /// Whether its answer may be one for others than its caller: those that join it by its key, or the stream that it
    /// came from.
    pub(crate) fn is_awaited_by_others(&self) -> bool {
        self.message.key.is_some() || self.event.is_some()
    }

    pub(crate) fn is_event(&self) -> bool {
        self.message.kind == RequestType::Event
    }

    /// How far it has got in all processes, when it got so far in the one that has it now.
    pub(crate) fn overall_delivery(&self, now: Delivery) -> Delivery {
        match (self.reached, now) {
            (Delivery::Started, _) | (_, Delivery::Started) => Delivery::Started,
            (Delivery::Unknown, _) | (_, Delivery::Unknown) => Delivery::Unknown,
            (Delivery::NotStarted, Delivery::NotStarted) => Delivery::NotStarted,
        }
    }

    pub(crate) fn lost(&self, delivery: Delivery) -> LostRequest {
        LostRequest {
            kind: self.message.kind.name().to_owned(),
            payload: self.message.payload.clone(),
            key: self.message.key.clone(),
            delivery,
            answered: None,
        }
    }
}
