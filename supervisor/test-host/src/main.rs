//! `bulkhead test-host`: a host for one test. It runs a module with the real core and the real data store in a private
//! folder, and speaks the wire to the test that started it, over its standard input and output.
//!
//! The end of standard input is the end of it all: the modules are stopped and the folder is removed. It decides
//! nothing about modules itself; that is the host's work. What a test asserts is deliberately not known here.

#![forbid(unsafe_code)]

mod cli;
mod ending;
mod fakes;
mod loading;
mod made;
mod overlay;
mod relay;
mod session;
mod start;
mod streams;
mod test_side;
mod waits;

use crate::cli::Options;
use bulkhead_command_line::{answer, refuse_socket};
use clap::{CommandFactory, Parser};
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

/// A fault of the command line, of a manifest or of a setting, as of `bulkhead`.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // The process of a fake is started by the host and by nothing else, so its command line is none for people.
    let mut words = std::env::args_os().skip(1);
    if let (Some(relay::OPTION), Some(socket), None) =
        (words.next().as_deref().and_then(OsStr::to_str), words.next(), words.next())
    {
        return relay::run_process(Path::new(&socket));
    }
    if let Some(code) = answer(Options::command(), std::env::args_os()) {
        return code;
    }
    let options = Options::parse();
    if let Err(fault) = refuse_socket("this host is the test's own; --listen PATH makes it reachable") {
        eprintln!("bulkhead test-host: {fault}");
        return ExitCode::from(USAGE);
    }
    if options.print_manifest {
        return match made::print(&options) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(fault) => {
                eprintln!("bulkhead test-host: {fault}");
                ExitCode::from(USAGE)
            }
        };
    }
    session::run(&options)
}
