//! A position in a JSON text that moves over values, checks all of them and reads as little as it can: what is
//! skipped is valid, and nothing of it is copied.
//!
//! It accepts what RFC 8259 calls JSON, and exactly what `serde_json` takes as a raw value: escapes
//! of half a surrogate pair pass as they are, names may come twice, numbers have any size, and
//! nesting is as deep as the text is long, without a deep stack. It deliberately doesn't say what
//! was wrong: a caller that needs a message lets another parser read the text again.

use crate::{
    nesting::{Container, Nesting},
    scanner,
    unescape::unescape,
    validator::{LONG_BYTES_MIN, Validator},
};
use std::borrow::Cow;

/// Whether `text` is one value, with nothing around it but white space.
pub fn is_one_value(text: &str) -> bool {
    if text.len() >= LONG_BYTES_MIN {
        return Validator::is_one_value(text);
    }
    let mut cursor = Cursor::new(text);
    cursor.peek().is_some() && cursor.value().is_some() && cursor.is_at_end()
}

/// A position in a text that is known to be UTF-8. Each method returns `None` where the text is not JSON or has
/// something else there; the position of the cursor has no meaning then.
///
/// ```
/// use bulkhead_json::{Cursor, RawString};
///
/// let mut cursor = Cursor::new(r#"{"a": [1, {"b": 2}]}"#);
/// cursor.take(b'{').unwrap();
/// assert_eq!(cursor.string(), Some(RawString::Plain("a")));
/// cursor.take(b':').unwrap();
/// assert_eq!(cursor.value(), Some(r#"[1, {"b": 2}]"#));
/// cursor.take(b'}').unwrap();
/// assert!(cursor.is_at_end());
/// ```
#[derive(Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A string as it is in the text, with its quotation marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawString<'a> {
    /// The text between the marks is the string's value.
    Plain(&'a str),
    /// There are escapes in it; they are whole, but may be halves of a surrogate pair.
    Escaped(&'a str),
}

impl<'a> RawString<'a> {
    /// The text that the string stands for; `None` where an escape is half a surrogate pair, as no text holds that.
    #[inline]
    pub fn unescaped(self) -> Option<Cow<'a, str>> {
        match self {
            RawString::Plain(text) => Some(Cow::Borrowed(text)),
            RawString::Escaped(text) => unescape(text.get(1..text.len().checked_sub(1)?)?).map(Cow::Owned),
        }
    }
}

impl<'a> Cursor<'a> {
    /// A cursor at the first byte of `text`.
    #[inline]
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    /// Whether nothing but white space is left.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        scanner::white_space_end(self.text.as_bytes(), self.at) == self.text.len()
    }

    /// Skips white space and returns the byte after it, without taking that.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        token(self.text.as_bytes(), &mut self.at)
    }

    /// Skips white space and takes the byte after it, which must be this one.
    #[inline]
    pub fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Takes one value, and returns it as it is in the text.
    #[inline]
    pub fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.at = value_end(self.text.as_bytes(), start)?;
        // Both ends are beside ASCII characters, so they are not inside a character.
        self.text.get(start..self.at)
    }

    /// Takes a string.
    #[inline]
    pub fn string(&mut self) -> Option<RawString<'a>> {
        self.take(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        self.at = scanner::string_stop(bytes, start);
        if *bytes.get(self.at)? == b'"' {
            self.at += 1;
            return self.text.get(start..self.at - 1).map(RawString::Plain);
        }
        self.at = escaped_string_end(bytes, self.at)?;
        self.text.get(start - 1..self.at).map(RawString::Escaped)
    }
}

/// Moves `at` past white space, and returns the byte there.
#[inline]
fn token(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let byte = *bytes.get(*at)?;
    if byte > b' ' {
        return Some(byte);
    }
    *at = scanner::white_space_end(bytes, *at);
    bytes.get(*at).copied()
}

/// The end of the value that begins at `at`.
#[inline]
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match *bytes.get(at)? {
        b'{' => container_end(bytes, at + 1, Container::Object),
        b'[' => container_end(bytes, at + 1, Container::Array),
        first => simple_end(bytes, at, first),
    }
}

/// The end of the value that begins with `first` at `at` and has no values in it.
#[inline(always)]
fn simple_end(bytes: &[u8], at: usize, first: u8) -> Option<usize> {
    match first {
        b'"' => string_end(bytes, at + 1),
        b'0'..=b'9' | b'-' => number_end(bytes, at, first),
        b't' => literal_end(bytes, at, b"true"),
        b'f' => literal_end(bytes, at, b"false"),
        b'n' => literal_end(bytes, at, b"null"),
        _ => None,
    }
}

/// The end of the container of this kind whose first byte is before `at`.
#[inline(never)]
fn container_end(bytes: &[u8], mut at: usize, mut inside: Container) -> Option<usize> {
    let mut around = Nesting::default();
    let mut byte = token(bytes, &mut at)?;
    if byte == inside.end() {
        return Some(at + 1);
    }
    // Each iteration takes one element, which begins with `byte`, and what ends with it.
    loop {
        if inside == Container::Object {
            byte = member_value(bytes, &mut at, byte)?;
        }
        if let Some(opened) = Container::opened_by(byte) {
            around.push(inside);
            inside = opened;
            at += 1;
            byte = token(bytes, &mut at)?;
            if byte != inside.end() {
                continue;
            }
        } else {
            at = simple_end(bytes, at, byte)?;
            byte = token(bytes, &mut at)?;
        }
        while byte != b',' {
            if byte != inside.end() {
                return None;
            }
            at += 1;
            let Some(container) = around.pop() else { return Some(at) };
            inside = container;
            byte = token(bytes, &mut at)?;
        }
        at += 1;
        byte = token(bytes, &mut at)?;
    }
}

/// Passes the name of a member, which begins with `first` at `at`, and the colon; returns the first
/// byte of its value.
#[inline(always)]
fn member_value(bytes: &[u8], at: &mut usize, first: u8) -> Option<u8> {
    if first != b'"' {
        return None;
    }
    *at = string_end(bytes, *at + 1)?;
    if token(bytes, at)? != b':' {
        return None;
    }
    *at += 1;
    token(bytes, at)
}

/// The end of the string whose first quotation mark is before `at`.
#[inline(always)]
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let stop = scanner::string_stop(bytes, at);
    if *bytes.get(stop)? == b'"' { Some(stop + 1) } else { escaped_string_end(bytes, stop) }
}

/// The end of a string whose first stop is at `at`, and is no quotation mark.
#[inline(never)]
fn escaped_string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at..)? {
            [b'"', ..] => return Some(at + 1),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => at += 2,
            [b'\\', b'u', digits @ ..] if digits.first_chunk::<4>()?.iter().all(u8::is_ascii_hexdigit) => at += 6,
            _ => return None,
        }
        at = scanner::string_stop(bytes, at);
    }
}

/// The end of the number that begins with `first` at `at`. What may not follow a number is
/// left to be found there, such as a digit after a leading 0.
#[inline(always)]
fn number_end(bytes: &[u8], mut at: usize, first: u8) -> Option<usize> {
    if first == b'-' {
        at += 1;
    }
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits_end(bytes, at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let is_signed = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = digits_end(bytes, at + 1 + usize::from(is_signed))?;
    }
    Some(at)
}

/// The end of the digits at `at`, of which there must be one.
#[inline(always)]
fn digits_end(bytes: &[u8], at: usize) -> Option<usize> {
    Some(scanner::digits_end(bytes, at)).filter(|end| *end > at)
}

#[inline(always)]
fn literal_end(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(literal).then_some(at + literal.len())
}
