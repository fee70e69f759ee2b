//! What a string with escapes stands for. The escapes are known to be whole; halves of surrogate pairs are refused
//! here, as no text can hold them.

/// The text that `inner`, what is between the quotation marks of a string, stands for; `None` where it has half a
/// surrogate pair.
#[inline(never)]
pub(crate) fn unescape(inner: &str) -> Option<String> {
    // No escape is shorter than what it stands for.
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (character, after) = match escape.as_bytes().first()? {
            b'u' => unicode(escape)?,
            byte => (simple(*byte)?, &escape[1..]),
        };
        text.push(character);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

fn simple(byte: u8) -> Option<char> {
    Some(match byte {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// The character that `escape`, from its `u` on, begins with, and what is after it.
fn unicode(escape: &str) -> Option<(char, &str)> {
    let (first, after) = code_unit(escape)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, after));
    }
    let (second, after) = code_unit(after.strip_prefix('\\')?)?;
    let units = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let character = char::decode_utf16(units).next()?.ok()?;
    Some((character, after))
}

/// The number of a `u` with its four digits.
fn code_unit(escape: &str) -> Option<(u32, &str)> {
    let (digits, after) = escape.strip_prefix('u')?.split_at_checked(4)?;
    let unit = digits.chars().try_fold(0, |unit, digit| Some(unit << 4 | digit.to_digit(16)?))?;
    Some((unit, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether `serde_json` takes the same text out of it, or refuses it too.
    fn check(inner: &str) {
        let theirs: Option<String> = serde_json::from_str(&format!("\"{inner}\"")).ok();
        assert_eq!(unescape(inner), theirs, "{inner}");
    }

    #[test]
    fn every_code_unit_is_the_character_that_serde_json_takes_it_for_or_refused_by_both() {
        for unit in 0..=u16::MAX {
            check(&format!("a\\u{unit:04x}b"));
            check(&format!("\\u{unit:04X}"));
            for other in [0, 0x41, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000] {
                check(&format!("\\u{unit:04x}\\u{other:04x}"));
            }
        }
    }

    #[test]
    fn half_a_pair_is_refused_whatever_follows_it() {
        for after in ["", "x", "\\n", "\\\\", "\\\\udc00", "\\u0041", "\\ud83d", "\\ud83d\\ude00", "é", "udc00"] {
            check(&format!("\\ud83d{after}"));
            assert_eq!(unescape(&format!("\\ud83d{after}")), None);
            assert_eq!(unescape(&format!("\\ude00{after}")), None);
        }
        assert_eq!(unescape("\\ud83d\\ude00").unwrap(), "😀");
    }

    #[test]
    fn an_escape_that_is_none_is_refused() {
        for inner in
            ["\\", "a\\", "\\x", "\\u", "\\u12", "\\u12g4", "\\u+123", "\\ué12", "\\é", "\\ud83d\\u", "\\U0041"]
        {
            assert_eq!(unescape(inner), None, "{inner}");
        }
    }

    proptest! {
        #[test]
        fn any_string_is_read_as_serde_json_reads_it(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "\\n", "\\\\", "\\\"", "\\/", "\\b", "\\f", "\\r", "\\t", "\\u0041", "\\u00e9", "\\ud83d", "\\ude00", "\\uDBFF",
                "\\udfff", "\\u0000", "x", "é", "𝄞", "u0041", " words of a text ",
            ]), 0..12),
        ) {
            check(&pieces.concat());
        }
    }
}
