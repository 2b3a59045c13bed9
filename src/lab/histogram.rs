//! Recorded times: HDR histograms of microseconds that can be written to JSON.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize, de, ser};

/// Times in microseconds to three significant digits (0.1 %), from 1 us to one hour.
///
/// In JSON it is the text of HdrHistogram's compressed format, version 2, in base64, which other
/// tools read as well; empty for one without samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Times(Histogram<u64>);

/// Longer times are recorded as this one.
const LONGEST: Duration = Duration::from_secs(3600);

impl Default for Times {
    fn default() -> Self {
        let longest = LONGEST.as_micros() as u64;
        Self(Histogram::new_with_bounds(1, longest, 3).expect("the bounds are right"))
    }
}

impl Times {
    /// Adds one sample.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record((time.as_micros() as u64).max(1));
    }

    /// Adds every sample of another one.
    pub fn add(&mut self, other: &Times) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// How many samples there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Mean in milliseconds; `None` without samples.
    pub fn mean_ms(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.mean() / 1000.0)
    }

    /// Largest sample in milliseconds; `None` without samples.
    pub fn max_ms(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.max() as f64 / 1000.0)
    }

    /// The quantile `q` (0 to 1) in milliseconds: the smallest recorded time that at least this
    /// share of the samples do not exceed. `None` where fewer than 5 samples lie beyond it (p50 needs
    /// 10 samples, p95 100, p99 500): it would say what one or two answers happened to be.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let beyond = self.0.len() as f64 * (1.0 - q);
        (beyond > 5.0 - 1e-9).then(|| self.0.value_at_quantile(q) as f64 / 1000.0)
    }

    /// Each distinct recorded time in milliseconds, ascending, with how many samples had it.
    pub fn recorded(&self) -> impl Iterator<Item = (f64, u64)> {
        let values = self.0.iter_recorded();
        values.map(|v| (v.value_iterated_to() as f64 / 1000.0, v.count_at_value()))
    }
}

impl Serialize for Times {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return serializer.serialize_str("");
        }
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.0, &mut bytes);
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
            times.0.add(&read).map_err(|error| de::Error::custom(format!("{error:?}")))?;
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
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
