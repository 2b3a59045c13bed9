//! A histogram with fixed bounds: two atomic additions a sample, no lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bounds of a histogram.
#[derive(Debug)]
pub struct Bounds {
    /// In the unit of the samples, rising; what is above the last has a place of its own.
    upper: &'static [u64],
    /// How many of them make one base unit of Prometheus (a second, a byte).
    per_unit: f64,
}

/// For durations that are counted in microseconds: 0.5 ms to 30 s.
pub static SECONDS: Bounds = Bounds {
    upper: &[
        500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
        2_000_000, 5_000_000, 10_000_000, 30_000_000,
    ],
    per_unit: 1e6,
};

/// For sizes: 256 B to 16 MiB.
pub static BYTES: Bounds = Bounds {
    upper: &[256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216],
    per_unit: 1.0,
};

/// How many samples fell between which bounds.
#[derive(Debug)]
pub struct Distribution {
    bounds: &'static Bounds,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A [`Distribution`] at one moment, in base units.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Each upper bound, the last one infinite, with the samples between it and the one before.
    pub buckets: Vec<(f64, u64)>,
    /// All samples together.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Distribution {
    /// An empty one.
    pub fn new(bounds: &'static Bounds) -> Self {
        let counts = (0..=bounds.upper.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Adds a sample, in the unit of the bounds.
    pub fn record(&self, value: u64) {
        let place = self.bounds.upper.partition_point(|bound| *bound < value);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// How many samples there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// As it is now. The count is that of the buckets, so that it never contradicts them.
    pub fn shares(&self) -> Shares {
        let Bounds { upper, per_unit } = self.bounds;
        let bounds = upper.iter().map(|bound| *bound as f64 / per_unit).chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Shares { buckets, sum: self.sum.load(Ordering::Relaxed) as f64 / per_unit, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_falls_into_the_first_bucket_that_is_not_below_it() {
        let distribution = Distribution::new(&SECONDS);
        for micros in [0, 500, 501, 2_000, 30_000_000, 30_000_001] {
            distribution.record(micros);
        }
        let Shares { buckets, sum, count } = distribution.shares();
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        let expected = [(0.0005, 2), (0.001, 1), (0.002, 1), (30.0, 1), (f64::INFINITY, 1)];
        assert_eq!(filled, expected);
        assert_eq!((sum, count, distribution.count()), (60.003_002, 6, 6));
    }

    #[test]
    fn bounds_rise() {
        for bounds in [&SECONDS, &BYTES] {
            assert!(bounds.upper.is_sorted_by(|a, b| a < b), "{bounds:?}");
        }
    }
}
