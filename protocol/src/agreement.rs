//! Tests that our reader of messages and `serde_json` agree: on which texts are messages, and on what is in them.
//! `PROPTEST_CASES=1000000 cargo test --release -p bulkhead-protocol agreement` looks longer.

use crate::{
    members::{Members, Outline},
    refusal::Form,
    texts::{damaged, damages, piece, value},
};
use bulkhead_json::Validator;
use proptest::prelude::*;
use serde_json::value::RawValue;

/// Whether both take `text` for the members of a message or both don't, and find the same in it.
pub(crate) fn check_message(text: &str) {
    let theirs = serde_json::from_str::<Form<'_>>(text).ok();
    // Serde also takes an array of the right values in the right order, which is no message.
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

/// Whether the members of `text` are found alike when it is short and when it is long, or it is refused both times.
pub(crate) fn check_members(text: &str) {
    let (mut short, mut long) = (Members::default(), Members::default());
    let is_short = short.read_short(text).is_some();
    let mut outline = Outline::new();
    let is_long = Validator::new().finish(text, &mut outline).is_some() && long.read_outlined(text, &outline).is_some();
    assert_eq!(is_short, is_long, "{text:?}");
    assert!(!is_short || format!("{short:?}") == format!("{long:?}"), "{text:?}");
}

#[test]
fn a_message_that_is_cut_is_refused_by_both_wherever_it_is_cut() {
    for space in ["", " ", "\n\t        \r"] {
        let text = r#"{~"id"~:~17~,~"type"~:~"command"~,~"payload"~:~{~"a"~:~[~1~,~"x\u12aB"~,~true~]~}~}~"#;
        let text = text.replace('~', space);
        for at in 0..=text.len() {
            check_message(&text[..at]);
            check_members(&text[..at]);
        }
    }
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

proptest! {
    #[test]
    fn any_pieces_are_read_alike_or_refused_by_both(pieces in prop::collection::vec(piece(), 0..60)) {
        check_message(&pieces.concat());
        check_members(&pieces.concat());
    }

    #[test]
    fn any_message_is_read_alike_and_damaged_alike(message in message(), damages in damages()) {
        check_message(&message);
        check_message(&damaged(&message, &damages));
        check_message(&format!("\n {message} "));
    }
}
