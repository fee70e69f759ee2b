//! Finds the strings in a stretch of JSON, and checks what is in them. What may be around them is checked in
//! [`crate::tokens`], and whether they are UTF-8 has been checked before.

use crate::{
    bitmap::{Bitmaps, Carry, all_if, parity},
    classify::{BLOCKS, Block, Planes, Row},
};

/// Every second position, beginning with the first.
const EVEN: u64 = u64::MAX / 3;

#[derive(Debug)]
pub(crate) struct Strings {
    /// The quotation marks around strings.
    pub(crate) marks: Row,
    /// The bytes of strings, with the mark before them and without the one after them.
    pub(crate) inside: Row,
    /// All bits when the last byte looked at is inside a string.
    is_inside: u64,
    backslashes: Row,
    /// Whether a backslash escapes the next byte.
    escapes: Carry,
    /// Each `u` of an escape.
    unicode: Bitmaps,
}

/// What there is in a stretch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing but the inside of one string, which has been checked.
    Inside,
    /// Other things too.
    Mixed,
}

impl Strings {
    pub(crate) const NONE: Strings = Strings {
        marks: [0; BLOCKS],
        inside: [0; BLOCKS],
        is_inside: 0,
        backslashes: [0; BLOCKS],
        escapes: Carry::NONE,
        unicode: Bitmaps::NONE,
    };

    /// Whether a string has begun and not ended.
    pub(crate) fn is_inside(&self) -> bool {
        self.is_inside != 0
    }

    /// Whether an escape has begun and not ended.
    pub(crate) fn is_inside_escape(&self) -> bool {
        self.escapes.is_set() || self.unicode.of(BLOCKS - 1) != 0
    }

    /// Finds the strings of the next stretch; `None` when there is something wrong in them.
    #[inline(always)]
    pub(crate) fn find(&mut self, planes: &Planes) -> Option<Content> {
        let was_inside = self.is_inside();
        let mut backslashes = 0;
        for block in 0..BLOCKS {
            let bytes = Block::of(planes, block);
            self.marks[block] = bytes.byte(b'"');
            self.backslashes[block] = bytes.byte(b'\\');
            backslashes |= bytes.byte(b'\\');
        }
        if backslashes != 0 || self.is_inside_escape() {
            self.check_escapes(planes)?;
        }
        let mut marks = 0;
        for block in 0..BLOCKS {
            marks |= self.marks[block];
            self.inside[block] = parity(self.marks[block]);
        }
        let mut is_inside = self.is_inside;
        for inside in &mut self.inside {
            *inside ^= is_inside;
            is_inside = all_if(*inside >> (u64::BITS - 1) != 0);
        }
        self.is_inside = is_inside;
        let mut wrong = 0;
        for block in 0..BLOCKS {
            wrong |= self.inside[block] & Block::of(planes, block).control();
        }
        let content = if was_inside && marks == 0 { Content::Inside } else { Content::Mixed };
        (wrong == 0).then_some(content)
    }

    /// Checks the escapes, and removes the marks that are escaped. A backslash outside of strings need not be
    /// found here: it is no part of any token.
    #[inline(always)]
    fn check_escapes(&mut self, planes: &Planes) -> Option<()> {
        let mut escapes = self.escapes;
        for backslashes in &mut self.backslashes {
            // Of a run of backslashes, the first one escapes the second, the third the fourth, and so on.
            let escaped = escapes.next(0);
            let free = *backslashes & !escaped;
            let starts_on_even = free & !(free << 1) & EVEN;
            let runs_from_even = free & !free.wrapping_add(starts_on_even);
            let escaping = runs_from_even & EVEN | free & !runs_from_even & !EVEN;
            *backslashes = escaped | escapes.next(escaping);
        }
        self.escapes = escapes;
        let mut wrong = 0;
        self.unicode.begin();
        for block in 0..BLOCKS {
            let bytes = Block::of(planes, block);
            let escaped = self.backslashes[block];
            self.marks[block] &= !escaped;
            self.unicode.set(block, escaped & bytes.byte(b'u'));
            let escapable = bytes.byte(b'"')
                | bytes.byte(b'\\')
                | bytes.byte(b'/')
                | bytes.byte(b'b')
                | bytes.byte(b'f')
                | bytes.byte(b'n')
                | bytes.byte(b'r')
                | bytes.byte(b't')
                | bytes.byte(b'u');
            wrong |= escaped & !escapable;
        }
        for block in 0..BLOCKS {
            let digit = |number| self.unicode.after(block, number);
            wrong |= (digit(1) | digit(2) | digit(3) | digit(4)) & !Block::of(planes, block).hexadecimal_digit();
        }
        (wrong == 0).then_some(())
    }
}
