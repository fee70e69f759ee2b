//! Long messages: 1 KiB to 16 MiB, one long text and ordinary JSON.
//!
//! `cargo bench -p bulkhead-bench --bench payloads`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::payloads::measure)
}
