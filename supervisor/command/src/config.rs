//! `config check` and `config show`. What is checked, and how it is shown, is the configuration's business.

use crate::cli::{Config, Files};
use crate::exit::{Exit, Halt};
use crate::output::{Output, complain};
use bulkhead_config::{Flags, HostConfig, Loaded};
use std::path::PathBuf;

/// What the command line says about files.
pub(crate) fn flags(files: Files, socket: Option<PathBuf>) -> Flags {
    let Files { config, modules, state } = files;
    Flags { config, modules, state, socket }
}

/// `bulkhead config`.
pub(crate) fn run(socket: Option<PathBuf>, command: Config) -> Result<Exit, Halt> {
    let mut output = Output::default();
    match command {
        Config::Check(files) => {
            let Some(loaded) = load(flags(files, socket)) else { return Ok(Exit::Usage) };
            if let Err(reason) = bulkhead_supervisor::check_programs(&loaded.modules) {
                complain(&reason);
                return Ok(Exit::Usage);
            }
            let count = loaded.modules.len();
            let modules = if count == 1 { "1 module".to_owned() } else { format!("{count} modules") };
            output.line(&format!("the configuration is good: {modules}"))?;
        }
        Config::Show { files, json } => {
            let Some(loaded) = load(flags(files, socket)) else { return Ok(Exit::Usage) };
            let shown = bulkhead_config::show(&loaded, json);
            output.line(shown.trim_end_matches('\n'))?;
        }
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// Loads everything; each fault is a line of its own, so that an editor can jump to it.
pub(crate) fn load(flags: Flags) -> Option<Loaded> {
    match HostConfig::load(flags) {
        Ok(loaded) => Some(loaded),
        Err(problems) => {
            for problem in problems.iter() {
                complain(problem);
            }
            None
        }
    }
}
