//! Where the known members of a long message are, found while its text is checked: nothing but places, so that
//! the text may still grow. What the values are is [`crate::members`]' business.

use crate::{
    check::Outline,
    members::{Name, unescaped},
    walk::Walk,
};
use std::ops::Range;

/// Known names, none of which may come twice.
const MEMBERS_MAX: usize = Name::ModuleCode as usize + 1;

#[derive(Debug, Default)]
pub(crate) struct MemberOutline {
    is_object: bool,
    /// Where the member begins that is being looked at.
    start: usize,
    /// Where its colon is.
    colon: Option<usize>,
    values: [Option<(Name, Range<usize>)>; MEMBERS_MAX],
}

impl MemberOutline {
    /// The members, each with the place of its value; `None` when the text is no object.
    pub(crate) fn members(&self) -> Option<impl Iterator<Item = (Name, Range<usize>)>> {
        self.is_object.then(|| self.values.iter().flatten().cloned())
    }

    /// The member whose value ends at `end`, if a member does.
    fn end_member(&mut self, text: &str, end: usize) -> Option<()> {
        let Some(colon) = self.colon.take() else { return Some(()) };
        let name = unescaped(Walk::new(text.get(self.start..colon)?).string()?)?;
        let Some(name) = Name::of(&name) else { return Some(()) };
        let value = text.get(colon + 1..end)?;
        let start = end - value.trim_start_matches(WHITE_SPACE).len();
        let end = colon + 1 + value.trim_end_matches(WHITE_SPACE).len();
        self.values[name as usize].replace((name, start..end)).is_none().then_some(())
    }
}

const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

impl Outline for MemberOutline {
    fn take(&mut self, text: &str, place: usize) -> Option<()> {
        match text.as_bytes().get(place)? {
            b'{' => self.is_object = true,
            b':' => {
                self.colon = Some(place);
                return Some(());
            }
            b',' | b'}' => self.end_member(text, place)?,
            _ => return None,
        }
        self.start = place + 1;
        Some(())
    }
}
