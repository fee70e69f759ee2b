//! Where a module can be a library and no program, so that its package builds as a whole.

use crate::Module;
use std::process::ExitCode;

/// Says that the library is what is needed.
pub fn run<M: Module>() -> ExitCode {
    eprintln!(
        "{}: a module is no program on this target; build its library with `cargo build --lib`",
        M::describe().name
    );
    ExitCode::from(bulkhead_child::EXIT_USAGE)
}
