//! The specimen as an executable.

#![forbid(unsafe_code)]

bulkhead_module::main!(specimen::Specimen);
