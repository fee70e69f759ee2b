//! Tests that our readers and `serde_json` agree on which texts are JSON, and on where a value ends.
//! `PROPTEST_CASES=1000000 cargo test --release -p bulkhead-json agreement` looks longer.

use crate::{
    Cursor, is_one_value,
    texts::{damaged, damages, piece, value},
};
use proptest::prelude::*;
use serde_json::value::RawValue;

/// Whether both take `text` for one value or both don't, and for the same one.
fn check_value(text: &str) {
    let theirs = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
    assert_eq!(is_one_value(text), theirs.is_some(), "{text:?}");
    let ours = Cursor::new(text).value();
    assert!(theirs.is_none() || ours == theirs, "{text:?}: {ours:?} instead of {theirs:?}");
}

/// Every text of up to `length` of these pieces, between `before` and `after`.
fn every_text(pieces: &[&str], length: usize, before: &str, after: &str) {
    let mut places = vec![0; length];
    for used in 0..=length {
        places.fill(0);
        'texts: loop {
            let mut text = before.to_owned();
            places[..used].iter().for_each(|place| text.push_str(pieces[*place]));
            text.push_str(after);
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
fn every_byte_is_taken_or_refused_by_both_at_every_position() {
    let text = r#" {"a":[1,-2.5e+7,"x\u12aB\n",true,{}],"b":{"c":null,"d":[[],0]}} "#;
    for at in 0..=text.len() {
        for byte in 0..0x80_u8 {
            let (before, after) = text.split_at(at);
            let byte = char::from(byte);
            check_value(&format!("{before}{byte}{after}"));
            check_value(&format!("{before}{byte}{}", after.get(1..).unwrap_or_default()));
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
            let (before, after) = (opening.repeat(depth), closing.repeat(depth));
            check_value(&format!("{before}0{after}"));
            check_value(&format!("{before}0{after}]"));
            check_value(&format!("[{before}0{after},{before}0{after}]"));
            check_value(&format!("{before}0{}", after.replacen('}', "]", 1)));
            check_value(&format!("{before}0{}", after.replacen(']', "}", 1)));
        }
    }
}

proptest! {
    #[test]
    fn any_pieces_are_taken_or_refused_by_both(pieces in prop::collection::vec(piece(), 0..30)) {
        check_value(&pieces.concat());
    }

    #[test]
    fn any_value_is_taken_by_both_and_damaged_by_both_or_none(value in value(), damages in damages()) {
        prop_assert!(is_one_value(&value));
        check_value(&value);
        check_value(&damaged(&value, &damages));
        check_value(&format!(" \r\n\t{value}\t "));
    }
}
