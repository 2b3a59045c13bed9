//! Durations: percentiles of the last 60 s for people, and a histogram since the start for Prometheus.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{Distribution, SECONDS};

/// Percentiles are of this much time.
pub const WINDOW: Duration = Duration::from_secs(60);
const SLOTS: usize = 12;
const SLOT: Duration = Duration::from_secs(WINDOW.as_secs() / SLOTS as u64);

/// Durations of the last 60 s, to within 1 %, in slots of 5 s.
pub struct Window {
    started: Instant,
    slots: Mutex<[Slot; SLOTS]>,
    all: Distribution,
}

struct Slot {
    /// The number of the 5 s since the start that it holds.
    number: u64,
    micros: Histogram<u32>,
}

/// Percentiles in milliseconds; `None` where there were no samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percentiles {
    /// How many samples there were.
    pub count: u64,
    /// Half were at most this.
    pub p50_ms: Option<f64>,
    /// 95 % were at most this.
    pub p95_ms: Option<f64>,
    /// 99 % were at most this.
    pub p99_ms: Option<f64>,
}

impl Default for Window {
    fn default() -> Self {
        let slot = |_| Slot {
            number: 0,
            micros: Histogram::new(2).expect("2 significant digits are valid"),
        };
        Self {
            started: Instant::now(),
            slots: Mutex::new(std::array::from_fn(slot)),
            all: Distribution::new(&SECONDS),
        }
    }
}

impl Window {
    /// Adds one sample, now.
    pub fn record(&self, duration: Duration) {
        let number = self.number();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut slots[number as usize % SLOTS];
        if slot.number != number {
            slot.number = number;
            slot.micros.reset();
        }
        let micros = duration.as_micros().min(u128::from(u32::MAX)) as u64;
        slot.micros.record(micros).expect("it grows as needed");
        drop(slots);
        self.all.record(micros);
    }

    /// How many samples there were since the start.
    pub fn total(&self) -> u64 {
        self.all.count()
    }

    /// Every sample since the start.
    pub fn all(&self) -> &Distribution {
        &self.all
    }

    /// The percentiles of the last 60 s.
    pub fn percentiles(&self) -> Percentiles {
        self.percentiles_of(SLOTS as u64)
    }

    /// The percentiles of the last 5 to 10 s, for judging how things are now.
    pub fn recent(&self) -> Percentiles {
        self.percentiles_of(2)
    }

    fn percentiles_of(&self, slots: u64) -> Percentiles {
        let oldest = (self.number() + 1).saturating_sub(slots);
        let mut all = Histogram::<u32>::new(2).expect("2 significant digits are valid");
        for slot in self.slots.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if slot.number >= oldest {
                all.add(&slot.micros).expect("the sum resizes itself");
            }
        }
        let ms =
            |quantile| (!all.is_empty()).then(|| all.value_at_quantile(quantile) as f64 / 1000.0);
        Percentiles { count: all.len(), p50_ms: ms(0.5), p95_ms: ms(0.95), p99_ms: ms(0.99) }
    }

    fn number(&self) -> u64 {
        (self.started.elapsed().as_micros() / SLOT.as_micros()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_one_percent() {
        let window = Window::default();
        for ms in 1..=1000 {
            window.record(Duration::from_millis(ms));
        }
        let found = window.percentiles();
        assert_eq!(found.count, 1000);
        for (value, expected) in
            [(found.p50_ms, 500.0), (found.p95_ms, 950.0), (found.p99_ms, 990.0)]
        {
            let value = value.expect("there are samples");
            assert!((value - expected).abs() <= expected * 0.01, "{value} for {expected}");
        }
    }

    #[test]
    fn no_samples_are_no_percentiles() {
        assert_eq!(Window::default().percentiles(), Percentiles::default());
    }
}
