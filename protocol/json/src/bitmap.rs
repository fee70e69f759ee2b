//! Bitmaps with a bit for each byte of a block, the first byte's lowest, and what they carry from one block into
//! the next. What the bits mean is up to their users.

use crate::classify::BLOCKS;

/// A bitmap for each block of a stretch, and that of the block before them.
#[derive(Debug)]
pub(crate) struct Bitmaps([u64; BLOCKS + 1]);

impl Bitmaps {
    pub(crate) const NONE: Bitmaps = Bitmaps([0; BLOCKS + 1]);

    /// Begins a new stretch: the last block of the one before precedes it.
    #[inline(always)]
    pub(crate) fn begin(&mut self) {
        self.0[0] = self.0[BLOCKS];
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, block: usize, mask: u64) {
        self.0[block + 1] = mask;
    }

    #[inline(always)]
    pub(crate) fn of(&self, block: usize) -> u64 {
        self.0[block + 1]
    }

    /// Whether there is no bit in this stretch, nor in the block before it.
    #[inline(always)]
    pub(crate) fn are_none(&self) -> bool {
        self.0.iter().fold(0, |all, mask| all | mask) == 0
    }

    /// The positions in this block that are so many bytes after those in the masks.
    #[inline(always)]
    pub(crate) fn after(&self, block: usize, bytes: u32) -> u64 {
        self.0[block + 1] << bytes | self.0[block] >> (u64::BITS - bytes)
    }
}

/// Whether the next block's first byte is included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carry(u64);

impl Carry {
    pub(crate) const NONE: Carry = Carry(0);
    pub(crate) const ONE: Carry = Carry(1);

    #[inline(always)]
    pub(crate) fn is_set(self) -> bool {
        self.0 != 0
    }

    /// The positions one after these.
    #[inline(always)]
    pub(crate) fn next(&mut self, positions: u64) -> u64 {
        let next = positions << 1 | self.0;
        self.0 = positions >> (u64::BITS - 1);
        next
    }

    /// The first positions after these that are not `passed`; none of these may be passed itself.
    #[inline(always)]
    pub(crate) fn first_after(&mut self, positions: u64, passed: u64) -> u64 {
        let next = self.next(positions);
        self.carry_over(next, passed)
    }

    /// The first positions from these on that are not `passed`; the bytes before these may not be passed.
    #[inline(always)]
    pub(crate) fn first_from(&mut self, positions: u64, passed: u64) -> u64 {
        let positions = positions | std::mem::take(&mut self.0);
        self.carry_over(positions, passed)
    }

    /// Both at once: after some, and from others on.
    #[inline(always)]
    pub(crate) fn first_after_or_from(&mut self, after: u64, from: u64, passed: u64) -> u64 {
        let positions = self.next(after) | from;
        self.carry_over(positions, passed)
    }

    #[inline(always)]
    fn carry_over(&mut self, positions: u64, passed: u64) -> u64 {
        // Each position is at the beginning of a run of passed bytes, or at none: a sum moves it to after the run.
        let (sum, is_over) = positions.overflowing_add(passed);
        self.0 |= u64::from(is_over);
        sum & !passed
    }
}

/// All bits, or none.
#[inline(always)]
pub(crate) fn all_if(condition: bool) -> u64 {
    u64::from(condition).wrapping_neg()
}

/// Each bit is whether the number of bits of `mask` up to there is odd.
#[inline(always)]
pub(crate) fn parity(mut mask: u64) -> u64 {
    mask ^= mask << 1;
    mask ^= mask << 2;
    mask ^= mask << 4;
    mask ^= mask << 8;
    mask ^= mask << 16;
    mask ^ mask << 32
}
