//! Whether a line is one JSON value, and if not, why. It is looked at no further: what it means is
//! the module's business.

use super::lines::Line;
use crate::json_argument::{UTF16, is_utf16, reason};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{ErrorCode, Failure, Json};
use serde_json::value::RawValue;

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
    // It has the sentence.
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => Ok(json.get()),
        Err(_) if text.trim().is_empty() => bad("expected one JSON value, found an empty line".into()),
        Err(error) => bad(format!("expected JSON at column {}: {}", error.column(), reason(&error))),
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
        assert_eq!(sentence(b"{\"a\":}"), "expected JSON at column 6: expected value");
        assert_eq!(sentence(b"{\"a\":"), "expected JSON at column 5: EOF while parsing a value");
        assert_eq!(sentence(b"1 2"), "expected JSON at column 3: trailing characters");
        assert_eq!(sentence(b"\"\xff\""), "expected UTF-8, found the byte 0xff at column 2");
        assert!(sentence(b"\xff\xfe1\0").starts_with("expected UTF-8, found the byte order mark of UTF-16"));
        let long = checked(Line::TooLong(20_000_000)).unwrap_err();
        assert_eq!(long.code, ErrorCode::FrameTooLarge);
        assert_eq!(checked(Line::Bytes(b" {\"a\": 1} ")).unwrap(), "{\"a\": 1}");
    }
}
