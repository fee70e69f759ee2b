//! Finds the next byte that matters in a text, many bytes at a time.
//!
//! This is arithmetic on words of eight bytes, and a loop that the compiler makes vector instructions of:
//! it names no instruction set and needs no `unsafe`. What the bytes mean is known to [`crate::cursor`].

/// 0x01 in every byte.
const ONES: u64 = u64::MAX / 255;

/// 0x80 in every byte: the bit of a mark.
const MARKS: u64 = ONES * 0x80;

const WORD_BYTES: usize = size_of::<u64>();

/// How many bytes are looked at before any decision once a string proves to be long.
const STRIDE_BYTES: usize = 64;

/// Where the next quotation mark, backslash or control character is, from `at` on; the length of
/// `bytes` if there is none.
#[inline(always)]
pub(crate) fn string_stop(bytes: &[u8], at: usize) -> usize {
    // Most strings are short: enough bytes in one decision that their length decides no branch.
    if let Some(words) = words(bytes, at)
        && let Some(position) = first_stop(words)
    {
        return at + position;
    }
    long_string_stop(bytes, at)
}

#[inline(never)]
fn long_string_stop(bytes: &[u8], mut at: usize) -> usize {
    // A line of a text is long and ends soon; a stride with its end in it would be looked at twice.
    let line_end = at + STRIDE_BYTES;
    while at < line_end
        && let Some(words) = words(bytes, at)
    {
        if let Some(position) = first_stop(words) {
            return at + position;
        }
        at += 2 * WORD_BYTES;
    }
    while let Some(stride) = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<STRIDE_BYTES>()) {
        // Written like this, the compiler makes vector instructions of it.
        if stride.iter().fold(false, |found, byte| found | stops_string(*byte)) {
            break;
        }
        at += STRIDE_BYTES;
    }
    while let Some([word]) = words(bytes, at) {
        let marks = stop_marks(word);
        if marks != 0 {
            return at + first_mark(marks);
        }
        at += WORD_BYTES;
    }
    while bytes.get(at).is_some_and(|byte| !stops_string(*byte)) {
        at += 1;
    }
    at
}

/// The position of the first stop in two words.
#[inline(always)]
fn first_stop(words: [u64; 2]) -> Option<usize> {
    let [low, high] = words.map(stop_marks);
    let (before, marks) = if low == 0 { (WORD_BYTES, high) } else { (0, low) };
    (marks != 0).then(|| before + first_mark(marks))
}

#[inline(always)]
fn stops_string(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Marks each byte that stops a string.
#[inline(always)]
fn stop_marks(word: u64) -> u64 {
    // With its second bit flipped, a quotation mark (0x22) is 0x20 and lies just above the control
    // characters, which stay below it; a space and a '!' are moved out of the way.
    let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    (quote_or_control | backslash) & !word & MARKS
}

/// Where the first byte is that is no digit, from `at` on; the length of `bytes` if there is none.
#[inline(always)]
pub(crate) fn digits_end(bytes: &[u8], at: usize) -> usize {
    if let Some([word]) = words(bytes, at) {
        let marks = no_digit_marks(word);
        if marks != 0 {
            return at + first_mark(marks);
        }
    }
    long_digits_end(bytes, at)
}

#[inline(never)]
fn long_digits_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some([word]) = words(bytes, at) {
        let marks = no_digit_marks(word);
        if marks != 0 {
            return at + first_mark(marks);
        }
        at += WORD_BYTES;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Marks each byte that is no digit.
#[inline(always)]
fn no_digit_marks(word: u64) -> u64 {
    // A digit is 0x30 and its value: above 9, adding 0x76 reaches the mark.
    let values = word ^ (ONES * 0x30);
    (values.wrapping_add(ONES * 0x76) | values) & MARKS
}

/// Where the first byte is that is no white space, from `at` on; the length of `bytes` if there is none.
#[inline(never)]
pub(crate) fn white_space_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        // Indentation is passed a word at a time.
        while let Some([word]) = words(bytes, at) {
            let spaces = (word ^ (ONES * u64::from(b' '))).trailing_zeros() as usize / 8;
            at += spaces;
            if spaces < WORD_BYTES {
                break;
            }
        }
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n') => at += 1,
            _ => return at,
        }
    }
}

/// The position of the lowest mark of a word that has one. It is always right: a sum or a difference may
/// mark a byte wrongly, but only above one that is marked rightly.
#[inline(always)]
fn first_mark(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// The words from `at` on, each with its first byte lowest, if so many are there.
#[inline(always)]
fn words<const COUNT: usize>(bytes: &[u8], at: usize) -> Option<[u64; COUNT]> {
    let words = bytes.get(at..)?.get(..COUNT * WORD_BYTES)?;
    let mut found = [0; COUNT];
    for (word, bytes) in found.iter_mut().zip(words.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every byte once at every position of texts around the sizes that are handled differently.
    fn every_byte_at_every_position(found: fn(&[u8], usize) -> usize, filling: u8, is_stop: fn(u8) -> bool) {
        for length in [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80] {
            let mut text = vec![filling; length];
            assert_eq!(found(&text, 0), length);
            assert_eq!(found(&text, length), length);
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    text[place] = byte;
                    let expected = if is_stop(byte) { place } else { length };
                    for start in [0, place.saturating_sub(9), place] {
                        assert_eq!(found(&text, start), expected, "0x{byte:02x} at {place} of {length}, from {start}");
                    }
                }
                text[place] = filling;
            }
        }
    }

    fn stops_a_string(byte: u8) -> bool {
        byte == b'"' || byte == b'\\' || byte < 0x20
    }

    fn is_no_white_space(byte: u8) -> bool {
        !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
    }

    #[test]
    fn a_string_stops_at_a_quotation_mark_a_backslash_and_a_control_character() {
        every_byte_at_every_position(string_stop, b'a', stops_a_string);
        every_byte_at_every_position(string_stop, 0x80, stops_a_string);
        every_byte_at_every_position(string_stop, 0xff, stops_a_string);
        every_byte_at_every_position(string_stop, b' ', stops_a_string);
    }

    #[test]
    fn digits_end_at_anything_else() {
        every_byte_at_every_position(digits_end, b'0', |byte| !byte.is_ascii_digit());
        every_byte_at_every_position(digits_end, b'9', |byte| !byte.is_ascii_digit());
    }

    #[test]
    fn white_space_ends_at_anything_else() {
        for filling in *b" \t\r\n" {
            every_byte_at_every_position(white_space_end, filling, is_no_white_space);
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_looking_at_each_byte_finds(
            bytes in prop::collection::vec(
                prop_oneof![Just(b'"'), Just(b'\\'), Just(b' '), Just(b'\n'), Just(b'5'), any::<u8>()], 0..100),
            start in 0usize..100,
        ) {
            let start = start.min(bytes.len());
            let slowly = |is_stop: fn(u8) -> bool| {
                bytes[start..].iter().position(|byte| is_stop(*byte)).map_or(bytes.len(), |offset| start + offset)
            };
            prop_assert_eq!(string_stop(&bytes, start), slowly(stops_a_string));
            prop_assert_eq!(digits_end(&bytes, start), slowly(|byte| !byte.is_ascii_digit()));
            prop_assert_eq!(white_space_end(&bytes, start), slowly(is_no_white_space));
        }
    }
}
