//! What decides in Bulkhead: when a module starts, restarts and stops, where a request goes, who is
//! told what after a crash.
//!
//! The core is a state machine. It has no clock, no socket, no process, no thread and no source of
//! randomness: time and a seed are arguments, inputs are the `handle_*` methods of [`Core`], outputs
//! are [`Action`]s and one [`Core::poll_timeout`]. What waits lives in the daemon around it.
//!
//! Nor does it have the data store: it asks for a [`StoreOp`] by [`Action::Store`], and is told what came
//! of it by [`Core::handle_stored`]. Who embeds the core alone answers these; one who stores nothing
//! answers each with [`StoreOutcome::Failed`], and no request without a key that stores nothing notices.

#![forbid(unsafe_code)]

mod action;
mod answers;
mod audit;
mod blame;
mod bucket;
mod compiling;
mod control;
mod core;
mod delivery;
mod directory;
mod ending;
mod exits;
mod fairness;
mod health;
mod id_map;
mod lacks;
mod lateness;
mod layer1;
mod leaving;
mod lifecycle;
mod module;
mod open;
mod pending;
mod places;
mod queue;
mod random;
mod reload;
mod restart;
mod room;
mod routing;
mod run;
mod shutdown;
mod spec;
mod starts;
mod steps;
mod time;
mod timers;
mod tracing;
mod uncaught;
mod view;
mod waiters;

pub use action::{
    Action, Announcement, Caller, ClientId, Control, CrashRecord, Evidence, LostRequest, MemoryKill, Recipient, RunId,
    Tracer,
};
pub use audit::Counts;
pub use core::{Core, HostSettings};
pub use ending::{Cause, Verdict};
pub use fairness::{PORTION_NANOS_MAX, TimeAccount};
pub use id_map::{IdHasher, IdMap};
pub use lacks::{GuardianRestarts, Need};
pub use layer1::{
    Begin, Cursor, Entities, Epoch, Epochs, KeyState, KeyUse, NewEvent, Read, StoreOp, StoreOutcome, StoredEvent,
    StreamView, UnitId,
};
pub use module::ModuleId;
pub use pending::RequestId;
pub use places::{Doing, HALF_SENT_MAX, NEWEST_MAX, Owner, Places, Seat};
pub use restart::{Policy, RestartRules, Why};
pub use room::Descriptors;
pub use routing::{check_patience, is_for_store};
pub use run::{Phase, Role};
pub use spec::{ModuleRules, ModuleSpec};
#[doc(hidden)]
pub use steps::steps_taken;
pub use time::Time;
pub use view::{ModuleView, NextStep, ObservedState, RunView};
pub use waiters::Condition;
