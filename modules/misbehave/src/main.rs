//! A module that does on command everything that a child process can do wrong, so that tests can show that it costs the
//! others nothing. It is no example of how to write a module; that is `test-minimal`.
//!
//! Most faults are commands; `misbehave --list` prints them all. Those before readiness are chosen by
//! `--at-start NAME` or by the variable `MISBEHAVE_AT_START`. Every fault is announced on standard
//! error before it is done. It deliberately harms nothing outside its own process tree and channel.

mod at_start;
mod copies;
mod dying;
mod family;
mod faults;
mod good;
mod hanging;
mod module;
mod output;
mod raw;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--list"] => faults::list(faults::Form::Text),
        ["--list", "--json"] => faults::list(faults::Form::Json),
        ["--descendant", rest @ ..] => return family::descendant(rest),
        ["--at-start", name] => return at_start::commit(name),
        [] => match std::env::var("MISBEHAVE_AT_START") {
            Ok(name) => return at_start::commit(&name),
            Err(_) => {
                raw::keep();
                return bulkhead_module::run::<module::Misbehave>();
            }
        },
        _ => {
            eprintln!("misbehave: expected no arguments, --list [--json] or --at-start NAME, found {args:?}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
