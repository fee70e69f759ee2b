//! Standard output and standard error, written so that a reader that went away is an answer and
//! never a panic. What is written is decided elsewhere.

use crate::exit::Halt;
use std::io::{self, IsTerminal, Write};

/// Standard output is written once this much has been collected.
const WRITE_BYTES: usize = 64 * 1024;

/// Collects what goes to standard output; nothing leaves before [`Output::flush`], or before much
/// has been collected.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
}

impl Output {
    /// Where the next bytes go; follow with [`Output::relieve`] when there may be many.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Adds one line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Halt> {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        self.relieve()
    }

    /// Adds a JSON text as one line: JSON has line ends only between its values, where a space is
    /// as good.
    pub(crate) fn json_line(&mut self, json: &str) -> Result<(), Halt> {
        push_json_line(&mut self.buffer, json);
        self.relieve()
    }

    /// Writes if much has been collected.
    pub(crate) fn relieve(&mut self) -> Result<(), Halt> {
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Writes all that was collected.
    pub(crate) fn flush(&mut self) -> Result<(), Halt> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let result = stdout.write_all(&self.buffer).and_then(|()| stdout.flush());
        self.buffer.clear();
        result.map_err(Halt::output)
    }
}

/// Appends `json` and a line end to `out`, the line ends within turned into spaces.
pub(crate) fn push_json_line(out: &mut Vec<u8>, json: &str) {
    let start = out.len();
    out.extend_from_slice(json.as_bytes());
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
        for byte in out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
    out.push(b'\n');
}

/// The JSON object `json` with `"schema":1` in front of its members.
pub(crate) fn with_schema(json: &str) -> String {
    let members = json.trim_start().strip_prefix('{').unwrap_or(json).trim_start();
    let comma = if members.starts_with('}') { "" } else { "," };
    format!("{{\"schema\":1{comma}{members}")
}

/// Says something to the person at the terminal. That nobody listens is no fault.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// As [`say`], with the program's name in front.
pub(crate) fn complain(text: &impl std::fmt::Display) {
    say(&format!("bulkhead: {text}"));
}

/// Whether something that moves may be shown: on a terminal, and not between the data.
pub(crate) fn may_show_progress() -> bool {
    io::stderr().is_terminal() && !io::stdout().is_terminal()
}

/// `text` with control characters made visible, so that a module cannot steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => printable.push(c),
            c if c.is_control() => printable.extend(c.escape_default()),
            c => printable.push(c),
        }
    }
    printable
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
