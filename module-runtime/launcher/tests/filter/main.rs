//! `module-runtime filter` with real programs: the tests play the host over a socket.

mod command_line;
mod ends;
mod processes;
mod single;
mod stream;
mod support;
