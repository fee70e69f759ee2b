//! The `bulkhead` command: runs the daemon, and talks to a running one over its control socket.
//!
//! Each subcommand has a file of its own and ends with an [`exit::Exit`] or an [`exit::Halt`]; this file only calls
//! them and reports how they ended. The commands that talk to a daemon are meant to be called by scripts a thousand
//! times: they start no threads and no runtime. What a daemon does is deliberately not here, but in the crate
//! `bulkhead-host`.

#![forbid(unsafe_code)]

mod amount;
mod cli;
mod commands;
mod complete;
mod config;
mod crashes;
mod daemon;
mod default_folders;
mod describe;
mod exit;
mod failure;
mod follow;
mod generate;
mod last_lines;
mod layer1;
mod lenient;
mod lifecycle;
mod output;
mod own_log;
mod pipe;
mod programs;
mod progress;
mod quarantine;
mod records;
mod replay;
mod request;
mod session;
mod status;
mod streams;
mod style;
mod table;
mod user;
mod waiting;
mod why;

use crate::cli::{Cli, Command, Host};
use crate::exit::{Exit, Halt};
use crate::lifecycle::Action;
use bulkhead_command_line::{arguments, columns, json_argument, json_fault};
use bulkhead_protocol::RequestType;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    // What a shell asks for while its line is being written has no place among the commands.
    if let Some(asked) = complete::Asked::read(&words) {
        return asked.answer().into();
    }
    let cli = match Cli::read(&words) {
        Ok(cli) => cli,
        Err(error) => return instead(error, &words).into(),
    };
    // The daemon handles signals itself.
    let ready = if matches!(cli.command, Command::Run(_)) { Ok(()) } else { session::set_signals() };
    match ready.and_then(|()| dispatch(cli)) {
        Ok(exit) => exit.into(),
        Err(halt) => {
            if !matches!(halt, Halt::ReaderGone) {
                output::complain(&halt);
            }
            halt.exit().into()
        }
    }
}

/// For a command line without a command of `bulkhead`: a program of its own is run, or the error is printed.
fn instead(error: clap::Error, words: &[OsString]) -> Exit {
    if let Some(Err(halt)) = programs::Asked::read(words).map(programs::Asked::run) {
        output::complain(&halt);
        return halt.exit();
    }
    let asked = if error.kind() == ErrorKind::DisplayHelp { describe::asked_for(words) } else { None };
    let without = match asked.map(|(socket, call)| describe::help(socket, &call)) {
        Some(Ok(exit)) => return exit,
        Some(Err(Halt::ReaderGone)) => return Exit::Done,
        Some(Err(halt @ Halt::Answered { .. })) => {
            output::complain(&halt);
            return halt.exit();
        }
        // Without a daemon there still is the help of `call` itself.
        Some(Err(halt)) => Some(halt),
        None => None,
    };
    let error = programs::with_programs_in(error, words);
    output::print_usage(&error);
    if let Some(halt) = without {
        output::complain(&format!("the arguments are not shown: {halt}"));
        return halt.exit();
    }
    // Help is an "error" with the exit code 0.
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

fn dispatch(Cli { host: Host { socket }, command }: Cli) -> Result<Exit, Halt> {
    match command {
        Command::Run(files) => daemon::run(config::flags(files, socket)),
        Command::Status(shown) => {
            status::show(socket, shown.name.as_deref(), shown.json).map_err(records::with_location)
        }
        Command::Why(options) => why::show(socket, &options).map_err(records::with_location),
        Command::Start(targets) => lifecycle::act(socket, Action::Start, targets),
        Command::Stop(targets) => lifecycle::act(socket, Action::Stop, targets),
        Command::Restart(targets) => lifecycle::act(socket, Action::Restart, targets),
        Command::Reload(targets) => lifecycle::act(socket, Action::Reload, targets),
        Command::Call(call) => request::call(socket, &call),
        Command::Describe(options) => describe::show(socket, &options),
        Command::Query(query) => request::data(socket, RequestType::Query, &query),
        Command::Mutate(mutation) => request::data(socket, RequestType::Mutation, &mutation),
        Command::Pipe(options) => pipe::run(socket, &options),
        Command::Emit(emit) => request::emit(socket, &emit),
        Command::Events(options) => follow::events(socket, options),
        Command::Logs { name, follow, lines, json } => {
            follow::logs(socket, &name, lines, follow, json).map_err(records::with_location)
        }
        Command::Crashes { name, limit, json } => {
            crashes::show(socket, name.as_deref(), limit, json).map_err(records::with_location)
        }
        Command::Replay(options) => replay::run(socket, &options),
        Command::Quarantine { command } => quarantine::run(socket, command),
        Command::Wait(wait) => lifecycle::wait(socket, &wait),
        Command::Layer1(command) => layer1::run(socket, command),
        Command::Config(command) => config::run(socket, command),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { dir } => generate::man(dir.as_deref()),
    }
}
