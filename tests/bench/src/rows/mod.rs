//! The groups of rows. Each measures, then prints its table, and returns the promises about it. A bench runs one group;
//! the bench `targets` runs all and prints the promises alone.

pub mod all;
pub mod calls;
pub mod crashes;
pub mod crowd;
pub mod durable;
pub mod many;
pub mod neighbours;
pub mod payloads;
pub mod pipe;
pub mod shell;
pub mod weights;

use crate::programs::Programs;
use crate::targets::Target;
use crate::{Failed, parts};

/// What a group of rows has measured.
pub trait Rows {
    /// Prints the table.
    fn print(&self);

    /// The promises about it.
    fn targets(&self) -> Vec<Target>;
}

/// Whether this program was started to measure: `cargo test` starts it as well, without that argument.
/// Runs the part that it was started for first, if any.
pub fn is_wanted() -> bool {
    parts::play_if_asked();
    let wanted = std::env::args().any(|word| word == "--bench");
    if !wanted {
        println!("skipped: this measures, and does so for `cargo bench -p bulkhead-bench` only");
    }
    wanted
}

/// The `main` of a bench that is one group.
///
/// # Errors
/// What stopped the measurement.
pub fn bench<T: Rows>(measure: impl FnOnce(&Programs) -> Result<T, Failed>) -> Result<(), Failed> {
    if is_wanted() {
        measure(&Programs::build()?)?.print();
    }
    Ok(())
}
