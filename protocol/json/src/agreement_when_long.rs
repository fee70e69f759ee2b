//! Tests that the validator of long texts agrees with `serde_json`, with every kind of vectors and at every position
//! in a block or a stretch.
//! `PROPTEST_CASES=1000000 cargo test --release -p bulkhead-json agreement` looks longer.

use crate::{
    Validator,
    classify::{BLOCK_BYTES, STRETCH_BYTES},
    texts::{damaged, damages, piece, value},
};
use proptest::prelude::*;
use serde_json::value::RawValue;

/// Whether `serde_json` and the validator with any vectors take `text` for one value, or all of them don't.
fn check_value(text: &str) {
    let expected = serde_json::from_str::<&RawValue>(text).is_ok();
    for mut validator in [Validator::new(), Validator::portable()] {
        let found = validator.finish(text, &mut ()).is_some();
        assert_eq!(found, expected, "{text:?} by {validator:?}");
    }
}

/// As before, with borders of blocks and of a stretch at `at` in `text`.
fn check_value_across_borders(text: &str, at: usize) {
    let at = at.min(text.len());
    check_value(&(" ".repeat(BLOCK_BYTES * 2 - at % BLOCK_BYTES) + text));
    check_value(&(" ".repeat(STRETCH_BYTES * 2 - at % STRETCH_BYTES) + text));
    // The beginning is part of a string, which other code passes.
    let string = "x".repeat(STRETCH_BYTES * 2 - "[\"\",".len() - at % STRETCH_BYTES);
    check_value(&format!("[\"{string}\",{text}]"));
}

/// White space at every position that has some, and at one that had none.
fn spread(text: &str, space: &str) -> String {
    text.replace(' ', &format!(" {space}")).replace(',', &format!("{space},{space}"))
}

#[test]
fn every_token_is_checked_at_every_position_of_a_block_and_at_the_border_of_a_stretch() {
    let texts = [
        r#"{"a":[1,-2.5e+7,"x\u12aB\\\"\n",true,{},null],"b":{"c":false,"d":[[],0]}}"#,
        r#"[01]"#,
        r#"[-]"#,
        r#"[-01]"#,
        r#"[-0,0.0,0e0,10]"#,
        r#"[1.]"#,
        r#"[.5]"#,
        r#"[1.5.5]"#,
        r#"[1e5e5]"#,
        r#"[1e5.5]"#,
        r#"[1e+]"#,
        r#"[1e]"#,
        r#"[1-1]"#,
        r#"[1+1]"#,
        r#"[+1]"#,
        r#"[--1]"#,
        r#"[12345678901234567890.12345678901234567890e-12345678901234567890]"#,
        r#"[12345678901234567890.12345678901234567890e-12345678901234567890.1]"#,
        r#"[tru]"#,
        r#"[truee]"#,
        r#"[true1]"#,
        r#"[1true]"#,
        r#"[nulll,nul]"#,
        r#"[nullnull]"#,
        r#"[null"a"]"#,
        r#"[falsetrue]"#,
        r#"[fals,e]"#,
        r#"["\\\\\\\\\\\\\\\"]"#,
        r#"["\\\\\\\\\\\\\\\\"]"#,
        r#"["\\\\\\\\\\\\\\x"]"#,
        r#"["\u12"]"#,
        r#"["\u12g4"]"#,
        r#"["\u1234\ud800\uDFFF"]"#,
        "[\"\u{1f}\"]",
        "[\"a\"\u{1}]",
        "[\u{e9}]",
        r#"[\"a"]"#,
        r#"["a""b"]"#,
        r#"["a":1]"#,
        r#"[1,]"#,
        r#"[,1]"#,
        r#"[1 2]"#,
        r#"[[]"#,
        r#"[]]"#,
        r#"[}"#,
        r#"{]"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1,2}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a"::1}"#,
        r#"{"a":1:2}"#,
        r#"{1:2}"#,
        r#"{,}"#,
        r#"{"a":{"b":[{"c":[]}]}}"#,
        r#"[] []"#,
        r#"1,2"#,
        r#""a":1"#,
        r#"12 "#,
        r#""""#,
        r#"""#,
        r#""#,
    ];
    for text in texts {
        for at in 0..=text.len() {
            check_value_across_borders(text, at);
        }
        for pad in 0..BLOCK_BYTES {
            check_value(&(" ".repeat(pad) + text));
            check_value(&format!("[{}{text}]", "1,".repeat(pad)));
        }
    }
}

