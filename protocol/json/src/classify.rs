//! Which bytes of a stretch of text are of which class, from eight bit planes: of each block of 64 bytes, plane `n`
//! has bit `n` of every byte, the first byte's lowest.
//!
//! From planes, the positions of any byte or range of bytes in a block are a few operations on words. All loops
//! here are over the blocks of a stretch, and no iteration needs another: the compiler makes vector instructions of
//! them, so no instruction set is named. What the bytes mean is known to [`crate::validator`].

/// Bytes that a word has a bit for.
pub(crate) const BLOCK_BYTES: usize = 64;

/// Blocks that are looked at together.
pub(crate) const BLOCKS: usize = 16;

pub(crate) const STRETCH_BYTES: usize = BLOCKS * BLOCK_BYTES;

/// A word for each block.
pub(crate) type Row = [u64; BLOCKS];

/// The planes of a stretch, the one of the lowest bits first.
pub(crate) type Planes = [Row; 8];

/// The planes of one block.
#[derive(Clone, Copy)]
pub(crate) struct Block([u64; 8]);

/// Fills `planes` with those of `stretch`.
#[inline(always)]
pub(crate) fn fill(planes: &mut Planes, stretch: &[u8; STRETCH_BYTES]) {
    for (block, bytes) in stretch.as_chunks::<BLOCK_BYTES>().0.iter().enumerate() {
        for (row, word) in bytes.as_chunks().0.iter().enumerate() {
            planes[row][block] = u64::from_le_bytes(*word);
        }
    }
    // Word `n` has bytes 8n to 8n + 7: bytes are exchanged between words until word `n` has every byte whose
    // position is n modulo 8, then bits between words, until word `n` has bit n of each of them.
    #[allow(clippy::needless_range_loop, reason = "each iteration is about one place of all eight rows")]
    for block in 0..BLOCKS {
        let mut words: [u64; 8] = [0; 8];
        for row in 0..8 {
            words[row] = planes[row][block];
        }
        exchange::<1, 8>(&mut words, 0x00FF_00FF_00FF_00FF);
        exchange::<2, 16>(&mut words, 0x0000_FFFF_0000_FFFF);
        exchange::<4, 32>(&mut words, 0x0000_0000_FFFF_FFFF);
        exchange::<1, 1>(&mut words, 0x5555_5555_5555_5555);
        exchange::<2, 2>(&mut words, 0x3333_3333_3333_3333);
        exchange::<4, 4>(&mut words, 0x0F0F_0F0F_0F0F_0F0F);
        for row in 0..8 {
            planes[row][block] = words[row];
        }
    }
}

/// Whether `stretch` neither ends nor escapes anything when it is inside a string, and is allowed there: that is
/// found much sooner than with planes.
#[inline(always)]
pub(crate) fn is_all_string(stretch: &[u8; STRETCH_BYTES]) -> bool {
    !stretch.iter().fold(false, |found, byte| found | (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20))
}

/// Exchanges bits between each two words whose numbers differ in `DISTANCE`: what the first has
/// above `mask` with what the second has in it.
#[inline(always)]
fn exchange<const DISTANCE: usize, const SHIFT: u32>(words: &mut [u64; 8], mask: u64) {
    for first in 0..8 {
        if first & DISTANCE == 0 {
            let changed = (words[first] >> SHIFT ^ words[first + DISTANCE]) & mask;
            words[first] ^= changed << SHIFT;
            words[first + DISTANCE] ^= changed;
        }
    }
}

impl Block {
    #[inline(always)]
    pub(crate) fn of(planes: &Planes, block: usize) -> Block {
        Block([
            planes[0][block],
            planes[1][block],
            planes[2][block],
            planes[3][block],
            planes[4][block],
            planes[5][block],
            planes[6][block],
            planes[7][block],
        ])
    }

    /// The positions of this byte of ASCII.
    #[inline(always)]
    pub(crate) fn byte(&self, byte: u8) -> u64 {
        self.high(byte >> 4) & self.low(byte & 0xf)
    }

    /// The positions of this byte of ASCII and of the one that differs in the bit 0x20: the other case of a letter.
    #[inline(always)]
    pub(crate) fn either_case(&self, byte: u8) -> u64 {
        let [.., four, _, six, seven] = self.0;
        let four = if byte & 0x10 == 0 { !four } else { four };
        !seven & six & four & self.low(byte & 0xf)
    }

