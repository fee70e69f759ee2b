//! The host of Bulkhead: runs modules as child processes, supervises them, and routes messages
//! between them, its clients and itself.
//!
//! [`Supervisor`] is the host as a library: it lives on a thread of its own, and the program around
//! it talks to it through the same messages as everybody else. The `bulkhead` command runs the same
//! as a daemon. What is decided is decided in `bulkhead-core`; this crate is what waits: sockets,
//! pipes, the guardian process, clocks and files. It never loads foreign code.

mod alarm;
mod builtin;
mod clients;
mod clock;
mod control_socket;
mod crashes;
mod endings;
mod guardian;
mod host;
mod identity;
mod inherited;
mod launch;
mod layer1;
mod link;
mod log_files;
mod log_lines;
mod loop_;
mod memory_kills;
mod notify;
mod processes;
mod release;
mod runtimes;
mod signals;
mod sources;
mod state_dir;
mod status;
mod strangers;
mod supervisor;
mod sys;

pub use inherited::take_over_process;
pub use runtimes::check_programs;
pub use supervisor::{Options, Reloader, StartError, Supervisor};
