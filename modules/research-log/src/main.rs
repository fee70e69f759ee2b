//! The research log as a program.

#![forbid(unsafe_code)]

bulkhead_module::main!(research_log::ResearchLog);
