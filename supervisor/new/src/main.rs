//! `bulkhead new`: makes the folder of a module that runs at once, and says what to type next. The command `bulkhead`
//! runs it as a program of its own.
//!
//! It builds nothing, starts nothing and loads nothing: the commands that do so are printed. A folder is made whole or
//! not at all, and nothing that is there is changed.

#![forbid(unsafe_code)]

mod arguments;
mod here;
mod language;
mod manifest;
mod next;
mod place;
mod sdk;
mod template;
mod tools;

use anyhow::{Result, bail};
use arguments::{Arguments, Asked};
use clap::{CommandFactory, Parser};
use next::Next;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = bulkhead_command_line::answer(Arguments::command(), std::env::args_os()) {
        return code;
    }
    let asked = match Arguments::try_parse().and_then(Arguments::check) {
        Ok(asked) => asked,
        Err(error) => error.exit(),
    };
    match run(&asked).and_then(|text| Ok(std::io::stdout().write_all(text.as_bytes())?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulkhead: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes what was asked for, and returns what is printed.
fn run(asked: &Asked) -> Result<String> {
    match asked {
        Asked::Folder { name, language, kind, parent, unchecked } => {
            let sdk = sdk::find();
            if !unchecked && let Some(lack) = tools::lack(*language, *kind) {
                bail!("nothing was made: {lack}; --no-check makes the folder without it");
            }
            let files = template::files(name, *language, *kind, &sdk)?;
            let folder = place::make(parent, name.as_str(), &files)?;
            let what = format!("a {} in {}", kind.noun(), language.title());
            let next = Next::find(name.as_str(), &folder, template::build(*language, *kind), Some(template::CALL));
            Ok(report(&folder, &what, &place::shown(&files), &next))
        }
        Asked::Here { name, kind, command, unchecked } => {
            let folder = here::make(name, *kind, command, &sdk::find(), *unchecked)?;
            let next = Next::find(name.as_str(), &folder, None, None);
            Ok(report(&folder, &format!("a {}", kind.noun()), "module.toml", &next))
        }
    }
}

fn report(folder: &Path, what: &str, files: &str, next: &Next) -> String {
    let mut text = format!("Made {}, {what}: {files}\n\n", folder.display());
    for note in &next.notes {
        text += &format!("{note}\n\n");
    }
    text += "Type next:\n\n";
    for command in &next.commands {
        text += &format!("  {command}\n");
    }
    text
}
