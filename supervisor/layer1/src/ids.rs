//! New ids: UUIDs of version 7 (RFC 9562, method 2 of its section 6.2), each greater than every one that
//! this process has made before.
//!
//! Random bytes are asked for in blocks, since a call to the system for each id costs more than the rest
//! of making it.

use bulkhead_protocol::layer1::EntityId;
use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// A new id.
pub(crate) fn new_id() -> EntityId {
    static IDS: Mutex<Ids> = Mutex::new(Ids::new());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    IDS.lock().unwrap_or_else(PoisonError::into_inner).next(since.as_millis())
}

/// Bits of an id behind its time, but for those that say that it is one of version 7.
const REST_BITS: u32 = 74;

struct Ids {
    /// The time and the rest of the last id, without the bits of the version.
    last: u128,
    random: [u8; Ids::BLOCK_BYTES],
    used: usize,
}

impl Ids {
    const BLOCK_BYTES: usize = 1024;

    const fn new() -> Ids {
        Ids { last: 0, random: [0; Ids::BLOCK_BYTES], used: Ids::BLOCK_BYTES }
    }

    /// The next id, at this time in milliseconds since 1970.
    fn next(&mut self, millis: u128) -> EntityId {
        let time = (millis & ((1 << 48) - 1)) << REST_BITS;
        self.last = if time > self.last {
            // The highest bit is left for what is counted up within the millisecond.
            time | (u128::from_le_bytes(self.random()) >> (128 - REST_BITS + 1))
        } else {
            // A step of any size, so that nobody can tell one id from another.
            self.last + 1 + u128::from(u32::from_le_bytes(self.random()))
        };
        EntityId::from_uuid(with_version(self.last))
    }

    /// Bytes that were not used before.
    fn random<const BYTES: usize>(&mut self) -> [u8; BYTES] {
        if self.used + BYTES > Ids::BLOCK_BYTES {
            getrandom::fill(&mut self.random).expect("the system has random bytes once it has started");
            self.used = 0;
        }
        let taken = self.random[self.used..self.used + BYTES].try_into().expect("the length is that of the array");
        self.used += BYTES;
        taken
    }
}

/// Puts in the four bits that say version 7, and the two of the variant.
fn with_version(bits: u128) -> u128 {
    let (time, high, low) = (bits >> REST_BITS, bits >> 62 & 0xfff, bits & ((1 << 62) - 1));
    time << 80 | 7 << 76 | high << 64 | 2 << 62 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_time_its_version_and_its_variant() {
        let id = Ids::new().next(0x0198_1f6e_2c1a).to_string();
        assert!(id.starts_with("01981f6e-2c1a-7"), "{id}");
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
    }

    #[test]
    fn ids_rise_within_a_millisecond_from_one_to_the_next_and_when_the_clock_goes_back() {
        let mut ids = Ids::new();
        let mut last = ids.next(1000);
        for millis in [1000, 1000, 1001, 1001, 999, 1, 1001, 1002].into_iter().cycle().take(20_000) {
            let next = ids.next(millis);
            assert!(next > last, "{last} is before {next}");
            last = next;
        }
        assert!(last.as_str() < "00000000-1000", "the time is not far from the clock's: {last}");
    }

    #[test]
    fn what_is_random_in_ids_differs_from_one_process_to_another() {
        let rest = |mut ids: Ids| ids.next(1000).as_str()[15..].to_owned();
        assert_ne!(rest(Ids::new()), rest(Ids::new()));
    }
}
