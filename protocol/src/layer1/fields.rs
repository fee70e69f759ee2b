//! Reading an object whose members are known: each at most once, no others. It says which known
//! member an unknown one was probably meant to be.

use super::{Fault, fault::Inside};
use bulkhead_json::{Kind, Raw};

/// The known members of one object that were there.
pub(super) struct Fields<'a> {
    known: &'static [&'static str],
    found: Vec<Option<Raw<'a>>>,
}

impl<'a> Fields<'a> {
    /// Reads `raw`, where `what` is its name in a message and `known` the members it may have.
    pub(super) fn read(raw: Raw<'a>, what: &str, known: &'static [&'static str]) -> Result<Fields<'a>, Fault> {
        if raw.kind() != Kind::Object {
            return Err(Fault::new(format!("expected {what}, an object, found {}", raw.quote())));
        }
        let mut found = vec![None; known.len()];
        for (name, value) in raw.members() {
            let decoded = name.text().unwrap_or_default();
            let Some(index) = known.iter().position(|known| *known == decoded) else {
                return Err(unknown(name, &decoded, what, known));
            };
            if found[index].replace(value).is_some() {
                return Err(Fault::new("the object has this member twice").inside(decoded));
            }
        }
        Ok(Fields { known, found })
    }

    /// The member `name`, if it is there and not `null`.
    pub(super) fn optional(&self, name: &str) -> Option<Raw<'a>> {
        let index = self.known.iter().position(|known| *known == name);
        self.found[index.expect("only known members are asked for")].filter(|raw| raw.kind() != Kind::Null)
    }

    /// What `read` makes of the member `name`, if it is there and not `null`.
    pub(super) fn read_optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(Raw<'a>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.optional(name).map(read).transpose().inside(name)
    }

    /// What `read` makes of the member `name`, which must be there.
    pub(super) fn read_required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(Raw<'a>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        match self.optional(name) {
            Some(raw) => read(raw).inside(name),
            None => Err(Fault::new(format!("expected the member {name:?}, found none"))),
        }
    }
}

fn unknown(name: Raw<'_>, decoded: &str, what: &str, known: &[&str]) -> Fault {
    let meant = match nearest(decoded, known) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("it may have {}", known.join(", ")),
    };
    Fault::new(format!("{what} has no member {}; {meant}", name.quote()))
}

/// The name among `known` that `typed` was probably meant to be.
pub(super) fn nearest<'k>(typed: &str, known: &[&'k str]) -> Option<&'k str> {
    if typed.len() > 64 {
        return None;
    }
    let scored = known.iter().map(|known| (distance(&typed.to_lowercase(), known), *known));
    let (distance, near) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + near.len() / 4).then_some(near)
}

/// How many characters must be inserted, deleted, replaced or swapped with the next to get from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_what_was_meant() {
        let known = ["entity", "filters", "order", "limit"];
        assert_eq!(nearest("filter", &known), Some("filters"));
        assert_eq!(nearest("fitlers", &known), Some("filters"));
        assert_eq!(nearest("Limit", &known), Some("limit"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("", &["ab"]), None);
    }
}
