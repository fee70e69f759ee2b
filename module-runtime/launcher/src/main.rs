//! `module-runtime`: the parent of every module, and the process of those that are no program.
//!
//! It is started by the host and not by people. As `guardian` it starts the processes that the host orders, reports how
//! they end, and kills what they leave behind, also when the host itself is gone; it deliberately knows nothing of
//! modules then: no manifest, no restart, no message of the wire ever passes through it. As `native` and `filter` it is
//! one module, in a process of its own that the guardian started: it speaks the wire for a shared library, or for a
//! program that turns lines into lines. It never loads foreign code where the guardian is.

mod cgroup;
mod child;
mod clearing;
mod descendants;
mod failure;
mod family;
mod filter;
mod guardian;
mod host_socket;
mod memory;
mod native;
mod orders;
mod processes;
mod run;
mod sys;
mod trees;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: module-runtime guardian
       module-runtime native --library PATH
       module-runtime filter --line args|message [--per-message] -- PROGRAM [ARGUMENT]...

The host runs it; there is no reason to run it by hand.

  guardian  Starts and clears the processes of a Bulkhead host. Descriptor 3 must be one end of the
            host's SOCK_SEQPACKET pair.
  native    Is a module that is made of a shared library.
  filter    Is a module that is made of a program which turns a line of JSON into a line of JSON.

Options:
  -h, --help     Print this help
  -V, --version  Print the version

Environment:
  BULKHEAD_CONTAINMENT  `cgroup` or `subreaper`: kill trees in this way or refuse to start
                        [default: cgroup where the kernel lets us, else subreaper]
";

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["guardian"] => guardian::main(),
        ["-h" | "--help" | "help"] => print(USAGE),
        ["-V" | "--version"] => print(concat!("module-runtime ", env!("CARGO_PKG_VERSION"), "\n")),
        ["native", "--library", _] => {
            // As it is: a path need not be UTF-8.
            native::main(std::env::args_os().nth(3).unwrap_or_default().into())
        }
        ["filter", ref arguments @ ..] => match filter::Settings::read(arguments) {
            Ok(settings) => filter::main(&settings),
            Err(problem) => usage(&problem),
        },
        ["native", ..] => usage("expected 'native --library PATH'"),
        [] => usage("a subcommand is missing"),
        ["guardian", extra, ..] => usage(&format!("guardian takes no arguments, found '{extra}'")),
        [other, ..] => usage(&format!("unknown subcommand '{other}', expected guardian, native or filter")),
    }
}

/// A closed standard output is ignored.
fn print(text: &str) -> ExitCode {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn usage(problem: &str) -> ExitCode {
    sys::say(problem);
    sys::write_to_stderr(USAGE.as_bytes());
    ExitCode::from(bulkhead_child::EXIT_USAGE)
}
