//! The module as a program.

#![forbid(unsafe_code)]

bulkhead_module::main!(test_minimal::Minimal);
