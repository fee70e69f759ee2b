//! The structure of the outermost container of a long text, as it is found while the text is validated: where its
//! brackets, commas and colons are, and from these where the values of known members are. Only positions are
//! kept, so that the text may still grow. What the values are is not looked at.

use crate::cursor::Cursor;
use std::ops::Range;

/// Takes what a [`Validator`](crate::Validator) finds of the structure.
pub trait Outline {
    /// Takes the position of each bracket of the outermost container, and of each comma and colon in it, in order;
    /// `None` refuses the text. It is called before the rest of the text is validated, and may have been for a text
    /// that is refused in the end.
    fn take(&mut self, text: &str, position: usize) -> Option<()>;
}

/// For a caller that only needs to know whether it is JSON.
impl Outline for () {
    #[inline]
    fn take(&mut self, _: &str, _: usize) -> Option<()> {
        Some(())
    }
}

/// The name of a member that is looked for. A type has few of them, numbered from 0.
pub trait MemberName: Copy {
    /// The name that is written so; `None` for a member that is passed over.
    fn of(text: &str) -> Option<Self>;

    /// Its number.
    fn number(self) -> usize;
}

/// Where the known members of one object are, `COUNT` of them at most. It refuses a text in which one comes twice.
#[derive(Debug)]
pub struct MemberOutline<Name, const COUNT: usize> {
    is_object: bool,
    /// Where the member begins that is being looked at.
    start: usize,
    /// Where its colon is.
    colon: Option<usize>,
    values: [Option<(Name, Range<usize>)>; COUNT],
}

impl<Name: MemberName, const COUNT: usize> MemberOutline<Name, COUNT> {
    /// At the beginning of a text.
    pub fn new() -> Self {
        MemberOutline { is_object: false, start: 0, colon: None, values: [const { None }; COUNT] }
    }

    /// The members in the order of their numbers, each with the range of its value; `None` when the text is no object.
    pub fn members(&self) -> Option<impl Iterator<Item = (Name, Range<usize>)>> {
        self.is_object.then(|| self.values.iter().flatten().cloned())
    }

    /// The member whose value ends at `end`, if a member does.
    fn end_member(&mut self, text: &str, end: usize) -> Option<()> {
        let Some(colon) = self.colon.take() else { return Some(()) };
        let name = Cursor::new(text.get(self.start..colon)?).string()?.unescaped()?;
        let Some(name) = Name::of(&name) else { return Some(()) };
        let value = text.get(colon + 1..end)?;
        let start = end - value.trim_start_matches(WHITE_SPACE).len();
        let end = colon + 1 + value.trim_end_matches(WHITE_SPACE).len();
        self.values.get_mut(name.number())?.replace((name, start..end)).is_none().then_some(())
    }
}

impl<Name: MemberName, const COUNT: usize> Default for MemberOutline<Name, COUNT> {
    fn default() -> Self {
        MemberOutline::new()
    }
}

const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

impl<Name: MemberName, const COUNT: usize> Outline for MemberOutline<Name, COUNT> {
    fn take(&mut self, text: &str, position: usize) -> Option<()> {
        match text.as_bytes().get(position)? {
            b'{' => self.is_object = true,
            b':' => {
                self.colon = Some(position);
                return Some(());
            }
            b',' | b'}' => self.end_member(text, position)?,
            _ => return None,
        }
        self.start = position + 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Validator,
        texts::{damaged, damages, value},
    };
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use std::{borrow::Cow, collections::BTreeMap};

    const NAMES: [&str; 4] = ["a", "id", "", "é\n"];

    #[derive(Clone, Copy, Debug)]
    struct Known(usize);

    impl MemberName for Known {
        fn of(text: &str) -> Option<Known> {
            NAMES.iter().position(|name| *name == text).map(Known)
        }

        fn number(self) -> usize {
            self.0
        }
    }

    /// The values of the known members; `None` when the text is refused, by the outline or otherwise.
    fn found(text: &str) -> Option<BTreeMap<&'static str, &str>> {
        let mut outline = MemberOutline::<Known, { NAMES.len() }>::new();
        Validator::new().finish(text, &mut outline)?;
        Some(outline.members()?.map(|(name, range)| (NAMES[name.0], &text[range])).collect())
    }

    /// The same by `serde_json`, which gives every name as often as it comes.
    fn expected(text: &str) -> Option<BTreeMap<&'static str, &str>> {
        struct Every<'a>(Option<BTreeMap<&'static str, &'a str>>);
        impl<'de> serde::de::Visitor<'de> for Every<'de> {
            type Value = Every<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
                while let Some((name, value)) = map.next_entry::<Cow<'_, str>, &RawValue>()? {
                    let known = NAMES.iter().find(|known| **known == name);
                    if known.is_some_and(|known| {
                        self.0.as_mut().is_none_or(|found| found.insert(known, value.get()).is_some())
                    }) {
                        self.0 = None;
                    }
                }
                Ok(self)
            }
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let every = serde::Deserializer::deserialize_map(&mut reader, Every(Some(BTreeMap::new()))).ok()?;
        reader.end().ok()?;
        every.0
    }

    #[test]
    fn members_are_where_they_stand_and_what_is_around_a_value_is_no_part_of_it() {
        let text = "\n{ \"a\" : [1, {\"id\":2}] ,\"x\":{\"a\":0},\"\\u0069d\": \"}\" ,\"\":null}";
        let members = BTreeMap::from([("a", "[1, {\"id\":2}]"), ("id", "\"}\""), ("", "null")]);
        assert_eq!(found(text), Some(members.clone()));
        assert_eq!(expected(text), Some(members));
        assert_eq!(found("{ }"), Some(BTreeMap::new()));
    }

    #[test]
    fn a_known_name_that_comes_twice_is_refused_and_another_is_not() {
        assert_eq!(found(r#"{"id":1,"\u0069d":1}"#), None);
        assert_eq!(found(r#"{"x":1,"x":{"id":1,"id":1}}"#), Some(BTreeMap::new()));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["[1]", "[]", "7", "\"a\"", "null", "", "{", "{}{}", r#"["a",{"id":1}]"#, r#"{"\ud800":1}"#] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_members_of_any_object_are_those_that_serde_json_finds(
            members in prop::collection::vec(
                (prop::sample::select(vec!["a", "id", "", "é\\n", "\\u0069d", "x", "\\ud800", "aa"]), value(), "[ \n]{0,2}"),
                0..6,
            ),
            damages in damages(),
        ) {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value, space)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
                .collect();
            let text = format!("{{{}}}", members.join(","));
            prop_assert_eq!(found(&text), expected(&text), "{}", &text);
            let text = damaged(&text, &damages);
            prop_assert_eq!(found(&text), expected(&text), "{}", &text);
        }
    }
}
