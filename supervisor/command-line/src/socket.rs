//! `bulkhead --socket PATH NAME`: the program `bulkhead-NAME` gets the path in its environment, where it cannot be
//! mistaken for a word of its own, with where it came from: what a person has just typed is refused where it has no
//! meaning, and a variable that stands in a shell's environment is not.

use std::env;

/// The control socket.
pub const SOCKET: &str = "BULKHEAD_SOCKET";

/// Where the value of [`SOCKET`] came from.
pub const SOCKET_ORIGIN: &str = "BULKHEAD_SOCKET_ORIGIN";

/// The value of [`SOCKET_ORIGIN`] where `--socket` named the socket.
const OPTION: &str = "--socket";

/// Where a control socket was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOrigin {
    /// By `--socket` before the name of this program.
    Option,
    /// By a variable of the environment, or nowhere.
    Environment,
}

impl SocketOrigin {
    /// The value of [`SOCKET_ORIGIN`] for a program that is run; `None` if it has none.
    pub fn value(self) -> Option<&'static str> {
        match self {
            SocketOrigin::Option => Some(OPTION),
            SocketOrigin::Environment => None,
        }
    }
}

/// Where this program's control socket was named.
pub fn socket_origin() -> SocketOrigin {
    match env::var_os(SOCKET_ORIGIN) {
        Some(value) if value == OPTION => SocketOrigin::Option,
        Some(_) | None => SocketOrigin::Environment,
    }
}

/// For a program that reaches no daemon.
///
/// # Errors
/// A sentence, if `--socket` was given before its name.
pub fn refuse_socket(why: &str) -> Result<(), String> {
    match socket_origin() {
        SocketOrigin::Option => Err(format!("--socket has no meaning here: {why}; leave it out")),
        SocketOrigin::Environment => Ok(()),
    }
}
