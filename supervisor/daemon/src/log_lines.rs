//! Cuts what a module prints into lines, marks what is odd about them, and bounds their rate. Where
//! the lines go is [`crate::log_files`]'s business.

use crate::clock::wall_clock;
use bulkhead_core::Time;
use std::{collections::VecDeque, sync::Arc};

/// Which of a module's streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The host's own remark.
    Host,
}

impl Stream {
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

impl Line {
    pub(crate) fn new(stream: Stream, text: String) -> Line {
        Line { time: wall_clock().into(), stream, text: text.into() }
    }
}

/// Bounds of what a process may print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) line_bytes_max: usize,
    pub(crate) lines_per_second: u32,
    pub(crate) burst: u32,
}

/// The marker behind a line that was cut.
const CUT: &str = " […cut]";

/// One stream of one process.
#[derive(Debug)]
pub(crate) struct Splitter {
    stream: Stream,
    bounds: Bounds,
    /// A line whose end has not come.
    partial: Vec<u8>,
    /// Bytes of the current line that were dropped because it is too long.
    is_cut: bool,
    tokens: f64,
    filled_at: Option<Time>,
    dropped: u64,
}

impl Splitter {
    pub(crate) fn new(stream: Stream, bounds: Bounds) -> Splitter {
        let tokens = f64::from(bounds.burst);
        Splitter { stream, bounds, partial: Vec::new(), is_cut: false, tokens, filled_at: None, dropped: 0 }
    }

