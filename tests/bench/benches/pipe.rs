//! `bulkhead pipe` of a million lines, beside `jq`.
//!
//! `-- --lines 100000` at the end of the command makes it shorter.
//!
//! `cargo bench -p bulkhead-bench --bench pipe`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::pipe::measure)
}
