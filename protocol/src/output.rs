//! Frames on their way out: bytes, and between them long payloads that are shared with other holders. Where
//! they are written is not known here.
//!
//! A payload of a megabyte that the host passes on is in a buffer already, the one that it came in. To
//! copy it once more for each receiver would cost as much as to write it to the kernel.

use crate::{FrameError, HeldBytes, Json, Response, WireRequest, encode::Around};
use std::{collections::VecDeque, io::IoSlice};

/// A payload of this many bytes is shared; a shorter one is copied, which takes less than a piece of its own.
const SHARED_BYTES_MIN: usize = 16 * 1024;

/// A buffer that has been emptied is given back above this size.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Pieces that are given to one write.
const PIECES_MAX: usize = 16;

/// Frames that wait to be written, in order.
#[derive(Debug, Default)]
pub struct Output {
    /// All of them except what is shared.
    bytes: Vec<u8>,
    /// How much of `bytes` is written.
    written: usize,
    /// What is shared, each with the position in `bytes` that it precedes.
    shared: VecDeque<(usize, Json)>,
    /// How much of the first of them is written.
    shared_written: usize,
    /// Bytes of what is shared that are not written.
    shared_bytes: usize,
    /// What the shared payloads take in memory.
    shared_held: usize,
    /// Bytes that were ever pushed.
    end: u64,
}

impl Output {
    /// Appends a request as one frame. `payload` is what `request.payload` is the text of.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; nothing is appended then.
    pub fn push_request(
        &mut self,
        request: &WireRequest<'_>,
        payload: &Json,
        frame_bytes_max: usize,
    ) -> Result<(), FrameError> {
        debug_assert!(std::ptr::eq(request.payload, payload.as_str()), "they are one payload");
        self.push(payload, |out, around| request.encode_around(out, around, frame_bytes_max))
    }

    /// Appends a response as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it is longer than `frame_bytes_max`; nothing is appended then.
    pub fn push_response(&mut self, response: &Response, frame_bytes_max: usize) -> Result<(), FrameError> {
        let none = Json::null();
        self.push(response.status.data().unwrap_or(&none), |out, around| {
            response.encode_around(out, around, frame_bytes_max)
        })
    }

    fn push(
        &mut self,
        payload: &Json,
        encode: impl FnOnce(&mut Vec<u8>, Around) -> Result<Option<usize>, FrameError>,
    ) -> Result<(), FrameError> {
        let before = self.bytes.len();
        let length = payload.as_str().len();
        let around = if length >= SHARED_BYTES_MIN { Around::Payload } else { Around::Nothing };
        let position = encode(&mut self.bytes, around)?;
        self.end += (self.bytes.len() - before) as u64;
        if let Some(position) = position {
            self.shared_held += payload.held_bytes();
            self.shared.push_back((position, payload.clone()));
            self.shared_bytes += length;
            self.end += length as u64;
        }
        Ok(())
    }

    /// How many bytes were ever pushed: the position after the frame that was pushed last.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many of them are written.
    pub fn written(&self) -> u64 {
        self.end - self.pending_bytes() as u64
    }

