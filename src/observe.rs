//! The one registry of counters, readable back: `/stats`, `/metrics`, the landing page and the log print
//! what stands here and count nothing themselves.
//!
//! Imports nothing of ours, so that every layer may count.

mod distribution;
mod http;
mod kinds;
mod window;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

pub use distribution::{BYTES, Bounds, Distribution, SECONDS, Shares};
pub use http::{Finished, HttpMeter, HttpSeries, RouteMeter};
pub use kinds::{
    BreakerState, Closing, Counters, Kind, Method, SignIn, SignInOutcome, WriteOutcome,
};
pub use window::{Percentiles, WINDOW, Window};

/// What an access method counts.
#[derive(Default)]
pub struct AccessMeter {
    /// Connections opened since the start.
    pub opened: Counter,
    /// Connections closed since the start, by why.
    pub closed: Counters<Closing>,
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
    /// Writes that went through its connections, by what came of them.
    pub writes: Counters<WriteOutcome>,
    /// Its access method.
    pub access: Arc<AccessMeter>,
    /// Its cache.
    pub cache: Arc<CacheMeter>,
}

/// What the service counts besides its strategies.
#[derive(Default)]
pub struct ServiceMeter {
    /// Every answer, by route.
    pub http: HttpMeter,
    /// What is done about signing in.
    pub sign_ins: [Counters<SignInOutcome>; SignIn::ALL.len()],
    /// Connections of clients that are open; absent where nobody listens.
    pub connections: OnceLock<Gauge>,
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
    fn a_throttle_lets_one_through() {
        let throttle = Throttle::default();
        assert!(throttle.allows(Duration::from_secs(60)));
        assert!(!throttle.allows(Duration::from_secs(60)));
        assert!(throttle.allows(Duration::ZERO));
    }
}
