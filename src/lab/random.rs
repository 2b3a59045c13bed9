//! Numbers that look random and are a pure function of a seed and a place: the same on every
//! machine, and any of them without those before it.

/// SplitMix64's increment: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Number `place` of the sequence of `seed`: SplitMix64 (Steele, Lea, Flood: Fast Splittable
/// Pseudorandom Number Generators, 2014), whose state is nothing but a counter.
pub(in crate::lab) fn draw(seed: u64, place: u64) -> u64 {
    let mut z = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(GOLDEN));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The same as a number from 0 to below 1, of 53 bits.
pub(in crate::lab) fn share(seed: u64, place: u64) -> f64 {
    (draw(seed, place) >> 11) as f64 / (1u64 << 53) as f64
}

/// The sequence of a seed, one number after the other.
pub(in crate::lab) struct Sequence {
    seed: u64,
    place: u64,
}

impl Sequence {
    pub fn new(seed: u64) -> Self {
        Self { seed, place: 0 }
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        let number = draw(self.seed, self.place);
        self.place += 1;
        number
    }

    /// The next number, below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_published_generator() {
        // The first outputs of the reference implementation for the seed 1234567.
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([draw(1_234_567, 0), draw(1_234_567, 1)], expected);
        let mut sequence = Sequence::new(1_234_567);
        assert_eq!([sequence.next(), sequence.next()], expected);
    }
}
