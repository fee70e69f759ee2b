//! Layer 1 of Bulkhead: the durable store.

#![forbid(unsafe_code)]

mod declarations;
mod failure;
mod functions;
pub mod job;
pub mod limits;
mod open;
mod operations;
mod query;
mod schema;
mod settings;
mod store;
mod tables;
mod threads;
mod tools;
mod unit;

pub use job::{Job, Outcome, Ticket, UnitId};
pub use open::OpenError;
pub use schema::SCHEMA_VERSION;
pub use settings::{Clock, Index, Searched, Settings};
pub use store::{Layer1, Overloaded};
pub use tables::keys::other_payload;
pub use tools::{Progress, ToolError, Tools, Watcher, import::ImportLines};
