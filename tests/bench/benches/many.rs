//! One, a hundred and a thousand modules: their start, what they cost when they idle, and a call
//! among them. With a number in `BULKHEAD_BENCH_MODULES`, the start of so many modules instead, once.
//!
//! `cargo bench -p bulkhead-bench --bench many`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    match std::env::var(rows::crowd::VARIABLE) {
        Ok(count) => {
            let count = count.parse().map_err(|_| "expected a number of modules in $BULKHEAD_BENCH_MODULES")?;
            rows::bench(|programs| rows::crowd::measure(programs, count))
        }
        Err(_) => rows::bench(rows::many::measure),
    }
}
