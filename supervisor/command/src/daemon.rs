//! `run`: the one place where the command meets the daemon.

use crate::exit::{Exit, Halt};
use bulkhead_config::Flags;

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When it cannot start, with the reason.
pub(crate) fn run(_flags: Flags) -> Result<Exit, Halt> {
    Err(Halt::Failed("this build has no daemon".into()))
}
