//! Completions and manual pages, made from the definitions of the command line.

use crate::cli::Cli;
use crate::complete;
use crate::exit::{Exit, Halt};
use crate::output::Output;
use crate::programs::{Described, with_programs};
use bulkhead_command_line as manual;
use clap::{Command, CommandFactory};
use std::path::Path;
use std::{fs, io};

/// `bulkhead completions`.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit, Halt> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut with_programs(Cli::command(), Described::ByName), "bulkhead", &mut script);
    let script = String::from_utf8(script).expect("it is made of names and help, which are texts");
    let script = complete::with_live(shell, script).map_err(Halt::Failed)?;
    let mut output = Output::default();
    output.buffer().extend_from_slice(script.as_bytes());
    output.flush()?;
    Ok(Exit::Done)
}

/// `bulkhead man`.
pub(crate) fn man(folder: Option<&Path>) -> Result<Exit, Halt> {
    let Some(folder) = folder else {
        let mut output = Output::default();
        manual::page(&whole(), output.buffer()).map_err(Halt::output)?;
        output.flush()?;
        return Ok(Exit::Done);
    };
    fs::create_dir_all(folder)
        .and_then(|()| write_pages(&whole(), folder))
        .map_err(|error| Halt::Failed(format!("{}: {error}", folder.display())))?;
    Ok(Exit::Done)
}

/// The command line with the names of all commands in full.
fn whole() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Writes the page of a command, and those of the commands below it.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below, folder)?;
    }
    let mut page = Vec::new();
    manual::page(command, &mut page)?;
    fs::write(folder.join(format!("{}.1", command.get_display_name().unwrap_or(command.get_name()))), page)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All commands, those below others included.
    fn all(command: &Command) -> Vec<&Command> {
        let below = command.get_subcommands().flat_map(all);
        std::iter::once(command).chain(below).collect()
    }

    #[test]
    fn lines_of_the_help_that_stand_as_they_are_fit_into_80_columns() {
        let whole = Cli::command();
        for command in all(&whole) {
            let help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
            for line in help.unwrap_or_default().lines().filter(|line| line.starts_with("  ")) {
                assert!(crate::columns::width_of(line) <= 80, "{}: {line}", command.get_name());
            }
        }
    }
}
