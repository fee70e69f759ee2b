//! A value for people, as refusals quote it: JSON without white space between its parts, numbers as they were sent, texts
//! with the escapes that JSON requires and no others. No more of it is written than is shown.

use crate::names::cut;
use bulkhead_json::{Kind, Raw};

/// What is quoted at most, and a little more, so that it is seen to be cut.
const CHARACTERS: usize = 64;

/// A value, cut.
pub(super) fn quote(value: Raw<'_>) -> String {
    let mut text = String::new();
    write(value, &mut text);
    cut(&text)
}

/// Writes a value until there is enough. Each level writes a character before the next, so the depth is bounded.
fn write(value: Raw<'_>, out: &mut String) {
    match value.kind() {
        Kind::List => {
            out.push('[');
            for (at, element) in value.elements().enumerate() {
                if is_enough(out) {
                    return;
                }
                if at > 0 {
                    out.push(',');
                }
                write(element, out);
            }
            out.push(']');
        }
        Kind::Object => {
            out.push('{');
            for (at, (name, member)) in value.members().enumerate() {
                if is_enough(out) {
                    return;
                }
                if at > 0 {
                    out.push(',');
                }
                write(name, out);
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
        Kind::Text => match value.text() {
            Some(text) => {
                let shown: String = text.chars().take(CHARACTERS).collect();
                out.push_str(&serde_json::to_string(&shown).expect("a text can be written"));
            }
            // Half a surrogate pair is in no text of Rust.
            None => out.extend(value.as_str().chars().take(CHARACTERS)),
        },
        Kind::Number | Kind::Boolean | Kind::Null => out.extend(value.as_str().chars().take(CHARACTERS)),
    }
}

fn is_enough(out: &str) -> bool {
    // A character has four bytes at most, so so many bytes are as many characters as are needed.
    out.len() > 4 * CHARACTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        quote(Raw::new(text))
    }

    #[test]
    fn white_space_goes_and_digits_and_escapes_stay() {
        assert_eq!(quoted(r#" [ 1 , {"a" : 1.50E0, "\u0062\n" : null } ] "#), r#"[1,{"a":1.50E0,"b\n":null}]"#);
        assert_eq!(quoted(r#""\u00e9\/\ud800""#), r#""\u00e9\/\ud800""#);
        assert_eq!(quoted(r#""\u00e9\/""#), r#""é/""#);
    }

    #[test]
    fn what_is_long_or_deep_is_cut() {
        assert_eq!(quoted(&format!("\"{}\"", "é".repeat(70))), format!("\"{}…", "é".repeat(59)));
        assert_eq!(quoted(&format!("{}{}", "[".repeat(1000), "]".repeat(1000))), format!("{}…", "[".repeat(60)));
        assert_eq!(quoted(&format!("[{}1]", "1,".repeat(100_000))).chars().count(), 61);
    }
}
