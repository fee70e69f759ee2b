//! Inputs made of others at random, for runs without coverage.

use crate::corpus::INPUT_BYTES_MAX;

/// Numbers that look random and are the same for the same seed (xorshift64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Those of this seed.
    pub fn new(seed: u64) -> Random {
        // It never leaves 0.
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

/// Bytes with a meaning in one of the formats.
const MEANINGFUL: &[u8] = b"{}[]\",:\\u0-.eE+ \n\t\x00\x1f\x7f\x80\xc3\xe2\xf0\xff'#=_/ntf";

/// One of `inputs`, with some changes.
pub fn mutated(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| inputs.get(random.below(inputs.len())).cloned().unwrap_or_default();
    let mut bytes = pick(random);
    for _ in 0..=random.below(4) {
        let (at, byte) = (random.below(bytes.len() + 1), MEANINGFUL[random.below(MEANINGFUL.len())]);
        let end = (at + 1 + random.below(32)).min(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, byte),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copied = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copied);
            }
            4 => {
                let other = pick(random);
                let from = random.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            5 => {
                let (times, run) = (random.below(2000), bytes[at..end].to_vec());
                bytes.splice(at..at, run.repeat(times / run.len().max(1)));
            }
            6 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ if at < bytes.len() => bytes[at] = byte,
            _ => bytes.push(byte),
        }
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_the_same_for_the_same_seed_and_others_for_another() {
        let inputs = vec![b"{\"a\":[1,2,3]}".to_vec(), b"[]".to_vec()];
        let made = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| mutated(&inputs, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(3).iter().all(|input| input.len() <= INPUT_BYTES_MAX));
    }

    #[test]
    fn something_is_made_of_nothing() {
        let mut random = Random::new(7);
        assert!((0..100).any(|_| !mutated(&[], &mut random).is_empty()));
    }
}
