//! The host's memory during a run, its crates, the size of its programs.
//!
//! `cargo bench -p bulkhead-bench --bench weights`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::weights::measure)
}
