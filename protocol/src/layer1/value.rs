//! A value as filters and orders compare it: read from JSON text, exact where SQLite can hold it
//! exactly. How values are ordered is written on [`Value`]; the store orders them the same way.

use super::{Fault, limits::VALUE_BYTES_MAX};
use bulkhead_json::{Kind, Raw};
use std::fmt::Write;

/// A JSON value that can be compared. The order of values of different kinds is: nothing and `null`,
/// numbers, texts (by their UTF-8 bytes), `false`, `true`, lists and objects (by their
/// [canonical](Value::Composite) text).
///
/// Numbers are compared by their value: 1 and 1.0 are equal. An integer from -2⁶³ to 2⁶³ - 1
/// is exact, every other number is the nearest double, so that integers beyond these which
/// have the same double are alike, and so are numbers beyond the greatest double.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, or nothing at all.
    Null,
    /// An integer that fits in 64 bits.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// A text.
    Text(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A list or an object as canonical text: members by name, numbers in one form, no white space.
    Composite(String),
}

impl Value {
    /// The value of `raw`. A number that no double can hold is infinite, a lone surrogate is replaced.
    pub fn of(raw: Raw<'_>) -> Value {
        match raw.kind() {
            Kind::Null => Value::Null,
            Kind::Boolean => Value::Boolean(raw.as_str() == "true"),
            Kind::Number => number(raw.as_str()),
            Kind::Text => Value::Text(raw.text().unwrap_or("\u{fffd}".into()).into_owned()),
            Kind::List | Kind::Object => {
                let mut out = String::with_capacity(raw.as_str().len());
                canonical(raw, &mut out);
                Value::Composite(out)
            }
        }
    }

    /// The value of `raw` where a filter compares with it. Its numbers are read as those of an entity are, so
    /// that a filter for what is stored finds it.
    ///
    /// # Errors
    /// When it is too long, or has a text that cannot be compared as it is written.
    pub(super) fn of_filter(raw: Raw<'_>) -> Result<Value, Fault> {
        if raw.as_str().len() > VALUE_BYTES_MAX {
            let found = raw.as_str().len();
            return Err(Fault::new(format!("a filter compares with at most {VALUE_BYTES_MAX} bytes, found {found}")));
        }
        if matches!(raw.kind(), Kind::List | Kind::Object) {
            super::data::check(raw.as_str())?;
        }
        if raw.kind() == Kind::Text && raw.text().is_none() {
            return Err(Fault::new(format!(
                "expected a text of whole characters, found a lone surrogate in {}",
                raw.quote()
            )));
        }
        Ok(Value::of(raw))
    }
}

/// 2⁶³, the least double that is too large for an `i64`.
const I64_ABOVE: f64 = 9_223_372_036_854_775_808.0;

fn number(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(integer) => Value::Integer(integer),
        Err(_) => Value::Real(text.parse().unwrap_or(0.0)),
    }
}

/// Appends the canonical text of `raw`. It goes as deep as the value does, which is checked to be at
/// most [`super::limits::DEPTH_MAX`].
fn canonical(raw: Raw<'_>, out: &mut String) {
    match raw.kind() {
        Kind::Number => match number(raw.as_str()) {
            Value::Integer(integer) => write!(out, "{integer}"),
            Value::Real(0.0) => write!(out, "0"),
            // Within 64 bits, it has the same value as the integer that is written with all its digits.
            Value::Real(real) if real.fract() == 0.0 && (-I64_ABOVE..I64_ABOVE).contains(&real) => {
                write!(out, "{real:.0}")
            }
            Value::Real(real) => write!(out, "{real:e}"),
            _ => Ok(()),
        }
        .expect("writing to a String never fails"),
        Kind::Text => quoted(raw, out),
        Kind::List => {
            out.push('[');
            for (index, element) in raw.elements().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(element, out);
            }
            out.push(']');
        }
        Kind::Object => {
            let mut members: Vec<_> = raw.members().map(|(name, value)| (name.text(), name, value)).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (index, (_, name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                quoted(name, out);
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Kind::Null | Kind::Boolean => out.push_str(raw.as_str()),
    }
}

/// Appends a text with the fewest escapes, so that it is written in one way only.
fn quoted(raw: Raw<'_>, out: &mut String) {
    match raw.as_str().contains('\\') {
        false => out.push_str(raw.as_str()),
        true => {
            let text = raw.text().unwrap_or("\u{fffd}".into());
            out.push_str(&serde_json::to_string(&text).expect("a text can be written as JSON"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Value {
        Value::of(Raw::new(text))
    }

    #[test]
    fn numbers_are_exact_integers_or_the_nearest_doubles() {
        assert_eq!(of("9223372036854775807"), Value::Integer(i64::MAX));
        assert_eq!(of("-9223372036854775808"), Value::Integer(i64::MIN));
        assert_eq!(of("9223372036854775808"), Value::Real(9_223_372_036_854_775_808.0));
        assert_eq!(of("1e400"), Value::Real(f64::INFINITY));
        assert_eq!(of("-0"), Value::Integer(0));
    }

    #[test]
    fn composites_that_are_worth_the_same_have_one_text() {
        let text = of(r#"{"b":[1.0,-0.0,1e2,0.10],"a":"\u0041\/"}"#);
        assert_eq!(text, Value::Composite(r#"{"a":"A/","b":[1,0,100,1e-1]}"#.into()));
        assert_eq!(of(r#"{"a":"A/","b":[1,0,100.0,1e-1]}"#), text);
        for (written, digits) in [
            ("9.1e18", "9100000000000000000"),
            ("-9.223372036854775808e18", "-9223372036854775808"),
            ("9007199254740993.0", "9007199254740992"),
        ] {
            assert_eq!(of(&format!("[{written}]")), of(&format!("[{digits}]")));
        }
        assert_ne!(of("[9223372036854775807]"), of("[9223372036854775808]"));
    }

    #[test]
    fn a_filter_compares_only_with_what_it_can_hold() {
        let refused = |text: &str| Value::of_filter(Raw::new(text)).unwrap_err().to_string();
        assert!(refused(r#""\udead""#).contains("lone surrogate"));
        assert_eq!(refused(r#"[{"a":1,"a":2}]"#), "at 0.a: the object has this member twice");
        assert!(refused(&format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX))).contains("at most 65536"));
    }

    #[test]
    fn a_filter_takes_every_number_for_what_an_entity_with_it_is_worth() {
        for text in [
            "0.1",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "-9223372036854775808",
            "-9223372036854775809",
            "1e19",
            "1e400",
            "-1e999",
            "[18446744073709551616]",
        ] {
            assert_eq!(Value::of_filter(Raw::new(text)), Ok(of(text)), "{text}");
        }
    }
}
