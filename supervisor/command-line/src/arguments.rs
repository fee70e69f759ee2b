//! The arguments of `call`: one JSON value, or pairs: `NAME=TEXT`, of which the value is a text as it stands, and
//! `NAME:=JSON`. What a command takes is not known here; nothing is guessed from how a text looks.

use crate::columns::shortened;
use crate::json_argument::{self, BadArgument};
use bulkhead_protocol::{Json, escape};
use std::collections::BTreeSet;

/// Columns of an argument that is quoted.
const FOUND_WIDTH: usize = 80;

/// The value of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Text(&'a str),
    Json(&'a str),
}

/// Reads the words after the command.
///
/// # Errors
/// [`BadArgument`] when they are neither one JSON value nor pairs.
pub fn read(words: &[String]) -> Result<Json, BadArgument> {
    match words {
        [] => Ok(Json::null()),
        [only] if !is_pair(only) => json_argument::read(only),
        _ => object(words),
    }
}

/// The name of a pair, if a word is one or is about to become one.
pub fn name_of(word: &str) -> Option<&str> {
    is_pair(word).then(|| split(word).0)
}

/// Whether a word is a pair. No JSON value has an equals sign but in a text, a list or an object.
fn is_pair(word: &str) -> bool {
    word.contains('=') && !word.trim_start().starts_with(['{', '[', '"', '@'])
}

fn split(word: &str) -> (&str, Value<'_>) {
    let (name, value) = word.split_once('=').expect("a pair has an equals sign");
    name.strip_suffix(':').map_or((name, Value::Text(value)), |name| (name, Value::Json(value)))
}

fn quoted(word: &str) -> String {
    shortened(&escape(word), FOUND_WIDTH)
}

fn object(words: &[String]) -> Result<Json, BadArgument> {
    let mut names = BTreeSet::new();
    let mut text = String::from("{");
    for word in words {
        if !is_pair(word) {
            return Err(no_pair(word, words));
        }
        let (name, value) = split(word);
        if name.is_empty() {
            let found = quoted(word);
            return Err(BadArgument::new(format!(
                "the arguments: expected a name before the equals sign, found {found}"
            )));
        }
        if !names.insert(name) {
            return Err(BadArgument::new(format!("the argument {}: expected once, found twice", quoted(name))));
        }
        let value = match value {
            Value::Text(value) => Json::of(value),
            Value::Json(value) => json_argument::parse(&format!("the argument {}", quoted(name)), value.as_bytes())?,
        };
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(Json::of(name).as_str());
        text.push(':');
        text.push_str(value.as_str());
    }
    text.push('}');
    Ok(Json::of_checked_buffer(text))
}

/// What is said of a word that is no pair, among several.
fn no_pair(word: &str, words: &[String]) -> BadArgument {
    let found = quoted(word);
    let is_json = word == "-" || word.starts_with('@') || Json::is_one_value(word) || word.starts_with(['{', '[', '"']);
    let Some(pair) = words.iter().find(|word| is_pair(word)) else {
        return BadArgument::new(format!(
            "the arguments: expected one JSON value, or pairs NAME=TEXT, found {found} and more"
        ));
    };
    let pair = quoted(pair);
    BadArgument::new(match is_json {
        true => format!("the arguments: expected either one JSON value or pairs NAME=TEXT, found {found} and {pair}"),
        false => format!(
            "the arguments: expected NAME=TEXT or NAME:=JSON, found {found}; a text with spaces stands in quotes"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        read(&words).map(|json| json.as_str().to_owned()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn pairs_become_one_object_in_their_order_with_texts_and_json() {
        for (given, expected) in [
            (&[][..], "null"),
            (&["text=x"], r#"{"text":"x"}"#),
            (&["b=1", "a:=1", "c:={\"x\": 1.0}"], r#"{"b":"1","a":1,"c":{"x": 1.0}}"#),
            (&["empty=", "equals=a=b", "colon=a:=b"], r#"{"empty":"","equals":"a=b","colon":"a:=b"}"#),
            (&["a \"name\"=two words", "none:=null"], r#"{"a \"name\"":"two words","none":null}"#),
            (&["at=@file", "n=-"], r#"{"at":"@file","n":"-"}"#),
            (&["-5"], "-5"),
            (&["{\"a\":\"b=c\"}"], r#"{"a":"b=c"}"#),
            (&["\"a=b\""], r#""a=b""#),
        ] {
            assert_eq!(words(given).as_deref(), Ok(expected), "{given:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_pairs_is_said_with_the_name_and_the_place() {
        for (given, expected) in [
            (&["a=1", "b=2", "a:=3"][..], "the argument a: expected once, found twice"),
            (&["n:={\"a\":}"], "the argument n:1:6: expected a value, found }"),
            (&["n:="], "the argument n: expected one JSON value, found nothing"),
            (&["n:=x"], "the argument n:1:1: expected a value, found x; a text stands in double quotes"),
            (&["=x"], "the arguments: expected a name before the equals sign, found =x"),
            (&[":=1", "a=1"], "the arguments: expected a name before the equals sign, found :=1"),
            (
                &["{\"a\":1}", "b=2"],
                "the arguments: expected either one JSON value or pairs NAME=TEXT, found {\"a\":1} and b=2",
            ),
            (&["b=2", "-"], "the arguments: expected either one JSON value or pairs NAME=TEXT, found - and b=2"),
            (&["b=2", "@f"], "the arguments: expected either one JSON value or pairs NAME=TEXT, found @f and b=2"),
            (
                &["text=two", "words"],
                "the arguments: expected NAME=TEXT or NAME:=JSON, found words; a text with spaces stands in quotes",
            ),
            (&["1", "2"], "the arguments: expected one JSON value, or pairs NAME=TEXT, found 1 and more"),
        ] {
            assert_eq!(words(given).unwrap_err(), expected, "{given:?}");
        }
    }
}
