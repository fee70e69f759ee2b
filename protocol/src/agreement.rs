//! Tests that our reader and `serde_json` agree: on which texts are JSON, on which are messages, and on
//! what is in them. `PROPTEST_CASES=1000000 cargo test --release -p bulkhead-protocol agreement` looks longer.

use crate::{members::Members, refusal::Form, walk::Walk};
use proptest::prelude::*;
use serde_json::value::RawValue;

/// Whether both take `text` for one value or both don't, and for the same one.
pub(crate) fn check_value(text: &str) {
    let theirs = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
    assert_eq!(Walk::is_one_value(text), theirs.is_some(), "{text:?}");
    let ours = Walk::new(text).value();
    assert!(theirs.is_none() || ours == theirs, "{text:?}: {ours:?} instead of {theirs:?}");
}

/// Whether both take `text` for the members of a message or both don't, and find the same in it.
pub(crate) fn check_message(text: &str) {
    let theirs = serde_json::from_str::<Form<'_>>(text).ok();
    // An array of the right values in the right order is a form, and no message.
    let theirs = theirs.filter(|_| text.trim_start().starts_with('{'));
    let mut ours = Members::default();
    let is_read = ours.read(text).is_some();
    assert_eq!(is_read, theirs.is_some(), "{text:?}");
    let Some(theirs) = theirs else { return };
    assert_eq!(ours.id, theirs.id.flatten(), "{text:?}");
    assert_eq!((ours.kind, ours.status), (theirs.kind, theirs.status), "{text:?}");
    assert_eq!((ours.to.as_deref(), ours.key.as_deref()), (theirs.to.as_deref(), theirs.key.as_deref()), "{text:?}");
    assert_eq!(ours.payload, theirs.payload.map(RawValue::get), "{text:?}");
    assert_eq!(ours.data, theirs.data.map(RawValue::get), "{text:?}");
    assert_eq!((ours.deadline_ms, ours.of), (theirs.deadline_ms, theirs.of), "{text:?}");
    assert_eq!(ours.last, theirs.last, "{text:?}");
    let failure = ours.of_failure.unwrap_or_default();
    assert_eq!((failure.error, failure.code), (theirs.error, theirs.code), "{text:?}");
    assert_eq!((failure.delivery, failure.retryable), (theirs.delivery, theirs.retryable), "{text:?}");
    assert_eq!((failure.exit, failure.stderr), (theirs.exit, theirs.stderr), "{text:?}");
    assert_eq!(failure.module_code, theirs.module_code, "{text:?}");
}

/// Every text of up to `length` of these pieces, between `before` and `behind`.
fn every_text(pieces: &[&str], length: usize, before: &str, behind: &str) {
    let mut places = vec![0; length];
    for used in 0..=length {
        places.fill(0);
        'texts: loop {
            let mut text = before.to_owned();
            places[..used].iter().for_each(|place| text.push_str(pieces[*place]));
            text.push_str(behind);
            check_value(&text);
            for place in &mut places[..used] {
                *place += 1;
                if *place < pieces.len() {
                    continue 'texts;
                }
                *place = 0;
            }
            break;
        }
    }
}

#[test]
fn every_short_text_of_brackets_is_taken_or_refused_by_both() {
    every_text(&["{", "}", "[", "]", ",", ":", "\"\"", "0", " "], 5, "", "");
    every_text(&["{", "}", "[", "]", ",", "\"\":"], 6, "", "");
}

#[test]
fn every_short_number_is_taken_or_refused_by_both() {
    every_text(&["-", "+", ".", "e", "E", "0", "7", " "], 5, "", "");
    every_text(&["-", "+", ".", "e", "0", "12345678"], 5, "[", "]");
}

#[test]
fn every_short_string_is_taken_or_refused_by_both() {
    every_text(&["\"", "\\", "u", "d800", "00", "n", "/", "x", "\n", "é"], 5, "\"", "\"");
    every_text(&["\"", "\\", "u0", "u", "000", "fF", "\u{1f}", "\u{7f}"], 5, "[\"", "\"]");
}

