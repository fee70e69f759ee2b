//! The host of Bulkhead: runs modules as child processes, supervises them, and routes messages
//! between them, its clients and itself.
//!
//! [`Host`] is the host as a library: it runs on a thread of its own, and the program around
//! it uses it through the same messages as every other client. The `bulkhead` command runs the same
//! as a daemon. `bulkhead-core` decides; this crate is what waits: sockets,
//! pipes, the guardian process, clocks and files. It never loads foreign code.
//!
//! The host's thread does nothing that may wait. `clippy.toml` forbids the calls; the modules that may make them say
//! here where that is done.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may wait; what is tested is looked at without them")
)]

mod alarm;
mod builtin;
mod clients;
mod clock;
mod commands;
#[allow(clippy::disallowed_methods, reason = "done by the file layer")]
mod control_socket;
#[cfg(test)]
#[path = "../../../protocol/tests/counting/mod.rs"]
mod counting;
mod crashes;
mod describe;
#[allow(clippy::disallowed_methods, reason = "the program around the host waits, and the host before it is up")]
mod embedded;
mod event_loop;
mod exit_status;
#[allow(clippy::disallowed_methods, reason = "done by the file layer")]
mod files;
#[allow(clippy::disallowed_methods, reason = "called by the log files' thread, and before the host is up")]
mod folder;
mod followers;
#[allow(clippy::disallowed_methods, reason = "done by the file layer")]
mod guardian;
mod handle;
#[allow(clippy::disallowed_methods, reason = "done by the file layer")]
mod history;
#[allow(clippy::disallowed_methods, reason = "called before the host is up")]
mod identity;
mod inherited;
mod launch;
mod layer1;
mod link;
#[allow(clippy::disallowed_methods, reason = "a thread of its own")]
mod log_files;
mod log_level;
mod log_lines;
#[allow(clippy::disallowed_methods, reason = "a thread of its own")]
mod log_reader;
mod logs;
mod long_reader;
#[allow(clippy::disallowed_methods, reason = "done by the file layer")]
mod memory_kills;
mod module_log;
#[allow(clippy::disallowed_methods, reason = "a thread of its own, while the host is not up")]
mod notify;
#[allow(clippy::disallowed_methods, reason = "done by the file layer")]
mod observation;
mod portion;
#[allow(clippy::disallowed_methods, reason = "done by the file layer")]
mod processes;
mod quarantine;
mod readings;
#[allow(clippy::disallowed_methods, reason = "called by the log files' thread, and before the host is up")]
mod records;
mod release;
#[allow(clippy::disallowed_methods, reason = "called by the file layer, and before the host is up")]
mod runtimes;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "for tests")]
mod scratch;
mod signals;
mod sources;
#[allow(clippy::disallowed_methods, reason = "for a program around no host, which may wait")]
mod starter;
mod state;
#[allow(clippy::disallowed_methods, reason = "called by the file layer, and before the host is up")]
mod state_dir;
mod status;
mod strangers;
mod sys;
#[allow(clippy::disallowed_methods, reason = "done by the file layer")]
mod tracers;
#[allow(clippy::disallowed_methods, reason = "called by the file layer")]
mod tree_memory;
#[allow(clippy::disallowed_methods, reason = "a thread of its own")]
mod watch;
mod why;

pub use embedded::{Host, Options, Reloader, StartError};
#[doc(hidden)]
pub use files::Gate;
pub use handle::Handle;
pub use inherited::take_over_process;
pub use log_level::{tracing_level, write_log_field};
pub use runtimes::{RuntimeError, check_programs};
pub use starter::{Starter, Surroundings};
pub use sys::is_ignored;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;
