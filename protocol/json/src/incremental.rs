//! A long text on its way: it is validated as it comes, so that little is left to do when its end comes.
//!
//! Each byte that comes is looked at once, however the text is cut. It deliberately holds only what has come,
//! and doesn't say what is wrong: the text is given back for that.

use crate::{structure::Outline, validator::Validator};

/// A text of a length that is known, of which a part has come.
///
/// ```
/// use bulkhead_json::Incremental;
///
/// let mut text = Incremental::new(8, ());
/// assert!(!text.take(&mut &b"[\"\xc3"[..]));
/// let mut piece = &b"\xa9\",1]more"[..];
/// assert!(text.take(&mut piece));
/// assert_eq!(piece, b"more");
/// let (text, ()) = text.finish().unwrap();
/// assert_eq!(text, r#"["é",1]"#);
/// ```
#[derive(Debug)]
pub struct Incremental<O> {
    /// Bytes that it has in the end.
    bytes: usize,
    /// What has come and is text.
    text: String,
    /// What has come after that: the beginning of a character, or everything from the first byte on that is no text.
    rest: Vec<u8>,
    is_utf8: bool,
    is_refused: bool,
    validator: Validator,
    outline: O,
}

/// Why a text is not JSON, as far as it is known without another look.
#[derive(Debug, PartialEq, Eq)]
pub enum NotJson {
    /// It is no UTF-8.
    Bytes {
        /// The first byte that is none.
        byte: u8,
        /// Where it is.
        offset: usize,
    },
    /// It is this text, and no JSON, or the outline has refused it.
    Text(String),
}

impl<O: Outline> Incremental<O> {
    /// A text of this many bytes, of which nothing has come.
    pub fn new(bytes: usize, outline: O) -> Incremental<O> {
        Incremental {
            bytes,
            text: String::new(),
            rest: Vec::new(),
            is_utf8: true,
            is_refused: false,
            validator: Validator::new(),
            outline,
        }
    }

    /// Bytes that it has in the end.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that have come.
    pub fn held_bytes(&self) -> usize {
        self.text.len() + self.rest.len()
    }

    /// What these bytes take in memory, with the capacity for more.
    pub fn capacity_bytes(&self) -> usize {
        self.text.capacity() + self.rest.capacity()
    }

    /// Takes what belongs to the text from `input`. Returns whether all of it has come.
    pub fn take(&mut self, input: &mut &[u8]) -> bool {
        let missing = self.bytes - self.held_bytes();
        let (piece, after) = input.split_at(missing.min(input.len()));
        *input = after;
        self.push(piece);
        if self.is_utf8 && !self.is_refused {
            self.is_refused = self.validator.resume(&self.text, &mut self.outline).is_none();
        }
        self.held_bytes() == self.bytes
    }

    fn push(&mut self, mut piece: &[u8]) {
        let more = self.rest.len() + piece.len();
        if self.is_utf8 && self.text.capacity() - self.text.len() < more {
            self.text.reserve_exact(room_for(more, self.text.len(), self.bytes));
        }
        while self.is_utf8 && !self.rest.is_empty() {
            let Some((byte, after)) = piece.split_first() else { return };
            piece = after;
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
                    let (text, after) = piece.split_at(error.valid_up_to());
                    self.text.push_str(std::str::from_utf8(text).expect("it is valid up to there"));
                    self.is_utf8 = false;
                    piece = after;
                }
            }
        }
        if self.rest.capacity() - self.rest.len() < piece.len() {
            self.rest.reserve_exact(room_for(piece.len(), self.rest.len(), self.bytes - self.text.len()));
        }
        self.rest.extend_from_slice(piece);
    }

    /// The text, of which all has come, and what the outline has found.
    ///
    /// # Errors
    /// When it is not one JSON value, or the outline has refused it.
    pub fn finish(mut self) -> Result<(String, O), NotJson> {
        if let Some(byte) = self.rest.first() {
            return Err(NotJson::Bytes { byte: *byte, offset: self.text.len() });
        }
        if self.text.capacity() - self.text.len() > self.text.len() / 8 {
            self.text.shrink_to_fit();
        }
        if self.is_refused || self.validator.finish(&self.text, &mut self.outline).is_none() {
            return Err(NotJson::Text(self.text));
        }
        Ok((self.text, self.outline))
    }

    /// Appends what has come to `out`, as it came.
    pub fn give_back(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(&self.rest);
    }
}

/// How much room to make for `more` bytes after those that are `held`, of those that are `wanted` in the end.
pub fn room_for(more: usize, held: usize, wanted: usize) -> usize {
    // A long text is moved only a few times, and its memory is in proportion to what has come.
    (wanted - held).min(3 * held).max(more)
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
    use crate::texts::{damaged, damages, value};
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    #[test]
    fn a_promise_allocates_nothing_for_a_text_either() {
        let mut incremental = Incremental::new(16 << 20, ());
        assert!(!incremental.take(&mut &b"{\"id\":1,\""[..]));
        assert!(incremental.text.capacity() < 100);
        assert!(!incremental.take(&mut &b"\xff\xff"[..]));
        assert!(incremental.text.capacity() + incremental.rest.capacity() < 100);
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

    /// Whether this content gives the same in pieces of these lengths as in one piece: as the validator of the
    /// standard library says if it is no UTF-8, and as `serde_json` says otherwise.
    fn check_pieces(content: &[u8], lengths: &[usize]) {
        let mut incremental = Incremental::new(content.len(), ());
        let mut rest = content;
        for length in lengths.iter().cycle() {
            let (mut piece, after) = rest.split_at((*length).min(rest.len()));
            rest = after;
            assert_eq!(incremental.take(&mut piece), rest.is_empty());
            assert_eq!((piece, incremental.held_bytes()), (&b""[..], content.len() - rest.len()));
            if rest.is_empty() {
                break;
            }
        }
        let expected = match std::str::from_utf8(content) {
            Err(error) => Err(NotJson::Bytes { byte: content[error.valid_up_to()], offset: error.valid_up_to() }),
            Ok(text) => serde_json::from_str::<&RawValue>(text)
                .map(|_| (text.to_owned(), ()))
                .map_err(|_| NotJson::Text(text.to_owned())),
        };
        assert_eq!(incremental.finish(), expected, "{:?}", String::from_utf8_lossy(content));
    }

    #[test]
    fn a_text_is_what_it_is_wherever_it_is_cut_in_two() {
        let text = r#" {"id":17,"ä":{"a":["\u12aB€",-1.5e3,true]},"\u0074o":"𝄞","key" : "k" } "#;
        for at in 0..=text.len() {
            check_pieces(text.as_bytes(), &[at.max(1), text.len()]);
            let mut damaged = text.as_bytes().to_vec();
            for byte in [0xff, 0x80, 0xc3, 0xf0, b'"', b'\\', b'}', 0] {
                damaged.insert(at, byte);
                for cut in [at.saturating_sub(1), at, at + 1, at + 2] {
                    check_pieces(&damaged, &[cut.max(1), text.len()]);
                }
                damaged.remove(at);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_what_it_is_in_pieces_of_any_lengths(
            values in prop::collection::vec(value(), 1..100),
            damages in damages(),
            lengths in prop::collection::vec(prop_oneof![1..10_usize, 50..150_usize, 1000..1100_usize], 1..20),
        ) {
            let text = format!("[{}]", values.join(","));
            check_pieces(text.as_bytes(), &lengths);
            check_pieces(damaged(&text, &damages).as_bytes(), &lengths);
        }
    }
}
