//! The programs `bulkhead-bench` and `bulkhead-chaos`, which `bulkhead bench` and `bulkhead chaos` run. Both keep calls of
//! one command in flight. The first one measures them; the second one keeps a ledger of them while the processes of the
//! module are killed, stopped and slowed, and compares it with what the wire promises.
//!
//! What decides and counts is pure and has the time as an argument: `bench::round`, `chaos::ledger`, `chaos::schedule`,
//! `chaos::verdict` and `chaos::effects`. What waits is thin. No module is started and no daemon is run here.

#![forbid(unsafe_code)]

mod bench;
mod called;
mod chaos;
mod figures;
mod link;
mod problem;

pub use bench::main as bench;
pub use chaos::main as chaos;
