//! The threads of the store: one that writes, a few that read, and the queue that leads to them.

mod clear;
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

pub(crate) use look::note_checkpoints;
pub(crate) use run::Shared;