#[test]
fn every_short_word_is_taken_or_refused_by_both() {
    every_text(&["true", "false", "null", "t", "nul", "l", " ", ","], 4, "[", "]");
    every_text(&["true", "false", "null", "t", "nul", "l", " ", ","], 4, "", "");
}

#[test]
fn every_byte_is_taken_or_refused_by_both_at_every_place() {
    let text = r#" {"a":[1,-2.5e+7,"x\u12aB\n",true,{}],"b":{"c":null,"d":[[],0]}} "#;
    for at in 0..=text.len() {
        for byte in 0..0x80_u8 {
            let (before, behind) = text.split_at(at);
            let byte = char::from(byte);
            check_value(&format!("{before}{byte}{behind}"));
            check_value(&format!("{before}{byte}{}", behind.get(1..).unwrap_or_default()));
        }
    }
}

#[test]
fn a_text_that_is_cut_is_refused_by_both_wherever_it_is_cut() {
    for space in ["", " ", "\n\t        \r"] {
        let text = r#"{~"id"~:~17~,~"type"~:~"command"~,~"payload"~:~{~"a"~:~[~1~,~"x\u12aB"~,~true~]~}~}~"#;
        let text = text.replace('~', space);
        for at in 0..=text.len() {
            check_value(&text[..at]);
            check_message(&text[..at]);
        }
    }
}

#[test]
fn strings_and_numbers_of_every_length_end_where_they_end() {
    for length in 0..200 {
        for ending in ["\"", "\\\"\"", "\\u0041\"", "\n\"", "", "é\"", "\\"] {
            let text = "x".repeat(length) + ending;
            check_value(&format!("\"{text}"));
            check_value(&format!("[\"{text},7]"));
            check_value(&format!("{{\"{text}:7}}"));
        }
        for ending in ["", ".", ".5", "e7", "e", "x", " ", "-", "\"", ":"] {
            let text = "7".repeat(length) + ending;
            check_value(&text);
            check_value(&format!("[1{text}]"));
            check_value(&format!("[1.{text}]"));
            check_value(&format!("[1e{text}]"));
        }
    }
}

#[test]
fn nesting_of_every_depth_ends_as_it_began() {
    for depth in 0..200 {
        for (opening, closing) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), ("[[],{\"a\":", "},{}]")] {
            let (before, behind) = (opening.repeat(depth), closing.repeat(depth));
            check_value(&format!("{before}0{behind}"));
            check_value(&format!("{before}0{behind}]"));
            check_value(&format!("[{before}0{behind},{before}0{behind}]"));
            check_value(&format!("{before}0{}", behind.replacen('}', "]", 1)));
            check_value(&format!("{before}0{}", behind.replacen(']', "}", 1)));
        }
    }
}

/// Pieces of JSON texts, right and wrong.
pub(crate) fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(&["{", "}", "[", "]", ",", ":", "\"", "\\", "-", ".", "e", "0", " ", "\n"][..])
            .prop_map(str::to_owned),
        4 => prop::sample::select(&["null", "true", "false", "\"a\":", "\\u00", "\\ud83d", "\\n", "{}", "[]"][..])
            .prop_map(str::to_owned),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => any::<f64>().prop_map(|number| format!("{number:e}")),
        2 => "[ -~]{0,40}",
        1 => "\\PC{0,10}",
    ]
}

pub(crate) fn value() -> impl Strategy<Value = String> {
    let space = || prop::sample::select(&["", "", "", " ", "\n", "\t  ", "\r\n        "][..]);
    let simple = prop_oneof![
        prop::sample::select(&["null", "true", "false", "0", "-0", "\"\"", "{}", "[]", "1e400", "\"\\ud800\""][..])
            .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no other", |number| number.is_finite())
            .prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[ -~]{0,80}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    simple.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            (space(), prop::collection::vec((inner.clone(), space()), 0..6)).prop_map(|(space, elements)| {
                let elements: Vec<String> =
                    elements.into_iter().map(|(value, behind)| format!("{space}{value}{behind}")).collect();
                format!("[{}{space}]", elements.join(","))
            }),
            (space(), prop::collection::vec((any::<String>(), inner, space()), 0..6)).prop_map(|(space, members)| {
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(name, value, behind)| {
                        let name = serde_json::to_string(&name).unwrap();
                        format!("{space}{name}{behind}:{space}{value}{behind}")
                    })
                    .collect();
                format!("{{{}{space}}}", members.join(","))
            }),
        ]
    })
}

