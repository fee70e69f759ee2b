//! Which containers are around a position in a JSON text, in a bit for each: nesting is as deep as the text is
//! long, without a deep stack. What else is allowed there is checked by its users.

use crate::bitmap::{all_if, parity};

/// What has values in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Container {
    Array = b']',
    Object = b'}',
}

impl Container {
    #[inline]
    pub(crate) fn opened_by(byte: u8) -> Option<Container> {
        match byte {
            b'[' => Some(Container::Array),
            b'{' => Some(Container::Object),
            _ => None,
        }
    }

    /// The byte that ends it.
    #[inline]
    pub(crate) fn end(self) -> u8 {
        self as u8
    }
}

/// The containers around a position: an array is 0, an object 1.
#[derive(Debug)]
pub(crate) struct Nesting {
    /// The innermost ones, the innermost one lowest; the highest set bit only marks how many.
    inner: u64,
    /// The ones around those, as many as fit into each; an eighth of the bytes of the text at most.
    outer: Vec<u64>,
}

impl Default for Nesting {
    fn default() -> Nesting {
        Nesting { inner: 1, outer: Vec::new() }
    }
}

impl Nesting {
    #[inline(always)]
    pub(crate) fn push(&mut self, container: Container) {
        if self.inner.leading_zeros() == 0 {
            self.outer.push(self.inner);
            self.inner = 1;
        }
        self.inner = self.inner << 1 | u64::from(container == Container::Object);
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Container> {
        if self.inner == 1 {
            return None;
        }
        let container = if self.inner & 1 == 1 { Container::Object } else { Container::Array };
        self.inner >>= 1;
        if self.inner == 1
            && let Some(outer) = self.outer.pop()
        {
            self.inner = outer;
        }
        Some(container)
    }

    /// Whether there is no container.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner == 1
    }

    /// Passes the brackets of a block, `braces` among them; `None` when one closes what was not opened.
    #[inline(always)]
    pub(crate) fn pass(&mut self, openings: u64, closings: u64, braces: u64) -> Option<Around> {
        let mut inner = self.inner;
        let mut around = Around {
            object: all_if(inner & 1 == 1),
            nothing: all_if(inner == 1),
            outermost: all_if(inner >> 1 == 1 && self.outer.is_empty()),
            brackets: 0,
        };
        let mut changes = 0;
        let mut brackets = openings | closings;
        while brackets != 0 {
            let bracket = brackets & brackets.wrapping_neg();
            brackets &= brackets - 1;
            let is_object = u64::from(braces & bracket != 0);
            let was_object = inner & 1;
            if openings & bracket != 0 {
                if inner.leading_zeros() == 0 {
                    self.outer.push(inner);
                    inner = 1;
                }
                inner = inner << 1 | is_object;
                if inner < 1 << 3 && self.outer.is_empty() {
                    around.change_outermost(bracket, inner < 1 << 2);
                }
            } else {
                if inner == 1 || was_object != is_object {
                    return None;
                }
                inner >>= 1;
                if inner < 1 << 2 {
                    if self.outer.is_empty() {
                        around.change_outermost(bracket, inner == 1);
                    } else if inner == 1 {
                        inner = self.outer.pop()?;
                    }
                }
            }
            if inner & 1 != was_object {
                changes |= bracket;
            }
        }
        self.inner = inner;
        if changes != 0 {
            around.object ^= parity(changes) << 1;
        }
        Some(around)
    }
}

/// What is around the bytes of a block; a bracket's position counts as before it.
pub(crate) struct Around {
    /// The innermost container is an object; meaningless where there is none.
    pub(crate) object: u64,
    /// There is no container.
    pub(crate) nothing: u64,
    /// There is one.
    pub(crate) outermost: u64,
    /// Where the brackets of the outermost container are.
    pub(crate) brackets: u64,
}

impl Around {
    #[inline(always)]
    fn change_outermost(&mut self, bracket: u64, is_its_own: bool) {
        let after = !(bracket | (bracket - 1));
        self.outermost ^= after;
        if is_its_own {
            self.nothing ^= after;
            self.brackets |= bracket;
        }
    }
}
