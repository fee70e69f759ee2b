//! By how much something changes what is stored of each owner.

use std::sync::Arc;

/// The owners for which something changes. Mostly these are one or two, and a list of few is searched faster than
/// a map is made.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<(Arc<str>, Amount)>);

/// How many bytes, and in how many rows; or by how many more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) bytes: i64,
    pub(crate) rows: i64,
}

impl Amount {
    pub(crate) fn plus(self, other: Amount) -> Amount {
        Amount { bytes: self.bytes + other.bytes, rows: self.rows + other.rows }
    }

    pub(crate) fn negative(self) -> Amount {
        Amount::default().minus(self)
    }

    pub(crate) fn minus(self, other: Amount) -> Amount {
        Amount { bytes: self.bytes - other.bytes, rows: self.rows - other.rows }
    }
}

impl Held {
    pub(crate) fn add(&mut self, owner: &Arc<str>, amount: Amount) {
        match self.0.iter_mut().find(|(known, _)| Arc::ptr_eq(known, owner) || known == owner) {
            Some((_, held)) => *held = held.plus(amount),
            None => self.0.push((Arc::clone(owner), amount)),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Amount)> {
        self.0.iter().map(|(owner, amount)| (owner, *amount))
    }
}
