//! Checks the numbers and literals in a stretch of JSON, all of them at once. What may be around them is
//! checked in [`crate::tokens`].
//!
//! Nearly every rule is about neighbours, so it is a few operations on masks.

use crate::{
    bitmap::{Bitmaps, Carry},
    classify::{BLOCKS, Block, Planes},
};

#[derive(Debug)]
pub(crate) struct Scalars {
    /// All their bytes, and any other bytes outside of strings that are no other token: these are refused.
    pub(crate) bytes: Bitmaps,
    /// The first byte of each.
    pub(crate) starts: Bitmaps,
    trues: Bitmaps,
    falses: Bitmaps,
    nulls: Bitmaps,
    digits: Bitmaps,
    zeros: Bitmaps,
    minuses: Bitmaps,
    points: Bitmaps,
    /// Each `e` or `E` of a number.
    exponents: Bitmaps,
    /// The signs that aren't at the beginning of a number.
    signs: Bitmaps,
    in_fraction: Carry,
    in_exponent: Carry,
}

impl Scalars {
    pub(crate) const NONE: Scalars = Scalars {
        bytes: Bitmaps::NONE,
        starts: Bitmaps::NONE,
        trues: Bitmaps::NONE,
        falses: Bitmaps::NONE,
        nulls: Bitmaps::NONE,
        digits: Bitmaps::NONE,
        zeros: Bitmaps::NONE,
        minuses: Bitmaps::NONE,
        points: Bitmaps::NONE,
        exponents: Bitmaps::NONE,
        signs: Bitmaps::NONE,
        in_fraction: Carry::NONE,
        in_exponent: Carry::NONE,
    };

    /// Checks those of the next stretch, whose `bytes` are set.
    #[inline(always)]
    pub(crate) fn check(&mut self, planes: &Planes) -> Option<()> {
        if self.bytes.are_none() {
            // Strings and brackets only, and no number or literal that began before continues.
            *self = Scalars::NONE;
            return Some(());
        }
        self.mark(planes);
        let wrong = self.wrong_literals(planes) | self.wrong_numbers();
        (wrong == 0).then_some(())
    }

    #[inline(always)]
    fn mark(&mut self, planes: &Planes) {
        self.starts.begin();
        self.trues.begin();
        self.falses.begin();
        self.nulls.begin();
        self.digits.begin();
        self.zeros.begin();
        self.minuses.begin();
        self.points.begin();
        self.exponents.begin();
        self.signs.begin();
        for block in 0..BLOCKS {
            let of = Block::of(planes, block);
            let bytes = self.bytes.of(block);
            let starts = bytes & !self.bytes.after(block, 1);
            let minuses = bytes & of.byte(b'-');
            self.starts.set(block, starts);
            self.trues.set(block, starts & of.byte(b't'));
            self.falses.set(block, starts & of.byte(b'f'));
            self.nulls.set(block, starts & of.byte(b'n'));
            self.digits.set(block, bytes & of.digit());
            self.zeros.set(block, bytes & of.byte(b'0'));
            self.minuses.set(block, minuses);
            self.points.set(block, bytes & of.byte(b'.'));
            self.signs.set(block, minuses & !starts | bytes & of.byte(b'+'));
        }
    }

    /// Also sets the exponents, which are where an `e` is that belongs to no literal.
    #[inline(always)]
    fn wrong_literals(&mut self, planes: &Planes) -> u64 {
        let mut wrong = 0;
        for block in 0..BLOCKS {
            let of = Block::of(planes, block);
            let bytes = self.bytes.of(block);
            let after_t = |bytes| self.trues.after(block, bytes);
            let after_f = |bytes| self.falses.after(block, bytes);
            let after_n = |bytes| self.nulls.after(block, bytes);
            let a = after_f(1);
            let e = after_t(3) | after_f(4);
            let l = after_f(2) | after_n(2) | after_n(3);
            let r = after_t(1);
            let s = after_f(3);
            let u = after_t(2) | after_n(1);
            let ends = after_t(4) | after_f(5) | after_n(4);
            wrong |= a & !of.byte(b'a')
                | e & !of.byte(b'e')
                | l & !of.byte(b'l')
                | r & !of.byte(b'r')
                | s & !of.byte(b's')
                | u & !of.byte(b'u')
                | ends & bytes;
            let firsts = self.trues.of(block) | self.falses.of(block) | self.nulls.of(block);
            let literals = firsts | a | e | l | r | s | u;
            let exponents = bytes & !literals & of.either_case(b'e');
            self.exponents.set(block, exponents);
            let signs = self.minuses.of(block) | self.signs.of(block);
            wrong |= bytes & !(literals | self.digits.of(block) | self.points.of(block) | exponents | signs);
        }
        wrong
    }

    #[inline(always)]
    fn wrong_numbers(&mut self) -> u64 {
        let mut wrong = 0;
        let mut points_and_exponents = 0;
        for block in 0..BLOCKS {
            let (digits, signs) = (self.digits.of(block), self.signs.of(block));
            let after_point_or_sign =
                self.minuses.after(block, 1) | self.signs.after(block, 1) | self.points.after(block, 1);
            let after_exponent = self.exponents.after(block, 1);
            wrong |= after_point_or_sign & !digits;
            wrong |= after_exponent & !(digits | signs);
            wrong |= signs & !after_exponent;

            let ends_of_digits = self.points.of(block) | self.exponents.of(block);
            wrong |= ends_of_digits & !self.digits.after(block, 1);
            points_and_exponents |= ends_of_digits;

            let after_first_digit =
                self.starts.after(block, 1) | self.starts.after(block, 2) & self.minuses.after(block, 2);
            wrong |= self.zeros.after(block, 1) & after_first_digit & digits;
        }
        if points_and_exponents != 0 || self.in_fraction.is_set() || self.in_exponent.is_set() {
            for block in 0..BLOCKS {
                let (digits, points) = (self.digits.of(block), self.points.of(block));
                let exponents = self.exponents.of(block);
                let after_fraction = self.in_fraction.first_after(points, digits);
                let after_exponent = self.in_exponent.first_after(exponents | self.signs.of(block), digits);
                wrong |= after_fraction & points | after_exponent & (points | exponents);
            }
        }
        wrong
    }
}
