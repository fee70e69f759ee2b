//! Why a text is not JSON, for a person: what was expected at that position, what was found there, and, for an argument
//! of the command line, which JSON was probably meant. The meaning of a text is not considered.

use crate::columns::shortened;
use crate::shell::shell_word;
use bulkhead_protocol::escape;
use serde_json::{Value, json};

/// Columns of what is quoted.
const QUOTED_WIDTH: usize = 40;

/// What was expected where `error` stopped reading `text`, and what was found.
pub fn sentence(text: &str, error: &serde_json::Error) -> String {
    let found = found(text, error);
    let text = error.to_string();
    let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let expected = match what {
        "expected ident" | "expected value" => "a value",
        "expected `:`" => "a colon after the name of a member",
        "expected `,` or `]`" => "a comma, or the end of the list",
        "expected `,` or `}`" => "a comma, or the end of the object",
        "expected `\"`" | "key must be a string" => "the name of a member, in double quotes",
        "trailing comma" => "something after the comma",
        "trailing characters" => "nothing after the value",
        "invalid number" => "a number",
        "EOF while parsing a list" => "the end of the list",
        "EOF while parsing an object" => "the end of the object",
        "EOF while parsing a string" => "the end of the text, a double quote",
        "EOF while parsing a value" => "a value",
        "invalid escape" | "unexpected end of hex escape" => {
            r#"one of \" \\ \/ \b \f \n \r \t \u0000 after a backslash in a text"#
        }
        "lone leading surrogate in hex escape" => r"the second half of a character of two \u",
        "invalid unicode code point" => "a character of Unicode",
        other if other.starts_with("control character") => {
            r"an escape such as \n in the place of a control character in a text"
        }
        other => return format!("{other}, found {found}"),
    };
    let is_bare = expected == "a value" && found.starts_with(|c: char| c.is_alphanumeric() || c == '\'');
    let hint = if is_bare && !error.is_eof() { "; a text stands in double quotes" } else { "" };
    format!("expected {expected}, found {found}{hint}")
}

/// The word at the position of the error.
fn found(text: &str, error: &serde_json::Error) -> String {
    let line_start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let at = text.floor_char_boundary((line_start + error.column().saturating_sub(1)).min(text.len()));
    let is_end = |c: char| c.is_whitespace() || ",:[]{}\"".contains(c);
    if error.is_eof() || text[at..].is_empty() {
        return "the end".into();
    }
    let start = text[..at].rfind(is_end).map_or(0, |end| end + text[end..].chars().next().map_or(1, char::len_utf8));
    let length = text[at..].find(is_end).unwrap_or(text.len() - at);
    let word = if length == 0 { text[at..].chars().next().map(String::from) } else { None };
    let word = word.unwrap_or_else(|| text[start..at + length].to_owned());
    if word.trim().is_empty() {
        "a space or line end".into()
    } else {
        escape(&shortened(&word, QUOTED_WIDTH)).into_owned()
    }
}

/// The JSON that was probably meant by an argument that is not JSON, quoted for a shell.
pub fn meant(argument: &str) -> Option<String> {
    let argument = argument.trim();
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let meant = match argument.split_once('=') {
        _ if argument.starts_with(['{', '[']) => with_quotes(argument)?,
        Some((name, value)) if !name.is_empty() && name.chars().all(is_name) => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            json!({ name: value }).to_string()
        }
        _ if argument.starts_with(is_name) => Value::from(argument).to_string(),
        _ => return None,
    };
    // A part of it could not be copied.
    (meant.len() <= 2 * QUOTED_WIDTH).then(|| shell_word(&meant))
}

