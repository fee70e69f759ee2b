//! What a crash costs, with and without a spare, and beside other supervisors.
//!
//! `cargo bench -p bulkhead-bench --bench crashes`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::crashes::measure)
}