#[test]
fn what_crosses_whole_stretches_ends_where_it_ends() {
    for length in [STRETCH_BYTES - 1, STRETCH_BYTES, 3 * STRETCH_BYTES + 7] {
        let (digits, letters, spaces) = ("7".repeat(length), "x".repeat(length), " ".repeat(length));
        for number in ["", "-", "1.", "1e", "1e-", "0", "0.", "-0", "1.0e"] {
            for after in ["", ".", ".5", "e5", "e5.", "e5e", "x", "-", "\""] {
                check_value(&format!("{number}{digits}{after}"));
                check_value(&format!("[{number}{digits}{after}]"));
            }
        }
        for after in ["\"", "\\\"", "\\\\\"", "\n\"", "\\u00e9\"", "\\u00e\"", ""] {
            check_value(&format!("\"{letters}{after}"));
            check_value(&format!("{{\"{letters}{after}:\"{letters}{after}}}"));
            check_value(&format!("[\"{letters}{after}:\"{letters}{after}]"));
        }
        for (before, after) in [
            ("[", "]"),
            ("[1", "]"),
            ("[1,", "2]"),
            ("[1", ",2]"),
            ("[1", "2]"),
            ("{", "}"),
            ("[tru", "e]"),
            ("[1.", "5]"),
            ("[true", ",1]"),
            ("[1.5", ",2.5]"),
        ] {
            check_value(&format!("{before}{spaces}{after}"));
        }
        for before in ["{\"a\"", "{\"a\":", "{\"a\":1,"] {
            for after in [":1}", "1}", "\"b\":2}", "}"] {
                check_value(&format!("{before}{spaces}{after}"));
            }
        }
    }
}

#[test]
fn every_escape_is_checked_also_at_the_end_of_a_stretch() {
    let letters = "x".repeat(2 * STRETCH_BYTES);
    for byte in 0..0x80_u8 {
        let escape = format!("\\{}", char::from(byte));
        check_value(&format!("\"{escape}\""));
        for at in 0..4 {
            let before = "x".repeat(STRETCH_BYTES - 1 - at);
            check_value(&format!("\"{before}{escape}{letters}\""));
            check_value(&format!("\"{before}\\u{}{letters}\"", char::from(byte).to_string().repeat(4)));
        }
    }
}

#[test]
fn a_number_that_ended_in_the_stretch_before_is_no_part_of_another() {
    for number in ["0.5", "5e5", "5e-5", "5.5e5"] {
        for cut in 0..=number.len() {
            let first = format!("[{}{number},", " ".repeat(STRETCH_BYTES - 1 - cut));
            let text = first.clone() + &" ".repeat(2 * STRETCH_BYTES - first.len());
            for next in ["7.5", "7e5", "7.5e5", "7"] {
                check_value(&format!("{text}{next}]"));
                check_value(&format!("{text}{}{next}]", "7,".repeat(STRETCH_BYTES / 2)));
            }
        }
    }
}

#[test]
fn nesting_of_every_depth_ends_as_it_began() {
    for depth in (0..140).chain([1000, 1023, 1024, 1025, 5000]) {
        for (open, close) in [("[", "]"), ("{\"\":", "}"), ("[{\"a\":", "}]"), ("[[],", ",[{}]]")] {
            let (before, after) = (open.repeat(depth), close.repeat(depth));
            check_value(&format!("{before}0{after}"));
            check_value(&format!("[{before}0{after},{before}0{after}]"));
            check_value(&format!("{before}0{after}]"));
            check_value(&format!("[{before}0{after}"));
            check_value(&format!("{before}0{}", after.replacen('}', "]", 1)));
            check_value(&format!("{before}0{}", after.replacen(']', "}", 1)));
            check_value(&format!("{before}0,\"a\":0{after}"));
        }
    }
}

proptest! {
    #[test]
    fn any_pieces_of_json_are_taken_or_refused_by_both(pieces in prop::collection::vec(piece(), 0..60), at: usize) {
        let text = pieces.concat();
        check_value(&text);
        check_value_across_borders(&text, at % (text.len() + 1));
    }

    #[test]
    fn any_value_is_taken_by_both_and_damaged_by_both_or_none(value in value(), damages in damages(), at: usize) {
        check_value(&value);
        check_value_across_borders(&value, at % (value.len() + 1));
        let damaged = damaged(&value, &damages);
        check_value_across_borders(&damaged, at % (damaged.len() + 1));
        check_value(&spread(&value, "\n   "));
    }

    #[test]
    fn any_list_of_values_is_taken_or_refused_by_both(
        values in prop::collection::vec((value(), "[ \n]{0,3}"), 0..100), damages in damages(),
    ) {
        let list: Vec<String> = values.into_iter().map(|(value, space)| space + &value).collect();
        let text = format!("[{}]", list.join(","));
        check_value(&text);
        check_value(&damaged(&text, &damages));
    }
}
