//! Answers by route: a bounded number of series, however many URLs, methods and clients there are.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use super::{BYTES, Distribution, Method, SECONDS};

/// Every answer, by route. Routes are known before the first request.
#[derive(Default)]
pub struct HttpMeter(Mutex<Vec<Arc<RouteMeter>>>);

/// The answers of one route.
pub struct RouteMeter {
    pattern: String,
    /// A handful: one for each method, status and strategy that it has answered with.
    series: RwLock<Vec<Arc<HttpSeries>>>,
}

/// The answers of one route that have a method, a status and a strategy in common.
pub struct HttpSeries {
    /// The method.
    pub method: Method,
    /// The status; 499 (as nginx has it) where the client left before the answer began.
    pub status: u16,
    /// The strategy that answered, where one did.
    pub strategy: Option<Arc<str>>,
    /// From the request to the last byte handed to the socket. Its count is that of the answers.
    pub duration: Distribution,
    /// Bytes of the head and of as much of the body as was read.
    pub request_size: Distribution,
    /// Bytes of the body handed to the socket.
    pub response_size: Distribution,
}

/// A request that is over.
pub struct Finished<'a> {
    /// Its method.
    pub method: Method,
    /// The status of its answer; 499 where the client left before it began.
    pub status: u16,
    /// The strategy that answered, where one did.
    pub strategy: Option<&'a Arc<str>>,
    /// From its arrival to the last byte handed to the socket.
    pub took: Duration,
    /// Bytes that came.
    pub received: u64,
    /// Bytes of the body that went.
    pub sent: u64,
}

impl HttpMeter {
    /// The one for this route; made when first asked for.
    pub fn route(&self, pattern: &str) -> Arc<RouteMeter> {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.iter().find(|route| route.pattern == pattern) {
            return known.clone();
        }
        let route = RouteMeter { pattern: pattern.into(), series: RwLock::default() };
        routes.push(Arc::new(route));
        routes.last().expect("it was pushed").clone()
    }

    /// Every route.
    pub fn routes(&self) -> Vec<Arc<RouteMeter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl RouteMeter {
    /// Its path, with `{name}` for what varies.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Its answers.
    pub fn series(&self) -> Vec<Arc<HttpSeries>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a request.
    pub fn record(&self, finished: &Finished<'_>) {
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.iter().find(|series| series.is_of(finished)) {
            return series.record(finished);
        }
        drop(known);
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been faster.
        if !known.iter().any(|series| series.is_of(finished)) {
            known.push(Arc::new(HttpSeries::of(finished)));
        }
        let series = known.iter().find(|series| series.is_of(finished));
        series.expect("it is there by now").record(finished);
    }
}

impl HttpSeries {
    fn of(finished: &Finished<'_>) -> Self {
        Self {
            method: finished.method,
            status: finished.status,
            strategy: finished.strategy.cloned(),
            duration: Distribution::new(&SECONDS),
            request_size: Distribution::new(&BYTES),
            response_size: Distribution::new(&BYTES),
        }
    }

    fn is_of(&self, finished: &Finished<'_>) -> bool {
        (self.method, self.status) == (finished.method, finished.status)
            && self.strategy.as_ref() == finished.strategy
    }

    fn record(&self, finished: &Finished<'_>) {
        let micros = finished.took.as_micros();
        self.duration.record(u64::try_from(micros).unwrap_or(u64::MAX));
        self.request_size.record(finished.received);
        self.response_size.record(finished.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_differ_are_counted_apart_and_others_together() {
        let meter = HttpMeter::default();
        let strategy: Arc<str> = "pooled".into();
        // Another one with the same text.
        let same: Arc<str> = "pooled".into();
        let of = |method, status, strategy| Finished {
            method,
            status,
            strategy,
            took: Duration::from_millis(3),
            received: 100,
            sent: 5000,
        };
        for _ in 0..2 {
            let route = meter.route("/products/{id}");
            route.record(&of(Method::Get, 200, Some(&strategy)));
            route.record(&of(Method::Get, 200, Some(&same)));
            route.record(&of(Method::Get, 200, None));
            route.record(&of(Method::Put, 200, None));
            route.record(&of(Method::Get, 404, Some(&strategy)));
        }
        assert_eq!(meter.routes().len(), 1);
        let series = meter.routes()[0].series();
        let counts: Vec<u64> = series.iter().map(|series| series.duration.count()).collect();
        assert_eq!(counts, [4, 2, 2, 2]);
        let first = series[0].response_size.shares();
        assert_eq!((first.sum, first.count), (20_000.0, 4));
    }
}
