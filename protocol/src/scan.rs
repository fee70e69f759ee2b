//! Finds the next byte that matters in a text, many bytes at a time.
//!
//! It is written so that the compiler makes vector instructions of it, or does arithmetic on words of
//! eight bytes: it names no instruction set and needs no `unsafe`. What the bytes mean is
//! [`crate::walk`]'s business.

/// 0x01 in every byte.
const ONES: u64 = u64::MAX / 255;

/// 0x80 in every byte: where a mark is.
const MARKS: u64 = ONES * 0x80;

const WORD_BYTES: usize = size_of::<u64>();

const CHUNK_BYTES: usize = 16;

/// How many bytes are looked at before any decision once a string proves to be long.
const STRIDE_BYTES: usize = 64;

/// Where the next quotation mark, backslash or control character is, from `at` on; the length of
/// `bytes` if there is none.
#[inline(always)]
pub(crate) fn string_stop(bytes: &[u8], at: usize) -> usize {
    // Most strings are short: enough bytes in one decision that their length decides no branch.
    if let Some(chunk) = chunk(bytes, at) {
        let stop = first_stop(chunk);
        if stop < CHUNK_BYTES {
            return at + stop;
        }
    }
    long_string_stop(bytes, at)
}

#[inline(never)]
fn long_string_stop(bytes: &[u8], mut at: usize) -> usize {
    while let Some(stride) = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<STRIDE_BYTES>()) {
        if stride.iter().fold(false, |found, byte| found | stops_string(*byte)) {
            break;
        }
        at += STRIDE_BYTES;
    }
    while let Some(chunk) = chunk(bytes, at) {
        let stop = first_stop(chunk);
        if stop < CHUNK_BYTES {
            return at + stop;
        }
        at += CHUNK_BYTES;
    }
    while bytes.get(at).is_some_and(|byte| !stops_string(*byte)) {
        at += 1;
    }
    at
}

/// The place of the first stop; [`CHUNK_BYTES`] or more if there is none.
#[inline(always)]
fn first_stop(chunk: &[u8; CHUNK_BYTES]) -> usize {
    // Written like this, the compiler makes a few vector instructions of it.
    let mut marks = [0; CHUNK_BYTES];
    for (mark, byte) in marks.iter_mut().zip(chunk) {
        *mark = if stops_string(*byte) { 0xff } else { 0 };
    }
    u128::from_le_bytes(marks).trailing_zeros() as usize / 8
}

#[inline(always)]
fn stops_string(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

#[inline(always)]
fn chunk(bytes: &[u8], at: usize) -> Option<&[u8; CHUNK_BYTES]> {
    bytes.get(at..)?.first_chunk()
}

/// Where the first byte is that is no digit, from `at` on; the length of `bytes` if there is none.
#[inline(always)]
pub(crate) fn digits_end(bytes: &[u8], at: usize) -> usize {
    if let Some(word) = word(bytes, at) {
        let digits = leading_digits(word);
        if digits < WORD_BYTES {
            return at + digits;
        }
    }
    long_digits_end(bytes, at)
}

#[inline(never)]
fn long_digits_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(bytes, at) {
        let digits = leading_digits(word);
        if digits < WORD_BYTES {
            return at + digits;
        }
        at += WORD_BYTES;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// How many digits a word begins with.
#[inline(always)]
fn leading_digits(word: u64) -> usize {
    // A digit is 0x30 and its value: above 9, adding 0x76 reaches the highest bit. That may carry
    // into the byte above and mark it wrongly, but only from a byte that is marked itself.
    let values = word ^ (ONES * 0x30);
    let marks = (values.wrapping_add(ONES * 0x76) | values) & MARKS;
    marks.trailing_zeros() as usize / 8
}

/// Where the first byte is that is no white space, from `at` on; the length of `bytes` if there is none.
#[inline(never)]
pub(crate) fn white_space_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = bytes.get(at) {
        at += 1;
        // Runs of one and the same byte, as indentation is, are passed a word at a time.
        while let Some(word) = word(bytes, at) {
            let same = (word ^ (ONES * u64::from(*byte))).trailing_zeros() as usize / 8;
            at += same;
            if same < WORD_BYTES {
                break;
            }
        }
    }
    at
}

/// The eight bytes from `at` on, the first one lowest, if so many are there.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every byte once at every place of texts around the sizes that are handled differently.
    fn every_byte_at_every_place(found: fn(&[u8], usize) -> usize, filling: u8, is_stop: fn(u8) -> bool) {
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
        every_byte_at_every_place(string_stop, b'a', stops_a_string);
        every_byte_at_every_place(string_stop, 0x80, stops_a_string);
        every_byte_at_every_place(string_stop, 0xff, stops_a_string);
        every_byte_at_every_place(string_stop, b' ', stops_a_string);
    }

    #[test]
    fn digits_end_at_anything_else() {
        every_byte_at_every_place(digits_end, b'0', |byte| !byte.is_ascii_digit());
        every_byte_at_every_place(digits_end, b'9', |byte| !byte.is_ascii_digit());
    }

    #[test]
    fn white_space_ends_at_anything_else() {
        for filling in *b" \t\r\n" {
            every_byte_at_every_place(white_space_end, filling, is_no_white_space);
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
                bytes[start..].iter().position(|byte| is_stop(*byte)).map_or(bytes.len(), |place| start + place)
            };
            prop_assert_eq!(string_stop(&bytes, start), slowly(stops_a_string));
            prop_assert_eq!(digits_end(&bytes, start), slowly(|byte| !byte.is_ascii_digit()));
            prop_assert_eq!(white_space_end(&bytes, start), slowly(is_no_white_space));
        }
    }
}
