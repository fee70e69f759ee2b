//! Text of others on its way to a person: a module's, a client's, a file's. Characters that look like something
//! else, move a cursor or reverse the reading order are written out, so that one line stays one line and its text is
//! unambiguous. JSON for programs is never changed by this; on a terminal it is written so that it has the same
//! meaning.

use std::{borrow::Cow, fmt::Write};

/// `text` with line ends, control characters, separators and marks of direction made visible, as Rust writes
/// them (`\n`, `\u{1b}`, `\u{202e}`). A tab and all else stay as they are, so to do it twice changes nothing.
pub fn escape(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_deceptive) else { return Cow::Borrowed(text) };
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(&text[..first]);
    for c in text[first..].chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            // Writing to a string does not fail.
            c if is_deceptive(c) => _ = write!(escaped, "\\u{{{:x}}}", u32::from(c)),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// `json`, a JSON text, with the same characters written as JSON has it (`\u009b`): it has exactly the same meaning and
/// controls no terminal. Line ends between its values stay.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let is_written_out = |c: char| is_deceptive(c) && !matches!(c, '\n' | '\r');
    let Some(first) = json.find(is_written_out) else { return Cow::Borrowed(json) };
    let mut escaped = String::with_capacity(json.len() + 16);
    escaped.push_str(&json[..first]);
    for c in json[first..].chars() {
        if is_written_out(c) {
            // Writing to a string does not fail, and none of them is beyond four digits.
            _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character has another effect than to be shown.
fn is_deceptive(c: char) -> bool {
    match c {
        '\t' => false,
        // Line and paragraph separators.
        '\u{2028}' | '\u{2029}' => true,
        // Marks, embeddings, overrides and isolates of direction.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // C0, DEL and C1; among the last is a line end and the short form of an escape sequence.
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_forge_a_line_or_steer_a_terminal_is_written_out() {
        for (text, expected) in [
            ("a\nb\r\nc", "a\\nb\\r\\nc"),
            ("\x1b[31mred\x1b[0m", "\\u{1b}[31mred\\u{1b}[0m"),
            ("\u{9b}31m \u{85}", "\\u{9b}31m \\u{85}"),
            ("nul\0 bell\x07 del\x7f back\x08", "nul\\u{0} bell\\u{7} del\\u{7f} back\\u{8}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("\u{61c}\u{200e}\u{200f}", "\\u{61c}\\u{200e}\\u{200f}"),
        ] {
            assert_eq!(escape(text), expected, "{text:?}");
        }
        for mark in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert_eq!(escape(&format!("a{mark}b")), format!("a\\u{{{:x}}}b", u32::from(mark)));
        }
    }

    #[test]
    fn json_says_the_same_and_steers_no_terminal() {
        let value = "a\u{9b}31m\u{85}\u{7f}\u{202e}\u{2028}é\t\n";
        let json = serde_json::to_string(value).unwrap();
        let escaped = escape_json(&json);
        assert_eq!(escaped, r#""a\u009b31m\u0085\u007f\u202e\u2028é\t\n""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), value);
        assert!(matches!(escape_json("{\"a\":\n1}"), Cow::Borrowed("{\"a\":\n1}")));
    }

    #[test]
    fn what_is_only_seen_stays_as_it_is() {
        // Joiners and selectors are a part of words and signs.
        for text in ["", "plain", "a\tb", "é 漢字 שלום 👩\u{200d}👧 ❤\u{fe0f}", "c:\\new", "[…5 bytes cut…]"]
        {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn to_do_it_twice_changes_nothing() {
        let every: String = ('\0'..='\u{ffff}').collect();
        let once = escape(&every).into_owned();
        assert_eq!(escape(&once), once);
        assert!(!once.contains('\n'));
    }
}
