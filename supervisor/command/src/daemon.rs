//! `run`: the one place where the command meets the daemon.

use crate::config;
use crate::exit::{Exit, Halt};
use bulkhead_config::Flags;

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When it cannot start, with the reason.
pub(crate) fn run(flags: Flags) -> Result<Exit, Halt> {
    let Some(_loaded) = config::load(flags) else { return Ok(Exit::Usage) };
    Err(Halt::Failed("this build has no daemon".into()))
}
