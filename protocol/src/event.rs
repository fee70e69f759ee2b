//! Names of events, the patterns that choose among them, and the few members of a payload that the
//! host itself reads. The core delivers them.

use crate::limits::EVENT_NAME_BYTES_MAX;
use crate::{Json, Named};
use serde::{Deserialize, de::IgnoredAny};
use std::{borrow::Cow, fmt};

/// A pattern of event names: an exact name, a prefix that ends in `*`, or `*` for all.
///
/// `research_log.*` matches `research_log.created` and `research_log.entry.added`; the star is allowed
/// only at the end and matches any text, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// Why a text is no name or pattern of events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventNameError {
    /// It has no characters, or more than 256 bytes.
    #[error("an event's name has 1 to {EVENT_NAME_BYTES_MAX} bytes, found {0}")]
    Length(usize),
    /// It has white space or a control character.
    #[error("an event's name has no white space and no control characters, found {0:?}")]
    Character(char),
    /// A star is somewhere other than at the end of a pattern.
    #[error("a '*' stands only at the end of a pattern, found {0:?}")]
    Star(String),
}

/// Checks the name of one event.
///
/// # Errors
/// When it is empty, too long, has white space, a control character or a star.
pub fn check_event_name(name: &str) -> Result<(), EventNameError> {
    if name.is_empty() || name.len() > EVENT_NAME_BYTES_MAX {
        return Err(EventNameError::Length(name.len()));
    }
    if let Some(found) = name.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Err(EventNameError::Character(found));
    }
    if name.contains('*') {
        return Err(EventNameError::Star(name.to_owned()));
    }
    Ok(())
}

impl Pattern {
    /// Checks `text` and makes it a pattern.
    ///
    /// # Errors
    /// As [`check_event_name`], but for one star at the end.
    pub fn new(text: &str) -> Result<Pattern, EventNameError> {
        let stem = text.strip_suffix('*').unwrap_or(text);
        if text != "*" {
            check_event_name(stem).map_err(|error| match error {
                EventNameError::Star(_) => EventNameError::Star(text.to_owned()),
                other => other,
            })?;
        }
        Ok(Pattern(text.to_owned()))
    }

    /// Whether the pattern matches `name`.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.0,
        }
    }

    /// The text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the members of a payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// It is a list.
    #[error("invalid type: a list, expected an object")]
    List,
    /// It is no object, lacks a member, or has one twice or with a value of another type.
    #[error("{0}")]
    Form(serde_json::Error),
}

/// Why a payload is not that of a request of type `event`.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is not `{"event","data"}`.
    #[error("expected a payload {{\"event\",\"data\"}}: {0}")]
    Payload(MembersError),
    /// The event's name breaks a rule.
    #[error(transparent)]
    Name(#[from] EventNameError),
}

/// A payload is not that of a request of type `cancel`: it is not `{"id"}`.
#[derive(Debug, thiserror::Error)]
#[error("expected a payload {{\"id\"}}: {0}")]
pub struct CancelError(MembersError);

/// The name of the event in the payload of a request of type `event`.
///
/// # Errors
/// When the payload is not `{"event","data"}`, has one of the two twice, or the name breaks a rule.
pub fn event_name(payload: &Json) -> Result<String, EventError> {
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct Event<'a> {
        #[serde(borrow)]
        event: Cow<'a, str>,
        // Read only to refuse it where it comes twice: it would not be clear which is meant.
        #[serde(default, rename = "data")]
        _data: Option<IgnoredAny>,
    }
    if let Some(plain) = Named::event(payload) {
        check_event_name(plain.name)?;
        return Ok(plain.name.to_owned());
    }
    let event: Event<'_> = read_object(payload).map_err(EventError::Payload)?;
    check_event_name(&event.event)?;
    Ok(event.event.into_owned())
}

/// The data of an event whose payload [`event_name`] has accepted; `null` where it has none. It shares the
/// memory of the payload where it is most of it.
pub fn event_data(payload: &Json) -> Json {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default)]
        data: Json,
    }
    match Named::event(payload) {
        Some(plain) => plain.value.map_or_else(Json::null, |text| payload.part(text)),
        None => payload.read::<Event>().map(|event| event.data).unwrap_or_default(),
    }
}

/// The number of the request that the payload of a request of type `cancel` names.
///
/// # Errors
/// When the payload is not `{"id"}`.
pub fn cancel_target(payload: &Json) -> Result<u64, CancelError> {
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct Cancel {
        id: u64,
    }
    let cancel: Cancel = read_object(payload).map_err(CancelError)?;
    Ok(cancel.id)
}

/// The name of the command in the payload of a request of type `command`, if it has one.
pub fn command_name(payload: &Json) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct Command<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    if let Some(plain) = Named::command(payload) {
        return Some(plain.name.to_owned());
    }
    read_object::<Command<'_>>(payload).ok().map(|command| command.name.into_owned())
}

/// Reads an object. A list is not accepted, although serde would take its elements for the members in their order.
fn read_object<'a, T: Deserialize<'a>>(payload: &'a Json) -> Result<T, MembersError> {
    if payload.as_str().starts_with('[') {
        return Err(MembersError::List);
    }
    payload.read().map_err(MembersError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_end() {
        let pattern = Pattern::new("research_log.*").unwrap();
        assert!(pattern.matches("research_log.created"));
        assert!(pattern.matches("research_log."));
        assert!(!pattern.matches("research_logs.created"));
        assert!(Pattern::new("*").unwrap().matches("anything"));
        assert!(Pattern::new("a.b").unwrap().matches("a.b"));
        assert!(!Pattern::new("a.b").unwrap().matches("a.b.c"));
    }

    #[test]
    fn a_payload_says_once_what_happened() {
        let name = |text: &str| event_name(&Json::parse(text).unwrap()).map_err(|error| error.to_string());
        assert_eq!(name(r#"{"data":null,"event":"a","more":1}"#), Ok("a".into()));
        let deep = format!(r#"{{"event":"a","data":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(name(&deep), Ok("a".into()));
        for member in ["event", "data"] {
            let twice = name(r#"{"event":"a","data":1,"x":"b"}"#.replace("\"x\"", &format!("\"{member}\"")).as_str());
            assert!(twice.unwrap_err().contains(&format!("duplicate field `{member}`")));
        }
    }

    #[test]
    fn a_list_is_no_object_with_nameless_members() {
        let list = |text: &str| Json::parse(text).unwrap();
        let reason = "expected a payload {\"event\",\"data\"}: invalid type: a list, expected an object";
        assert_eq!(event_name(&list(r#"["a.b"]"#)).unwrap_err().to_string(), reason);
        assert!(cancel_target(&list("[5]")).is_err());
        assert_eq!(command_name(&list(r#"["do"]"#)), None);
    }

    #[test]
    fn odd_names_are_refused() {
        assert_eq!(Pattern::new(""), Err(EventNameError::Length(0)));
        assert_eq!(Pattern::new("a*b"), Err(EventNameError::Star("a*b".into())));
        assert_eq!(Pattern::new("**"), Err(EventNameError::Star("**".into())));
        assert_eq!(check_event_name("a b"), Err(EventNameError::Character(' ')));
        assert_eq!(check_event_name("a.*"), Err(EventNameError::Star("a.*".into())));
    }
}
