//! Frames: a four-byte big-endian length, then that many bytes. What the bytes mean is in [`crate::message`].
//!
//! It is the framing that Erlang calls `{packet, 4}` and that tokio-util's length-delimited codec
//! uses by default.

use crate::{
    limits::{LENGTH_PREFIX_BYTES, QUOTE_BYTES_MAX},
    members::Outline,
};
use bulkhead_json::{Incremental, LONG_BYTES_MIN, room_for};
use std::sync::Arc;

/// Why a stream of bytes is no stream of frames. None of these can be recovered from: the beginning of the
/// next frame is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Text was printed into the protocol stream.
    #[error("expected a 4-byte length, found text: {}", quote(.found))]
    Text {
        /// What was there, as much as had arrived, at most 64 bytes.
        found: Vec<u8>,
    },
    /// The length is beyond the limit.
    #[error("expected a frame of at most {max} bytes, found a length of {length}")]
    TooLarge {
        /// What the prefix says.
        length: u32,
        /// The limit in force.
        max: usize,
    },
    /// The length is zero, and no message is empty.
    #[error("expected a frame of at least 2 bytes, found a length of {0}")]
    Empty(u32),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame: expected {expected} bytes, found {found}")]
    Truncated {
        /// Bytes that the frame has, its prefix counted.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
}

/// Cuts a stream of bytes into frames.
///
/// The caller reads into a buffer of its own, which all streams may share, and passes what it got
/// to [`Decoder::next`] until that returns `None`. A frame that is whole in the caller's buffer is
/// returned from there, without a copy; only an unfinished rest is kept. Memory grows with what has
/// arrived, never with what a length promises.
#[derive(Debug)]
pub struct Decoder {
    frame_bytes_max: usize,
    /// The beginning of a frame whose end has not come, its prefix included.
    partial: Vec<u8>,
    /// A frame that was finished from `partial`; kept so that it can be returned as a borrow.
    finished: Vec<u8>,
    /// Instead of `partial`, a long frame that is read as a message.
    pub(crate) arriving: Option<Box<Arriving>>,
    /// Whether the caller finds out why a long message is refused.
    pub(crate) leaves_refusals: bool,
    pub(crate) refused: Option<Arc<String>>,
}

/// A buffer that a large frame has left is given back to the system above this many bytes.
pub(crate) const KEPT_BYTES_MAX: usize = 64 * 1024;

// What is longer than a kept buffer is read as it comes: a message is long wherever it is read.
const _: () = assert!(KEPT_BYTES_MAX == LONG_BYTES_MIN);

/// A long message on its way.
pub(crate) type Arriving = Incremental<Outline>;

