//! The last lines of a module, for a question, for a new follower, and for the record of a crash.

use super::{Line, Stream};
use std::collections::VecDeque;

/// The last lines of a module, within a number of bytes.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Each with the process that printed it.
    lines: VecDeque<(u64, Line)>,
    bytes: usize,
    bytes_max: usize,
    /// How many lines there have ever been.
    count: u64,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Tail {
        Tail { lines: VecDeque::new(), bytes: 0, bytes_max, count: 0 }
    }

    /// Keeps a line; `run` is the process that printed it. Returns its number, counted from one.
    pub(crate) fn push(&mut self, run: u64, line: Line) -> u64 {
        self.bytes += line.held_bytes();
        self.lines.push_back((run, line));
        while self.bytes > self.bytes_max && self.lines.len() > 1 {
            if let Some((_, line)) = self.lines.pop_front() {
                self.bytes -= line.held_bytes();
            }
        }
        self.count += 1;
        self.count
    }

    /// The number of the newest line.
    pub(crate) fn newest(&self) -> u64 {
        self.count
    }

    /// How many lines are kept.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Those that are kept up to this number, oldest first.
    pub(crate) fn up_to(&self, number: u64) -> impl Iterator<Item = &Line> {
        let after = usize::try_from(self.count.saturating_sub(number)).unwrap_or(usize::MAX);
        self.lines.iter().take(self.lines.len().saturating_sub(after)).map(|(_, line)| line)
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

#[cfg(test)]
mod tests {
    use super::{super::LINE_OVERHEAD_BYTES, *};

    #[test]
    fn a_tail_is_bounded_also_when_its_lines_are_empty() {
        let mut tail = Tail::new(64 * 1024);
        for _ in 0..10_000 {
            tail.push(1, Line::new(Stream::Stdout, String::new()));
        }
        assert_eq!(tail.lines.len(), 64 * 1024 / LINE_OVERHEAD_BYTES);
        tail.push(1, Line::new(Stream::Stdout, "x".repeat(100_000)));
        assert_eq!(tail.last(10).count(), 1, "the newest line is kept, whatever its length");
        assert_eq!(tail.newest(), 10_001);
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
}
