//! Durations and sizes as people write them: a whole number and its unit. A number without a unit
//! is never guessed at.

use std::time::Duration;

/// Units of time and their milliseconds, smallest first.
const TIME: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size and their bytes; of two equal ones the last is printed. Those with an `i` are powers of 1024, the others powers of 1000.
const SIZE: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1000),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// What a duration looks like, for error messages.
pub(crate) const DURATION_FORM: &str = "a duration such as \"100ms\", \"5s\", \"2min\" or \"1h\"";

/// What a size looks like, for error messages.
pub(crate) const SIZE_FORM: &str = "a size such as \"64MB\" (of 1000s) or \"64MiB\" (of 1024s)";

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, TIME).map(Duration::from_millis)
}

pub(crate) fn parse_size(text: &str) -> Option<u64> {
    parse(text, SIZE)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The duration in its shortest form; parts of a millisecond, which only a program can set, are cut.
pub(crate) fn format_duration(duration: Duration) -> String {
    format(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), TIME, "0s")
}

/// The size in its shortest form.
pub(crate) fn format_size(bytes: u64) -> String {
    format(bytes, SIZE, "0B")
}

fn format(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    if amount == 0 {
        return zero.to_owned();
    }
    let whole = units.iter().filter(|(_, factor)| amount.is_multiple_of(*factor));
    let (unit, factor) = whole.max_by_key(|(_, factor)| *factor).expect("the smallest unit divides everything");
    format!("{}{unit}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        for text in ["1ms", "1500ms", "90s", "1min", "5min", "36h", "1d"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["1B", "64MB", "64MiB", "16KiB", "1536KiB", "1500kB", "2GiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
        assert_eq!(format_duration(Duration::from_secs(60)), "1min");
        assert_eq!((format_duration(Duration::ZERO), format_size(0)), ("0s".into(), "0B".into()));
    }

    #[test]
    fn a_number_without_its_unit_is_no_duration_and_no_size() {
        for text in ["", "5", "s", "5 s", "-5s", "1.5s", "5S", "5sec", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
        for text in ["64", "64mb", "64 MB", "64M", "0x1B", "１B", "18446744073709551615GiB"] {
            assert_eq!(parse_size(text), None, "{text:?}");
        }
    }
}