/// Texts with every member of a message, mostly with values of the right form.
pub(crate) fn message() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &[
        "id",
        "type",
        "status",
        "to",
        "payload",
        "deadline_ms",
        "key",
        "of",
        "data",
        "error",
        "code",
        "delivery",
        "last",
        "retryable",
        "exit",
        "stderr",
        "module_code",
        "other",
        "\\u0069d",
        "t\\u006f",
        "\\ud800",
        "",
    ];
    let number = prop_oneof![any::<u64>().prop_map(|number| number.to_string()), "-?[0-9]{1,21}(\\.[0-9])?"];
    let text = prop_oneof![
        "[a-z]{0,20}".prop_map(|text| format!("\"{text}\"")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        prop::sample::select(&["\"\\u0061\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"", "null", "7"][..])
            .prop_map(str::to_owned),
    ];
    let rare = prop::sample::select(
        &[
            "true",
            "false",
            "null",
            "\"started\"",
            "\"sure\"",
            "{\"code\":3}",
            "{\"signal\":\"SIGSEGV\"}",
            "{\"code\":3,\"code\":3}",
            "[]",
            "[\"a\",\"b\\n\"]",
            "[\"a\",1]",
            "\"code\"",
        ][..],
    );
    let member = (prop::sample::select(NAMES), number, text, rare, value(), 0..10_u8).prop_map(
        |(name, number, text, rare, value, way)| {
            let right = match name {
                "id" | "deadline_ms" | "of" | "\\u0069d" => &number,
                "type" | "status" | "to" | "key" | "error" | "code" | "module_code" | "t\\u006f" => &text,
                "last" | "delivery" | "retryable" | "exit" | "stderr" => rare,
                _ => &value,
            };
            let found = match way {
                0 => &value,
                1 => "null",
                _ => right,
            };
            format!("\"{name}\":{found}")
        },
    );
    prop::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// `text` with some of its characters replaced, dropped or doubled.
pub(crate) fn damaged(text: &str, damages: &[(prop::sample::Index, u8, char)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (index, way, other) in damages {
        if chars.is_empty() {
            break;
        }
        let at = index.index(chars.len());
        match way % 4 {
            0 => chars[at] = *other,
            1 => drop(chars.remove(at)),
            2 => chars.insert(at, *other),
            _ => chars.truncate(at),
        }
    }
    chars.into_iter().collect()
}

pub(crate) fn damages() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, char)>> {
    let other = prop_oneof![
        4 => prop::sample::select(&['{', '}', '[', ']', ',', ':', '"', '\\', '0', '7', '-', '.', 'e', ' ', 'u', '\n'][..]),
        1 => any::<char>(),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), other), 1..4)
}

proptest! {
    #[test]
    fn any_pieces_are_taken_or_refused_by_both(pieces in prop::collection::vec(piece(), 0..30)) {
        check_value(&pieces.concat());
        check_message(&pieces.concat());
    }

    #[test]
    fn any_value_is_taken_by_both_and_damaged_by_both_or_none(value in value(), damages in damages()) {
        prop_assert!(Walk::is_one_value(&value));
        check_value(&value);
        check_value(&damaged(&value, &damages));
        check_value(&format!(" \r\n\t{value}\t "));
    }

    #[test]
    fn any_message_is_read_alike_and_damaged_alike(message in message(), damages in damages()) {
        check_message(&message);
        check_message(&damaged(&message, &damages));
        check_message(&format!("\n {message} "));
    }
}
