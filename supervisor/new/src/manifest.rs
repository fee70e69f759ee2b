//! The text of a manifest.

use crate::language::Kind;
use crate::sdk::Sdk;
use std::fmt::Write;
use std::path::Path;

/// What runs.
#[derive(Debug)]
pub(crate) enum Runs<'a> {
    Command(&'a [String]),
    Library(&'a str),
    Wasm(&'a str),
}

/// `extra` has further lines of `[module]`.
pub(crate) fn text(name: &str, kind: Kind, runs: &Runs<'_>, extra: &str, sdk: &Sdk) -> String {
    let mut text = String::new();
    if let Some(schema) = sdk.schema() {
        writeln!(text, "#:schema {}", file_url(&schema)).expect("a text takes everything");
    }
    writeln!(text, "[module]\nname = {}\nversion = \"0.1.0\"", quoted(name)).expect("a text takes everything");
    match kind {
        Kind::Program => {}
        Kind::Native | Kind::Wasm | Kind::Filter => {
            writeln!(text, "type = {}", quoted(kind.word())).expect("a text takes everything");
        }
    }
    let line = match runs {
        Runs::Command(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("command = [{}]", words.join(", "))
        }
        Runs::Library(path) => format!("library = {}", quoted(path)),
        Runs::Wasm(path) => format!("wasm = {}", quoted(path)),
    };
    text + &line + "\n" + extra
}

/// A text in TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => write!(quoted, "\\u{:04X}", u32::from(c)).expect("a text takes everything"),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// The address of a file. What a URL may not have is written as its bytes.
fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => url.push(char::from(*byte)),
            other => write!(url, "%{other:02X}").expect("a text takes everything"),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_command_are_read_back_as_they_were() {
        let words = ["./a \"b\"".to_owned(), "c\\d\te\u{7f}".to_owned()];
        let text = text("a", Kind::Program, &Runs::Command(&words), "", &Sdk::none());
        assert_eq!(
            text,
            "[module]\nname = \"a\"\nversion = \"0.1.0\"\ncommand = [\"./a \\\"b\\\"\", \"c\\\\d\\u0009e\\u007F\"]\n"
        );
    }

    #[test]
    fn the_address_of_a_file_has_no_character_that_an_address_may_not_have() {
        assert_eq!(file_url(Path::new("/home/a b/é#.json")), "file:///home/a%20b/%C3%A9%23.json");
    }
}
