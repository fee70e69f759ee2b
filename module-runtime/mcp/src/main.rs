//! `module-runtime-mcp`: runs one MCP server as a child of a Bulkhead host.
//!
//! To the host it is a process that speaks the wire, as every module is. To the server it is an MCP client, over the
//! server's standard input and output. The tools of the server are the commands of the module. It deliberately restarts
//! nothing: it ends with the server, and the host's policy is in force as for any other module.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | shut down, or the host is gone |
//! | 1 | the server ended or was ended, it did not start, or the channel broke |
//! | 2 | wrong usage, or there is no host |
//! | 125 | the program is not there or cannot be executed, or the host speaks another version of the wire |

mod answer;
mod arguments;
mod call;
mod lines;
mod message;
mod open;
mod program;
mod serve;
mod session;
mod tools;

use arguments::Invocation;
use bulkhead_child::{EXIT_FAILURE, EXIT_USAGE, log};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: module-runtime-mcp run -- PROGRAM [ARGUMENT...]

Runs one MCP server for a Bulkhead host. The host runs it; there is no reason to run it by hand.

Options:
  -h, --help     Print this help
  -V, --version  Print the version
";

fn main() -> ExitCode {
    match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Run(command)) => run(&command),
        Ok(Invocation::Help) => print(USAGE),
        Ok(Invocation::Version) => print(concat!("module-runtime-mcp ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(problem) => {
            eprint!("module-runtime-mcp: {problem}\n{USAGE}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn run(command: &[String]) -> ExitCode {
    // One thread: the server's process is to end with the thread that started it, and the order in which tasks run is
    // the order in which their events came.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log!(error, "cannot wait for the host and the MCP server: {error}");
            return ExitCode::from(EXIT_FAILURE);
        }
    };
    let code = runtime.block_on(serve::serve(command));
    // Requests without an answer stay without one, so that the host learns of them from the end of this process.
    std::process::exit(code.into());
}

/// A closed standard output is ignored.
fn print(text: &str) -> ExitCode {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
