//! Recorded times: HDR histograms of microseconds that can be written to JSON.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize, de, ser};

/// Times in microseconds to three significant digits (0.1 %), from 1 us to one hour.
///
/// In memory only the buckets that have samples are kept: a run has two of these for each second and
/// strategy, and a whole histogram takes 184 KiB. The buckets are those of HdrHistogram.
///
/// In JSON it is the text of HdrHistogram's compressed format, version 2, in base64, which other
/// tools read as well; empty for one without samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Times {
    /// The highest time of each bucket that has samples, ascending, with how many it has.
    buckets: Vec<(u64, u64)>,
}

/// Longer times are recorded as this one.
const LONGEST: Duration = Duration::from_secs(3600);
/// Times below this have a bucket each: it is the power of two that three significant digits need.
const EXACT_BELOW: u64 = 2048;

/// How many times share a bucket: 1, and twice as many with every power of two from
/// [`EXACT_BELOW`] on.
fn width(micros: u64) -> u64 {
    1 << (micros.max(1).ilog2() + 1).saturating_sub(EXACT_BELOW.ilog2())
}

/// The highest time of a bucket.
fn highest(micros: u64) -> u64 {
    micros | (width(micros) - 1)
}

impl Times {
    /// Adds one sample.
    pub fn record(&mut self, time: Duration) {
        self.record_many(time.min(LONGEST).as_micros() as u64, 1);
    }

    fn record_many(&mut self, micros: u64, count: u64) {
        let bucket = highest(micros.max(1));
        match self.buckets.binary_search_by_key(&bucket, |&(bucket, _)| bucket) {
            Ok(place) => self.buckets[place].1 += count,
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }

    /// Adds every sample of another one.
    pub fn add(&mut self, other: &Times) {
        let mut both = Vec::with_capacity(self.buckets.len() + other.buckets.len());
        let mut ours = self.buckets.iter().copied().peekable();
        for &(bucket, count) in &other.buckets {
            while let Some(our) = ours.next_if(|our| our.0 < bucket) {
                both.push(our);
            }
            let same = ours.next_if(|our| our.0 == bucket).map_or(0, |our| our.1);
            both.push((bucket, same + count));
        }
        both.extend(ours);
        self.buckets = both;
    }

    /// How many samples there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&(_, count)| count).sum()
    }

    /// Mean in milliseconds; `None` without samples.
    pub fn mean_ms(&self) -> Option<f64> {
        let middle = |bucket: u64| bucket - (width(bucket) - 1) / 2;
        let of = |&(bucket, count): &(u64, u64)| middle(bucket) as f64 * count as f64;
        let sum: f64 = self.buckets.iter().map(of).sum();
        (!self.buckets.is_empty()).then(|| sum / self.count() as f64 / 1000.0)
    }

    /// Largest sample in milliseconds; `None` without samples.
    pub fn max_ms(&self) -> Option<f64> {
        self.buckets.last().map(|&(bucket, _)| bucket as f64 / 1000.0)
    }

    /// The quantile `q` (0 to 1) in milliseconds: the smallest recorded time that at least this
    /// share of the samples do not exceed. `None` where fewer than 5 samples lie beyond it (p50 needs
    /// 10 samples, p95 100, p99 500): it would say what one or two answers happened to be.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let count = self.count() as f64;
        if count * (1.0 - q) <= 5.0 - 1e-9 {
            return None;
        }
        let wanted = (count * q - 1e-9).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.buckets.iter().find(|&&(_, count)| {
            seen += count;
            seen >= wanted
        });
        reached.map(|&(bucket, _)| bucket as f64 / 1000.0)
    }

    /// Each distinct recorded time in milliseconds, ascending, with how many samples had it.
    pub fn recorded(&self) -> impl Iterator<Item = (f64, u64)> {
        self.buckets.iter().map(|&(bucket, count)| (bucket as f64 / 1000.0, count))
    }

    /// The same as others keep it.
    fn to_histogram(&self) -> Histogram<u64> {
        let longest = highest(LONGEST.as_micros() as u64);
        let mut histogram =
            Histogram::new_with_bounds(1, longest, 3).expect("the bounds are right");
        for &(bucket, count) in &self.buckets {
            histogram.record_n(bucket, count).expect("it is within the bounds");
        }
        histogram
    }
}

