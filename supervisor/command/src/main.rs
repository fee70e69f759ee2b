//! The `bulkhead` command: runs the daemon, and talks to a running one over its control socket.
//!
//! Each subcommand has a file of its own and ends with an [`exit::Exit`] or an [`exit::Halt`]; this
//! file only sends them on their way and has the last word. The commands that talk to a daemon are
//! meant to be called by scripts a thousand times: they start no threads and no runtime. What a
//! daemon does is deliberately not here, but in the crate `bulkhead-supervisor`.

#![forbid(unsafe_code)]

mod amount;
mod cli;
mod config;
mod crashes;
mod daemon;
mod exit;
mod failure;
mod follow;
mod generate;
mod json_argument;
mod layer1;
mod lifecycle;
mod output;
mod pipe;
mod progress;
mod request;
mod session;
mod status;
mod style;
mod table;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Halt};
use crate::lifecycle::Action;
use bulkhead_protocol::RequestType;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help is an "error" with the exit code 0; that nobody reads it is none at all.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    match dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(halt) => {
            if !matches!(halt, Halt::ReaderGone) {
                output::complain(&halt);
            }
            halt.exit().into()
        }
    }
}

fn dispatch(Cli { socket, command }: Cli) -> Result<Exit, Halt> {
    match command {
        Command::Run(files) => daemon::run(config::flags(files, socket)),
        Command::Status { name, json } => status::show(socket, name.as_deref(), json),
        Command::Start(targets) => lifecycle::act(socket, Action::Start, targets),
        Command::Stop(targets) => lifecycle::act(socket, Action::Stop, targets),
        Command::Restart(targets) => lifecycle::act(socket, Action::Restart, targets),
        Command::Reload(targets) => lifecycle::act(socket, Action::Reload, targets),
        Command::Call { name, command, json, options } => {
            request::call(socket, &name, &command, json.as_deref(), &options)
        }
        Command::Query { name, json, options } => request::data(socket, RequestType::Query, &name, &json, &options),
        Command::Mutate { name, json, options } => request::data(socket, RequestType::Mutation, &name, &json, &options),
        Command::Pipe(options) => pipe::run(socket, &options),
        Command::Emit { event, json } => request::emit(socket, &event, json.as_deref()),
        Command::Events(options) => follow::events(socket, options),
        Command::Logs { name, follow, lines, json } => follow::logs(socket, &name, lines, follow, json),
        Command::Crashes { name, json } => crashes::show(socket, name.as_deref(), json),
        Command::Wait { name, condition, timeout, json } => lifecycle::wait(socket, &name, condition, timeout, json),
        Command::Layer1(command) => layer1::run(socket, command),
        Command::Config(command) => config::run(socket, command),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { dir } => generate::man(dir.as_deref()),
    }
}
