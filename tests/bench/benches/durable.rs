//! The durable pipe: lines into a module that keeps them in the data store, beside bare commits.
//!
//! `cargo bench -p bulkhead-bench --bench durable`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::durable::measure)
}
