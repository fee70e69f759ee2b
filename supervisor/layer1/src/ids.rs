//! New ids: UUIDs of version 7 (RFC 9562, method 2 of its section 6.2), each greater than every one that the
//! store has made and keeps, whatever the wall clock says and also after a restart: up to where ids were given
//! out is written in the commit that stores one ([`crate::tables::clock`]).
//!
//! An id that a caller chose moves nothing: if the greatest possible one counted, no greater one could be made.
//! One that is imported counts, since most of these were made by a store, but not beyond the year 6429.
//!
//! Random bytes are asked for in blocks, since a call to the system for each id costs more than the rest
//! of making it.

use bulkhead_protocol::layer1::EntityId;
use std::sync::{Mutex, PoisonError};

/// The latest time that is taken from a clock or from an imported id, in milliseconds since 1970: half of what
/// there is, so that room for more is never used up.
const TIME_MAX: i64 = (1 << 47) - 1;

/// What makes the ids of a store.
pub(crate) struct IdMaker(Mutex<Ids>);

impl IdMaker {
    /// Makes ids of later times than this, in milliseconds since 1970.
    pub(crate) fn after(upto: i64) -> IdMaker {
        let ids = IdMaker(Mutex::new(Ids::new()));
        ids.pass(upto);
        ids
    }

    /// A new id, at this time of day in microseconds since 1970.
    pub(crate) fn next(&self, wall: i64) -> EntityId {
        self.with(|ids| ids.next(wall / 1000))
    }

    /// No id made so far has a later time, in milliseconds since 1970.
    pub(crate) fn upto(&self) -> i64 {
        self.with(|ids| (ids.last >> REST_BITS) as i64)
    }

    /// Makes later ids than an imported one, unless that is of another kind or of a time that no clock has had.
    pub(crate) fn pass_imported(&self, id: &EntityId) {
        if let Some(time) = time_of(id.as_str()).filter(|time| *time <= TIME_MAX) {
            self.pass(time);
        }
    }

    fn pass(&self, upto: i64) {
        // No file, however it was made, may bring it to where no greater id exists.
        let upto = upto.clamp(0, 2 * TIME_MAX);
        let end = (u128::from(upto.unsigned_abs()) << REST_BITS) | ((1 << REST_BITS) - 1);
        self.with(|ids| ids.last = ids.last.max(end));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Ids) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The time in an id of version 7, in milliseconds since 1970.
fn time_of(id: &str) -> Option<i64> {
    let (digits, version) = (id.get(..8)?.to_owned() + id.get(9..13)?, id.get(14..15)?);
    i64::from_str_radix(&digits, 16).ok().filter(|_| version == "7")
}

/// Bits of an id after its time, without those that say that it is one of version 7.
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
    fn next(&mut self, millis: i64) -> EntityId {
        let time = u128::from(millis.clamp(0, TIME_MAX).unsigned_abs()) << REST_BITS;
        self.last = if time > self.last {
            // The highest bit is left for what is counted up within the millisecond.
            time | (u128::from_le_bytes(self.random()) >> (128 - REST_BITS + 1))
        } else {
            // A step of any size, so that one id does not reveal another.
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

    #[test]
    fn ids_go_on_after_earlier_ones_also_where_the_clock_is_set_back() {
        let ids = IdMaker::after(5_000);
        let first = ids.next(1_000_000);
        assert!(first.as_str() > "00000000-1388-7fff-bfff-ffffffffffff", "{first} is of a later millisecond");
        assert_eq!(ids.upto(), 5_001);
        assert!(ids.next(7_000_000).as_str().starts_with("00000000-1b58-7"));
        assert_eq!(ids.upto(), 7_000);
    }

    #[test]
    fn an_imported_id_counts_but_no_one_uses_up_what_there_is() {
        let ids = IdMaker::after(0);
        for (text, upto) in [
            ("00000000-1388-4000-8000-000000000000", 0),
            ("00000000-1388-7000-8000-000000000000", 5_000),
            ("00000000-0fff-7000-8000-000000000000", 5_000),
            ("ffffffff-ffff-7fff-bfff-ffffffffffff", 5_000),
            ("80000000-0000-7000-8000-000000000000", 5_000),
            ("7fffffff-ffff-7fff-bfff-ffffffffffff", TIME_MAX),
        ] {
            ids.pass_imported(&EntityId::new(text).unwrap());
            assert_eq!(ids.upto(), upto, "{text}");
        }
        let mut last = ids.next(0);
        for wall in [0, i64::MAX, i64::MIN, 1] {
            let next = ids.next(wall);
            assert!(next > last, "{last} is before {next}");
            last = next;
        }
        assert!(last.as_str() < "80000000-0001", "{last}");
    }
}
