//! Says why a text is no message: in the words of `serde_json`, with line and column. What is read here has been
//! refused already; tests check that the two readers refuse the same texts.

use crate::{Delivery, Exit, MessageError, escape, frame::quote, limits::REQUEST_ID_MAX};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How much of either end of a long message is shown, in bytes.
const SENTENCE_END_BYTES_MAX: usize = 200;

/// The members of both kinds of message, in the form that each has to have.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
#[allow(dead_code, reason = "only whether it can be read counts, and tests compare what was read")]
pub(crate) struct Form<'a> {
    #[serde(default, deserialize_with = "present")]
    pub(crate) id: Option<Option<u64>>,
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) status: Option<Cow<'a, str>>,
    pub(crate) to: Option<String>,
    #[serde(borrow)]
    pub(crate) payload: Option<&'a RawValue>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) key: Option<String>,
    pub(crate) of: Option<u64>,
    #[serde(borrow)]
    pub(crate) data: Option<&'a RawValue>,
    pub(crate) last: Option<bool>,
    pub(crate) error: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) retryable: Option<bool>,
    pub(crate) exit: Option<Exit>,
    #[serde(default)]
    pub(crate) stderr: Vec<String>,
    pub(crate) module_code: Option<String>,
}

/// Distinguishes a member that is `null` from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(deserializer).map(Some)
}

/// Why `text` was refused, with the id of the message where that can still be read.
#[cold]
pub(crate) fn of(text: &str) -> MessageError {
    let found = quote(text.as_bytes());
    // An array of the right values in the right order would be read as an object without names.
    if text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[') {
        return MessageError { id: None, reason: format!("expected one JSON object, found {found}") };
    }
    let reason = match serde_json::from_str::<Form<'_>>(text) {
        Err(error) => {
            let what = if error.is_data() { "a message" } else { "one JSON object" };
            format!("expected {what}: {}; found {found}", shown(&error))
        }
        Ok(_) => {
            debug_assert!(false, "two readers of a message disagree about {found}");
            format!("expected a message, found {found}")
        }
    };
    MessageError { id: readable_id(text), reason }
}

/// The message of `serde_json` on one line, and without the middle where it is long: it repeats texts of the input,
/// whatever they are and however long, and has the position at its end.
fn shown(error: &serde_json::Error) -> String {
    let sentence = error.to_string();
    let sentence = escape(&sentence);
    if sentence.len() <= 2 * SENTENCE_END_BYTES_MAX {
        return sentence.into_owned();
    }
    let beginning = &sentence[..sentence.floor_char_boundary(SENTENCE_END_BYTES_MAX)];
    let end = &sentence[sentence.ceil_char_boundary(sentence.len() - SENTENCE_END_BYTES_MAX)..];
    format!("{beginning}…{end}")
}

/// The id of a message that is broken elsewhere, so that its sender still gets an answer with it.
fn readable_id(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: Option<u64>,
    }
    serde_json::from_str::<OnlyId>(text).ok().and_then(|only| only.id).filter(|id| *id <= REQUEST_ID_MAX)
}
