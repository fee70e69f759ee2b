//! One call from the shell, as a whole process.
//!
//! `cargo bench -p bulkhead-bench --bench shell`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::shell::measure)
}
