//! What is known of a request while it is answered.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::observe::{Finished, Method as CountedMethod, RouteMeter, StrategyMeter};
use crate::store::CacheStatus;

/// One request, from its arrival to the last byte of its answer. Handlers note in it which
/// strategy answered; the log line and the counters are written from it.
pub(super) struct RequestInfo {
    pub id: Arc<str>,
    pub method: Method,
    pub path: String,
    pub client: IpAddr,
    pub started: Instant,
    pub answered: OnceLock<Answered>,
    /// Where it is counted.
    route: Option<Arc<RouteMeter>>,
    /// Bytes of its head, and of as much of its body as was read.
    received: AtomicU64,
}

/// The status of a request whose client left before the answer began, as nginx has it.
const CLIENT_LEFT: u16 = 499;

impl RequestInfo {
    /// A request of `client` that has just arrived, which is logged, and counted as one of `route`.
    pub fn of<B>(
        request: &hyper::Request<B>,
        client: IpAddr,
        route: Option<Arc<RouteMeter>>,
    ) -> Arc<Self> {
        let info = Self {
            id: request_id(request.headers()),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            client,
            started: Instant::now(),
            answered: OnceLock::new(),
            route,
            received: AtomicU64::new(head_bytes(request)),
        };
        tracing::debug!(
            target: "poolwise::arrival",
            request_id = &*info.id,
            method = info.method.as_str(),
            path = &*info.path,
            client = %info.client,
        );
        Arc::new(info)
    }

    /// Notes that so many bytes of its body were read.
    pub fn has_read(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The request is over: it is counted, and has its log line, with the status and the bytes of the body
    /// that went out, if an answer began, and how it ended where that was not as it should.
    pub fn over(&self, answer: Option<(StatusCode, u64)>, outcome: Option<&'static str>) {
        let answered = self.answered.get();
        if let Some(route) = &self.route {
            route.record(&Finished {
                method: CountedMethod::of(self.method.as_str()),
                status: answer.map_or(CLIENT_LEFT, |(status, _)| status.as_u16()),
                strategy: answered.map(|answered| &answered.strategy),
                took: self.started.elapsed(),
                received: self.received.load(Ordering::Relaxed),
                sent: answer.map_or(0, |(_, sent)| sent),
            });
        }
        tracing::info!(
            target: "poolwise::answer",
            request_id = &*self.id,
            method = self.method.as_str(),
            path = &*self.path,
            client = %self.client,
            status = answer.map(|(status, _)| status.as_u16()),
            duration_ms = self.started.elapsed().as_micros() as f64 / 1000.0,
            bytes = answer.map(|(_, bytes)| bytes),
            strategy = answered.map(|answered| &*answered.strategy),
            cache = answered.and_then(|answered| answered.cache).map(|cache| cache.name()),
            outcome,
        );
    }
}

/// Which strategy answered, and how. Does not hold the strategy: one that is gone would keep its
/// connections for as long as a client reads.
pub(super) struct Answered {
    pub strategy: Arc<str>,
    pub meter: Arc<StrategyMeter>,
    pub cache: Option<CacheStatus>,
}

/// The bytes of a request's head, as HTTP/1.1 writes it.
fn head_bytes<B>(request: &hyper::Request<B>) -> u64 {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let first = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    let lines: usize = request.headers().iter().map(line).sum();
    (first + lines + "\r\n".len()) as u64
}

/// The client's `X-Request-Id` if it is harmless, or a new one.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    match given.filter(|id| is_harmless(id)) {
        Some(id) => id.into(),
        None => new_id().into(),
    }
}

/// 1 to 64 letters, digits and `-_.`: nothing that could forge a log line or a header.
fn is_harmless(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// 16 hexadecimal digits, unique in this process and unlikely to be equal in another.
fn new_id() -> String {
    static START: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let start = *START.get_or_init(rand::random);
    // An odd factor maps distinct numbers to distinct ones.
    let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{:016x}", start ^ number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_that_could_forge_a_log_line_is_replaced() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", value.parse().unwrap());
            request_id(&headers)
        };
        assert_eq!(&*with("job-7.a_B"), "job-7.a_B");
        for bad in ["", "a b", "a\"b", "a=b", &"x".repeat(65)] {
            assert_eq!(with(bad).len(), 16, "{bad:?}");
        }
        assert_ne!(with(""), with(""));
    }
}