/// JSON from which a shell has removed the double quotes: `{text:x,n:1}`.
fn with_quotes(text: &str) -> Option<String> {
    let mut quoted = String::with_capacity(2 * text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = rest.find([',', ':', '[', ']', '{', '}']).unwrap_or(rest.len());
        if length == 0 {
            quoted.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let word = rest[..length].trim();
        rest = &rest[length..];
        match serde_json::from_str::<Value>(word) {
            Ok(_) if !rest.starts_with(':') => quoted.push_str(word),
            _ if word.is_empty() => {}
            _ => quoted.push_str(&Value::from(word.trim_matches(['\'', '"'])).to_string()),
        }
    }
    serde_json::from_str::<Value>(&quoted).is_ok().then_some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_words_and_quoted() {
        for (text, expected) in [
            ("text=x", "expected a value, found text=x; a text stands in double quotes"),
            ("[nope]", "expected a value, found nope; a text stands in double quotes"),
            ("{a:1}", "expected the name of a member, in double quotes, found a"),
            ("{'a':1}", "expected the name of a member, in double quotes, found 'a'"),
            ("{\"a\" 1}", "expected a colon after the name of a member, found 1"),
            ("{\"a\":}", "expected a value, found }"),
            ("{\"a\":", "expected a value, found the end"),
            ("{\"a\":1", "expected the end of the object, found the end"),
            ("{\"a\":1 \"b\":2}", "expected a comma, or the end of the object, found \""),
            ("[1,2", "expected the end of the list, found the end"),
            ("[1 2]", "expected a comma, or the end of the list, found 2"),
            ("[1,]", "expected a value, found ]"),
            ("{\"a\":1,}", "expected the name of a member, in double quotes, found }"),
            ("\"abc", "expected the end of the text, a double quote, found the end"),
            ("1 2", "expected nothing after the value, found 2"),
            ("{} {}", "expected nothing after the value, found {"),
            ("-x", "expected a number, found -x"),
            ("日本", "expected a value, found 日本; a text stands in double quotes"),
        ] {
            let error = serde_json::from_str::<&serde_json::value::RawValue>(text).unwrap_err();
            assert_eq!(sentence(text, &error), expected, "{text}");
        }
        let text = format!("[1,\n {}]", "long".repeat(30));
        let error = serde_json::from_str::<Value>(&text).unwrap_err();
        let said = sentence(&text, &error);
        assert!(said.contains("longlon…; a text stands"), "{said}");
    }

    #[test]
    fn every_way_to_be_no_json_has_words_of_its_own() {
        for text in [
            "",
            "{",
            "[",
            "\"",
            "{\"a",
            "{\"a\"",
            "tru",
            "nul",
            "+1",
            "01",
            "1.",
            "1e",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "{1:2}",
            "[,1]",
            "[1,,2]",
            "{,}",
            "NaN",
            "'a'",
            "\u{feff}1",
            "]",
            ":",
        ] {
            let error = serde_json::from_str::<&serde_json::value::RawValue>(text).unwrap_err();
            let sentence = sentence(text, &error);
            assert!(sentence.starts_with("expected ") && sentence.contains(", found "), "{text:?}: {sentence}");
            for jargon in ["ident", "EOF", "key must", "trailing", "parsing", "at line"] {
                assert!(!sentence.contains(jargon), "{text:?}: {sentence}");
            }
        }
    }

    #[test]
    fn an_argument_that_is_no_json_is_shown_as_json() {
        for (argument, expected) in [
            ("text=x", Some(r#"'{"text":"x"}'"#)),
            ("n=5", Some(r#"'{"n":5}'"#)),
            ("url=http://a/?b=c", Some(r#"'{"url":"http://a/?b=c"}'"#)),
            ("hello", Some(r#"'"hello"'"#)),
            ("it's", Some(r#"'"it'\''s"'"#)),
            ("two words", Some(r#"'"two words"'"#)),
            ("{text:x,n:1}", Some(r#"'{"text":"x","n":1}'"#)),
            ("{'text': 'x'}", Some(r#"'{"text":"x"}'"#)),
            ("[a,b]", Some(r#"'["a","b"]'"#)),
            ("{\"a\":", None),
            ("'", None),
            ("", None),
        ] {
            assert_eq!(meant(argument).as_deref(), expected, "{argument}");
        }
    }
}
