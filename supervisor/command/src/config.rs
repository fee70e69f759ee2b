//! `config check`, `config show` and `config schema`. The configuration's crate decides what is checked and how it is shown.

use crate::cli::{Config, Files, SchemaOf};
use crate::exit::{Exit, Halt};
use crate::output::{Output, complain};
use bulkhead_config::{Environment, Flags, HostConfig, Loaded};
use std::{collections::BTreeSet, path::PathBuf};

/// The files that the command line names, and its environment.
pub(crate) fn flags(files: Files, socket: Option<PathBuf>) -> (Flags, Environment) {
    let Files { config, modules, state, trusted_users } = files;
    (Flags { config, modules, state, socket }, Environment { trusted_users, ..Environment::from_process() })
}

/// `bulkhead config`.
pub(crate) fn run(socket: Option<PathBuf>, command: Config) -> Result<Exit, Halt> {
    let mut output = Output::default();
    let exit = match command {
        Config::Check(files) => {
            let Some(loaded) = load(&flags(files, socket)) else { return Ok(Exit::Usage) };
            loaded.passed_over.iter().for_each(complain);
            let is_right = print_faults(&loaded);
            if let Err(reason) = bulkhead_host::check_programs(&loaded) {
                complain(&reason);
                return Ok(Exit::Usage);
            }
            if !is_right {
                return Ok(Exit::Usage);
            }
            let count = loaded.modules.len();
            let modules = if count == 1 { "1 module".to_owned() } else { format!("{count} modules") };
            output.line(&format!("the configuration is good: {modules}"))?;
            Exit::Done
        }
        Config::Show { files, json } => {
            let Some(loaded) = load(&flags(files, socket)) else { return Ok(Exit::Usage) };
            let shown = bulkhead_config::show(&loaded, json);
            output.line(shown.trim_end_matches('\n'))?;
            if print_faults(&loaded) { Exit::Done } else { Exit::Usage }
        }
        Config::Schema { of } => {
            let of = match of {
                SchemaOf::Module => bulkhead_config::SchemaOf::Module,
                SchemaOf::Host => bulkhead_config::SchemaOf::Host,
            };
            output.line(bulkhead_config::schema(of).trim_end_matches('\n'))?;
            Exit::Done
        }
    };
    output.flush()?;
    Ok(exit)
}

/// Loads everything; each fault of the host's own file is a line of its own, so that an editor can jump to it.
pub(crate) fn load((flags, environment): &(Flags, Environment)) -> Option<Loaded> {
    match HostConfig::load_in(flags.clone(), environment) {
        Ok(loaded) => Some(loaded),
        Err(problems) => {
            problems.iter().for_each(complain);
            None
        }
    }
}

/// Prints each fault of a module in the same way; `false` if there is one.
fn print_faults(loaded: &Loaded) -> bool {
    let faults: BTreeSet<_> = loaded.faulty.iter().flat_map(|faulty| faulty.problems.iter()).collect();
    faults.iter().for_each(complain);
    faults.is_empty()
}
