//! What the benchmarks and the program `soak` share: a host in a process of its own, a bare
//! relay that carries the same frames between the same two programs, a caller that costs little,
//! and the figures.
//!
//! It measures release builds and builds them itself ([`programs`]). It prints ratios and figures, and judges only in
//! [`targets`], which compares each with what was promised.

pub mod bare;
pub mod caller;
pub mod callers;
pub mod cores;
pub mod crash;
pub mod figures;
pub mod frames;
pub mod installed;
pub mod kinds;
pub mod parts;
pub mod peers;
pub mod processes;
pub mod programs;
pub mod rows;
pub mod supervisors;
pub mod targets;
pub mod weight;
pub mod world;

/// What stops a measurement. It is only printed.
pub type Failed = Box<dyn std::error::Error>;
