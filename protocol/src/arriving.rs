//! A long message on its way: it is checked as it comes, so that little is left to do when its end does, and
//! nobody else has to wait for that.
//!
//! Whatever comes is looked at once, however it is cut. It deliberately holds nothing but what has come, and
//! doesn't say what is wrong before the end: [`crate::refusal`] reads it again for that.

use crate::{
    Message, MessageError,
    check::Check,
    decode::{Payload, not_utf8},
    frame::room_for,
    outline::MemberOutline,
};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Arriving {
    /// Bytes that it has in the end.
    bytes: usize,
    /// What has come and is text.
    text: String,
    /// What has come behind that: the beginning of a character, or all from the first byte on that is none.
    rest: Vec<u8>,
    is_utf8: bool,
    is_refused: bool,
    check: Check,
    outline: MemberOutline,
}

impl Arriving {
    /// A message of this many bytes, of which nothing has come.
    pub(crate) fn new(bytes: usize) -> Arriving {
        Arriving {
            bytes,
            text: String::new(),
            rest: Vec::new(),
            is_utf8: true,
            is_refused: false,
            check: Check::new(),
            outline: MemberOutline::default(),
        }
    }

    /// Bytes that it has in the end.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that have come.
    pub(crate) fn held_bytes(&self) -> usize {
        self.text.len() + self.rest.len()
    }

    /// What these bytes take in memory, with the room that was made for more.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.text.capacity() + self.rest.capacity()
    }

    /// Takes what belongs to the message from `input`. Returns whether all of it has come.
    pub(crate) fn take(&mut self, input: &mut &[u8]) -> bool {
        let missing = self.bytes - self.held_bytes();
        let (piece, behind) = input.split_at(missing.min(input.len()));
        *input = behind;
        self.push(piece);
        if self.is_utf8 && !self.is_refused {
            self.is_refused = self.check.go_on(&self.text, &mut self.outline).is_none();
        }
        self.held_bytes() == self.bytes
    }

    fn push(&mut self, mut piece: &[u8]) {
        let more = self.rest.len() + piece.len();
        if self.is_utf8 && self.text.capacity() - self.text.len() < more {
            self.text.reserve_exact(room_for(more, self.text.len(), self.bytes));
        }
        while self.is_utf8 && !self.rest.is_empty() {
            let Some((byte, behind)) = piece.split_first() else { return };
            piece = behind;
            self.rest.push(*byte);
            match std::str::from_utf8(&self.rest) {
                Ok(character) => {
                    self.text.push_str(character);
                    self.rest.clear();
                }
                Err(error) => self.is_utf8 = error.error_len().is_none(),
            }
        }
        if self.is_utf8 {
            let (whole, begun) = piece.split_at(piece.len() - begun_bytes(piece));
            match std::str::from_utf8(whole) {
                Ok(text) => {
                    self.text.push_str(text);
                    piece = begun;
                }
                Err(error) => {
                    let (text, behind) = piece.split_at(error.valid_up_to());
                    self.text.push_str(std::str::from_utf8(text).expect("it is valid up to there"));
                    self.is_utf8 = false;
                    piece = behind;
                }
            }
        }
        if self.rest.capacity() - self.rest.len() < piece.len() {
            self.rest.reserve_exact(room_for(piece.len(), self.rest.len(), self.bytes - self.text.len()));
        }
        self.rest.extend_from_slice(piece);
    }

    /// The message, of which all has come; a text that is none is given back.
    pub(crate) fn finish(mut self) -> Result<Result<Message, MessageError>, Arc<String>> {
        if let Some(byte) = self.rest.first() {
            return Ok(Err(not_utf8(*byte, self.text.len())));
        }
        if self.text.capacity() - self.text.len() > self.text.len() / 8 {
            self.text.shrink_to_fit();
        }
        let text = Arc::new(self.text);
        if self.is_refused || self.check.finish(&text, &mut self.outline).is_none() {
            return Err(text);
        }
        Message::read(&text, Payload::PartOf(&text), Some(&self.outline)).ok_or(text)
    }

    /// Appends what has come to `out`, as it came.
    pub(crate) fn give_back(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(&self.rest);
    }
}

/// How many bytes at the end are the beginning of a character whose end may be still to come.
fn begun_bytes(bytes: &[u8]) -> usize {
    for (count, byte) in (1..4).zip(bytes.iter().rev()) {
        let of = match byte {
            0x80..0xc0 => continue,
            ..0x80 => 1,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        return if count < of { count } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_allocates_nothing_for_a_message_either() {
        let mut arriving = Arriving::new(16 << 20);
        assert!(!arriving.take(&mut &b"{\"id\":1,\""[..]));
        assert!(arriving.text.capacity() < 100);
        assert!(!arriving.take(&mut &b"\xff\xff"[..]));
        assert!(arriving.text.capacity() + arriving.rest.capacity() < 100);
    }

    #[test]
    fn what_a_piece_may_leave_for_the_next_is_the_beginning_of_a_character() {
        for text in ["", "x", "é", "€", "𝄞", "x𝄞", "éé"] {
            for cut in 0..=text.len() {
                let whole = (0..=cut).rev().find(|end| text.is_char_boundary(*end)).unwrap();
                assert_eq!(begun_bytes(&text.as_bytes()[..cut]), cut - whole, "{cut} of {text}");
            }
        }
    }
}
