//! `module-runtime native` with a test in place of its host, and libraries in C in place of good ones: what is
//! answered, what is reported when a library ends the process, and that no answer harms more than itself. The C files
//! beside this are built by the tests.

mod answers;
mod copies;
mod endings;
mod fuzz;
mod growth;
mod header;
mod host;
mod loading;
mod support;
