//! One, a hundred and a thousand modules: their start, what they cost when they idle, and a call
//! among them.
//!
//! `cargo bench -p bulkhead-bench --bench many`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::many::measure)
}
