//! Log lines: one JSON object a line on standard error, which the host keeps with its level. Where
//! there is no standard error of one's own, lines go where [`redirect`] says.

use std::fmt::Arguments;
#[cfg(unix)]
use std::fs::File;
use std::io::{self, Write};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;

static SINK: OnceLock<fn(Level, &str)> = OnceLock::new();

/// Standard error as the process found it.
#[cfg(unix)]
static OWN: OnceLock<File> = OnceLock::new();

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For developers of the module.
    Debug,
    /// Something worth knowing happened.
    Info,
    /// Something is wrong, and the module goes on.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// The level of this name; any other is `info`.
    pub fn from_name(name: &str) -> Level {
        match name {
            "debug" => Level::Debug,
            "warn" => Level::Warn,
            "error" => Level::Error,
            _ => Level::Info,
        }
    }

    /// The name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// Writes one line, like `log!(warn, "{} entries skipped", n)`.
#[macro_export]
macro_rules! log {
    (debug, $($message:tt)+) => { $crate::log::line($crate::log::Level::Debug, ::std::format_args!($($message)+)) };
    (info, $($message:tt)+) => { $crate::log::line($crate::log::Level::Info, ::std::format_args!($($message)+)) };
    (warn, $($message:tt)+) => { $crate::log::line($crate::log::Level::Warn, ::std::format_args!($($message)+)) };
    (error, $($message:tt)+) => { $crate::log::line($crate::log::Level::Error, ::std::format_args!($($message)+)) };
}

/// From now on lines go to `sink`. The first call decides, for the whole process.
pub fn redirect(sink: fn(Level, &str)) {
    let _ = SINK.set(sink);
}

/// Writes one line.
pub fn line(level: Level, message: Arguments<'_>) {
    SINK.get().copied().unwrap_or(to_standard_error)(level, &message.to_string());
}

/// Keeps standard error for what is written here, whatever becomes of descriptor 2: a module may close it, and the next
/// file that it opens gets that number. To be called before any of its code runs.
#[cfg(unix)]
pub fn keep_standard_error() {
    // If no descriptor is free, descriptor 2 itself is used.
    if let Ok(own) = io::stderr().as_fd().try_clone_to_owned() {
        let _ = OWN.set(own.into());
    }
}

/// What [`keep_standard_error`] kept.
#[cfg(unix)]
pub fn kept_standard_error() -> Option<BorrowedFd<'static>> {
    OWN.get().map(File::as_fd)
}

/// Writes one line to standard error, also after [`redirect`]. A closed standard error is ignored.
pub fn to_standard_error(level: Level, message: &str) {
    let mut line = format(level, message);
    line.push('\n');
    // One call, so that lines of different threads do not mix.
    #[cfg(unix)]
    if let Some(mut own) = OWN.get() {
        let _ = own.write_all(line.as_bytes());
        return;
    }
    let _ = io::stderr().write_all(line.as_bytes());
}

fn format(level: Level, message: &str) -> String {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        level: &'a str,
        message: &'a str,
    }
    serde_json::to_string(&Line { level: level.name(), message }).expect("two texts can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_found_by_its_name_and_any_other_name_is_info() {
        for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
            assert_eq!(Level::from_name(level.name()), level);
        }
        assert_eq!(Level::from_name("WARN"), Level::Info);
    }

    #[test]
    fn a_line_is_one_json_object_with_level_and_message() {
        assert_eq!(format(Level::Warn, "two\nlines"), r#"{"level":"warn","message":"two\nlines"}"#);
    }
}
