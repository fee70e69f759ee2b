//! Whether a value fits its type, and if not, the first fault: members that stand there twice come first, then unknown
//! ones in the order in which they were sent, then missing ones and then wrong values, both in the order of the type.

use super::number;
use super::refusal::{LEVELS_MAX, Refusal};
use super::shape::{Bounds, Member, Others, Shape, Shapes};
use bulkhead_json::{Kind, Raw};
use std::borrow::Cow;
use std::collections::HashSet;

type Checked = Result<(), Box<Refusal>>;

impl Shapes {
    /// Checks a value, how deep it is included.
    pub(super) fn check(&self, value: Raw<'_>) -> Checked {
        if self.root == Shape::Own {
            return Ok(());
        }
        if is_deep(value.as_str()) {
            return Err(Refusal::too_deep());
        }
        self.check_as(&self.root, value)
    }

    pub(super) fn check_as(&self, shape: &Shape, value: Raw<'_>) -> Checked {
        let wrong = || Err(Refusal::wrong(self.expected(shape), value));
        match shape {
            Shape::Own => Ok(()),
            Shape::Nothing => wrong(),
            Shape::Anything => anything(value),
            Shape::Null | Shape::Boolean | Shape::Text { .. } if !self.may_be(shape, value.kind()) => wrong(),
            Shape::Null | Shape::Boolean => Ok(()),
            Shape::Text { characters } => text(value, *characters),
            Shape::Integer { bounds, .. } => {
                if value.kind() == Kind::Number && number::is_whole(value.as_str()) {
                    integer(value, *bounds)
                } else {
                    wrong()
                }
            }
            Shape::Number { is_single, bounds } if value.kind() == Kind::Number => float(value, *is_single, *bounds),
            Shape::List { first, others, length } if value.kind() == Kind::List => {
                self.list(first, others, *length, value)
            }
            Shape::Object { members, others } if value.kind() == Kind::Object => self.object(members, others, value),
            Shape::Number { .. } | Shape::List { .. } | Shape::Object { .. } => wrong(),
            Shape::OneOf(values) => {
                if values.iter().any(|known| is_the_value(known, value)) {
                    Ok(())
                } else {
                    wrong()
                }
            }
            Shape::AnyOf(parts) => self.any_of(shape, parts, value),
            Shape::Reference(at) => self.check_as(&self.referred[*at], value),
        }
    }

    fn any_of(&self, shape: &Shape, parts: &[Shape], value: Raw<'_>) -> Checked {
        let kind = value.kind();
        let (mut only, mut refused) = (None, 0);
        for part in parts.iter().filter(|part| self.may_be(part, kind)) {
            let Err(refusal) = self.check_as(part, value) else { return Ok(()) };
            refused += 1;
            only = Some(refusal);
        }
        // Of one alternative that it may have been meant as, the fault inside of it says more than all of them.
        match only {
            Some(only) if refused == 1 && (only.is_inside() || only.is_near) => Err(only),
            _ => Err(Refusal::wrong(self.expected(shape), value)),
        }
    }

    fn list(&self, first: &[Shape], others: &Shape, length: Bounds<usize>, value: Raw<'_>) -> Checked {
        let mut count = 0;
        for element in value.elements() {
            let shape = first.get(count).unwrap_or(others);
            self.check_as(shape, element).map_err(|refusal| refusal.inside(count.to_string()))?;
            count += 1;
        }
        if length.holds(count) {
            return Ok(());
        }
        let expected = match length {
            Bounds { min: Some(min), max: Some(max) } if min == max => format!("a list of {min}"),
            length => length.words("a list"),
        };
        Err(Refusal::length(expected, count))
    }

    fn object(&self, members: &[Member], others: &Others, value: Raw<'_>) -> Checked {
        let Outline { known, further } = outline(members, others, value, |at| self.expected(&members[at].shape))?;
        for (member, given) in members.iter().zip(&known) {
            let Some(given) = given else { continue };
            self.check_as(&member.shape, *given).map_err(|refusal| refusal.inside(member.name.as_str()))?;
        }
        if let Others::Each(shape) = others {
            for (name, member) in further {
                self.check_as(shape, member).map_err(|refusal| refusal.inside(name))?;
            }
        }
        Ok(())
    }
}

/// A member that an object may have, as far as its value does not matter.
pub(super) trait Known {
    fn name(&self) -> &str;
    fn is_required(&self) -> bool;
}

impl Known for Member {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_required(&self) -> bool {
        self.is_required
    }
}

/// The members of an object.
pub(super) struct Outline<'a> {
    /// Those that are known, in the order in which they are known.
    known: Vec<Option<Raw<'a>>>,
    /// All others, unless they are ignored.
    further: Vec<(Cow<'a, str>, Raw<'a>)>,
}

