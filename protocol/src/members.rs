//! The members of a message, found in one pass over its text; what they mean together is in
//! [`crate::decode`].
//!
//! The pass skips payloads and copies nothing that needs no copy. It deliberately doesn't say why it
//! refuses a text: [`crate::refusal`] reads that again, for the message of the error.

use crate::{Delivery, Exit};
use bulkhead_json::{Cursor, LONG_BYTES_MIN, MemberName, MemberOutline, Validator};
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// The members of both kinds of message; unknown ones are ignored, and one that is `null` is as one
/// that is absent.
#[derive(Debug, Default)]
pub(crate) struct Members<'a> {
    pub(crate) id: Option<u64>,
    pub(crate) kind: Option<Cow<'a, str>>,
    pub(crate) status: Option<Cow<'a, str>>,
    pub(crate) to: Option<Cow<'a, str>>,
    /// The text of the value.
    pub(crate) payload: Option<&'a str>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) key: Option<Cow<'a, str>>,
    pub(crate) of: Option<u64>,
    /// The text of the value.
    pub(crate) data: Option<&'a str>,
    pub(crate) last: Option<bool>,
    pub(crate) of_failure: Option<Box<FailureMembers>>,
}

/// The members that only come with an error, and so seldom that they may cost a little.
#[derive(Debug, Default)]
pub(crate) struct FailureMembers {
    pub(crate) error: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) retryable: Option<bool>,
    pub(crate) exit: Option<Exit>,
    pub(crate) stderr: Vec<String>,
    pub(crate) module_code: Option<String>,
}

/// The names that are known. None may come twice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Id,
    Type,
    Status,
    To,
    Payload,
    DeadlineMs,
    Key,
    Of,
    Data,
    Last,
    Error,
    Code,
    Delivery,
    Retryable,
    Exit,
    Stderr,
    ModuleCode,
}

/// Where the members of a long message are.
pub(crate) type Outline = MemberOutline<Name, { Name::ModuleCode as usize + 1 }>;

impl MemberName for Name {
    #[inline]
    fn of(text: &str) -> Option<Name> {
        Some(match text {
            "id" => Name::Id,
            "type" => Name::Type,
            "status" => Name::Status,
            "to" => Name::To,
            "payload" => Name::Payload,
            "deadline_ms" => Name::DeadlineMs,
            "key" => Name::Key,
            "of" => Name::Of,
            "data" => Name::Data,
            "last" => Name::Last,
            "error" => Name::Error,
            "code" => Name::Code,
            "delivery" => Name::Delivery,
            "retryable" => Name::Retryable,
            "exit" => Name::Exit,
            "stderr" => Name::Stderr,
            "module_code" => Name::ModuleCode,
            _ => return None,
        })
    }

    fn number(self) -> usize {
        self as usize
    }
}

impl<'a> Members<'a> {
    /// Reads the text of one message into members that are all absent; `None` is any reason to refuse it.
    pub(crate) fn read(&mut self, text: &'a str) -> Option<()> {
        if text.len() < LONG_BYTES_MIN { self.read_short(text) } else { self.read_long(text) }
    }

    #[inline(always)]
    pub(crate) fn read_short(&mut self, text: &'a str) -> Option<()> {
        let mut cursor = Cursor::new(text);
        let mut seen = 0_u32;
        cursor.take(b'{')?;
        if cursor.take(b'}').is_none() {
            loop {
                let name = Name::of(&cursor.string()?.unescaped()?);
                cursor.take(b':')?;
                match name {
                    Some(name) => {
                        let bit = 1 << name as u32;
                        if seen & bit != 0 {
                            return None;
                        }
                        seen |= bit;
                        self.read_member(name, &mut cursor)?;
                    }
                    None => {
                        cursor.value()?;
                    }
                }
                if cursor.take(b',').is_none() {
                    cursor.take(b'}')?;
                    break;
                }
            }
        }
        cursor.is_at_end().then_some(())
    }

    #[inline(never)]
    fn read_long(&mut self, text: &'a str) -> Option<()> {
        let mut outline = Outline::new();
        Validator::new().finish(text, &mut outline)?;
        self.read_outlined(text, &outline)
    }

    /// As [`Members::read`], of a text that has been checked, with this outline.
    #[inline(never)]
    pub(crate) fn read_outlined(&mut self, text: &'a str, outline: &Outline) -> Option<()> {
        for (name, value) in outline.members()? {
            let value = text.get(value)?;
            match name {
                Name::Payload => self.payload = Some(value).filter(|text| *text != "null"),
                Name::Data => self.data = Some(value).filter(|text| *text != "null"),
                _ => self.read_member(name, &mut Cursor::new(value))?,
            }
        }
        Some(())
    }

    #[inline(always)]
    fn read_member(&mut self, name: Name, cursor: &mut Cursor<'a>) -> Option<()> {
        match name {
            Name::Id => self.id = number(cursor)?,
            Name::Type => self.kind = string(cursor)?,
            Name::Status => self.status = string(cursor)?,
            Name::To => self.to = string(cursor)?,
            Name::Payload => self.payload = not_null(cursor)?,
            Name::DeadlineMs => self.deadline_ms = number(cursor)?,
            Name::Key => self.key = string(cursor)?,
            Name::Of => self.of = number(cursor)?,
            Name::Data => self.data = not_null(cursor)?,
            Name::Last => self.last = by_type(cursor)?,
            Name::Error => self.of_failure().error = by_type(cursor)?,
            Name::Code => self.of_failure().code = by_type(cursor)?,
            Name::Delivery => self.of_failure().delivery = by_type(cursor)?,
            Name::Retryable => self.of_failure().retryable = by_type(cursor)?,
            Name::Exit => self.of_failure().exit = by_type(cursor)?,
            Name::Stderr => self.of_failure().stderr = by_type(cursor)?,
            Name::ModuleCode => self.of_failure().module_code = by_type(cursor)?,
        }
        Some(())
    }

    fn of_failure(&mut self) -> &mut FailureMembers {
        self.of_failure.get_or_insert_default()
    }
}

/// The text of a value, unless it is `null`.
fn not_null<'a>(cursor: &mut Cursor<'a>) -> Option<Option<&'a str>> {
    Some(Some(cursor.value()?).filter(|text| *text != "null"))
}

/// An integer without sign, or `null`.
fn number(cursor: &mut Cursor<'_>) -> Option<Option<u64>> {
    match not_null(cursor)? {
        // What the cursor takes for a number has no plus sign, so this is only digits.
        Some(text) => text.parse().ok().map(Some),
        None => Some(None),
    }
}

/// A string, or `null`.
fn string<'a>(cursor: &mut Cursor<'a>) -> Option<Option<Cow<'a, str>>> {
    if cursor.peek()? == b'"' {
        cursor.string()?.unescaped().map(Some)
    } else {
        not_null(cursor)?.is_none().then_some(None)
    }
}

/// A value that is read by the rules of its type.
#[inline(never)]
fn by_type<T: DeserializeOwned>(cursor: &mut Cursor<'_>) -> Option<T> {
    serde_json::from_str(cursor.value()?).ok()
}
