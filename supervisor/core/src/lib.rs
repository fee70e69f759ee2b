//! What decides in Bulkhead: when a module starts, restarts and stops, where a request goes, and what
//! callers get after a crash.
//!
//! The core is a state machine. It has no clock, no socket, no process, no thread and no source of
//! randomness: time and a seed are arguments, inputs are the `handle_*` methods of [`Core`], outputs
//! are [`Action`]s and one [`Core::poll_timeout`]. What waits is in the host around it.
//!
//! Nor does it have the data store: it asks for a [`StoreOp`] by [`Action::Store`], and gets the outcome
//! by [`Core::handle_stored`]. A program that embeds the core alone answers these; one that stores nothing
//! answers each with [`StoreOutcome::Failed`], which affects only requests with a key and those that store.

#![forbid(unsafe_code)]

mod action;
mod answers;
mod audit;
mod blame;
mod bucket;
mod chronicle;
mod compiling;
mod control;
mod core;
mod declared;
mod delivery;
mod directory;
mod dispatch;
mod exit_class;
mod fairness;
mod health;
mod id_map;
mod idle_clients;
mod ids;
mod in_flight;
mod lacks;
mod lateness;
mod layer1;
mod leaving;
mod lifecycle;
mod limits;
mod module;
mod modules;
mod on_exit;
mod open;
mod permissions;
mod queue;
mod random;
mod reconcile;
mod reload;
mod request;
mod requests;
mod restart;
mod room;
mod routing;
mod rule;
mod run;
mod shutdown;
mod slots;
mod spec;
mod starts;
mod steps;
mod time;
mod timers;
mod tracing;
mod uncaught;
mod view;
mod waiters;
mod why;

pub use action::{
    Action, Announcement, Control, CrashRecord, Evidence, LostRequest, MemoryKill, ModuleEvent, QuarantinedRequest,
    Severity, Tracer,
};
pub use audit::Counts;
pub use chronicle::{Counted, Ended, EndedBy, Happening, Order, Orderer, Sequel, What};
pub use core::{Core, HostSettings};
pub use declared::Declared;
pub use exit_class::{Cause, ExitClass, Silence};
pub use fairness::TimeAccount;
pub use id_map::{IdHasher, IdMap};
pub use idle_clients::{ClientState, Doing, IdleClients, Owner};
pub use ids::{Caller, ClientId, ModuleId, Recipient, RequestId, RunId};
pub use lacks::{GuardianRestarts, Need};
pub use layer1::{
    Advance, Begin, CommitNumber, Cursor, EntityState, Epoch, Epochs, KeyState, KeyUse, NewEvent, Read, StoreOp,
    StoreOutcome, StoredEvent, StreamView, UnitId,
};
pub use limits::{HALF_SENT_MAX, NEWEST_MAX, PORTION_NANOS_MAX};
pub use module::{InitialState, SpawnFailure};
pub use permissions::Entities;
pub use restart::{Policy, RestartRules, WaitReason};
pub use room::Descriptors;
pub use routing::{check_deadline, is_for_store};
pub use rule::{AppliedRule, Rule, RuleOwner, RuleValue};
pub use run::{Phase, Role};
pub use spec::{ModuleRules, ModuleSpec, Slowness};
#[doc(hidden)]
pub use steps::steps_taken;
pub use time::Time;
pub use view::{ModuleView, NextStep, ObservedState, RunView};
pub use waiters::Condition;
pub use why::{RequestWhy, Stage, Why};
