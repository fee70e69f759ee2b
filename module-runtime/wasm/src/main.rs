//! `module-runtime-wasm`: runs one WebAssembly module as a child of a Bulkhead host.
//!
//! To the host it is a process that speaks the wire, as every module is. What it adds is the border to the module: the
//! functions that the module exports, the functions that it may import, and the limits on both. It deliberately
//! restarts nothing beyond the manifest's policy for one instance, supervises nothing, and runs one module only, on one
//! thread.

mod arguments;
mod budget;
mod cache;
mod engine;
mod exports;
mod guest;
mod imports;
mod instance;
mod limits;
mod load;
mod memory;
mod scoped_host;
mod stop;
#[cfg(test)]
mod testing;
mod wasi;

use arguments::Invocation;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: module-runtime-wasm run --module FILE [OPTIONS]

Runs one WebAssembly module for a Bulkhead host. The host runs it; there is no reason to run it by
hand. All paths are absolute.

Options:
      --module FILE            The module, in the binary format
      --cache DIR              Keep compiled code here [default: compile at each start]
      --memory-limit BYTES     Most memory of the module [default: none, 4 GiB by its nature]
      --cpu-time-limit-ms MS   Most processor time of one message [default: none]
      --on-limit WHAT          After a limit was passed: restart, or continue in a fresh instance
                               [default: restart]
      --data-dir               Show the module its data folder as /data
      --read PATH=GUEST        Show the module the folder PATH as GUEST, for reading
      --write PATH=GUEST       The same for reading and writing
  -h, --help                   Print this help
  -V, --version                Print the version

Environment:
  BULKHEAD_GUEST_ENV  The variables that the module sees, as a JSON object of texts [default: none];
                      those of this process are not among them
";

/// The stack of the thread that runs the module: what [`engine`] leaves to the module, and as much
/// again and more for what the runtime does below it. The system's default may be smaller.
const STACK_BYTES: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let handed = std::env::var_os(bulkhead_protocol::GUEST_ENVIRONMENT_VARIABLE);
    let asked = arguments::parse(std::env::args_os().skip(1)).and_then(|mut invocation| {
        if let Invocation::Run(options) = &mut invocation {
            options.grants.environment = arguments::environment(handed)?;
        }
        Ok(invocation)
    });
    match asked {
        Ok(Invocation::Run(options)) => {
            let serve = move || bulkhead_child::run(guest::WasmGuest::new(*options));
            let thread = std::thread::Builder::new().name("module".into()).stack_size(STACK_BYTES).spawn(serve);
            match thread.map(std::thread::JoinHandle::join) {
                Ok(Ok(code)) => code,
                // The panic is in the log already; for the host this code means a panic.
                Ok(Err(_)) => ExitCode::from(bulkhead_child::EXIT_PANICKED),
                Err(error) => {
                    bulkhead_child::log!(error, "cannot start the module's thread: {error}");
                    ExitCode::from(bulkhead_child::EXIT_FAILURE)
                }
            }
        }
        Ok(Invocation::Help) => print(USAGE),
        Ok(Invocation::Version) => print(concat!("module-runtime-wasm ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(problem) => {
            eprint!("module-runtime-wasm: {problem}\n{USAGE}");
            ExitCode::from(bulkhead_child::EXIT_USAGE)
        }
    }
}

/// A closed standard output is ignored.
fn print(text: &str) -> ExitCode {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
