//! Small calls: one after another, 64 in flight, 64 callers; to 1, 2 and 16 modules and to two instances.
//!
//! `cargo bench -p bulkhead-bench --bench calls`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::calls::measure)
}
