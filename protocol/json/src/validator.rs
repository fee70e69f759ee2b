//! Validates a long JSON text, a stretch at a time and all bytes of a stretch at once, as far as it has come.
//!
//! It accepts what [`crate::cursor`] accepts, at a rate that hardly depends on what the text is like, and nothing
//! is looked at twice; but it costs as much for a short text as for a stretch. It deliberately doesn't say
//! what was wrong, and finds only the structure of the outermost container.

use crate::{
    classify::{self, BLOCK_BYTES, BLOCKS, Planes, STRETCH_BYTES},
    dispatch::Vectors,
    scalars::Scalars,
    strings::{Content, Strings},
    structure::Outline,
    tokens::Tokens,
};

/// The length from which on [`Validator`] is the one to use: 64 KiB. A [`Cursor`](crate::Cursor) is faster where texts
/// are short or mostly strings, and shorter texts take no time that others would have to wait for.
pub const LONG_BYTES_MIN: usize = 64 * 1024;

/// The validation of one value with nothing around it but white space. It never reads beyond what it was given as
/// arrived.
///
/// ```
/// use bulkhead_json::Validator;
///
/// let text = r#"{"a":[1,2.5e3,"\u00e9"]}"#;
/// let mut validator = Validator::new();
/// // What has come so far, always from the beginning.
/// validator.resume(&text[..10], &mut ()).expect("nothing is wrong up to here");
/// validator.finish(text, &mut ()).expect("it is one value");
/// ```
#[derive(Debug)]
pub struct Validator {
    /// Where the next stretch begins.
    at: usize,
    vectors: Vectors,
    planes: Planes,
    strings: Strings,
    scalars: Scalars,
    tokens: Tokens,
}

impl Validator {
    /// At the beginning of a text, with the widest vectors that this processor has.
    #[allow(clippy::new_without_default, reason = "there is another one, so which one is said")]
    pub fn new() -> Validator {
        Validator::with(Vectors::of_this_processor())
    }

    /// As [`Validator::new`], with the instructions that every processor of this architecture has. It finds the
    /// same; tests compare the two.
    pub fn portable() -> Validator {
        Validator::with(Vectors::ANYWHERE)
    }

    fn with(vectors: Vectors) -> Validator {
        Validator {
            at: 0,
            vectors,
            planes: [[0; BLOCKS]; 8],
            strings: Strings::NONE,
            scalars: Scalars::NONE,
            tokens: Tokens::new(),
        }
    }

    /// Whether `text` is one value, with nothing around it but white space.
    pub fn is_one_value(text: &str) -> bool {
        Validator::new().finish(text, &mut ()).is_some()
    }

    /// Continues with the whole stretches of `text`, which is what has come: what it was before, and more. `None`
    /// refuses it, here and in the methods below; then there is nothing to continue with.
    pub fn resume(&mut self, text: &str, outline: &mut impl Outline) -> Option<()> {
        while let Some(stretch) = text.as_bytes().get(self.at..).and_then(|bytes| bytes.first_chunk()) {
            self.next(stretch, text, outline)?;
        }
        Some(())
    }

    /// Continues to the end of `text`, which is complete.
    pub fn finish(&mut self, text: &str, outline: &mut impl Outline) -> Option<()> {
        self.resume(text, outline)?;
        // Whether the last token is complete is seen from the white space that follows it.
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
                let mut positions = self.tokens.outermost[block];
                while positions != 0 {
                    outline.take(text, self.at + block * BLOCK_BYTES + positions.trailing_zeros() as usize)?;
                    positions &= positions - 1;
                }
            }
        }
        self.at += STRETCH_BYTES;
        Some(())
    }

    /// Checks one stretch. Returns whether there are positions for the outline in it.
    #[inline(always)]
    pub(crate) fn stretch(&mut self, stretch: &[u8; STRETCH_BYTES]) -> Option<bool> {
        if self.strings.is_inside() && !self.strings.is_inside_escape() && classify::is_all_string(stretch) {
            return Some(false);
        }
        classify::fill(&mut self.planes, stretch);
        if self.strings.find(&self.planes)? == Content::Inside {
            return Some(false);
        }
        self.tokens.find(&self.planes, &self.strings, &mut self.scalars);
        self.scalars.check(&self.planes)?;
        self.tokens.check(&self.strings, &self.scalars)
    }
}
