//! The program `bulkhead-bench`; what it does is in the library beside it.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    bulkhead_load::bench()
}
