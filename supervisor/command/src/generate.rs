//! Completions and manual pages, made from the definitions of the command line.

use crate::cli::Cli;
use crate::exit::{Exit, Halt};
use crate::output::Output;
use clap::CommandFactory;
use std::fs;
use std::path::Path;

/// `bulkhead completions`.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit, Halt> {
    let mut output = Output::default();
    clap_complete::generate(shell, &mut Cli::command(), "bulkhead", output.buffer());
    output.flush()?;
    Ok(Exit::Done)
}

/// `bulkhead man`.
pub(crate) fn man(folder: Option<&Path>) -> Result<Exit, Halt> {
    let Some(folder) = folder else {
        let mut output = Output::default();
        clap_mangen::Man::new(Cli::command()).render(output.buffer()).map_err(Halt::output)?;
        output.flush()?;
        return Ok(Exit::Done);
    };
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| Halt::Failed(format!("{}: {error}", folder.display())))?;
    Ok(Exit::Done)
}
