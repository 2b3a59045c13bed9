//! Counters that can be read while a block runs, for a progress bar. They include the warm-up, and
//! nothing is computed from them.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::lab::histogram::Times;

use super::outcome::Exchange;

/// Recent is what ended in the current or the last period of this length.
const PERIOD: Duration = Duration::from_secs(3);

/// What happens right now.
#[derive(Debug, Default)]
pub struct Live {
    answers: AtomicU64,
    errors: AtomicU64,
    in_flight: AtomicU64,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    since: Option<Instant>,
    now: Times,
    before: Times,
}

impl Live {
    /// Whole answers with a status below 400 so far.
    pub fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// Everything else that has ended so far.
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Requests on their way now.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// 95th percentile of the latency in the last 3 to 6 s, in ms; `None` with too few samples.
    pub fn recent_p95_ms(&self) -> Option<f64> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut both = recent.before.clone();
        both.add(&recent.now);
        drop(recent);
        both.quantile_ms(0.95)
    }

    /// Counts a request as on its way until the guard is dropped.
    pub(super) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self)
    }

    pub(super) fn record(&self, exchange: &Exchange) {
        let count = if exchange.outcome.is_good() { &self.answers } else { &self.errors };
        count.fetch_add(1, Relaxed);
        if exchange.outcome.is_timed() {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.record(exchange.ended, exchange.ended - exchange.due);
        }
    }
}

impl Recent {
    fn record(&mut self, at: Instant, latency: Duration) {
        let age = at.saturating_duration_since(*self.since.get_or_insert(at));
        if age >= PERIOD {
            let now = std::mem::take(&mut self.now);
            self.before = if age < 2 * PERIOD { now } else { Times::default() };
            self.since = Some(at);
        }
        self.now.record(latency);
    }
}

/// A request on its way.
pub(super) struct InFlight<'a>(&'a Live);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
