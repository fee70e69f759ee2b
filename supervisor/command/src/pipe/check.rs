//! Whether a line is one JSON value, and if not, why. Nothing else is checked: its meaning is up to the module.

use super::lines::Line;
use crate::columns::shortened;
use crate::json_argument::{UTF16, is_utf16};
use crate::json_fault;
use crate::output::printable;
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{ErrorCode, Failure, Json};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Columns of a line that is quoted.
const FOUND_WIDTH: usize = 40;

/// The JSON of a line, without the space around it.
///
/// # Errors
/// The answer that the line gets instead.
pub(super) fn checked(line: Line<'_>) -> Result<&str, Failure> {
    let bad = |sentence| Err(Failure::new(ErrorCode::BadRequest, sentence));
    let bytes = match line {
        Line::Bytes(bytes) => bytes,
        Line::TooLong(found) => {
            let sentence = format!("expected a line of at most {FRAME_BYTES_MAX_DEFAULT} bytes, found {found}");
            return Err(Failure::new(ErrorCode::FrameTooLarge, sentence));
        }
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            if at == 0 && is_utf16(bytes) {
                return bad(format!("expected UTF-8, found {UTF16}"));
            }
            return bad(format!("expected UTF-8, found the byte 0x{:02x} at column {}", bytes[at], at + 1));
        }
    };
    let json = text.trim_matches([' ', '\t', '\r', '\n']);
    if Json::is_one_value(json) {
        return Ok(json);
    }
    // That function makes the sentence.
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => Ok(json.get()),
        Err(_) if text.trim().is_empty() => bad("expected one JSON value, found an empty line".into()),
        Err(error) => bad(format!("column {}: {}", error.column(), json_fault::sentence(text, &error))),
    }
}

/// Checks that a line which is to be a whole payload names a command. The module checks its arguments.
///
/// # Errors
/// The answer that the line gets instead.
pub(super) fn names_command(line: &str) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    match serde_json::from_str::<Payload<'_>>(line) {
        // A list would be read as an object without names.
        Ok(Payload { name }) if !name.is_empty() && line.starts_with('{') => Ok(()),
        _ => {
            let found = printable(&shortened(line, FOUND_WIDTH));
            let sentence = format!(
                "expected a payload such as {{\"name\":\"add_entry\",\"args\":{{…}}}}, found {found}; with --command \
                 NAME each line is the arguments of that command"
            );
            Err(Failure::new(ErrorCode::BadRequest, sentence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(line: &[u8]) -> String {
        checked(Line::Bytes(line)).unwrap_err().error
    }

    #[test]
    fn each_kind_of_broken_line_is_named() {
        assert_eq!(sentence(b""), "expected one JSON value, found an empty line");
        assert_eq!(sentence(b" \t"), "expected one JSON value, found an empty line");
        assert_eq!(sentence(b"{\"a\":}"), "column 6: expected a value, found }");
        assert_eq!(sentence(b"{\"a\":"), "column 5: expected a value, found the end");
        assert_eq!(sentence(b"1 2"), "column 3: expected nothing after the value, found 2");
        assert_eq!(sentence(b"\"\xff\""), "expected UTF-8, found the byte 0xff at column 2");
        assert!(sentence(b"\xff\xfe1\0").starts_with("expected UTF-8, found the byte order mark of UTF-16"));
        let long = checked(Line::TooLong(20_000_000)).unwrap_err();
        assert_eq!(long.code, ErrorCode::FrameTooLarge);
        assert_eq!(checked(Line::Bytes(b" {\"a\": 1} ")).unwrap(), "{\"a\": 1}");
    }

    #[test]
    fn a_line_that_names_no_command_gets_an_error_with_the_option() {
        for line in ["{\"name\":\"add\",\"args\":7}", "{\"args\":7, \"name\":\"add\"}"] {
            assert!(names_command(line).is_ok(), "{line}");
        }
        for line in ["{\"text\":\"x\"}", "{}", "7", "[\"add\"]", "{\"name\":7}", "{\"name\":\"\"}", "null"] {
            let sentence = names_command(line).unwrap_err().error;
            assert!(sentence.contains(&format!("found {line}; with --command NAME")), "{sentence}");
        }
    }
}