    /// Where the bit 0x20 is set, as in a letter that is lower case and in a brace.
    #[inline(always)]
    pub(crate) fn lower_case(&self) -> u64 {
        self.0[5]
    }

    /// Where the control characters are that JSON forbids in strings.
    #[inline(always)]
    pub(crate) fn control(&self) -> u64 {
        let [.., five, six, seven] = self.0;
        !(five | six | seven)
    }

    #[inline(always)]
    pub(crate) fn white_space(&self) -> u64 {
        self.byte(b' ') | self.high(0) & (self.low(0x9) | self.low(0xa) | self.low(0xd))
    }

    #[inline(always)]
    pub(crate) fn digit(&self) -> u64 {
        let [_, one, two, three, ..] = self.0;
        self.high(3) & !(three & (two | one))
    }

    #[inline(always)]
    pub(crate) fn hexadecimal_digit(&self) -> u64 {
        let [zero, one, two, three, four, _, six, seven] = self.0;
        let one_to_six = !three & (zero | one | two) & !(zero & one & two);
        self.digit() | !seven & six & !four & one_to_six
    }

    /// Where the upper half of a byte is this one.
    #[inline(always)]
    fn high(&self, half: u8) -> u64 {
        let [.., four, five, six, seven] = self.0;
        all_of([four, five, six, seven], half)
    }

    /// Where the lower half of a byte is this one.
    #[inline(always)]
    fn low(&self, half: u8) -> u64 {
        let [zero, one, two, three, ..] = self.0;
        all_of([zero, one, two, three], half)
    }
}

#[inline(always)]
fn all_of(planes: [u64; 4], half: u8) -> u64 {
    let plane = |bit: usize| if half >> bit & 1 == 1 { planes[bit] } else { !planes[bit] };
    (plane(0) & plane(1)) & (plane(2) & plane(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every byte at positions in the first and last blocks, between bytes of another class.
    fn check(found: fn(&Block) -> u64, expected: fn(u8) -> bool) {
        let other = (0..=u8::MAX).find(|byte| !expected(*byte)).unwrap();
        let mut planes = [[0; BLOCKS]; 8];
        for byte in 0..=u8::MAX {
            for (block, place) in [(0, 0), (0, 7), (0, 8), (0, 63), (1, 0), (BLOCKS - 1, 40), (BLOCKS - 1, 63)] {
                let mut stretch = [other; STRETCH_BYTES];
                stretch[block * BLOCK_BYTES + place] = byte;
                fill(&mut planes, &stretch);
                for at in [0, 1, BLOCKS - 1] {
                    let expected = if at == block { u64::from(expected(byte)) << place } else { 0 };
                    assert_eq!(found(&Block::of(&planes, at)), expected, "0x{byte:02x} at {place} of {block}, in {at}");
                }
            }
        }
    }

    #[test]
    fn bytes_of_a_kind_are_found_where_they_are_and_nowhere_else() {
        check(Block::control, |byte| byte < 0x20);
        check(Block::white_space, |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        check(Block::digit, |byte| byte.is_ascii_digit());
        check(Block::hexadecimal_digit, |byte| byte.is_ascii_hexdigit());
        check(Block::lower_case, |byte| byte & 0x20 != 0);
        check(|block| block.byte(b'"'), |byte| byte == b'"');
        check(|block| block.byte(b'\\'), |byte| byte == b'\\');
        check(|block| block.byte(b'n'), |byte| byte == b'n');
        check(|block| block.either_case(b'e'), |byte| matches!(byte, b'e' | b'E'));
        check(|block| block.either_case(b'['), |byte| matches!(byte, b'[' | b'{'));
    }

    proptest! {
        #[test]
        fn planes_have_the_bits_of_the_bytes(bytes in prop::collection::vec(any::<u8>(), STRETCH_BYTES)) {
            let mut planes = [[0; BLOCKS]; 8];
            fill(&mut planes, bytes.first_chunk().unwrap());
            for (at, byte) in bytes.iter().enumerate() {
                for (bit, plane) in planes.iter().enumerate() {
                    prop_assert_eq!(plane[at / BLOCK_BYTES] >> (at % BLOCK_BYTES) & 1, u64::from(byte >> bit & 1));
                }
            }
        }
    }
}
