//! What the command line of `bulkhead` and those of the programs beside it share: manual pages and completions, which
//! are made from the definitions, the arguments of a call, what becomes of `--socket` before the name of such a program,
//! the private folder of a program that runs a host for a while, and words that are printed for a shell. Which commands
//! and options there are is not known here.

#![forbid(unsafe_code)]

pub mod arguments;
mod beside;
pub mod columns;
mod duration;
pub mod json_argument;
pub mod json_fault;
mod manual;
mod private_folder;
mod shell;
mod socket;
mod stdin;

pub use beside::{ASKED_FOR_COMPLETIONS, ASKED_FOR_PAGE, answer};
pub use duration::parse_duration;
pub use json_argument::BadArgument;
pub use manual::page;
pub use private_folder::{Fate, PrivateFolder};
pub use shell::shell_word;
pub use socket::{SOCKET, SOCKET_ORIGIN, SocketOrigin, refuse_socket, socket_origin};
pub use stdin::Stdin;
