//! The threads of the store: one that writes, a few that read, and the queue that leads to them.

mod at_once;
mod clear;
mod durability;
mod fair;
mod look;
mod pace;
mod perform;
pub(crate) mod queue;
pub(crate) mod reader;
mod run;
mod transaction;
pub(crate) mod units;
pub(crate) mod watch;
pub(crate) mod writer;

pub(crate) use durability::{Durability, FlushLog};
pub(crate) use look::note_log_pages;
pub(crate) use run::{Finished, Shared};
