//! The exit codes by which processes of modules report how they ended. The core decides what follows;
//! codes of the `bulkhead` command are its own.

/// Something failed, and trying again may help.
pub const EXIT_FAILURE: u8 = 1;

/// A runtime was called in a way that it does not know, or there is no host.
pub const EXIT_USAGE: u8 = 2;

/// A handler panicked, whatever the module is made of.
pub const EXIT_PANICKED: u8 = 101;

/// A module of WebAssembly ran into a trap.
pub const EXIT_TRAP: u8 = 102;

/// A module of WebAssembly passed a limit.
pub const EXIT_LIMIT: u8 = 103;

/// Another start would fail as well: the host does not try.
pub const EXIT_PERMANENT: u8 = 125;

/// What a runtime of modules means by an exit code. A process of another kind may mean something else by it, so the
/// code is to be shown with it.
pub fn meaning(code: i32) -> Option<&'static str> {
    match u8::try_from(code).ok()? {
        EXIT_PANICKED => Some("the code of a panic"),
        EXIT_TRAP => Some("the runtime's code of a trap"),
        EXIT_LIMIT => Some("the runtime's code of a limit that was passed"),
        _ => None,
    }
}