    /// Takes what was read and hands every whole line to `each`.
    pub(crate) fn feed(&mut self, now: Time, mut bytes: &[u8], each: &mut impl FnMut(Line)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            self.finish_line(now, each);
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// The stream has ended: an unfinished line counts as one, and what was dropped is told.
    pub(crate) fn finish(&mut self, now: Time, each: &mut impl FnMut(Line)) {
        if !self.partial.is_empty() || self.is_cut {
            self.finish_line(now, each);
        }
        self.tell_dropped(each);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = self.bounds.line_bytes_max - self.partial.len().min(self.bounds.line_bytes_max);
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.is_cut |= bytes.len() > room;
    }

    fn finish_line(&mut self, now: Time, each: &mut impl FnMut(Line)) {
        if self.may_pass(now) {
            self.tell_dropped(each);
            let mut line = self.partial.as_slice();
            if let [rest @ .., b'\r'] = line {
                line = rest;
            }
            // Invalid UTF-8 becomes U+FFFD, which marks its place.
            let mut text = String::from_utf8_lossy(line).into_owned();
            if self.is_cut {
                text.push_str(CUT);
            }
            each(Line::new(self.stream, text));
        } else {
            self.dropped += 1;
        }
        self.partial.clear();
        self.is_cut = false;
    }

    fn tell_dropped(&mut self, each: &mut impl FnMut(Line)) {
        if self.dropped > 0 {
            let text = format!(
                "[{} lines of {} were dropped: more than {} a second]",
                self.dropped,
                self.stream.name(),
                self.bounds.lines_per_second
            );
            each(Line::new(Stream::Host, text));
            self.dropped = 0;
        }
    }

    fn may_pass(&mut self, now: Time) -> bool {
        let elapsed = now.since(self.filled_at.replace(now).unwrap_or(now)).as_secs_f64();
        let refill = elapsed * f64::from(self.bounds.lines_per_second);
        self.tokens = (self.tokens + refill).min(f64::from(self.bounds.burst));
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// What a line costs beside its text; without it, empty lines would be kept without a bound.
const LINE_OVERHEAD_BYTES: usize = 64;

/// The last lines of a module, within a number of bytes.
#[derive(Debug)]
pub(crate) struct Tail {
    lines: VecDeque<(u64, Line)>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Tail {
        Tail { lines: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Keeps a line; `run` tells which process said it.
    pub(crate) fn push(&mut self, run: u64, line: Line) {
        self.bytes += line.text.len() + LINE_OVERHEAD_BYTES;
        self.lines.push_back((run, line));
        while self.bytes > self.bytes_max && self.lines.len() > 1 {
            if let Some((_, line)) = self.lines.pop_front() {
                self.bytes -= line.text.len() + LINE_OVERHEAD_BYTES;
            }
        }
    }

    /// The last `most` lines, oldest first.
    pub(crate) fn last(&self, most: usize) -> impl Iterator<Item = &Line> {
        self.lines.iter().skip(self.lines.len().saturating_sub(most)).map(|(_, line)| line)
    }

    /// The last lines of one process's standard error, oldest first: at most `most`, and all but the
    /// last one within `bytes_max`.
    pub(crate) fn last_stderr(&self, run: u64, most: usize, bytes_max: usize) -> Vec<String> {
        let mut room = bytes_max;
        let mut lines = Vec::new();
        let own = |(by, line): &&(u64, Line)| *by == run && line.stream == Stream::Stderr;
        for (_, line) in self.lines.iter().rev().filter(own).take(most) {
            if line.text.len() > room && !lines.is_empty() {
                break;
            }
            room = room.saturating_sub(line.text.len());
            lines.push(line.text.to_string());
        }
        lines.reverse();
        lines
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

    const BOUNDS: Bounds = Bounds { line_bytes_max: 8, lines_per_second: 10, burst: 3 };

    fn lines(splitter: &mut Splitter, now: u64, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        splitter.feed(Time::from_millis(now), bytes, &mut |line| found.push(line.text.to_string()));
        found
    }

    #[test]
    fn lines_are_cut_at_the_limit_and_marked() {
        let mut splitter = Splitter::new(Stream::Stderr, BOUNDS);
        assert_eq!(lines(&mut splitter, 0, b"short\r\n123456789\npart"), ["short", "12345678 […cut]"]);
        assert_eq!(lines(&mut splitter, 0, b"ial\n"), ["partial"]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_a_line() {
        let mut splitter = Splitter::new(Stream::Stdout, BOUNDS);
        for _ in 0..1000 {
            assert!(lines(&mut splitter, 0, &[b'x'; 1000]).is_empty());
        }
        assert!(splitter.partial.capacity() < 100);
        let mut found = Vec::new();
        splitter.finish(Time::ZERO, &mut |line| found.push(line.text.to_string()));
        assert_eq!(found, ["xxxxxxxx […cut]"]);
    }

    #[test]
    fn what_is_beyond_the_rate_is_counted() {
        let mut splitter = Splitter::new(Stream::Stdout, BOUNDS);
        assert_eq!(lines(&mut splitter, 0, b"1\n2\n3\n4\n5\n"), ["1", "2", "3"]);
        let later = lines(&mut splitter, 100, b"6\n");
        assert_eq!(later, ["[2 lines of stdout were dropped: more than 10 a second]", "6"]);
    }

    #[test]
    fn invalid_utf8_is_marked_in_its_place() {
        let mut splitter = Splitter::new(Stream::Stdout, BOUNDS);
        assert_eq!(lines(&mut splitter, 0, b"a\xffb\n"), ["a\u{fffd}b"]);
    }

    #[test]
    fn a_tail_is_bounded_also_when_its_lines_are_empty() {
        let mut tail = Tail::new(64 * 1024);
        for _ in 0..10_000 {
            tail.push(1, Line::new(Stream::Stdout, String::new()));
        }
        assert_eq!(tail.lines.len(), 64 * 1024 / LINE_OVERHEAD_BYTES);
        tail.push(1, Line::new(Stream::Stdout, "x".repeat(100_000)));
        assert_eq!(tail.last(10).count(), 1, "the newest line is kept, whatever its length");
    }

    #[test]
    fn what_a_crash_shows_of_standard_error_is_bounded_in_bytes() {
        let mut tail = Tail::new(64 * 1024);
        for n in 0..10 {
            tail.push(1, Line::new(Stream::Stderr, format!("{n}{}", "x".repeat(99))));
        }
        assert_eq!(tail.last_stderr(1, 20, usize::MAX).len(), 10);
        let last = tail.last_stderr(1, 20, 250);
        assert!(last.len() == 2 && last[0].starts_with('8') && last[1].starts_with('9'));
        assert_eq!(tail.last_stderr(1, 20, 0).len(), 1);
        assert!(tail.last_stderr(2, 20, 250).is_empty());
    }

    #[test]
    fn a_structured_line_keeps_its_level() {
        assert_eq!(level(r#"{"level":"WARN","message":"x"}"#).as_deref(), Some("warn"));
        assert_eq!(level(r#"{"level":"warn"}"#), None);
        assert_eq!(level("warn: x"), None);
    }
}
