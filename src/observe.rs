//! The one registry of counters, readable back: `/stats`, the landing page and the log print what
//! stands here and count nothing themselves.
//!
//! Imports nothing of ours, so that every layer may count.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Percentiles are of this much time.
pub const WINDOW: Duration = Duration::from_secs(60);
const SLOTS: usize = 12;
const SLOT: Duration = Duration::from_secs(WINDOW.as_secs() / SLOTS as u64);

/// Durations of the last 60 s, to within 1 %, in slots of 5 s.
pub struct Window {
    started: Instant,
    slots: Mutex<[Slot; SLOTS]>,
    total: Counter,
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
            total: Counter::default(),
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
        self.total.inc();
    }

    /// How many samples there were since the start.
    pub fn total(&self) -> u64 {
        self.total.get()
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

/// What an access method counts.
#[derive(Default)]
pub struct AccessMeter {
    /// Connections opened since the start.
    pub opened: Counter,
    /// Connections closed since the start.
    pub closed: Counter,
    /// Waits for a free connection.
    pub wait: Window,
    /// Times to open one.
    pub connect: Window,
}

/// An access method's connections at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessGauges {
    /// How many there can be.
    pub size: usize,
    /// Serving a request.
    pub in_use: usize,
    /// Open and free.
    pub idle: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

/// What a cache counts.
#[derive(Default)]
pub struct CacheMeter {
    /// Answers that it had.
    pub hits: Counter,
    /// Answers that it did not have.
    pub misses: Counter,
    /// Answers shared with a request that was fetching them already.
    pub coalesced: Counter,
    /// Answers for which it was not used.
    pub bypassed: Counter,
    /// Times that it failed.
    pub faults: Counter,
}

/// Whether a circuit breaker lets requests through; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// It does.
    Closed,
    /// It does not, and is finding out whether it should.
    HalfOpen,
    /// It does not.
    Open,
}

/// A circuit breaker at one moment.
#[derive(Debug, Clone)]
pub struct BreakerView {
    /// Whether it lets requests through.
    pub state: BreakerState,
    /// Since when it does, or does not; `None` where that is not known.
    pub since: Option<Instant>,
    /// Why it does not.
    pub reason: Option<Arc<str>>,
    /// How often it stopped letting requests through.
    pub opened: Option<u64>,
    /// Requests that it spared a wait.
    pub refused: u64,
}

/// A cache's content at one moment; `None` where it cannot say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheGauges {
    /// Entries.
    pub entries: Option<u64>,
    /// Bytes of memory in them.
    pub bytes: Option<u64>,
}

/// What a strategy counts.
#[derive(Default)]
pub struct StrategyMeter {
    /// Answers begun, errors included.
    pub requests: Counter,
    /// Answers of 5xx, and bodies that broke off because the database failed.
    pub errors: Counter,
    /// Requests being answered.
    pub in_flight: Gauge,
    /// Bytes of bodies handed to the socket.
    pub bytes: Counter,
    /// From the request to the last byte handed to the socket.
    pub latency: Window,
    /// Answers that came from the database: each is a sign of its life.
    pub from_database: Counter,
    /// Its access method.
    pub access: Arc<AccessMeter>,
    /// Its cache.
    pub cache: Arc<CacheMeter>,
}

/// Lets one event through an interval, so that a fault is warned of and not repeated.
#[derive(Default)]
pub struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    /// Whether `interval` has passed since this last said yes.
    pub fn allows(&self, interval: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = last.is_none_or(|last| last.elapsed() >= interval);
        if allowed {
            *last = Some(Instant::now());
        }
        allowed
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

    #[test]
    fn a_throttle_lets_one_through() {
        let throttle = Throttle::default();
        assert!(throttle.allows(Duration::from_secs(60)));
        assert!(!throttle.allows(Duration::from_secs(60)));
        assert!(throttle.allows(Duration::ZERO));
    }
}
