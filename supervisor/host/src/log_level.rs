//! The level of a program's own log, as the host's file has it, in the words of `tracing`. Where the log goes is for the
//! program around the host to say.

use bulkhead_config::LogLevel;
use bulkhead_protocol::escape;
use std::fmt::{self, Debug, Write};
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

/// Writes one field of a report as `NAME=VALUE`, its message as it stands. What reports quote of modules, clients and
/// files stays within one line.
///
/// # Errors
/// Those of `writer`.
pub fn write_log_field(writer: &mut dyn Write, name: &str, value: &dyn Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match name {
        "message" => write!(writer, "{}", escape(&value)),
        name => write!(writer, "{name}={}", escape(&value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_several_lines_is_one_line_and_controls_no_terminal() {
        let mut text = String::new();
        write_log_field(&mut text, "message", &format_args!("it said a\nb\u{1b}[2J")).unwrap();
        write_log_field(&mut text, "module", &"x").unwrap();
        assert_eq!(text, r#"it said a\nb\u{1b}[2Jmodule="x""#);
    }
}
