//! Durations and sizes as people write them: a number and its unit. A number without a unit is refused here; the
//! command line, which reads it as seconds, documents that.

use std::time::Duration;

/// Units of time and their milliseconds, smallest first; of two equal ones the last is printed.
pub(crate) const TIME: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// More digits after the point have no effect, and could overflow.
const FRACTION_DIGITS_MAX: usize = 9;

/// Units of size and their bytes; of two equal ones the last is printed. Those with an `i` are powers of 1024, the others powers of 1000.
pub(crate) const SIZE: &[(&str, u64)] = &[
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

/// Reads a duration such as `500ms`, `1.5s`, `2min` or `2m`, `1h`, `1d`; a part of a millisecond counts as a whole one.
/// `None` if it is invalid, has no unit, or is longer than can be counted.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (whole, rest) = split_digits(text)?;
    let (fraction, unit) = rest.strip_prefix('.').map_or(Some(("0", rest)), split_digits)?;
    let factor = factor(unit, TIME)?;
    if fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let places = u32::try_from(fraction.len()).expect("it was just bounded");
    let part = (fraction.parse::<u64>().ok()? * factor).div_ceil(10_u64.pow(places));
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    whole.checked_add(part).map(Duration::from_millis)
}

pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_digits(text)?;
    number.parse::<u64>().ok()?.checked_mul(factor(unit, SIZE)?)
}

/// The digits that a text begins with, at least one, and what follows them.
fn split_digits(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| text.split_at(digits))
}

fn factor(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

/// The duration in its shortest form; parts of a millisecond, which only a program can set, are cut.
pub fn format_duration(duration: Duration) -> String {
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
    fn a_duration_may_have_parts_and_a_part_of_a_millisecond_counts_as_a_whole_one() {
        for (text, ms) in [
            ("1.5s", 1500),
            ("0.25h", 900_000),
            ("2m", 120_000),
            ("1.05min", 63_000),
            ("0.5ms", 1),
            ("0.000000001s", 1),
            ("1.000d", 86_400_000),
            ("0.0s", 0),
            ("213503982333.999999999d", 18_446_744_073_657_600_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_number_without_its_unit_is_no_duration_and_no_size() {
        for text in [
            "",
            "5",
            "1.5",
            "s",
            ".",
            ".5s",
            "5.s",
            "1..5s",
            "1.5.5s",
            "1. 5s",
            "5 s",
            "-5s",
            "-1.5s",
            "1e3s",
            "5S",
            "5sec",
            "1.0000000001s",
            "99999999999999999999s",
            "18446744073709551615d",
            "18446744073709551615.9s",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
        for text in ["64", "64mb", "64 MB", "64M", "0x1B", "１B", "18446744073709551615GiB"] {
            assert_eq!(parse_size(text), None, "{text:?}");
        }
    }
}
