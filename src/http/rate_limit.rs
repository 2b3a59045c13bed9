//! How much one client may ask for: a token bucket for each (GCRA, by the crate governor).
//!
//! One value for each configuration: a new one begins with full buckets. It knows addresses and
//! paths, nothing of what is behind them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio_util::task::AbortOnDropHandle;

use super::{State, client};
use crate::config;

type Buckets =
    RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>;

/// How often clients whose bucket is full again are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(10);

/// The rate limit of one configuration. Its memory is bounded by the clients that asked since their
/// bucket was last full, and [`RateLimit::forget_idle`] forgets the others.
pub struct RateLimit {
    trusted_proxies: Vec<IpNet>,
    buckets: Option<(config::Quota, Buckets)>,
}

/// What a client may still ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Whether this request goes beyond it.
    pub refused: bool,
    /// Requests that may come at once.
    pub limit: u32,
    /// Of them, how many there are left.
    pub remaining: u32,
    /// Seconds, rounded up, until there are all of them again; of a refused request, until there is one.
    pub reset: u64,
}

impl RateLimit {
    /// Full buckets for everyone.
    pub fn new(settings: &config::RateLimit) -> Self {
        let buckets = settings.quota.map(|quota| {
            let refill = Quota::with_period(quota.per / quota.requests.get());
            let refill = refill.expect("config has it at 1 ns or more").allow_burst(quota.burst);
            (quota, RateLimiter::dashmap(refill).with_middleware())
        });
        Self { trusted_proxies: settings.trusted_proxies.clone(), buckets }
    }

    /// What is configured; `None` for no limit.
    pub fn quota(&self) -> Option<config::Quota> {
        self.buckets.as_ref().map(|(quota, _)| *quota)
    }

    /// The address of a request's client, which is also the one in the log.
    pub(super) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        client::address(peer, headers, &self.trusted_proxies)
    }

    /// Takes a token of the client's, if there is one; `None` without a limit.
    pub(super) fn take(&self, client: IpAddr) -> Option<Allowance> {
        let (quota, buckets) = self.buckets.as_ref()?;
        let limit = quota.burst.get();
        Some(match buckets.check_key(&bucket_of(client)) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = quota.per / quota.requests.get() * limit.saturating_sub(remaining);
                Allowance { refused: false, limit, remaining, reset: whole_seconds(missing) }
            }
            Err(until) => {
                let wait = until.wait_time_from(buckets.clock().now());
                // Not 0, or the client would be told to come back at once.
                let reset = whole_seconds(wait).max(1);
                Allowance { refused: true, limit, remaining: 0, reset }
            }
        })
    }

    /// Clients that are remembered.
    pub fn clients(&self) -> usize {
        self.buckets.as_ref().map_or(0, |(_, buckets)| buckets.len())
    }

    /// Forgets clients whose bucket is full again; they lose nothing by it.
    pub fn forget_idle(&self) {
        if let Some((_, buckets)) = &self.buckets {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }

    /// Forgets idle clients of the limit in force, now and then, until the handle is dropped.
    pub fn keep_small(state: Arc<State>) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(FORGET_EVERY).await;
                state.rate_limit.load().forget_idle();
                state.auth.load().forget_idle();
            }
        }))
    }
}

/// Whether requests to this path are counted: those that cost something.
pub(super) fn counts(path: &str) -> bool {
    let of_strategy = |rest: &str| {
        let (_, rest) = rest.split_once('/').unwrap_or_default();
        rest == "products" || rest.starts_with("products/")
    };
    let whole = ["/products", "/orders", "/categories"].contains(&path);
    let below = ["/products/", "/orders/", "/auth/"].iter().any(|folder| path.starts_with(folder));
    whole || below || path.strip_prefix("/strategies/").is_some_and(of_strategy)
}

/// An IPv6 client has its whole /64 network to choose addresses from, so that counts as one.
fn bucket_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

pub(super) const RATE_LIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
pub(super) const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
pub(super) const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

