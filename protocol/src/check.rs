//! Checks a long JSON text, a stretch at a time and all bytes of a stretch at once, as far as it has come.
//!
//! It accepts what [`crate::walk`] accepts, at a rate that hardly depends on what the text is like, and nothing
//! is looked at twice; but it costs as much for a short text as for a stretch. It deliberately doesn't say
//! what was wrong, and finds nothing but the places from which the members of the outermost object follow.

use crate::{
    frame::KEPT_BYTES_MAX,
    planes::{self, BLOCK_BYTES, BLOCKS, Planes, STRETCH_BYTES},
    scalars::Scalars,
    strings::{Content, Strings},
    tokens::Tokens,
    vectors::Vectors,
};

/// Texts from this length on are checked here, as they would be if they came in pieces. Shorter ones are walked
/// over: that is sooner where they are short or mostly strings, and they take no time that matters to others.
pub(crate) const LONG_BYTES_MIN: usize = KEPT_BYTES_MAX;

/// A check of one value with nothing around it but white space. It never reads behind what it was told has come.
#[derive(Debug)]
pub(crate) struct Check {
    /// Where the next stretch begins.
    at: usize,
    vectors: Vectors,
    planes: Planes,
    strings: Strings,
    scalars: Scalars,
    tokens: Tokens,
}

/// Takes the place of each bracket of the outermost container, and of each comma and colon in it, in order;
/// `None` refuses the text.
pub(crate) trait Outline {
    fn take(&mut self, text: &str, place: usize) -> Option<()>;
}

/// Whoever only wants to know whether it is JSON.
impl Outline for () {
    fn take(&mut self, _: &str, _: usize) -> Option<()> {
        Some(())
    }
}

impl Check {
    pub(crate) fn new() -> Check {
        Check::with(Vectors::of_this_processor())
    }

    pub(crate) fn with(vectors: Vectors) -> Check {
        Check {
            at: 0,
            vectors,
            planes: [[0; BLOCKS]; 8],
            strings: Strings::NONE,
            scalars: Scalars::NONE,
            tokens: Tokens::new(),
        }
    }

    /// Whether `text` is one value, with nothing around it but white space.
    pub(crate) fn is_one_value(text: &str) -> bool {
        Check::new().finish(text, &mut ()).is_some()
    }

    /// Goes on with the whole stretches of `text`, which is what has come: what it was before, and more. After
    /// it is refused, there is nothing to go on with.
    pub(crate) fn go_on(&mut self, text: &str, outline: &mut impl Outline) -> Option<()> {
        while let Some(stretch) = text.as_bytes().get(self.at..).and_then(|bytes| bytes.first_chunk()) {
            self.next(stretch, text, outline)?;
        }
        Some(())
    }

    /// Goes on to the end of `text`, which is all there is.
    pub(crate) fn finish(&mut self, text: &str, outline: &mut impl Outline) -> Option<()> {
        self.go_on(text, outline)?;
        // What the last token may be followed by is seen from the white space that follows it.
        let mut last = [b' '; STRETCH_BYTES];
        let rest = text.as_bytes().get(self.at..)?;
        last.get_mut(..rest.len())?.copy_from_slice(rest);
        self.next(&last, text, outline)?;
        self.tokens.is_complete().then_some(())
    }

    #[inline(always)]
    fn next(&mut self, stretch: &[u8; STRETCH_BYTES], text: &str, outline: &mut impl Outline) -> Option<()> {
        if self.vectors.check_stretch(self, stretch)? {
            for block in 0..BLOCKS {
                let mut places = self.tokens.outermost[block];
                while places != 0 {
                    outline.take(text, self.at + block * BLOCK_BYTES + places.trailing_zeros() as usize)?;
                    places &= places - 1;
                }
            }
        }
        self.at += STRETCH_BYTES;
        Some(())
    }

    /// Checks one stretch. Returns whether there are places for the outline in it.
    #[inline(always)]
    pub(crate) fn stretch(&mut self, stretch: &[u8; STRETCH_BYTES]) -> Option<bool> {
        if self.strings.is_inside() && !self.strings.is_inside_escape() && planes::is_all_string(stretch) {
            return Some(false);
        }
        planes::fill(&mut self.planes, stretch);
        if self.strings.find(&self.planes)? == Content::Inside {
            return Some(false);
        }
        self.tokens.find(&self.planes, &self.strings, &mut self.scalars);
        self.scalars.check(&self.planes)?;
        self.tokens.check(&self.strings, &self.scalars)
    }
}
