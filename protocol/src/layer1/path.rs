//! Paths: which part of an entity is meant. `author.name` and `tags.0` lead into what it holds, `$id`
//! and its like name what the store itself knows about it.

use super::{
    Fault,
    fields::nearest,
    limits::{PATH_BYTES_MAX, PATH_STEPS_MAX},
};
use crate::HeldBytes;
use bulkhead_json::{Kind, Raw};
use std::fmt;

/// A part of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// What the store itself knows about the entity.
    Column(Column),
    /// A member of what the entity holds.
    Member(MemberPath),
}

/// What the store itself knows about an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// `$id`
    Id,
    /// `$version`
    Version,
    /// `$created_at`
    CreatedAt,
    /// `$updated_at`
    UpdatedAt,
}

impl Column {
    const NAMES: [&'static str; 4] = ["$id", "$version", "$created_at", "$updated_at"];

    /// The name with its dollar sign.
    pub fn name(self) -> &'static str {
        Column::NAMES[self as usize]
    }

    fn from_name(name: &str) -> Option<Column> {
        [Column::Id, Column::Version, Column::CreatedAt, Column::UpdatedAt]
            .into_iter()
            .find(|column| column.name() == name)
    }
}

/// The path to a member: names of members, and indexes in lists counted from 0, separated by dots. A dot or a
/// backslash that belongs to a name has a backslash before it, and so has a dollar sign that a path
/// begins with.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberPath {
    steps: Vec<Box<str>>,
}

impl Path {
    /// Reads `text` as a path.
    ///
    /// # Errors
    /// When a step is empty, the path too long, or a name with a dollar sign unknown.
    pub fn new(text: &str) -> Result<Path, Fault> {
        if text.is_empty() || text.len() > PATH_BYTES_MAX {
            return Err(Fault::new(format!("a path has 1 to {PATH_BYTES_MAX} bytes, found {}", text.len())));
        }
        if text.starts_with('$') {
            return Column::from_name(text).map(Path::Column).ok_or_else(|| {
                let known = Column::NAMES;
                let meant = nearest(text, &known).map_or_else(
                    || {
                        format!(
                            "there are {}; for a member of that name, write {:?}",
                            known.join(", "),
                            format!("\\{text}")
                        )
                    },
                    |near| format!("did you mean {near:?}?"),
                );
                Fault::new(format!("an entity has no {text:?}; {meant}"))
            });
        }
        MemberPath::new(text).map(Path::Member)
    }

    pub(super) fn read(raw: Raw<'_>) -> Result<Path, Fault> {
        match raw.text() {
            Some(text) => Path::new(&text),
            None => Err(Fault::new(format!("expected a path, a text, found {}", raw.quote()))),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Column(column) => f.write_str(column.name()),
            Path::Member(path) => path.fmt(f),
        }
    }
}

impl MemberPath {
    /// Reads `text`, in which a dollar sign has no meaning.
    ///
    /// # Errors
    /// When a step is empty or the path too long.
    pub fn new(text: &str) -> Result<MemberPath, Fault> {
        let mut steps = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '.' => steps.push(String::new()),
                '\\' => match characters.next() {
                    Some(escaped @ ('.' | '\\' | '$')) => last(&mut steps).push(escaped),
                    _ => {
                        return Err(Fault::new(format!(
                            "in a path, a backslash stands before a dot, a backslash or a dollar sign, found {text:?}"
                        )));
                    }
                },
                other => last(&mut steps).push(other),
            }
        }
        if steps.iter().any(String::is_empty) {
            return Err(Fault::new(format!("expected names between the dots of a path, found {text:?}")));
        }
        if steps.len() > PATH_STEPS_MAX {
            return Err(Fault::new(format!("a path has at most {PATH_STEPS_MAX} steps, found {}", steps.len())));
        }
        Ok(MemberPath { steps: steps.into_iter().map(String::into_boxed_str).collect() })
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| &**step)
    }

    /// What its steps take in memory.
    pub(crate) fn held(&self) -> usize {
        self.steps.held_bytes()
    }

    /// The value at the path in `raw`, if there is one.
    pub fn find<'a>(&self, raw: Raw<'a>) -> Option<Raw<'a>> {
        self.steps.iter().try_fold(raw, |raw, step| match raw.kind() {
            Kind::Object => raw.members().find(|(name, _)| is_named(*name, step)).map(|(_, value)| value),
            Kind::List => raw.elements().nth(list_index(step)?),
            _ => None,
        })
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            } else if step.starts_with('$') {
                f.write_str("\\")?;
            }
            f.write_str(&step.replace('\\', "\\\\").replace('.', "\\."))?;
        }
        Ok(())
    }
}

impl fmt::Debug for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn last(steps: &mut [String]) -> &mut String {
    steps.last_mut().expect("there is a first step from the beginning")
}

/// Whether a member's name, as it is written, is this one.
fn is_named(name: Raw<'_>, step: &str) -> bool {
    match name.as_str().contains('\\') {
        false => name.as_str().get(1..name.as_str().len() - 1) == Some(step),
        true => name.text().is_some_and(|text| text == step),
    }
}

/// The index in a list that a step names: digits, without a leading zero.
fn list_index(step: &str) -> Option<usize> {
    let good = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    if good { step.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(path: &str, text: &'a str) -> Option<&'a str> {
        let Path::Member(path) = Path::new(path).unwrap() else { panic!("{path} leads to a member") };
        path.find(Raw::new(text)).map(Raw::as_str)
    }

    #[test]
    fn a_path_leads_through_objects_and_lists() {
        let text = r#"{"a":{"b":[10,{"c":"x"}],"0":true},"d.e":1,"$id":2,"\u0061\\":3,"01":[1]}"#;
        assert_eq!(find("a.b.1.c", text), Some("\"x\""));
        assert_eq!(find("a.0", text), Some("true"));
        assert_eq!(find("a.b.01", text), None);
        assert_eq!(find("a.b.-1", text), None);
        assert_eq!(find("a.b.2", text), None);
        assert_eq!(find("d\\.e", text), Some("1"));
        assert_eq!(find("\\$id", text), Some("2"));
        assert_eq!(find("a\\\\", text), Some("3"));
        assert_eq!(find("a.b.1.c.d", text), None);
    }

    #[test]
    fn a_path_is_written_as_it_is_read() {
        for text in ["a", "a.0.b", "d\\.e", "\\$id.$x", "x\\\\.y"] {
            assert_eq!(Path::new(text).unwrap().to_string(), text);
        }
        assert_eq!(Path::new("$created_at").unwrap(), Path::Column(Column::CreatedAt));
    }

    #[test]
    fn bad_paths_are_refused() {
        assert_eq!(
            Path::new("$create_at").unwrap_err().reason,
            r#"an entity has no "$create_at"; did you mean "$created_at"?"#
        );
        for bad in ["", "a..b", ".a", "a.", "a\\b", "a\\", &"a.".repeat(40), &"a".repeat(300)] {
            assert!(Path::new(bad).is_err(), "{bad}");
        }
    }
}
