//! What a module prints, as lines: what a line is, and where the last of them are kept. How bytes become
//! lines is in [`splitter`], where the lines go in [`crate::log_reader`].

mod cutting;
mod splitter;
mod tail;

pub(crate) use splitter::{Bounds, Splitter};
pub(crate) use tail::Tail;

use crate::clock::wall_clock;
use std::sync::Arc;

/// Which of a module's streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The host's own notice.
    Host,
}

impl Stream {
    /// The one of this name.
    pub(crate) fn of(name: &str) -> Option<Stream> {
        [Stream::Stdout, Stream::Stderr, Stream::Host].into_iter().find(|stream| stream.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::Host => "host",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// When it was read, as RFC 3339.
    pub(crate) time: Arc<str>,
    pub(crate) stream: Stream,
    pub(crate) text: Arc<str>,
}

/// What a line costs beside its text; without it, empty lines would be kept without a bound.
const LINE_OVERHEAD_BYTES: usize = 128;

impl Line {
    pub(crate) fn new(stream: Stream, text: String) -> Line {
        Line { time: wall_clock().into(), stream, text: text.into() }
    }

    /// As it is written in a file. That is read in a terminal, and by programs for which more than a line feed ends a
    /// line.
    pub(crate) fn as_written(&self) -> String {
        format!("{} {} {}", self.time, self.stream.name(), bulkhead_protocol::escape(&self.text))
    }

    /// The bytes that it takes where it is kept.
    pub(crate) fn held_bytes(&self) -> usize {
        self.text.len() + LINE_OVERHEAD_BYTES
    }
}

/// The level of a line that is a JSON object with `level` and `message`.
pub(crate) fn level(line: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Structured {
        level: String,
        #[serde(rename = "message")]
        _message: serde::de::IgnoredAny,
    }
    if !line.starts_with('{') {
        return None;
    }
    let structured: Structured = serde_json::from_str(line).ok()?;
    (structured.level.len() <= 16).then(|| structured.level.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structured_line_keeps_its_level() {
        assert_eq!(level(r#"{"level":"WARN","message":"x"}"#).as_deref(), Some("warn"));
        assert_eq!(level(r#"{"level":"warn"}"#), None);
        assert_eq!(level("warn: x"), None);
    }
}
