//! Checks which token follows which in a stretch of JSON, and that what is opened is closed.
//!
//! Each token is judged by the one before it, white space passed: whether it may follow that,
//! in the container that it is in. What is in a string, a number or a literal is not looked at here.

use crate::{
    bitmap::Carry,
    classify::{BLOCKS, Block, Planes, Row},
    nesting::Nesting,
    scalars::Scalars,
    strings::Strings,
};

#[derive(Debug)]
pub(crate) struct Tokens {
    white_space: Row,
    openings: Row,
    closings: Row,
    commas: Row,
    colons: Row,
    /// Braces among the brackets, and other bytes.
    braces: Row,
    /// The brackets of the outermost container, and the commas and colons in it.
    pub(crate) outermost: Row,
    carries: Carries,
    nesting: Nesting,
}

/// What a token before a stretch means for the first one in it.
#[derive(Clone, Copy, Debug)]
struct Carries {
    in_name: Carry,
    after_opening: Carry,
    after_comma: Carry,
    after_colon: Carry,
    after_name: Carry,
    after_value: Carry,
}

impl Tokens {
    /// At the beginning of a text of one value.
    pub(crate) fn new() -> Tokens {
        Tokens {
            white_space: [0; BLOCKS],
            openings: [0; BLOCKS],
            closings: [0; BLOCKS],
            commas: [0; BLOCKS],
            colons: [0; BLOCKS],
            braces: [0; BLOCKS],
            outermost: [0; BLOCKS],
            carries: Carries {
                in_name: Carry::NONE,
                after_opening: Carry::NONE,
                after_comma: Carry::NONE,
                // As after a colon, one value is expected.
                after_colon: Carry::ONE,
                after_name: Carry::NONE,
                after_value: Carry::NONE,
            },
            nesting: Nesting::default(),
        }
    }

    /// Whether one value has come, and only white space after it.
    pub(crate) fn is_complete(&self) -> bool {
        self.carries.after_value.is_set() && self.nesting.is_empty()
    }

    /// Finds what is outside of strings: tokens of one byte here, everything else by `scalars`.
    #[inline(always)]
    pub(crate) fn find(&mut self, planes: &Planes, strings: &Strings, scalars: &mut Scalars) {
        scalars.bytes.begin();
        for block in 0..BLOCKS {
            let of = Block::of(planes, block);
            let outside = !(strings.inside[block] | strings.marks[block]);
            let white_space = of.white_space() & outside;
            let openings = of.either_case(b'[') & outside;
            let closings = of.either_case(b']') & outside;
            let commas = of.byte(b',') & outside;
            let colons = of.byte(b':') & outside;
            self.white_space[block] = white_space;
            self.openings[block] = openings;
            self.closings[block] = closings;
            self.commas[block] = commas;
            self.colons[block] = colons;
            self.braces[block] = of.lower_case();
            scalars.bytes.set(block, outside & !(white_space | openings | closings | commas | colons));
        }
    }

    /// Whether each token may be where it is. Returns whether one of them is marked in `outermost`.
    #[inline(always)]
    pub(crate) fn check(&mut self, strings: &Strings, scalars: &Scalars) -> Option<bool> {
        let (mut wrong, mut outermost) = (0, 0);
        // They stay in registers.
        let mut carries = self.carries;
        for block in 0..BLOCKS {
            let (openings, closings) = (self.openings[block], self.closings[block]);
            let (commas, colons) = (self.commas[block], self.colons[block]);
            let (inside, white_space) = (strings.inside[block], self.white_space[block]);
            let strings_start = strings.marks[block] & inside;
            let strings_end = strings.marks[block] & !inside;
            let scalars_start = scalars.starts.of(block);
            let after_scalars = scalars.bytes.after(block, 1) & !scalars.bytes.of(block);
            let around = self.nesting.pass(openings, closings, self.braces[block])?;

            let after_opening = carries.after_opening.first_after(openings, white_space);
            let after_comma = carries.after_comma.first_after(commas, white_space);
            let after_colon = carries.after_colon.first_after(colons, white_space);
            let element = after_opening | after_comma;
            let value = element & !around.object | after_colon;
            let names_start = element & around.object & strings_start;
            let names_end = carries.in_name.first_from(names_start, inside) & strings_end;
            let after_name = carries.after_name.first_after(names_end, white_space);
            let values_end = strings_end & !names_end | closings;
            let after_value = carries.after_value.first_after_or_from(values_end, after_scalars, white_space);

            wrong |= strings_start & !(element | after_colon);
            wrong |= (openings | scalars_start) & !value;
            wrong |= colons & !after_name;
            wrong |= commas & !(after_value & !around.nothing);
            wrong |= closings & !(after_value | after_opening);
            self.outermost[block] = (commas | colons) & around.outermost | around.brackets;
            outermost |= self.outermost[block];
        }
        self.carries = carries;
        (wrong == 0).then_some(outermost != 0)
    }
}
