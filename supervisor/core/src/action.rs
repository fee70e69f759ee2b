//! What the core asks the host to do, and the names by which the two refer to callers and processes.

use crate::{
    ids::{Recipient, RequestId, RunId},
    layer1::{StoreOp, StoredEvent},
};
use bulkhead_protocol::{Delivery, Exit, Json, ModuleName, Status};
use std::{fmt, time::Duration};

/// A request of the host itself to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The first message.
    Init,
    /// A request for a sign of life.
    Ping,
    /// Finish, answer, exit.
    Shutdown,
    /// Stop working on that request.
    Cancel(RequestId),
}

/// What the host is to do. Actions are to be carried out in the order in which they are polled.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a process of the module; its channel may be written to from now on.
    Spawn {
        /// Its number.
        run: RunId,
        /// The module.
        module: ModuleName,
        /// Which launch instructions; see [`crate::ModuleSpec::generation`].
        generation: u64,
        /// The process's name for people, like `research-log#3`.
        instance: String,
    },
    /// Write a request of a caller to the process: [`crate::Core::outgoing`] returns it.
    Send {
        /// To which process.
        run: RunId,
        /// Which request; also its number on this channel.
        request: RequestId,
    },
    /// Write a request of the host's own to the process.
    SendControl {
        /// To which process.
        run: RunId,
        /// Its number on this channel.
        id: RequestId,
        /// Which.
        control: Control,
    },
    /// SIGTERM, then SIGCONT, to the process's whole tree.
    Terminate(RunId),
    /// SIGKILL to the process's whole tree, until it is gone.
    Kill(RunId),
    /// Nothing of the process is left: forget it.
    Release(RunId),
    /// Measure the CPU time that the process has used so far and pass it to
    /// [`crate::Core::handle_sample`], before the next input.
    Sample(RunId),
    /// Look for a tracer of the process, or of one of its tree, from outside of what the host runs, and pass it to
    /// [`crate::Core::handle_tracer`].
    LookForTracer(RunId),
    /// Write a line of the host's own into the log of the process's module.
    LogLine {
        /// Whose.
        run: RunId,
        /// What.
        text: String,
    },
    /// Write a response.
    Reply {
        /// To whom.
        to: Recipient,
        /// What.
        status: Status,
    },
    /// Report to the followers of events.
    Announce(Box<Announcement>),
    /// Keep a record of a crash.
    RecordCrash(Box<CrashRecord>),
    /// Keep a message that was in flight at too many crashes, for people to look at.
    Quarantine {
        /// The module that it killed.
        module: ModuleName,
        /// The message, and what is known of it.
        request: Box<QuarantinedRequest>,
    },
    /// The module was removed and nothing of it is left.
    Removed(ModuleName),
    /// Pass something to the store; its outcome goes to [`crate::Core::handle_stored`], also if the
    /// store is gone.
    Store {
        /// The number by which its outcome comes back.
        job: RequestId,
        /// What.
        op: Box<StoreOp>,
    },
    /// Have the store commit at once what it has been asked to commit: something waits until that is visible.
    HastenCommits,
    /// Report to the followers of events of one that is stored, in the order of their cursors. Where cursors
    /// are missing, the store was not sure of a commit; what it has of them can be read from it.
    NotifyFollowers(Box<StoredEvent>),
    /// Report to the operator something that concerns more than one module.
    Warn(String),
    /// An event of a process that carries no number was refused: a line in its log says why.
    EventRefused {
        /// Whose.
        run: RunId,
        /// Why.
        reason: String,
    },
}

/// A process that traces one of a module's, as a debugger does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracer {
    /// Its process id.
    pub pid: i32,
    /// The name of its program.
    pub name: String,
}

impl fmt::Display for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "traced by {} ({})", self.pid, self.name)
    }
}

/// Something that happened to a module, for followers and for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What happened.
    pub event: ModuleEvent,
    /// The module.
    pub module: ModuleName,
    /// The process, where one is concerned.
    pub instance: Option<String>,
    /// A clause for people.
    pub detail: Option<String>,
}

