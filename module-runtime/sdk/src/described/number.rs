//! Whether the text of a number is the same number once it has a type of Rust. Texts are compared as decimals, so that
//! no digit is lost in between.

/// So many digits without an exponent come back from a double as they are.
const DIGITS_SAFE: usize = 15;

/// So many digits more than a whole number of 128 bits are not looked at.
const DIGITS_MAX: i64 = 40;

/// A decimal: digits without zeros at either end, and the power of ten that they are multiplied with. Zero has no
/// digits, and neither sign nor power.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    power: i64,
}

impl Decimal {
    /// Of the text of a number as JSON has it.
    fn of(text: &str) -> Decimal {
        let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        // An exponent beyond this has no number of any type.
        let bound = if power.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
        let power = power.parse::<i64>().map_or(bound, |power| power.clamp(i64::MIN / 2, i64::MAX / 2));
        let is_negative = mantissa.starts_with('-');
        let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
        let all: String = whole.trim_start_matches('-').chars().chain(fraction.chars()).collect();
        let kept = all.trim_end_matches('0');
        let power = power - length(fraction) + length(&all) - length(kept);
        match kept.trim_start_matches('0') {
            "" => Decimal { is_negative: false, digits: String::new(), power: 0 },
            digits => Decimal { is_negative, digits: digits.to_owned(), power },
        }
    }
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX / 4)
}

/// Whether the number is whole, as `1.0` and `1e3` are.
pub(super) fn is_whole(text: &str) -> bool {
    Decimal::of(text).power >= 0
}

/// The whole number that the text is worth, where 128 bits hold it.
pub(super) fn as_whole(text: &str) -> Option<i128> {
    let Decimal { is_negative, digits, power } = Decimal::of(text);
    if power < 0 || power + length(&digits) > DIGITS_MAX {
        return None;
    }
    let zeros = "0".repeat(usize::try_from(power).ok()?);
    format!("{}{digits}{zeros}", if is_negative { "-0" } else { "0" }).parse().ok()
}

/// Whether a double keeps the number: its shortest text is the same decimal.
pub(super) fn is_kept_by_double(text: &str) -> bool {
    if text.len() <= DIGITS_SAFE && !text.contains(['e', 'E']) {
        return true;
    }
    text.parse::<f64>().is_ok_and(|value| value.is_finite() && Decimal::of(&format!("{value:e}")) == Decimal::of(text))
}

/// As [`is_kept_by_double`], of a float of 32 bits.
pub(super) fn is_kept_by_single(text: &str) -> bool {
    text.parse::<f32>().is_ok_and(|value| value.is_finite() && Decimal::of(&format!("{value:e}")) == Decimal::of(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_whole_by_what_they_are_worth() {
        for (text, worth) in [
            ("0", 0),
            ("-0.0e9", 0),
            ("1.0", 1),
            ("1e3", 1000),
            ("-12.50E+1", -125),
            ("100e-2", 1),
            ("0e99999999999999999999", 0),
            ("18446744073709551615", 18_446_744_073_709_551_615),
            ("-170141183460469231731687303715884105728", i128::MIN),
        ] {
            assert!(is_whole(text), "{text}");
            assert_eq!(as_whole(text), Some(worth), "{text}");
        }
        for text in ["0.5", "1e-1", "15e-1", "1e-99999999999999999999"] {
            assert!(!is_whole(text), "{text}");
        }
        for text in ["1e400", "1e99999999999999999999", "170141183460469231731687303715884105728"] {
            assert!(is_whole(text), "{text}");
            assert_eq!(as_whole(text), None, "{text}");
        }
    }

    #[test]
    fn a_float_keeps_a_number_that_is_its_shortest_text() {
        for text in ["0.1", "-0", "1e3", "1.50", "9007199254740992", "5e-324", "1.7976931348623157e308"] {
            assert!(is_kept_by_double(text), "{text}");
        }
        for text in ["1e400", "0.30000000000000000001", "9007199254740993", "0.1000000000000000055", "1e-400"] {
            assert!(!is_kept_by_double(text), "{text}");
        }
        assert!(is_kept_by_single("0.1") && is_kept_by_single("16777216"));
        assert!(!is_kept_by_single("16777217") && !is_kept_by_single("1e39"));
    }

    proptest! {
        #[test]
        fn each_double_keeps_what_it_is_written_as(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            prop_assert!(is_kept_by_double(&serde_json::to_string(&value).unwrap()));
        }

        #[test]
        fn each_whole_number_is_worth_itself(value in any::<i128>()) {
            prop_assert_eq!(as_whole(&value.to_string()), Some(value));
        }
    }
}
