//! Maps whose keys are numbers that the host gave out itself, or that a caller gave to its own
//! requests, or names of modules.
//!
//! Every message is looked up several times, so a number is mixed by one multiplication instead of
//! the standard hasher's many steps, and a name by one for each eight bytes. The standard hasher resists keys that
//! are chosen to collide; here only a caller's own numbers are chosen by others, they are in a map of that caller's
//! own, and the caller may have only so many of them open. The names are the operator's: others only look them up.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map from numbers or names.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Mixes a number, or a few that belong together, or a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

/// 2^64 divided by the golden ratio, which spreads consecutive numbers furthest (Knuth, The Art of
/// Computer Programming, volume 3, 6.4).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            self.write_u64(rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The halves of the whole product, so that every bit of the number reaches the bits that a map uses.
        let product = u128::from(self.0.rotate_left(5) ^ number) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, hash::BuildHasher};

    #[test]
    fn numbers_at_any_regular_distance_are_spread_over_the_buckets_of_a_map() {
        let builder = BuildHasherDefault::<IdHasher>::default();
        for shift in 0..48 {
            let buckets: HashSet<u64> = (0..1024u64).map(|n| builder.hash_one(n << shift) % 4096).collect();
            assert!(buckets.len() > 600, "at distance 2^{shift} only {} places are used", buckets.len());
        }
    }

    #[test]
    fn names_that_differ_anywhere_are_spread_over_the_buckets_of_a_map() {
        let builder = BuildHasherDefault::<IdHasher>::default();
        for (before, after) in [("", ""), ("module-", ""), ("", "-of-a-long-name"), ("a-long-name-of-a-", "-module")] {
            let names = (0..1024).map(|n| format!("{before}{n}{after}"));
            let buckets: HashSet<u64> = names.map(|name| builder.hash_one(name.as_str()) % 4096).collect();
            assert!(buckets.len() > 600, "{before}N{after}: only {} places are used", buckets.len());
        }
    }
}
