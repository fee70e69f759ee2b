//! Lines of any input, in bounded memory: a line that is longer than a message may be is skipped to its end and
//! reported. The content of a line is not considered.

use std::io::{self, Read};

/// At least this much room is offered to each read.
const READ_BYTES: usize = 128 * 1024;

/// Cuts what is read into lines.
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// `buffer[start..end]` has been read and not returned.
    start: usize,
    end: usize,
    /// `buffer[start..scanned]` has no line end.
    scanned: usize,
    /// Bytes of a line that is being skipped, as far as it was read.
    skipping: Option<u64>,
    line_bytes_max: usize,
    number: u64,
    ended: bool,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// It was too long; how many bytes it had.
    TooLong(u64),
}

impl Lines {
    /// Refuses lines of more than `line_bytes_max` bytes.
    pub(super) fn new(line_bytes_max: usize) -> Lines {
        Lines {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            scanned: 0,
            skipping: None,
            line_bytes_max,
            number: 0,
            ended: false,
        }
    }

    /// Whether the input has ended; lines may still be here.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Ignores further input.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Reads once, what there is. Call it when [`Lines::next`] has no line.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub(super) fn fill(&mut self, input: &mut impl Read) -> io::Result<()> {
        self.make_room();
        match input.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.ended = true,
            Ok(count) => self.end += count,
            // Another process with the same input may have been faster.
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.scanned -= self.start;
        self.start = 0;
        // A long line doubles the buffer, so that its beginning is not moved with each read.
        let wanted = self.end + READ_BYTES.max(self.end);
        if self.buffer.len() < self.end + READ_BYTES {
            self.buffer.resize(wanted, 0);
        } else if self.buffer.len() > 8 * wanted {
            self.buffer.truncate(wanted);
            self.buffer.shrink_to_fit();
        }
    }

    /// The next line and its number, counted from 1; `None` when more must be read first, or when the input has ended
    /// and all lines were returned.
    pub(super) fn next(&mut self) -> Option<(u64, Line<'_>)> {
        let found = memchr::memchr(b'\n', &self.buffer[self.scanned..self.end]).map(|at| self.scanned + at);
        let (line_end, next) = match found {
            Some(at) => (at, at + 1),
            None => {
                self.scanned = self.end;
                if self.end - self.start > self.line_bytes_max || self.skipping.is_some() {
                    *self.skipping.get_or_insert(0) += (self.end - self.start) as u64;
                    self.start = self.end;
                }
                if !self.ended || (self.start == self.end && self.skipping.is_none()) {
                    return None;
                }
                (self.end, self.end)
            }
        };
        let start = std::mem::replace(&mut self.start, next);
        self.scanned = next;
        self.number += 1;
        let bytes = &self.buffer[start..line_end];
        let before = self.skipping.take();
        if before.is_some() || bytes.len() > self.line_bytes_max {
            return Some((self.number, Line::TooLong(before.unwrap_or(0) + bytes.len() as u64)));
        }
        let bytes = if self.number == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
        Some((self.number, Line::Bytes(bytes.strip_suffix(b"\r").unwrap_or(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns at most so many bytes with each read.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn lines(input: &[u8], at_once: usize, line_bytes_max: usize) -> Vec<String> {
        let mut input = Trickle(input, at_once);
        let mut lines = Lines::new(line_bytes_max);
        let mut all = Vec::new();
        loop {
            while let Some((number, line)) = lines.next() {
                all.push(match line {
                    Line::Bytes(bytes) => format!("{number}:{}", String::from_utf8_lossy(bytes)),
                    Line::TooLong(bytes) => format!("{number}: {bytes} bytes"),
                });
            }
            if lines.ended() {
                return all;
            }
            lines.fill(&mut input).unwrap();
        }
    }

    #[test]
    fn lines_are_cut_however_they_arrive() {
        for at_once in [1, 2, 3, 1000] {
            assert_eq!(lines(b"a\nbb\n\nc\n", at_once, 10), ["1:a", "2:bb", "3:", "4:c"], "{at_once}");
            assert_eq!(lines(b"a\nno end", at_once, 10), ["1:a", "2:no end"], "{at_once}");
            assert_eq!(lines(b"\xef\xbb\xbfa\r\nb\r\n", at_once, 10), ["1:a", "2:b"], "{at_once}");
            assert_eq!(lines(b"", at_once, 10), [""; 0], "{at_once}");
            assert_eq!(lines(b"\n", at_once, 10), ["1:"], "{at_once}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_counted() {
        for at_once in [1, 4, 1000] {
            let found = lines(b"ok\n123456789\nok\n12345678901", at_once, 8);
            assert_eq!(found, ["1:ok", "2: 9 bytes", "3:ok", "4: 11 bytes"], "{at_once}");
            assert_eq!(lines(b"12345678\n", at_once, 8), ["1:12345678"], "{at_once}");
        }
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let mut lines = Lines::new(1 << 20);
        let mut endless = io::repeat(b'x');
        for _ in 0..1000 {
            lines.fill(&mut endless).unwrap();
            assert_eq!(lines.next(), None);
        }
        assert!(lines.buffer.len() <= 4 << 20, "{}", lines.buffer.len());
    }
}
