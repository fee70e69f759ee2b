//! A line as it comes, piece by piece, within a number of bytes. Of one that is longer, both ends are
//! kept: the beginning says what it is about, and what went wrong is often at the end.

use std::collections::VecDeque;

/// Memory that a line keeps for the next one; what one long line took is given back.
const KEPT_BYTES_MAX: usize = 512;

/// A line whose end has not come.
#[derive(Debug, Default)]
pub(super) struct Partial {
    head: Vec<u8>,
    /// The end of a line that is too long; empty for any other.
    tail: VecDeque<u8>,
    /// Bytes of the whole line.
    bytes: u64,
}

impl Partial {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds what came, and keeps at most `bytes_max` of all.
    pub(super) fn extend(&mut self, mut more: &[u8], bytes_max: usize) {
        self.bytes += more.len() as u64;
        if self.tail.is_empty() {
            if self.head.len() + more.len() <= bytes_max {
                return self.head.extend_from_slice(more);
            }
            let room = bytes_max - self.head.len();
            self.head.extend_from_slice(&more[..room]);
            more = &more[room..];
            self.tail = self.head.split_off(bytes_max / 2).into();
        }
        let tail_max = (bytes_max - bytes_max / 2).max(1);
        more = &more[more.len().saturating_sub(tail_max)..];
        let excess = (self.tail.len() + more.len()).saturating_sub(tail_max);
        self.tail.drain(..excess);
        self.tail.extend(more);
    }

    /// The line, which begins anew. Invalid UTF-8 becomes U+FFFD, which marks its position.
    pub(super) fn take(&mut self) -> String {
        let text = if self.tail.is_empty() {
            String::from_utf8_lossy(&self.head).into_owned()
        } else {
            let head = whole_characters(&self.head);
            let tail = self.tail.make_contiguous();
            let inside = tail.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
            let tail = &tail[inside..];
            let cut = self.bytes - head.len() as u64 - tail.len() as u64;
            let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
            format!("{head} […{cut} bytes cut…] {tail}")
        };
        self.head.clear();
        self.head.shrink_to(KEPT_BYTES_MAX);
        self.tail = VecDeque::new();
        self.bytes = 0;
        text
    }
}

/// `bytes` without the beginning of a character whose rest is missing.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rev().take(4).position(|byte| byte & 0xc0 != 0x80).map(|back| bytes.len() - 1 - back);
    match last {
        Some(start) if matches!(str::from_utf8(&bytes[start..]), Err(error) if error.error_len().is_none()) => {
            &bytes[..start]
        }
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pieces: &[&[u8]], bytes_max: usize) -> String {
        let mut partial = Partial::default();
        pieces.iter().for_each(|piece| partial.extend(piece, bytes_max));
        let text = partial.take();
        assert!(partial.is_empty() && partial.take().is_empty());
        text
    }

    #[test]
    fn a_line_that_fits_is_whole() {
        assert_eq!(line(&[b"1234", b"5678"], 8), "12345678");
        assert_eq!(line(&[b"a\xffb"], 8), "a\u{fffd}b");
        assert_eq!(line(&[], 8), "");
    }

    #[test]
    fn of_a_line_that_does_not_fit_both_ends_are_kept_however_it_comes() {
        let expected = "1234 […5 bytes cut…] abcd";
        assert_eq!(line(&[b"123456789abcd"], 8), expected);
        let single: Vec<&[u8]> = b"123456789abcd".chunks(1).collect();
        assert_eq!(line(&single, 8), expected);
        assert_eq!(line(&[b"12345678", b"9abcd"], 8), expected);
        assert_eq!(line(&[b"12345678", b"9", b"abcd"], 8), expected);
    }

    #[test]
    fn a_character_is_cut_as_a_whole() {
        // Each has two bytes, and both cuts would fall into one.
        let text = "éééééééé";
        assert_eq!(line(&[text.as_bytes()], 6), "é […12 bytes cut…] é");
        assert_eq!(line(&[text.as_bytes()], 7), "é […10 bytes cut…] éé");
        // Bytes that are no character at all are kept.
        assert_eq!(line(&[&[0x80; 20]], 8), "\u{fffd}\u{fffd}\u{fffd}\u{fffd} […15 bytes cut…] \u{fffd}");
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_a_line_and_gives_it_back() {
        let mut partial = Partial::default();
        for _ in 0..1000 {
            partial.extend(&[b'x'; 1000], 4096);
        }
        assert!(partial.head.capacity() + partial.tail.capacity() < 4 * 4096);
        assert!(partial.take().contains("[…995904 bytes cut…]"));
        assert!(partial.head.capacity() + partial.tail.capacity() <= KEPT_BYTES_MAX);
    }
}
