//! The package is for its tests alone: `tests/compile_errors` has the faults that an author can make with the attribute
//! `module`, each with what the compiler prints.

#![forbid(unsafe_code)]
