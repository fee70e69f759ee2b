//! `layer1 compact`: the database of a state directory is written anew. Only without a daemon, which has it open.

use super::{FILE, Watch, must_be_own, refused, unfinished};
use crate::amount::size;
use crate::cli;
use crate::exit::{Exit, Halt};
use crate::output::Output;
use crate::progress::{ProgressLine, Unit};
use bulkhead_layer1::{CompactError, OpenError, SCHEMA_VERSION, ToolError, compact};

/// `bulkhead layer1 compact`.
pub(super) fn run(options: &cli::Compact) -> Result<Exit, Halt> {
    must_be_own(&options.state)?;
    let path = options.state.join(FILE);
    let mut watch = Watch::new(ProgressLine::on_stderr(), Unit::Bytes).with_signals()?;
    let compacted = compact(&path, &mut |progress| watch.look(progress));
    watch.line.clear();
    let compacted = compacted.map_err(|error| match (error, watch.signal) {
        (CompactError::Tool(ToolError::Stopped), Some(signal)) => {
            Halt::Stopped { signal, left: "the database is as it was" }
        }
        (CompactError::Tool(error), signal) => unfinished(error, Some(&path), signal),
        (CompactError::Open(OpenError::InUse { path, holder }), _) => {
            Halt::Failed(format!("{} is in use by a host{holder}; stop it for as long as this takes", path.display()))
        }
        (CompactError::Open(error), _) => refused(error),
        (error @ CompactError::NoRoom { .. }, _) => Halt::Failed(error.to_string()),
    })?;
    let mut output = Output::default();
    if options.json {
        let json = serde_json::json!({
            "schema": 1, "file": path, "before": compacted.before, "after": compacted.after, "version": SCHEMA_VERSION,
        });
        output.line(&json.to_string())?;
    } else {
        let (before, after) = (size(compacted.before), size(compacted.after));
        output.line(&format!("{}: {before} before, {after} now", path.display()))?;
    }
    output.flush()?;
    Ok(Exit::Done)
}