    /// How many of them are not.
    pub fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.written + self.shared_bytes
    }

    /// What waits takes in memory; nothing if nothing waits, whatever capacity is kept for more.
    pub fn held_bytes(&self) -> usize {
        match self.pending_bytes() {
            0 => 0,
            _ => self.bytes.capacity() + self.shared.capacity() * size_of::<(usize, Json)>() + self.shared_held,
        }
    }

    /// The next bytes to be written: passes them to `write`, which returns how many it took.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write_with<E>(&mut self, write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>) -> Result<(), E> {
        let count = if self.shared.is_empty() {
            write(&[IoSlice::new(&self.bytes[self.written..])])?
        } else {
            let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
            let count = self.pieces(&mut pieces);
            write(&pieces[..count])?
        };
        self.advance(count);
        Ok(())
    }

    /// Puts the next pieces into `pieces`; returns how many there are.
    fn pieces<'a>(&'a self, pieces: &mut [IoSlice<'a>; PIECES_MAX]) -> usize {
        let (mut count, mut from, mut skip) = (0, self.written, self.shared_written);
        let mut add = |piece: &'a [u8]| {
            let has_room = count < PIECES_MAX;
            if has_room && !piece.is_empty() {
                pieces[count] = IoSlice::new(piece);
                count += 1;
            }
            has_room
        };
        for (position, json) in &self.shared {
            let has_room = add(&self.bytes[from..*position]) && add(&json.as_str().as_bytes()[skip..]);
            if !has_room {
                return count;
            }
            (from, skip) = (*position, 0);
        }
        add(&self.bytes[from..]);
        count
    }

    /// So many bytes are written.
    fn advance(&mut self, mut count: usize) {
        while let Some((position, json)) = self.shared.front() {
            let before = (position - self.written).min(count);
            self.written += before;
            count -= before;
            let left = json.as_str().len() - self.shared_written;
            if count < left {
                self.shared_written += count;
                self.shared_bytes -= count;
                return;
            }
            count -= left;
            self.shared_bytes -= left;
            self.shared_written = 0;
            self.shared_held -= json.held_bytes();
            self.shared.pop_front();
        }
        self.written += count;
    }

    /// Drops what is after this position, counted as [`Output::end`] does. It must be an earlier value of that which is
    /// not written yet.
    pub fn truncate(&mut self, end: u64) {
        let (mut position, mut from, mut skip) = (self.written(), self.written, self.shared_written);
        let mut kept = 0;
        for (before, json) in &self.shared {
            let after = position + (before - from) as u64;
            if after >= end {
                break;
            }
            position = after + (json.as_str().len() - skip) as u64;
            (from, skip) = (*before, 0);
            kept += 1;
        }
        debug_assert!(position <= end && end <= self.end, "{end} is no end of a frame that is not written");
        let dropped = self.shared.drain(kept..);
        let (mut bytes, mut held) = (0, 0);
        for (at, (_, json)) in dropped.enumerate() {
            bytes += json.as_str().len() - if kept + at == 0 { self.shared_written } else { 0 };
            held += json.held_bytes();
        }
        self.shared_bytes -= bytes;
        self.shared_held -= held;
        self.shared.shrink_to_fit();
        self.bytes.truncate(from + usize::try_from(end.saturating_sub(position)).expect("it is in memory"));
        self.bytes.shrink_to_fit();
        self.end = end;
    }

    /// Frees the memory of what was written: all of it when nothing waits, else once it is the larger part.
    pub fn shrink(&mut self) {
        if self.pending_bytes() == 0 {
            self.written = 0;
            if self.bytes.capacity() > KEPT_BYTES_MAX {
                self.bytes = Vec::new();
            } else {
                self.bytes.clear();
            }
        } else if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            for (position, _) in &mut self.shared {
                *position -= self.written;
            }
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequestType;
    use proptest::prelude::*;

    const MAX: usize = 1 << 20;

    /// What comes out, written in portions of these lengths, each of which may take less than it is given.
    fn written(output: &mut Output, portions: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut portions = portions.iter().cycle();
        while output.pending_bytes() > 0 {
            let most = *portions.next().unwrap();
            let before = (output.pending_bytes(), output.written());
            let took = out.len();
            let write = |pieces: &[IoSlice<'_>]| {
                assert!(pieces.iter().all(|piece| !piece.is_empty()));
                let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
                out.extend_from_slice(&all[..all.len().min(most)]);
                Ok::<usize, ()>(all.len().min(most))
            };
            output.write_with(write).unwrap();
            let took = out.len() - took;
            assert_eq!((output.pending_bytes(), output.written()), (before.0 - took, before.1 + took as u64));
            if took % 3 == 0 {
                output.shrink();
            }
        }
        output.shrink();
        out
    }

    fn json(length: usize) -> Json {
        Json::of(&"x".repeat(length))
    }

    fn request(payload: &Json) -> WireRequest<'_> {
        let kind = &RequestType::Command;
        let payload = payload.as_str();
        WireRequest { id: Some(7), kind, to: Some("a"), payload, deadline_ms: Some(5), key: Some("k"), of: None }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_encoding_each_frame_gives_however_it_is_cut(
            lengths in prop::collection::vec(prop_oneof![0usize..100, SHARED_BYTES_MIN - 3..SHARED_BYTES_MIN + 2_000], 1..24),
            portions in prop::collection::vec(1usize..20_000, 1..20),
        ) {
            let (mut output, mut expected) = (Output::default(), Vec::new());
            for (number, length) in lengths.iter().enumerate() {
                let payload = json(*length);
                if number % 2 == 0 {
                    request(&payload).encode(&mut expected, MAX).unwrap();
                    output.push_request(&request(&payload), &payload, MAX).unwrap();
                } else {
                    let response = Response::success(number as u64, payload);
                    response.encode(&mut expected, MAX).unwrap();
                    output.push_response(&response, MAX).unwrap();
                }
                prop_assert_eq!(output.end(), expected.len() as u64);
            }
            prop_assert_eq!(output.pending_bytes(), expected.len());
            prop_assert!(written(&mut output, &portions) == expected);
            prop_assert_eq!(output.written(), output.end());
            prop_assert!(output.bytes.capacity() <= KEPT_BYTES_MAX);
        }
    }

    proptest! {
        #[test]
        fn what_follows_a_frame_that_is_not_written_can_be_dropped(
            lengths in prop::collection::vec(prop_oneof![0usize..100, SHARED_BYTES_MIN..SHARED_BYTES_MIN + 2_000], 2..20),
            portions in prop::collection::vec(1usize..20_000, 0..6),
            which in 0usize..1000,
        ) {
            let (mut output, mut all, mut ends) = (Output::default(), Vec::new(), Vec::new());
            for (number, length) in lengths.iter().enumerate() {
                let response = Response::success(number as u64, json(*length));
                response.encode(&mut all, MAX).unwrap();
                output.push_response(&response, MAX).unwrap();
                ends.push(output.end());
            }
            for portion in portions {
                let most = |pieces: &[IoSlice<'_>]| Ok::<usize, ()>(pieces.iter().map(|it| it.len()).sum::<usize>().min(portion));
                if output.pending_bytes() > 0 {
                    output.write_with(most).unwrap();
                    output.shrink();
                }
            }
            let before = output.written();
            let after: Vec<u64> = ends.into_iter().filter(|end| *end >= before).collect();
            let Some(end) = after.get(which % after.len().max(1)).copied() else { return Ok(()) };
            output.truncate(end);
            prop_assert_eq!((output.end(), output.written()), (end, before));
            let last = Response::new(None, crate::Failure::new(crate::ErrorCode::Overloaded, "too much"));
            last.encode({ all.truncate(end as usize); &mut all }, MAX).unwrap();
            output.push_response(&last, MAX).unwrap();
            prop_assert!(written(&mut output, &[1000]) == all[before as usize..]);
            prop_assert_eq!((output.shared_bytes, output.shared_held), (0, 0));
        }
    }

    #[test]
    fn a_long_payload_is_not_copied_and_a_short_one_is() {
        for (length, shared) in [(SHARED_BYTES_MIN, 1), (100, 0)] {
            let payload = json(length);
            let mut output = Output::default();
            output.push_request(&request(&payload), &payload, MAX).unwrap();
            output.push_response(&Response::success(1, payload), MAX).unwrap();
            assert_eq!(output.shared.len(), 2 * shared);
            assert!(output.bytes.len() < 1000);
        }
    }

    #[test]
    fn a_frame_over_the_limit_leaves_everything_as_it_was() {
        let payload = json(SHARED_BYTES_MIN);
        let mut output = Output::default();
        let too_large = output.push_request(&request(&payload), &payload, SHARED_BYTES_MIN).unwrap_err();
        let mut copied = Vec::new();
        assert_eq!(too_large, request(&payload).encode(&mut copied, SHARED_BYTES_MIN).unwrap_err());
        assert_eq!((output.pending_bytes(), output.end()), (0, 0));
    }

    #[test]
    fn the_data_of_an_error_is_shared_too() {
        let mut failure = crate::Failure::new(crate::ErrorCode::ModuleError, "no");
        failure.data = Some(json(SHARED_BYTES_MIN));
        let response = Response::new(1, failure);
        let (mut output, mut expected) = (Output::default(), Vec::new());
        response.encode(&mut expected, MAX).unwrap();
        output.push_response(&response, MAX).unwrap();
        assert_eq!(output.shared.len(), 1);
        assert!(written(&mut output, &[1000]) == expected);
    }
}
