//! The level of a program's own log, as the host's file has it, in the words of `tracing`. Where the log goes is for the
//! program around the host to say.

use bulkhead_config::LogLevel;
use tracing::Level;

/// The level up to which `tracing` is to let reports through.
pub fn tracing_level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}
