//! How many steps the core has taken, for tests that bound its cost by the work: a table that counts
//! entries visited in iterations, and a count for other loops. In a build without debug assertions
//! nothing is counted and nothing is there to count with.

use std::{borrow::Borrow, collections::BTreeMap, ops::Index};

#[cfg(debug_assertions)]
thread_local! {
    static TAKEN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts steps.
#[inline(always)]
pub(crate) fn count(steps: usize) {
    #[cfg(debug_assertions)]
    TAKEN.set(TAKEN.get() + steps as u64);
    #[cfg(not(debug_assertions))]
    let _ = steps;
}

/// The steps that the cores of this thread have taken so far; `None` where they are not counted.
#[doc(hidden)]
pub fn steps_taken() -> Option<u64> {
    #[cfg(debug_assertions)]
    return Some(TAKEN.get());
    #[cfg(not(debug_assertions))]
    return None;
}

/// A sorted map that counts what is visited when it is gone through.
#[derive(Debug)]
pub(crate) struct Table<K, V>(BTreeMap<K, V>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table(BTreeMap::new())
    }
}

impl<K: Ord, V> Table<K, V> {
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(value)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().inspect(|_| count(1))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys().inspect(|_| count(1))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values().inspect(|_| count(1))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.values_mut().inspect(|_| count(1))
    }
}

impl<K: Ord, V> Index<&K> for Table<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        &self.0[key]
    }
}
