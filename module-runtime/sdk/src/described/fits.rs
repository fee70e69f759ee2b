//! Whether a value surely fits, in one pass and without a copy. It knows only what is written plainly, which is nearly
//! everything that is sent; about the rest, and about what does not fit, `check.rs` decides.

use super::refusal::LEVELS_MAX;
use super::shape::{Bounds, Member, Others, Shape, Shapes};
use bulkhead_json::{Cursor, Kind, RawString};

/// Numbers of so many characters, without an exponent, are kept by a double, and by an integer of 64 bits.
const PLAIN_NUMBER_BYTES: usize = 15;

/// Of objects with any names, those with so many are looked at.
const NAMES_MAX: usize = 16;

impl Shapes {
    /// Whether the value surely fits.
    pub(super) fn surely_fits(&self, text: &str) -> bool {
        let mut cursor = Cursor::new(text);
        self.fits(&self.root, &mut cursor, LEVELS_MAX).is_some()
    }

    /// Passes a value that fits, in which at most so many levels are; `None` where that is not sure.
    fn fits<'a>(&self, shape: &Shape, cursor: &mut Cursor<'a>, levels: usize) -> Option<()> {
        match shape {
            Shape::Own | Shape::Nothing => None,
            Shape::Text { characters } => {
                // What is not escaped has no half of a surrogate pair.
                let RawString::Plain(text) = cursor.string()? else { return None };
                (*characters == Bounds::NONE || characters.holds(text.chars().count())).then_some(())
            }
            Shape::Integer { bounds, .. } => {
                let number = plain_number(cursor.value()?)?;
                number.parse::<i64>().ok().filter(|whole| bounds.holds(i128::from(*whole))).map(|_| ())
            }
            Shape::Number { is_single: false, bounds } if *bounds == Bounds::NONE => {
                plain_number(cursor.value()?).map(|_| ())
            }
            Shape::Number { .. } => None,
            Shape::Boolean => matches!(cursor.value()?, "true" | "false").then_some(()),
            Shape::Null => (cursor.value()? == "null").then_some(()),
            Shape::OneOf(values) => {
                let value = cursor.value()?;
                values.iter().any(|known| known == value).then_some(())
            }
            Shape::List { first, others, length } => {
                let mut count = 0;
                list(cursor, |cursor| {
                    let shape = first.get(count).unwrap_or(others);
                    count += 1;
                    self.fits(shape, cursor, levels.checked_sub(1)?)
                })?;
                length.holds(count).then_some(())
            }
            Shape::Object { members, others } => self.known_names(members, others, cursor, levels.checked_sub(1)?),
            Shape::AnyOf(parts) => {
                let kind = kind(cursor.peek()?);
                let mut of_kind = parts.iter().filter(|part| self.may_be(part, kind));
                let part = of_kind.next()?;
                if of_kind.next().is_some() { None } else { self.fits(part, cursor, levels) }
            }
            Shape::Reference(at) => self.fits(&self.referred[*at], cursor, levels),
            Shape::Anything => match kind(cursor.peek()?) {
                Kind::Null | Kind::Boolean => cursor.value().map(|_| ()),
                Kind::Number => plain_number(cursor.value()?).map(|_| ()),
                Kind::Text => matches!(cursor.string()?, RawString::Plain(_)).then_some(()),
                Kind::List => list(cursor, |cursor| self.fits(shape, cursor, levels.checked_sub(1)?)),
                Kind::Object => self.any_names(shape, cursor, levels.checked_sub(1)?),
            },
        }
    }

    fn known_names(&self, members: &[Member], others: &Others, cursor: &mut Cursor<'_>, levels: usize) -> Option<()> {
        if let (Others::Each(shape), []) = (others, members) {
            return self.any_names(shape, cursor, levels);
        }
        let mut seen = 0_u64;
        // Most senders have the order of the type.
        let mut next = 0;
        object(cursor, |cursor, name| {
            let is_next = members.get(next).is_some_and(|member| member.name == name);
            let found = if is_next { Some(next) } else { members.iter().position(|member| member.name == name) };
            match (found, others) {
                (Some(at), _) => {
                    next = at + 1;
                    let bit = 1_u64.checked_shl(u32::try_from(at).ok()?)?;
                    if seen & bit != 0 {
                        return None;
                    }
                    seen |= bit;
                    self.fits(&members[at].shape, cursor, levels)
                }
                (None, Others::Ignored) => cursor.value().map(|_| ()),
                (None, Others::Refused | Others::Each(_)) => None,
            }
        })?;
        let is_there =
            |at: usize| seen.checked_shr(u32::try_from(at).unwrap_or(u32::MAX)).is_some_and(|bit| bit & 1 == 1);
        members.iter().enumerate().all(|(at, member)| !member.is_required || is_there(at)).then_some(())
    }

    fn any_names(&self, shape: &Shape, cursor: &mut Cursor<'_>, levels: usize) -> Option<()> {
        let mut names = [""; NAMES_MAX];
        let mut count = 0;
        object(cursor, |cursor, name| {
            if names[..count].contains(&name) {
                return None;
            }
            *names.get_mut(count)? = name;
            count += 1;
            self.fits(shape, cursor, levels)
        })
    }
}

fn kind(first: u8) -> Kind {
    match first {
        b'{' => Kind::Object,
        b'[' => Kind::List,
        b'"' => Kind::Text,
        b't' | b'f' => Kind::Boolean,
        b'n' => Kind::Null,
        _ => Kind::Number,
    }
}

/// A number that is written plainly.
fn plain_number(text: &str) -> Option<&str> {
    let is_plain = text.len() <= PLAIN_NUMBER_BYTES && text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    (is_plain && !text.contains(['e', 'E'])).then_some(text)
}

fn list<'a>(cursor: &mut Cursor<'a>, mut element: impl FnMut(&mut Cursor<'a>) -> Option<()>) -> Option<()> {
    cursor.take(b'[')?;
    if cursor.peek()? != b']' {
        loop {
            element(cursor)?;
            if cursor.take(b',').is_none() {
                break;
            }
        }
    }
    cursor.take(b']')
}

fn object<'a>(cursor: &mut Cursor<'a>, mut member: impl FnMut(&mut Cursor<'a>, &'a str) -> Option<()>) -> Option<()> {
    cursor.take(b'{')?;
    if cursor.peek()? != b'}' {
        loop {
            let RawString::Plain(name) = cursor.string()? else { return None };
            cursor.take(b':')?;
            member(cursor, name)?;
            if cursor.take(b',').is_none() {
                break;
            }
        }
    }
    cursor.take(b'}')
}