/// What can happen to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleEvent {
    /// A process answered `init`.
    Ready,
    /// A ready spare took the slot of a process that crashed.
    TookOver,
    /// A process ended because it was asked to.
    Exited,
    /// A process ended by itself and left nothing undone.
    Finished,
    /// A process failed and may be tried again.
    Crashed,
    /// A process failed, and another attempt would fail as well.
    Failed,
    /// A process ended with a part of the host.
    Lost,
    /// A reload begins.
    Reloading,
    /// A reload is done.
    Reloaded,
    /// A reload was given up; the old processes stay.
    ReloadFailed,
    /// A debugger has a process.
    Traced,
    /// A request was quarantined.
    Quarantined,
    /// An answer came that belongs to no open request.
    StrangeAnswer,
    /// An event was set aside.
    EventSetAside,
    /// Events were deleted before the module read them.
    EventsLost,
}

/// How serious an announcement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is the normal course.
    Info,
    /// A person should look at it.
    Warning,
}

impl ModuleEvent {
    /// Its name on the wire and in the log.
    pub fn name(self) -> &'static str {
        match self {
            ModuleEvent::Ready => "module.ready",
            ModuleEvent::TookOver => "module.took_over",
            ModuleEvent::Exited => "module.exited",
            ModuleEvent::Finished => "module.finished",
            ModuleEvent::Crashed => "module.crashed",
            ModuleEvent::Failed => "module.failed",
            ModuleEvent::Lost => "module.lost",
            ModuleEvent::Reloading => "module.reloading",
            ModuleEvent::Reloaded => "module.reloaded",
            ModuleEvent::ReloadFailed => "module.reload_failed",
            ModuleEvent::Traced => "module.traced",
            ModuleEvent::Quarantined => "module.quarantined",
            ModuleEvent::StrangeAnswer => "module.strange_answer",
            ModuleEvent::EventSetAside => "module.event_set_aside",
            ModuleEvent::EventsLost => "module.events_lost",
        }
    }

    /// How serious it is.
    pub fn severity(self) -> Severity {
        match self {
            ModuleEvent::Crashed
            | ModuleEvent::Failed
            | ModuleEvent::Lost
            | ModuleEvent::ReloadFailed
            | ModuleEvent::Quarantined
            | ModuleEvent::StrangeAnswer
            | ModuleEvent::EventSetAside
            | ModuleEvent::EventsLost => Severity::Warning,
            ModuleEvent::Ready
            | ModuleEvent::TookOver
            | ModuleEvent::Exited
            | ModuleEvent::Finished
            | ModuleEvent::Reloading
            | ModuleEvent::Reloaded
            | ModuleEvent::Traced => Severity::Info,
        }
    }
}

/// What the host found when a process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The last lines of its standard error.
    pub stderr: Vec<String>,
    /// Requests that had not been written to its channel completely.
    pub unsent: Vec<RequestId>,
    /// Whether the kernel's memory killer ended it.
    pub memory_kill: Option<MemoryKill>,
}

/// How certain it is that the kernel's memory killer ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKill {
    /// It was at work in the process's own memory group.
    Certain,
    /// It was at work at that time.
    Probable,
}

/// One crash, with what was in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashRecord {
    /// The module.
    pub module: ModuleName,
    /// The process, for people.
    pub instance: String,
    /// The process, for the host.
    pub run: RunId,
    /// Its process id, if it was started.
    pub pid: Option<i32>,
    /// Why it ended, in one clause.
    pub reason: String,
    /// How it ended.
    pub exit: Option<Exit>,
    /// From its start to its end.
    pub uptime: Duration,
    /// The last lines of its standard error; what it said with its last answer comes first.
    pub stderr: Vec<String>,
    /// The request of its last answer, if it gave one; then those that it may have been working on.
    pub in_flight: Vec<LostRequest>,
}

/// A request that was in flight at a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRequest {
    /// Its type on the wire.
    pub kind: String,
    /// Its payload.
    pub payload: Json,
    /// Its idempotency key.
    pub key: Option<String>,
    /// How far it got.
    pub delivery: Delivery,
    /// If it was answered, and with that answer the process said that it ends: the message of the error, or
    /// `success`.
    pub answered: Option<String>,
}

/// A request that was in flight at too many crashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRequest {
    /// The request.
    pub request: LostRequest,
    /// The module that sent it, whose key its key is; `None` for a client.
    pub from: Option<ModuleName>,
    /// The crashes at which it was or may have been worked on.
    pub crashes: u32,
    /// Why the last of these processes ended, in one clause.
    pub reason: String,
    /// How it ended.
    pub exit: Option<Exit>,
}