/// One whole frame.
#[derive(Debug)]
pub(crate) enum Cut<'a, 'b> {
    /// Its content, in the caller's buffer.
    Whole(&'b [u8]),
    /// The frame with its prefix, in a buffer that may be taken.
    Finished(&'a mut Vec<u8>),
}

impl Decoder {
    /// A decoder that refuses frames longer than `frame_bytes_max` bytes.
    pub fn new(frame_bytes_max: usize) -> Decoder {
        Decoder {
            frame_bytes_max,
            partial: Vec::new(),
            finished: Vec::new(),
            arriving: None,
            leaves_refusals: false,
            refused: None,
        }
    }

    /// The next whole frame, without its prefix; `None` when `input` is used up.
    ///
    /// # Errors
    /// When what comes is no frame; the decoder is then of no further use.
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        if let Some(arriving) = self.arriving.take() {
            // It was read as a message so far, and is to be a frame now.
            self.partial = u32::try_from(arriving.bytes()).expect("a prefix said it").to_be_bytes().to_vec();
            arriving.give_back(&mut self.partial);
        }
        Ok(match self.cut(input)? {
            Some(Cut::Whole(frame)) => Some(frame),
            Some(Cut::Finished(finished)) => Some(&finished[LENGTH_PREFIX_BYTES..]),
            None => None,
        })
    }

    /// As [`Decoder::next`], but it distinguishes frames in `input` from those that were finished here.
    pub(crate) fn cut<'a, 'b>(&'a mut self, input: &mut &'b [u8]) -> Result<Option<Cut<'a, 'b>>, FrameError> {
        if self.partial.is_empty() {
            let Some(length) = self.length(input)? else {
                self.keep(input);
                return Ok(None);
            };
            let whole = LENGTH_PREFIX_BYTES + length;
            if input.len() < whole {
                self.keep(input);
                return Ok(None);
            }
            let (frame, rest) = input.split_at(whole);
            *input = rest;
            return Ok(Some(Cut::Whole(&frame[LENGTH_PREFIX_BYTES..])));
        }

        self.take(input, LENGTH_PREFIX_BYTES);
        let Some(length) = self.partial_length(input)? else { return Ok(None) };
        let whole = LENGTH_PREFIX_BYTES + length;
        self.take(input, whole);
        if self.partial.len() < whole {
            return Ok(None);
        }
        self.finished = std::mem::take(&mut self.partial);
        Ok(Some(Cut::Finished(&mut self.finished)))
    }

    /// If what was kept is the beginning of a long frame, it is read as a message from now on.
    pub(crate) fn read_as_it_comes(&mut self) {
        let Some((prefix, mut came)) = self.partial.split_first_chunk() else { return };
        let bytes = u32::from_be_bytes(*prefix) as usize;
        if bytes > KEPT_BYTES_MAX {
            let mut arriving = Box::new(Arriving::new(bytes, Outline::new()));
            arriving.take(&mut came);
            self.arriving = Some(arriving);
            self.partial = Vec::new();
        }
    }

    /// Gives memory back that a large frame needed; call it between reads.
    pub fn shrink(&mut self) {
        if self.partial.is_empty() && self.finished.capacity() > KEPT_BYTES_MAX {
            self.finished = Vec::new();
        }
    }

    /// How many bytes of an unfinished frame are held.
    pub fn held_bytes(&self) -> usize {
        self.arriving.as_ref().map_or(self.partial.len(), |arriving| LENGTH_PREFIX_BYTES + arriving.held_bytes())
    }

    /// What an unfinished frame takes in memory, with the capacity for more of it.
    pub fn capacity_bytes(&self) -> usize {
        self.partial.capacity()
            + self.finished.capacity()
            + self.arriving.as_ref().map_or(0, |arriving| arriving.capacity_bytes())
    }

    /// Whether what comes is a part of a long message, which is checked as it comes.
    pub fn is_in_long_message(&self) -> bool {
        self.arriving.is_some()
    }

    /// Says whether the end of the stream is a clean one.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] when the stream ended inside a frame.
    pub fn finish(&self) -> Result<(), FrameError> {
        if let Some(arriving) = &self.arriving {
            let expected = LENGTH_PREFIX_BYTES + arriving.bytes();
            return Err(FrameError::Truncated { expected, found: self.held_bytes() });
        }
        match self.partial.first_chunk() {
            None if self.partial.is_empty() => Ok(()),
            None => Err(FrameError::Truncated { expected: LENGTH_PREFIX_BYTES, found: self.partial.len() }),
            Some(prefix) => Err(FrameError::Truncated {
                expected: LENGTH_PREFIX_BYTES + u32::from_be_bytes(*prefix) as usize,
                found: self.partial.len(),
            }),
        }
    }

    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = bytes.first_chunk::<LENGTH_PREFIX_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix);
        if length as usize > self.frame_bytes_max {
            let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x1b);
            return Err(if prefix.iter().all(is_text) {
                FrameError::Text { found: bytes[..bytes.len().min(QUOTE_BYTES_MAX)].to_vec() }
            } else {
                FrameError::TooLarge { length, max: self.frame_bytes_max }
            });
        }
        if length < 2 {
            return Err(FrameError::Empty(length));
        }
        Ok(Some(length as usize))
    }

    /// The length in `partial`; `input` only serves to quote text that follows it.
    fn partial_length(&self, input: &[u8]) -> Result<Option<usize>, FrameError> {
        self.length(&self.partial).map_err(|error| match error {
            FrameError::Text { mut found } => {
                let more = (QUOTE_BYTES_MAX - found.len()).min(input.len());
                found.extend_from_slice(&input[..more]);
                FrameError::Text { found }
            }
            other => other,
        })
    }

    fn keep(&mut self, input: &mut &[u8]) {
        self.partial = std::mem::take(&mut self.finished);
        self.partial.clear();
        self.partial.extend_from_slice(input);
        *input = &[];
    }

    /// Moves bytes from `input` until `partial` holds `wanted`.
    fn take(&mut self, input: &mut &[u8], wanted: usize) {
        let missing = wanted.saturating_sub(self.partial.len()).min(input.len());
        let (taken, rest) = input.split_at(missing);
        if self.partial.capacity() - self.partial.len() < taken.len() {
            self.partial.reserve_exact(room_for(taken.len(), self.partial.len(), wanted));
        }
        self.partial.extend_from_slice(taken);
        *input = rest;
    }
}