impl Allowance {
    /// Writes the header fields of draft-ietf-httpapi-ratelimit-headers-06, the last one with three
    /// fields of which each is a number, and, for a refused request, `Retry-After` (RFC 9110, 10.2.3).
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT_LIMIT, HeaderValue::from(self.limit));
        headers.insert(RATE_LIMIT_REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RATE_LIMIT_RESET, HeaderValue::from(self.reset));
        if self.refused {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.reset));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::num::NonZeroU32;

    use super::*;

    fn limit(requests: u32, per: Duration, burst: u32) -> RateLimit {
        let [requests, burst] = [requests, burst].map(|n| NonZeroU32::new(n).unwrap());
        let quota = Some(config::Quota { requests, per, burst });
        RateLimit::new(&config::RateLimit { quota, trusted_proxies: Vec::new() })
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_client_gets_its_burst_and_then_waits_for_the_next_token() {
        let limit = limit(4, HOUR, 2);
        let client = Ipv4Addr::LOCALHOST.into();
        let got = [(); 3].map(|()| limit.take(client).unwrap());
        assert_eq!(got.map(|got| got.refused), [false, false, true]);
        assert_eq!(got.map(|got| (got.limit, got.remaining)), [(2, 1), (2, 0), (2, 0)]);
        assert_eq!([got[0].reset, got[1].reset], [900, 1800]);
        assert!((890..=900).contains(&got[2].reset), "{:?}", got[2]);
        assert!(!limit.take(Ipv4Addr::BROADCAST.into()).unwrap().refused, "others are not touched");
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let limit = limit(2, Duration::from_secs(1), 1);
        let client = Ipv4Addr::LOCALHOST.into();
        assert!(!limit.take(client).unwrap().refused);
        let refused = limit.take(client).unwrap();
        assert_eq!((refused.refused, refused.reset), (true, 1), "half a second, rounded up");
        std::thread::sleep(Duration::from_secs(refused.reset));
        assert!(!limit.take(client).unwrap().refused);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let limit = limit(1, HOUR, 1);
        let refused = |address: &str| limit.take(address.parse().unwrap()).unwrap().refused;
        assert!(!refused("2001:db8:1:2::1"));
        assert!(refused("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!refused("2001:db8:1:3::1"));
    }

    #[test]
    fn ten_thousand_clients_do_not_stay_for_ever() {
        let limit = limit(1000, Duration::from_secs(1), 10);
        for n in 0..10_000 {
            limit.take(Ipv4Addr::from_bits(n).into());
        }
        assert_eq!(limit.clients(), 10_000);
        std::thread::sleep(Duration::from_millis(20));
        limit.forget_idle();
        assert_eq!(limit.clients(), 0);
    }

    #[test]
    fn a_client_that_waits_is_not_forgotten() {
        let limit = limit(1, HOUR, 1);
        let client = Ipv4Addr::LOCALHOST.into();
        limit.take(client);
        limit.forget_idle();
        assert_eq!((limit.clients(), limit.take(client).unwrap().refused), (1, true));
    }

    #[test]
    fn refusing_costs_microseconds() {
        let limit = limit(1, HOUR, 1);
        let started = std::time::Instant::now();
        let refused =
            (0..10_001).filter(|_| limit.take(Ipv4Addr::LOCALHOST.into()).unwrap().refused);
        assert_eq!(refused.count(), 10_000);
        let each = started.elapsed() / 10_001;
        assert!(each < Duration::from_micros(100), "{each:?}");
    }

    #[test]
    fn what_costs_something_is_counted() {
        for path in [
            "/products",
            "/products/direct",
            "/products/7",
            "/orders",
            "/orders/7",
            "/categories",
            "/strategies/pool-4/products",
            "/strategies/pool-4/products/7",
            "/auth/login",
        ] {
            assert!(counts(path), "{path}");
        }
        for path in ["/", "/docs", "/stats", "/strategies", "/health", "/health/live", "/noop"] {
            assert!(!counts(path), "{path}");
        }
    }
}
