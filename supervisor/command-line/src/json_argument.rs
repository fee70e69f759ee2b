//! JSON from the command line: as it is, from standard input (`-`) or from a file (`@file`).
//! It is checked here, before anything is sent, so that a mistake names its line and column.

use crate::columns::shortened;
use crate::json_fault;
use crate::stdin::Stdin;
use bulkhead_protocol::{Json, escape, limits::FRAME_BYTES_MAX_HIGHEST};
use std::fmt;
use std::fs::File;
use std::io::Read;

/// Why arguments cannot be read: a sentence for a person, with the place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadArgument(String);

impl BadArgument {
    pub(crate) fn new(sentence: impl Into<String>) -> BadArgument {
        BadArgument(sentence.into())
    }
}

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadArgument {}

/// Columns of an argument that is quoted.
const FOUND_WIDTH: usize = 80;

/// Reads the argument.
///
/// # Errors
/// [`BadArgument`] when it cannot be read or is not one JSON value.
pub fn read(argument: &str) -> Result<Json, BadArgument> {
    match argument.strip_prefix('@') {
        Some(path) => {
            let file = File::open(path).map_err(|error| BadArgument::new(format!("{path}: {error}")))?;
            parse(path, &bytes_of(path, file)?)
        }
        None if argument == "-" => parse("standard input", &bytes_of("standard input", Stdin)?),
        None => parse("the argument", argument.as_bytes()).map_err(|fault| match json_fault::meant(argument) {
            Some(meant) => {
                let found = shortened(&escape(argument.trim()), FOUND_WIDTH);
                BadArgument::new(format!("the argument: expected JSON, found {found}: write {meant}"))
            }
            None => fault,
        }),
    }
}

/// All that a file has, up to the length of the largest message.
pub fn bytes_of(name: &str, source: impl Read) -> Result<Vec<u8>, BadArgument> {
    let mut bytes = Vec::new();
    let limit = FRAME_BYTES_MAX_HIGHEST as u64;
    source.take(limit + 1).read_to_end(&mut bytes).map_err(|error| BadArgument::new(format!("{name}: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(BadArgument::new(format!(
            "{name}: expected at most {limit} bytes, the largest message, found more"
        )));
    }
    Ok(bytes)
}

/// The error for text that begins with a mark that [`is_utf16`] finds.
pub const UTF16: &str = "the byte order mark of UTF-16: save it as UTF-8, as with iconv -f UTF-16 -t UTF-8";

/// Whether a text begins with the byte order mark of UTF-16, as some editors save it.
pub fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// Reads a text that is one JSON value; `name` is what it is called in an error.
///
/// # Errors
/// [`BadArgument`], with line and column.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Json, BadArgument> {
    if is_utf16(bytes) {
        return Err(BadArgument::new(format!("{name}:1:1: expected UTF-8, found {UTF16}")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1) + 1;
        let found = bytes[before.len()];
        BadArgument::new(format!("{name}:{line}:{column}: expected UTF-8, found the byte 0x{found:02x}"))
    })?;
    if text.trim().is_empty() {
        return Err(BadArgument::new(format!("{name}: expected one JSON value, found nothing")));
    }
    // Not `Json::parse`, which trims: the line and the column count from the beginning of the file.
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        BadArgument::new(format!("{name}:{line}:{column}: {}", json_fault::sentence(text, &error)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &[u8]) -> String {
        parse("a.json", text).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_names_its_line_and_column() {
        assert_eq!(
            error(b"{\n  \"a\": nope\n}"),
            "a.json:2:9: expected a value, found nope; a text stands in double quotes"
        );
        assert_eq!(error(b"{} {}"), "a.json:1:4: expected nothing after the value, found {");
        assert_eq!(error(b"[1,\n\xff]"), "a.json:2:1: expected UTF-8, found the byte 0xff");
        assert_eq!(error(b" \n"), "a.json: expected one JSON value, found nothing");
        for utf16 in [b"\xff\xfe{\0}\0", b"\xfe\xff\0{\0}"] {
            let expected = "a.json:1:1: expected UTF-8, found the byte order mark of UTF-16: save it as UTF-8, as with iconv -f UTF-16 -t UTF-8";
            assert_eq!(error(utf16), expected);
        }
    }

    #[test]
    fn an_argument_that_is_no_json_is_answered_with_the_json_for_it() {
        let error = |argument| read(argument).unwrap_err().to_string();
        assert_eq!(error("text=x"), r#"the argument: expected JSON, found text=x: write '{"text":"x"}'"#);
        assert_eq!(error("{text:x}"), r#"the argument: expected JSON, found {text:x}: write '{"text":"x"}'"#);
        assert_eq!(error("{\"a\":1"), "the argument:1:6: expected the end of the object, found the end");
    }

    #[test]
    fn json_passes_as_it_was_written() {
        let written = "{\n \"b\": 1.0, \"a\": 12345678901234567890123 }";
        assert_eq!(parse("a.json", format!("\u{feff}{written}\n").as_bytes()).unwrap().as_str(), written);
    }
}