/// Appends one frame to `out`, its content written by `write`.
///
/// # Errors
/// [`FrameError::TooLarge`] when the content is longer than `frame_bytes_max`; `out` is then as it was.
pub fn encode(out: &mut Vec<u8>, frame_bytes_max: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), FrameError> {
    encode_around(out, 0, frame_bytes_max, write)
}

/// As [`encode`], of a frame of which `left_out` bytes are written elsewhere.
pub(crate) fn encode_around(
    out: &mut Vec<u8>,
    left_out: usize,
    frame_bytes_max: usize,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_PREFIX_BYTES]);
    write(out);
    let length = out.len() - start - LENGTH_PREFIX_BYTES + left_out;
    if length > frame_bytes_max {
        out.truncate(start);
        return Err(FrameError::TooLarge { length: u32::try_from(length).unwrap_or(u32::MAX), max: frame_bytes_max });
    }
    let length = u32::try_from(length).expect("the limit is far below 4 GiB");
    out[start..start + LENGTH_PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Quotes bytes for people: at most 64 of them, control characters escaped.
pub fn quote(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(QUOTE_BYTES_MAX)];
    let more = if bytes.len() > cut.len() { "…" } else { "" };
    format!("{:?}{more}", String::from_utf8_lossy(cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(max: usize, chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
        let mut decoder = Decoder::new(max);
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            loop {
                match decoder.next(&mut input) {
                    Ok(Some(frame)) => frames.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(error) => return (frames, Err(error)),
                }
            }
            decoder.shrink();
        }
        (frames, decoder.finish())
    }

    #[test]
    fn an_end_between_frames_is_clean_and_an_end_inside_one_is_not() {
        assert_eq!(decode(100, &[b"\0\0\0\x02{}"]), (vec![b"{}".to_vec()], Ok(())));
        assert_eq!(decode(100, &[]), (vec![], Ok(())));
        assert_eq!(decode(100, &[b"\0\0"]), (vec![], Err(FrameError::Truncated { expected: 4, found: 2 })));
        assert_eq!(
            decode(100, &[b"\0\0\0\x02{}\0\0\0\x05{"]),
            (vec![b"{}".to_vec()], Err(FrameError::Truncated { expected: 9, found: 5 }))
        );
    }

    #[test]
    fn text_in_the_stream_is_quoted() {
        let (_, result) = decode(1 << 20, &[b"hello, world\n"]);
        assert_eq!(result.unwrap_err().to_string(), r#"expected a 4-byte length, found text: "hello, world\n""#);
        let (_, result) = decode(1 << 20, &[b"he", b"llo"]);
        assert_eq!(result.unwrap_err().to_string(), r#"expected a 4-byte length, found text: "hello""#);
    }

    #[test]
    fn a_length_is_checked_before_anything_is_kept() {
        let (_, result) = decode(100, &[b"\0\0\0\x65"]);
        assert_eq!(result, Err(FrameError::TooLarge { length: 101, max: 100 }));
        let (_, result) = decode(100, &[b"\xff\xff\xff\xff"]);
        assert_eq!(result, Err(FrameError::TooLarge { length: u32::MAX, max: 100 }));
        let (_, result) = decode(100, &[b"\0\0\0\0"]);
        assert_eq!(result, Err(FrameError::Empty(0)));
    }

    #[test]
    fn a_promise_allocates_nothing() {
        let mut decoder = Decoder::new(16 << 20);
        let mut input: &[u8] = b"\x01\0\0\0{";
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert!(decoder.partial.capacity() < 100);
    }

    #[test]
    fn a_frame_over_the_limit_leaves_the_output_as_it_was() {
        let mut out = b"before".to_vec();
        assert!(encode(&mut out, 3, |out| out.extend_from_slice(b"four")).is_err());
        assert_eq!(out, b"before");
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 2..300), 0..20),
            cuts in prop::collection::vec(1usize..50, 1..50),
        ) {
            let mut bytes = Vec::new();
            for content in &contents {
                encode(&mut bytes, 1000, |out| out.extend_from_slice(content)).unwrap();
            }
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            prop_assert_eq!(decode(1000, &chunks), (contents, Ok(())));
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(64, &[&bytes]);
        }
    }
}
