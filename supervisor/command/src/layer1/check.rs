//! `layer1 check`: what is wrong with the data, if anything.

use super::{Watch, tools, unfinished};
use crate::cli::Location;
use crate::exit::{Exit, Halt};
use crate::output::{Output, complain, printable};
use crate::progress::{ProgressLine, Unit};
use std::path::PathBuf;

/// `bulkhead layer1 check`.
pub(super) fn run(socket: Option<PathBuf>, location: &Location, json: bool) -> Result<Exit, Halt> {
    let tools = tools(socket, location)?;
    let mut watch = Watch::new(ProgressLine::on_stderr(), Unit::Entities);
    let mut looked_at = 0;
    let problems = tools.check(&mut |progress| {
        looked_at = progress.done;
        watch.look(progress)
    });
    watch.line.clear();
    let problems = problems.map_err(|error| unfinished(error, None, None))?;
    let mut output = Output::default();
    if json {
        let found = serde_json::json!({ "schema": 1, "entities": looked_at, "problems": problems });
        output.line(&found.to_string())?;
    } else if problems.is_empty() {
        output.line(&format!("the data is whole: {}", super::copy::entities(looked_at)))?;
    } else {
        problems.iter().try_for_each(|problem| output.line(&printable(problem)))?;
    }
    output.flush()?;
    if problems.is_empty() {
        return Ok(Exit::Done);
    }
    let found = if problems.len() == 1 { "1 problem was".into() } else { format!("{} problems were", problems.len()) };
    complain(&format_args!("{found} found; keep a copy of the database before anything else, then restore a backup"));
    Ok(Exit::Failed)
}
