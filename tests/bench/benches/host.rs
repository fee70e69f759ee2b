//! What a call through the host costs, beside a bare relay of the same frames between the same two
//! programs, in one run: rounds take turns, and the medians of the rounds are printed.
//!
//! `cargo bench -p bulkhead-bench`

use bulkhead_bench::caller::Caller;
use bulkhead_bench::crash::{self, Crashes};
use bulkhead_bench::figures::{Latencies, grouped, heading, median, row};
use bulkhead_bench::parts::{self, ECHO, RELAY_BLOCKING, RELAY_EPOLL};
use bulkhead_bench::programs::Programs;
use bulkhead_bench::world::{Relay, World};
use bulkhead_bench::{Failed, cores, frames, weight};
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 5;
const CALLS_ALONE: usize = 10_000;
const CALLS_AHEAD: usize = 200_000;
const WINDOW: usize = 64;
const LINES: usize = 100_000;
const CRASHES: usize = 100;
const MESSAGES: usize = 1_000_000;
const CRASHES_FOR_MEMORY: usize = 500;

fn main() -> Result<(), Failed> {
    parts::play_if_asked();
    if !std::env::args().any(|word| word == "--bench") {
        println!("skipped: this measures, and does so for `cargo bench -p bulkhead-bench` only");
        return Ok(());
    }
    let programs = Programs::build()?;
    one_caller(&programs)?;
    ahead(&programs)?;
    pipe(&programs)?;
    crashes(&programs)?;
    memory(&programs)?;
    weights(&programs)
}

/// Somebody to call, and what to call it with.
struct Route {
    name: &'static str,
    caller: Caller,
    request: Vec<u8>,
    /// What keeps the other processes alive.
    _relay: Option<[std::process::Child; 0]>,
}
