//! What each caller has asked for and was not answered, and what that makes the host hold. A client's further
//! requests are refused where it, or all clients together, would hold more than they may.

use crate::{
    core::{Core, Outstanding},
    id_map::IdMap,
    ids::{Caller, Recipient, RequestId, WaiterId},
    layer1::StoreRequest,
    limits::{CLIENT_SHARE, HELD_ANSWERS_BYTES_MAX, REQUEST_BYTES, STORE_REQUEST_BYTES, WAITER_BYTES},
    request::RequestEntry,
    routing::refused,
    timers::Timer,
    waiters::Waiter,
};
use bulkhead_protocol::{ErrorCode, Failure};

// Round numbers, which are never below what the tables take that have grown by doubling.
const _: () = {
    const LISTED: usize = 2 * size_of::<(u64, (Outstanding, usize))>()
        + 2 * size_of::<(crate::Time, Timer)>()
        + 2 * size_of::<RequestId>();
    assert!(2 * size_of::<(RequestId, RequestEntry)>() + LISTED <= REQUEST_BYTES);
    let at_store = 2 * size_of::<(RequestId, crate::layer1::JobPurpose)>() + size_of::<crate::StoreOp>();
    assert!(2 * size_of::<(RequestId, StoreRequest)>() + at_store + LISTED <= STORE_REQUEST_BYTES);
    let by_module = 4 * size_of::<WaiterId>() + 2 * size_of::<crate::waiters::Goal>();
    assert!(2 * size_of::<(WaiterId, Waiter)>() + by_module + LISTED <= WAITER_BYTES);
};

/// Everything that one caller has open, by its own numbers.
#[derive(Debug, Default)]
pub(crate) struct Open {
    by_number: IdMap<u64, (Outstanding, usize)>,
    /// What all of it holds.
    bytes: usize,
}

impl Open {
    pub(crate) fn get(&self, number: u64) -> Option<Outstanding> {
        self.by_number.get(&number).map(|(what, _)| *what)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.by_number.contains_key(&number)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Outstanding)> {
        self.by_number.iter().map(|(number, (what, _))| (*number, *what))
    }

    fn insert(&mut self, number: u64, what: Outstanding, bytes: usize) {
        self.by_number.insert(number, (what, bytes));
        self.bytes += bytes;
    }

    /// What it held; nothing if it is not there.
    fn remove(&mut self, number: u64) -> usize {
        let bytes = self.by_number.remove(&number).map_or(0, |(_, bytes)| bytes);
        self.bytes -= bytes;
        bytes
    }

    /// The bytes of what is open, counted once more.
    pub(crate) fn recounted(&self) -> usize {
        self.by_number.values().map(|(_, bytes)| bytes).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What all callers have open. The bytes of all clients together are kept beside it.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    by_caller: IdMap<Caller, Open>,
    client_bytes: usize,
}

impl Callers {
    pub(crate) fn get(&self, caller: Caller) -> Option<&Open> {
        self.by_caller.get(&caller)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Caller, &Open)> {
        self.by_caller.iter().map(|(caller, open)| (*caller, open))
    }

    /// A caller has something open from now on, which holds so many bytes.
    pub(crate) fn open(&mut self, to: Recipient, what: Outstanding, bytes: usize) {
        self.by_caller.entry(to.caller).or_default().insert(to.id, what, bytes);
        if let Caller::Client(_) = to.caller {
            self.client_bytes += bytes;
        }
    }

    /// A request or a wait is being answered.
    pub(crate) fn close(&mut self, recipient: Recipient) {
        let Some(open) = self.by_caller.get_mut(&recipient.caller) else { return };
        let bytes = open.remove(recipient.id);
        if let Caller::Client(_) = recipient.caller {
            self.client_bytes -= bytes;
        }
    }

    /// Forgets a caller. Returns what it had open in the order of its ids, since decisions must not depend on
    /// the order in a table.
    pub(crate) fn remove(&mut self, caller: Caller) -> Vec<Outstanding> {
        let Some(open) = self.by_caller.remove(&caller) else { return Vec::new() };
        if let Caller::Client(_) = caller {
            self.client_bytes -= open.bytes;
        }
        let mut outstanding: Vec<(u64, Outstanding)> = open.iter().collect();
        outstanding.sort_unstable_by_key(|(number, _)| *number);
        outstanding.into_iter().map(|(_, what)| what).collect()
    }

    /// The bytes of all clients.
    pub(crate) fn client_bytes(&self) -> usize {
        self.client_bytes
    }
}

impl Core {
    /// What the requests of all clients that are not answered hold.
    pub fn client_bytes(&self) -> usize {
        self.callers.client_bytes()
    }

    /// Checks that a client may hold so many bytes more.
    pub(crate) fn check_bytes(&self, caller: Caller, bytes: usize) -> Result<(), Failure> {
        let Caller::Client(_) = caller else { return Ok(()) };
        if self.holds_too_much() {
            let reason = format!(
                "answers of more than {HELD_ANSWERS_BYTES_MAX} bytes wait until what they rest on is on the disk: the \
                 disk of the data store is too slow; try again in a moment"
            );
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        let most = self.settings.clients_bytes_max;
        if self.callers.client_bytes() + bytes <= most / CLIENT_SHARE {
            return Ok(());
        }
        let own = self.callers.get(caller).map_or(0, |open| open.bytes);
        let own_most = most / CLIENT_SHARE;
        if own > 0 && own + bytes > own_most {
            let reason = format!(
                "the unanswered requests of this client hold {own} bytes, and {bytes} more would be above its limit \
                 of {own_most}: wait for answers before sending more"
            );
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        let all = self.callers.client_bytes();
        if all > 0 && all + bytes > most {
            let reason = format!(
                "the unanswered requests of all clients hold {all} bytes, and {bytes} more would be above their limit \
                 of {most}, three eighths of host.clients_bytes_max: try again in a moment"
            );
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        Ok(())
    }
}
