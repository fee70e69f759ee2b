//! A quiet module's call while another module floods, crashes, sends 16 MiB or never reads.
//!
//! `cargo bench -p bulkhead-bench --bench neighbours`

use bulkhead_bench::{Failed, rows};

fn main() -> Result<(), Failed> {
    rows::bench(rows::neighbours::measure)
}
