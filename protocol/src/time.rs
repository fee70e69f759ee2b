//! Times as text: RFC 3339, UTC, always with as many digits after the point, so that they sort as text. No clock is
//! read here.

/// The time `micros` microseconds after the beginning of 1970 as Layer 1 writes it, like
/// `2026-11-22T14:33:05.123456Z`.
pub fn format(micros: i64) -> String {
    let second = second(micros);
    format!("{second}.{:06}Z", micros.rem_euclid(SECOND))
}

/// The same as logs and records have it, like `2026-11-22T14:33:05.123Z`; fractions of a millisecond are cut.
pub fn format_millis(micros: i64) -> String {
    let second = second(micros);
    format!("{second}.{:03}Z", micros.rem_euclid(SECOND) / 1000)
}

fn second(micros: i64) -> String {
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let seconds = rest / SECOND;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The microseconds since 1970 of a time that is written as `2026-11-22`, or with a time of day and
/// `Z`, and up to six digits after the point.
pub fn parse(text: &str) -> Option<i64> {
    let date = text.get(..10)?;
    let mut parts = date.split('-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let days = days_from_civil(year, month, day);
    if parts.next().is_some() || civil(days) != (year, month, day) {
        return None;
    }
    let Some(of_day) = text.get(10..).filter(|rest| !rest.is_empty()) else { return Some(days * DAY) };
    let of_day = of_day.strip_prefix(['T', 't', ' '])?.strip_suffix(['Z', 'z'])?;
    let (clock, fraction) = of_day.split_once('.').unwrap_or((of_day, "0"));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let good = hour < 24 && minute < 60 && second < 60 && parts.next().is_none() && fraction.len() <= 6;
    let fraction = digits(&format!("{fraction:0<6}"), 6)?;
    good.then_some(days * DAY + (hour * 3600 + minute * 60 + second) * SECOND + fraction)
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600 * SECOND;

fn digits(text: &str, length: usize) -> Option<i64> {
    let good = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.parse().expect("a few digits are a number"))
}

/// Year, month and day of the day `days` after the first of 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// The inverse of [`civil`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_357_985_123_456, "2026-11-22T14:33:05.123456Z"),
        ] {
            assert_eq!(format(micros), text);
            assert_eq!(parse(text), Some(micros));
        }
        assert_eq!(format_millis(951_782_399_999_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(format_millis(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(format_millis(4_102_444_799_000_000), "2099-12-31T23:59:59.000Z");
        assert_eq!(parse("2000-02-29"), Some(951_782_400_000_000));
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        for bad in [
            "",
            "2001-02-29",
            "2000-13-01",
            "2000-1-01",
            "2000-01-01T24:00:00Z",
            "2000-01-01T00:00:00",
            "x",
            "éééééééééé",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
