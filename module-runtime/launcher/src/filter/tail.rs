//! The standard error of a process that lives for one message: it goes on to the log as it comes,
//! and the end of it is kept for the caller.

use std::io::Write;

/// How many lines an answer has at most.
const LINES_MAX: usize = 20;

/// How many bytes of them are kept.
const BYTES_MAX: usize = 4096;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// Something came before `bytes` and is not kept.
    cut: bool,
}

impl Tail {
    /// Passes the bytes on and keeps the last of them.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        // A closed log is ignored.
        let _ = std::io::stderr().write_all(bytes);
        self.keep(bytes);
    }

    /// Ends the last line, so that the next one in the log is whole.
    pub(crate) fn finish(&self) {
        if self.bytes.last().is_some_and(|byte| *byte != b'\n') {
            let _ = std::io::stderr().write_all(b"\n");
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > BYTES_MAX {
            self.bytes.drain(..self.bytes.len() - BYTES_MAX);
            self.cut = true;
        }
    }

    /// The last lines that are not empty.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let whole = match text.split_once('\n') {
            // The first line is only the end of a line.
            Some((_, rest)) if self.cut => rest,
            _ => &text,
        };
        let lines: Vec<&str> = whole.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(LINES_MAX)..].iter().map(|line| (*line).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&str]) -> Vec<String> {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.keep(chunk.as_bytes()));
        tail.lines()
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(lines(&["one\ntw", "o\n\n", "three"]), ["one", "two", "three"]);
        let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let kept = lines(&[&many]);
        assert_eq!((kept.len(), kept[0].as_str(), kept[19].as_str()), (20, "line 80", "line 99"));
    }

    #[test]
    fn the_last_bytes_are_kept_and_half_a_line_is_not() {
        let long = "x".repeat(3000);
        assert_eq!(lines(&[&format!("{long}\n{long}\nend\n")]), [long, "end".to_owned()]);
        let endless = lines(&[&"y".repeat(10_000)]);
        assert_eq!(endless, ["y".repeat(BYTES_MAX)]);
    }
}
