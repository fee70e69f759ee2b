//! Times, sizes and counts: read from the command line, and written for people.

use bulkhead_protocol::limits::DEADLINE_MS_MAX;
use std::time::Duration;

/// Reads a time in the form of the files, `500ms`, `1.5s`, `2m` or `1h`; here a number alone counts seconds.
///
/// # Errors
/// When it is no time, zero, or longer than the wire allows.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
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

/// A span of time in at most two units: `0.4s`, `12s`, `3m12s`, `4h05m`, `2d03h`.
pub(crate) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..10 => format!("{}.{}s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A size in bytes: `512 B`, `12.3 KiB`, `456 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A count with commas between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
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

    #[test]
    fn spans_sizes_and_counts_are_short() {
        let spans = [450, 12_000, 192_000, 14_700_000, 183_600_000].map(span);
        assert_eq!(spans, ["0.4s", "12s", "3m12s", "4h05m", "2d03h"]);
        assert_eq!([512, 12_600, 478_150_656].map(size), ["512 B", "12.3 KiB", "456 MiB"]);
        assert_eq!([7, 999, 1000, 1_234_567].map(count), ["7", "999", "1,000", "1,234,567"]);
    }
}
