//! Standard output and standard error, written so that a closed reader is a result and never a panic. What is written
//! is decided elsewhere.

use crate::exit::Halt;
use crate::streams::{Stderr, Stdout, Unwaited};
use crate::style::Style;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

/// Standard output is written once this much has been collected.
const WRITE_BYTES: usize = 64 * 1024;

/// A buffer that has been emptied is given back above this size.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Collects what goes to standard output; nothing leaves before [`Output::flush`] or [`Output::try_flush`], or
/// before much has been collected.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The first `written` bytes of it have left.
    buffer: Vec<u8>,
    written: usize,
    /// The destination, once writes must not wait.
    unwaited: Option<Unwaited>,
    /// How many bytes waited when the destination was last full.
    stalled_at: Option<usize>,
}

impl Output {
    /// Where the next bytes go; follow with [`Output::relieve`] or [`Output::try_relieve`] when there may be many.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Adds one line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Halt> {
        self.push_line(line);
        self.relieve()
    }

    /// As [`Output::line`], and writes nothing yet.
    pub(crate) fn push_line(&mut self, line: &str) {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
    }

    /// Adds a JSON text as one line: JSON has line ends only between its tokens, where a space is equivalent.
    pub(crate) fn json_line(&mut self, json: &str) -> Result<(), Halt> {
        self.push_json_line(json);
        self.relieve()
    }

    /// As [`Output::json_line`], and writes nothing yet.
    pub(crate) fn push_json_line(&mut self, json: &str) {
        push_json_line(&mut self.buffer, json);
    }

    /// Writes if much has been collected.
    pub(crate) fn relieve(&mut self) -> Result<(), Halt> {
        if self.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// As [`Output::relieve`], without waiting for the reader.
    pub(crate) fn try_relieve(&mut self) -> Result<(), Halt> {
        let least = self.stalled_at.unwrap_or(0) + WRITE_BYTES;
        if self.len() >= least { self.try_flush() } else { Ok(()) }
    }

    /// How many bytes wait to be written.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something waits, since there was no room for it.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled_at.is_some()
    }

    /// Writes all that was collected.
    pub(crate) fn flush(&mut self) -> Result<(), Halt> {
        let result = Stdout.write_all(&self.buffer[self.written..]);
        self.forget();
        result.map_err(Halt::output)
    }

    /// Writes what there is room for now.
    pub(crate) fn try_flush(&mut self) -> Result<(), Halt> {
        if self.is_empty() {
            return Ok(());
        }
        let unwaited = self.unwaited.get_or_insert_with(Unwaited::of_stdout);
        while self.written < self.buffer.len() {
            match unwaited.write(&self.buffer[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled_at = Some(self.buffer.len() - self.written);
                    // The rest is moved once it is the smaller part.
                    if self.written > self.buffer.len() / 2 {
                        self.buffer.drain(..self.written);
                        self.written = 0;
                    }
                    return Ok(());
                }
                Err(error) => {
                    self.forget();
                    return Err(Halt::output(error));
                }
            }
        }
        self.forget();
        Ok(())
    }

    /// Nothing waits any more.
    fn forget(&mut self) {
        self.written = 0;
        self.stalled_at = None;
        self.buffer.clear();
        if self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
    }
}

/// Appends `json` and a line end to `out`, with inner line ends replaced by spaces. For a terminal, control characters
/// are escaped.
pub(crate) fn push_json_line(out: &mut Vec<u8>, json: &str) {
    static TO_TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());
    let json = if *TO_TERMINAL { bulkhead_protocol::escape_json(json) } else { json.into() };
    let start = out.len();
    out.extend_from_slice(json.as_bytes());
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
        for byte in out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
    out.push(b'\n');
}

/// The JSON object `json` with `"schema":1` before its members.
pub(crate) fn with_schema(json: &str) -> String {
    let members = json.trim_start().strip_prefix('{').unwrap_or(json).trim_start();
    let comma = if members.starts_with('}') { "" } else { "," };
    format!("{{\"schema\":1{comma}{members}")
}

/// Prints a message for the person at the terminal. A closed standard error is ignored.
pub(crate) fn say(text: &str) {
    let _ = Stderr.write_all(format!("{text}\n").as_bytes());
}

/// As [`say`], preceded by the program's name.
pub(crate) fn complain(text: &impl std::fmt::Display) {
    // Several lines are intended; foreign text in them was escaped when they were composed.
    let text = text.to_string();
    let lines: Vec<_> = text.split('\n').map(bulkhead_protocol::escape).collect();
    say(&format!("bulkhead: {}", lines.join("\n")));
}

/// As [`complain`] at a terminal, over the progress line.
pub(crate) fn complain_over_progress(text: &str) {
    let _ = Stderr.write_all(b"\r\x1b[K");
    complain(&text);
}

/// Prints what replaces a command's run: help, or the error in the command line. A closed output is ignored.
pub(crate) fn print_usage(error: &clap::Error) {
    let styled = error.render();
    let style = if error.use_stderr() { Style::of_stderr() } else { Style::of_stdout() };
    let text = match style {
        Style::Coloured => styled.ansi().to_string(),
        Style::Plain => styled.to_string(),
    };
    let _ = if error.use_stderr() { Stderr.write_all(text.as_bytes()) } else { Stdout.write_all(text.as_bytes()) };
}

/// Whether a progress line may be shown: on a terminal, and not between the data.
pub(crate) fn may_show_progress() -> bool {
    io::stderr().is_terminal() && !io::stdout().is_terminal()
}

/// `text` with line ends and control characters made visible, so that it cannot forge a line or control the terminal.
pub(crate) fn printable(text: &str) -> String {
    bulkhead_protocol::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_one_line() {
        let mut out = Vec::new();
        push_json_line(&mut out, "{\n  \"a\": \"x\\ny\",\r\n  \"b\": 1\n}");
        assert_eq!(out, b"{   \"a\": \"x\\ny\",    \"b\": 1 }\n");
    }

    #[test]
    fn a_schema_number_goes_in_front() {
        assert_eq!(with_schema(r#"{"name":"a"}"#), r#"{"schema":1,"name":"a"}"#);
        assert_eq!(with_schema("{ }"), r#"{"schema":1}"#);
    }

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(printable("a\tb\x1b[31mé"), "a\tb\\u{1b}[31mé");
    }
}