/// Finds the members of an object. `expected` is what a known one that is missing should be.
pub(super) fn outline<'a>(
    known: &[impl Known],
    others: &Others,
    value: Raw<'a>,
    expected: impl Fn(usize) -> String,
) -> Result<Outline<'a>, Box<Refusal>> {
    let mut given = vec![None; known.len()];
    let mut further: Vec<(Cow<'_, str>, Raw<'_>)> = Vec::new();
    for (name, member) in value.members() {
        let name = name_of(name);
        if let Some(at) = known.iter().position(|known| known.name() == name) {
            if given[at].replace(member).is_some() {
                return Err(Refusal::twice(&name));
            }
        } else if *others != Others::Ignored {
            further.push((name, member));
        }
    }
    unique(further.iter().map(|(name, _)| name))?;
    if let (Others::Refused, Some((name, _))) = (others, further.first()) {
        let names: Vec<&str> = known.iter().map(Known::name).collect();
        return Err(Refusal::unknown(name, &names));
    }
    match known.iter().zip(&given).position(|(known, given)| known.is_required() && given.is_none()) {
        Some(at) => Err(Refusal::missing(known[at].name(), expected(at))),
        None => Ok(Outline { known: given, further }),
    }
}

/// The name of a member. Of one with half a surrogate pair, which no text of Rust has, the text as it was sent.
pub(super) fn name_of(name: Raw<'_>) -> Cow<'_, str> {
    name.text().unwrap_or_else(|| Cow::Borrowed(name.as_str().trim_matches('"')))
}

fn unique<'a>(names: impl Iterator<Item = &'a Cow<'a, str>>) -> Checked {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Refusal::twice(name));
        }
    }
    Ok(())
}

/// Whether lists and objects lie deeper within each other than they may. It needs no stack.
pub(super) fn is_deep(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = bulkhead_json::text_end(bytes, at);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth > LEVELS_MAX {
            return true;
        }
        at += 1;
    }
    false
}

fn anything(value: Raw<'_>) -> Checked {
    match value.kind() {
        Kind::Null | Kind::Boolean => Ok(()),
        Kind::Text => text(value, Bounds::NONE),
        Kind::Number => {
            // Whole numbers of 64 bits are kept, as well as what a double keeps.
            let is_long = number::as_whole(value.as_str())
                .is_none_or(|whole| u64::try_from(whole).is_err() && i64::try_from(whole).is_err());
            let is_integer = !value.as_str().contains(['.', 'e', 'E']);
            if is_integer && !is_long { Ok(()) } else { float(value, false, Bounds::NONE) }
        }
        Kind::List => {
            for (at, element) in value.elements().enumerate() {
                anything(element).map_err(|refusal| refusal.inside(at.to_string()))?;
            }
            Ok(())
        }
        Kind::Object => {
            let members: Vec<_> = value.members().map(|(name, member)| (name_of(name), member)).collect();
            unique(members.iter().map(|(name, _)| name))?;
            for (name, member) in members {
                anything(member).map_err(|refusal| refusal.inside(name))?;
            }
            Ok(())
        }
    }
}

fn text(value: Raw<'_>, characters: Bounds<usize>) -> Checked {
    let Some(text) = value.text() else {
        return Err(Refusal::beyond("a text without halves of surrogate pairs", value));
    };
    if characters == Bounds::NONE || characters.holds(text.chars().count()) {
        return Ok(());
    }
    let expected = match characters {
        Bounds { min: Some(1), max: Some(1) } => "a text of one character".to_owned(),
        characters => format!("{} characters", characters.words("a text")),
    };
    Err(Refusal::beyond(expected, value))
}

fn integer(value: Raw<'_>, bounds: Bounds<i128>) -> Checked {
    match number::as_whole(value.as_str()) {
        Some(whole) if bounds.holds(whole) => Ok(()),
        // What 128 bits do not hold is beyond any bounds that there are.
        None if bounds == Bounds::NONE => Ok(()),
        _ => Err(Refusal::beyond(bounds.words("an integer"), value)),
    }
}

fn float(value: Raw<'_>, is_single: bool, bounds: Bounds<f64>) -> Checked {
    let text = value.as_str();
    if is_single && !number::is_kept_by_single(text) {
        return Err(Refusal::beyond("a number that a float of 32 bits holds exactly", value));
    }
    if !is_single && !number::is_kept_by_double(text) {
        return Err(Refusal::beyond("a number that a double holds exactly", value));
    }
    if bounds == Bounds::NONE || text.parse().is_ok_and(|number| bounds.holds(number)) {
        return Ok(());
    }
    Err(Refusal::beyond(bounds.words("a number"), value))
}

/// Whether a value is one of those that a type names; `1.0` is `1`.
fn is_the_value(known: &str, value: Raw<'_>) -> bool {
    match value.kind() {
        Kind::Text => Raw::new(known).text().is_some_and(|known| value.text() == Some(known)),
        Kind::Number if Raw::new(known).kind() == Kind::Number => {
            number::is_whole(value.as_str()) && number::as_whole(value.as_str()) == number::as_whole(known)
        }
        _ => value.as_str() == known,
    }
}
