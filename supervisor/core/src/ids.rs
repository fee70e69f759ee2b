//! The numbers by which the core distinguishes modules, slots, runs, requests, waits and clients, and where
//! they come from. None is used twice in the life of a host.

use std::fmt;

/// One module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

/// One slot of a module, counted within the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId(pub(crate) u32);

/// One process of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// One request; also its id on the channel of the module that handles it, and the number of a job at the
/// store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One wait for the state of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaiterId(pub(crate) u64);

/// One connection of a client to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The host itself, where it asks for several things on behalf of one client that asked once. It has no
    /// limit of open requests.
    pub const ON_BEHALF: ClientId = ClientId(u64::MAX);
}

/// The sender of requests to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// A client of the control socket or of the embedding program.
    Client(ClientId),
    /// A process of a module.
    Run(RunId),
}

/// Where an answer goes: a caller, and the caller's own id of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient {
    /// The sender of the request.
    pub caller: Caller,
    /// The sender's id.
    pub id: u64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Gives out the numbers.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    modules: u32,
    runs: u64,
    requests: u64,
    waiters: u64,
}

impl Ids {
    pub(crate) fn module(&mut self) -> ModuleId {
        self.modules += 1;
        ModuleId(self.modules - 1)
    }

    pub(crate) fn run(&mut self) -> RunId {
        self.runs += 1;
        RunId(self.runs)
    }

    /// The newest run that was given out; 0 before the first.
    pub(crate) fn newest_run(&self) -> RunId {
        RunId(self.runs)
    }

    pub(crate) fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    pub(crate) fn waiter(&mut self) -> WaiterId {
        self.waiters += 1;
        WaiterId(self.waiters)
    }
}
