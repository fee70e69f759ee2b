//! JSON text: whether it is JSON, and where its parts are, without building a tree.
//!
//! [`Cursor`] moves over a short text and checks what it passes. [`Validator`] validates a long one, a kilobyte at a
//! time and as far as it has come, and passes to an [`Outline`] where the members of the outermost object are;
//! [`Incremental`] does so for bytes that come in pieces. [`Raw`] looks into a text that is known to be valid.
//! [`is_one_value`] uses the faster one of the first two.
//!
//! All of them take exactly what RFC 8259 calls JSON text, and what `serde_json` takes as a raw value. The crate
//! deliberately says nothing about why a text is refused, converts no numbers, and depends on the standard library
//! alone. `README.md` beside its sources says how it works and where the ideas come from.

#![deny(unsafe_code)]

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod agreement_when_long;
mod bitmap;
mod classify;
mod cursor;
mod dispatch;
mod incremental;
mod nesting;
mod raw;
mod scalars;
mod scanner;
mod strings;
mod structure;
#[cfg(test)]
#[path = "../tests/texts/mod.rs"]
mod texts;
mod tokens;
mod unescape;
mod validator;

pub use cursor::{Cursor, RawString, is_one_value};
pub use incremental::{Incremental, NotJson, room_for};
pub use raw::{Elements, Kind, Members, Raw, text_end};
pub use structure::{MemberName, MemberOutline, Outline};
pub use validator::{LONG_BYTES_MIN, Validator};
