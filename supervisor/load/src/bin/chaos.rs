//! The program `bulkhead-chaos`; what it does is in the library beside it.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    bulkhead_load::chaos()
}