impl Serialize for Times {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.buckets.is_empty() {
            return serializer.serialize_str("");
        }
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.to_histogram(), &mut bytes);
        written.map_err(|error| ser::Error::custom(format!("{error:?}")))?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut times = Times::default();
        if !text.is_empty() {
            let bytes = STANDARD.decode(&text).map_err(de::Error::custom)?;
            let read: Histogram<u64> = Deserializer::new()
                .deserialize(&mut bytes.as_slice())
                .map_err(|error| de::Error::custom(format!("not a histogram: {error:?}")))?;
            for value in read.iter_recorded() {
                let micros = value.value_iterated_to().min(LONGEST.as_micros() as u64);
                times.record_many(micros, value.count_at_value());
            }
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_survive_json_unchanged() {
        let mut times = Times::default();
        for micros in [1, 950, 20_000, 20_001, 7_000_000] {
            times.record(Duration::from_micros(micros));
        }
        for times in [times, Times::default()] {
            let json = serde_json::to_string(&times).expect("it can be written");
            assert_eq!(serde_json::from_str::<Times>(&json).expect("and read"), times);
        }
        assert!(serde_json::from_str::<Times>("\"bm90IG9uZQ==\"").is_err());
    }

    proptest! {
        #[test]
        fn the_figures_are_those_of_hdr_histogram(
            micros in proptest::collection::vec(1u64..100_000_000, 1..2000),
            more in proptest::collection::vec(1u64..5_000, 0..200),
            q in 0.01f64..0.99,
        ) {
            let mut reference: Histogram<u64> =
                Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, 3).expect("right bounds");
            let (mut times, mut others) = (Times::default(), Times::default());
            for &micros in &micros {
                reference.record(micros).expect("within the bounds");
                times.record(Duration::from_micros(micros));
            }
            for &micros in &more {
                reference.record(micros).expect("within the bounds");
                others.record(Duration::from_micros(micros));
            }
            times.add(&others);
            prop_assert_eq!(times.count(), reference.len());
            prop_assert_eq!(times.max_ms(), Some(reference.max() as f64 / 1000.0));
            let mean = times.mean_ms().expect("there are samples");
            prop_assert!((mean / reference.mean() * 1000.0 - 1.0).abs() < 0.001);
            if let Some(quantile) = times.quantile_ms(q) {
                prop_assert_eq!(quantile, reference.value_at_quantile(q) as f64 / 1000.0);
            }
            let recorded: Vec<(f64, u64)> = reference
                .iter_recorded()
                .map(|v| (v.value_iterated_to() as f64 / 1000.0, v.count_at_value()))
                .collect();
            prop_assert_eq!(times.recorded().collect::<Vec<_>>(), recorded);
        }

        #[test]
        fn quantiles_are_within_2_percent_of_the_exact_ones(
            micros in proptest::collection::vec(1u64..60_000_000, 500..2000),
        ) {
            let mut times = Times::default();
            micros.iter().for_each(|&micros| times.record(Duration::from_micros(micros)));
            let mut sorted = micros;
            sorted.sort_unstable();
            for (q, per_cent) in [(0.5, 50), (0.95, 95), (0.99, 99)] {
                let exact = sorted[(sorted.len() * per_cent).div_ceil(100) - 1] as f64 / 1000.0;
                let quantile = times.quantile_ms(q).expect("there are enough samples");
                prop_assert!((quantile / exact - 1.0).abs() < 0.02, "{quantile} for {exact}");
            }
        }
    }

    #[test]
    fn times_beyond_the_bounds_are_recorded_as_the_bound() {
        let mut times = Times::default();
        times.record(Duration::ZERO);
        times.record(Duration::from_secs(1_000_000));
        let (shortest, longest) = (0.001, times.max_ms().expect("there is one"));
        assert_eq!(times.recorded().next(), Some((shortest, 1)));
        assert!((longest / 3_600_000.0 - 1.0).abs() < 0.001, "{longest}");
        let json = serde_json::to_string(&times).expect("it can be written");
        assert_eq!(serde_json::from_str::<Times>(&json).expect("and read"), times);
    }

    #[test]
    fn a_percentile_of_too_few_samples_is_none() {
        let mut times = Times::default();
        assert_eq!((times.mean_ms(), times.quantile_ms(0.5)), (None, None));
        for micros in 1..=99 {
            times.record(Duration::from_micros(micros));
        }
        assert!(times.quantile_ms(0.5).is_some());
        assert_eq!(times.quantile_ms(0.95), None, "4.95 samples lie beyond it");
        times.record(Duration::from_micros(100));
        assert_eq!(times.quantile_ms(0.95), Some(0.095));
        assert_eq!(times.quantile_ms(0.99), None);
    }
}
