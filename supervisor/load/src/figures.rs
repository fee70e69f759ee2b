//! Numbers and times, written for people.

use std::time::Duration;

/// A number with a comma after every third digit.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time with three digits and its unit: `84.2 µs`, `1.25 ms`, `12.0 s`.
pub(crate) fn short(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    let (value, unit) = match micros {
        ..1e3 => (micros, "µs"),
        ..1e6 => (micros / 1e3, "ms"),
        _ => (micros / 1e6, "s"),
    };
    match value {
        ..10.0 => format!("{value:.2} {unit}"),
        ..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// A point in time after the beginning: `31.402 s`.
pub(crate) fn at(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// A count with its noun, which gets an `s` unless there is one of it.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A time in microseconds, for programs.
pub(crate) fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e9).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short_and_keep_their_unit() {
        assert_eq!([7, 1000, 1_234_567].map(grouped), ["7", "1,000", "1,234,567"]);
        for (micros, expected) in
            [(0.5, "0.50 µs"), (84.2, "84.2 µs"), (1250.0, "1.25 ms"), (999_000.0, "999 ms"), (12e6, "12.0 s")]
        {
            assert_eq!(short(Duration::from_secs_f64(micros / 1e6)), expected);
        }
        assert_eq!(at(Duration::from_millis(31_402)), "31.402 s");
        assert_eq!([0, 1, 2].map(|count| counted(count, "call")), ["0 calls", "1 call", "2 calls"]);
        assert_eq!(micros(Duration::from_nanos(84_250)), 84.25);
    }
}
