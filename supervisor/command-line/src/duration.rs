//! Times on a command line.

use bulkhead_protocol::limits::DEADLINE_MS_MAX;
use std::time::Duration;

/// Reads a time in the form of the files, `500ms`, `1.5s`, `2m` or `1h`; here a number alone counts seconds.
///
/// # Errors
/// When it is no time, zero, or longer than the wire allows.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let time = bulkhead_config::parse_duration(&format!("{text}{}", if is_number { "s" } else { "" }));
    let time = time.ok_or_else(|| format!("expected a time such as 30, 1.5, 500ms, 2m or 1h, found {text:?}"))?;
    if time.is_zero() {
        return Err(format!("expected a time of at least one millisecond, found {text:?}"));
    }
    if time > Duration::from_millis(DEADLINE_MS_MAX) {
        return Err(format!("expected a time of at most 24h, found {text:?}"));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, ms) in [
            ("30", 30_000),
            ("1.5", 1500),
            ("1.5s", 1500),
            ("500ms", 500),
            ("2m", 120_000),
            ("2min", 120_000),
            ("0.0001", 1),
            ("24h", DEADLINE_MS_MAX),
            ("1d", DEADLINE_MS_MAX),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "0", "-1", "soon", "1..2", "5 s", "25h", "1e3", "."] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(parse_duration("5d").unwrap_err(), "expected a time of at most 24h, found \"5d\"");
        assert!(parse_duration("5y").unwrap_err().contains("such as 30, 1.5, 500ms"), "5y");
    }
}
