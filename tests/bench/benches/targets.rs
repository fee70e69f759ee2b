//! The promised speeds, in one table: each row's target, what was measured, and whether it is met. It measures what the
//! other benches measure, one after another, and takes a while.
//!
//! `cargo bench -p bulkhead-bench --bench targets`

use bulkhead_bench::Failed;
use bulkhead_bench::programs::Programs;
use bulkhead_bench::rows::{self, Rows};
use bulkhead_bench::targets::{Target, table};

type Group = fn(&Programs) -> Result<Vec<Target>, Failed>;

const GROUPS: [(&str, Group); 7] = [
    ("calls", |programs| Ok(rows::calls::measure(programs)?.targets())),
    ("pipe", |programs| Ok(rows::pipe::measure(programs)?.targets())),
    ("durable", |programs| Ok(rows::durable::measure(programs)?.targets())),
    ("payloads", |programs| Ok(rows::payloads::measure(programs)?.targets())),
    ("shell", |programs| Ok(rows::shell::measure(programs)?.targets())),
    ("crashes", |programs| Ok(rows::crashes::measure(programs)?.targets())),
    ("many", |programs| Ok(rows::many::measure(programs)?.targets())),
];

fn main() -> Result<(), Failed> {
    if !rows::is_wanted() {
        return Ok(());
    }
    let programs = Programs::build()?;
    let mut targets = Vec::new();
    for (name, group) in GROUPS {
        eprintln!("measuring {name}");
        targets.extend(group(&programs)?);
    }
    println!("\n{}", table(&targets));
    Ok(())
}
