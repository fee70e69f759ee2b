//! Randomness as the core knows it: a generator whose seed is an argument.

/// Steele, Lea and Flood's SplitMix64: tiny, and good enough to spread restarts.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A separate generator for what has this number.
    pub(crate) fn split(&self, number: u64) -> Random {
        Random(Random(self.0 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next())
    }

    /// A separate generator for what has this name: FNV-1a, the same in every build.
    pub(crate) fn split_by_name(&self, name: &str) -> Random {
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        self.split(hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A factor in 0.75…1.25 by which a delay is spread.
    pub(crate) fn jitter(&mut self) -> f64 {
        // 53 bits fill the mantissa of a double exactly.
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        0.75 + unit / 2.0
    }
}
