//! `bulkhead describe`, and the help of one command of a module: what a module says of itself, asked of the daemon and
//! shown as a page. What a schema means to a person is in `schema`; nothing is ever checked by one.

mod model;
mod page;
mod schema;

use crate::cli::{Call, Cli, Command, Describe};
use crate::exit::{Exit, Halt};
use crate::lifecycle::{data_of, to_supervisor};
use crate::output::{Output, with_schema};
use crate::session::Session;
use crate::style::{Style, width_of_stdout};
use bulkhead_protocol::Json;
use model::Description;
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use schema::arguments;

/// The host answers from its memory.
const TIMEOUT_MS: u64 = 10_000;

/// `bulkhead describe`.
pub(crate) fn show(socket: Option<PathBuf>, options: &Describe) -> Result<Exit, Halt> {
    let data = ask(socket, &options.name, options.command.as_deref())?;
    let mut output = Output::default();
    if options.json {
        output.json_line(&with_schema(data.as_str()))?;
    } else {
        let text = page::whole(&options.name, &read(&data)?, Style::of_stdout(), width_of_stdout());
        output.buffer().extend_from_slice(text.as_bytes());
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// The module and command whose help a command line asks for: `call NAME COMMAND --help`.
pub(crate) fn asked_for(words: &[OsString]) -> Option<(Option<PathBuf>, Call)> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let is_help = |word: &OsString| word == "--help" || word == "-h";
    let rest: Vec<OsString> = words
        .iter()
        .enumerate()
        .filter(|(at, word)| *at >= end || !is_help(word))
        .map(|(_, word)| word.clone())
        .collect();
    if rest.len() == words.len() {
        return None;
    }
    match Cli::read(&rest).ok()? {
        Cli { host, command: Command::Call(call) } if call.command.is_some() => Some((host.socket, call)),
        _ => None,
    }
}

/// Shows how one command of a module is called.
pub(crate) fn help(socket: Option<PathBuf>, call: &Call) -> Result<Exit, Halt> {
    let data = ask(socket, &call.name, call.command.as_deref())?;
    let mut output = Output::default();
    let text = page::help(&call.name, &read(&data)?, Style::of_stdout(), width_of_stdout());
    output.buffer().extend_from_slice(text.as_bytes());
    output.flush()?;
    Ok(Exit::Done)
}

fn ask(socket: Option<PathBuf>, name: &str, command: Option<&str>) -> Result<Json, Halt> {
    let mut args = serde_json::json!({ "name": name });
    if let Some(command) = command {
        args["command"] = command.into();
    }
    let mut request = to_supervisor("describe", &args.into());
    request.deadline_ms = Some(TIMEOUT_MS);
    data_of(Session::open(socket)?.ask(&request, |_| {})?.status, name)
}

fn read(data: &Json) -> Result<Description, Halt> {
    data.read().map_err(|error| Halt::Failed(format!("the host's answer is not understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_after_a_command_of_a_module_is_that_of_the_command() {
        let asked = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            asked_for(&words).map(|(socket, call)| (socket, call.name, call.command.unwrap()))
        };
        let expected = |socket: Option<&str>| Some((socket.map(PathBuf::from), "a".to_owned(), "b".to_owned()));
        assert_eq!(asked("bulkhead call a b --help"), expected(None));
        assert_eq!(asked("bulkhead call a b x=1 -h"), expected(None));
        assert_eq!(asked("bulkhead --socket /s call --help a b"), expected(Some("/s")));
        for line in ["call a --help", "call --help", "call a b", "call a b -- --help", "query a {} --help", "--help"] {
            assert_eq!(asked(&format!("bulkhead {line}")), None, "{line}");
        }
    }
}
