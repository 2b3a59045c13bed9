//! Every way into Redis: passwords, TLS, databases, clusters; and what happens when it is not well.

mod doors;
mod settings;
mod sorrows;

#[cfg(feature = "redis-cluster")]
mod cluster;

use std::time::{Duration, Instant};

use crate::harness::{Answer, Backend, Dataset, FEW, Service, Setup};

/// So long that a machine which stands still for a moment changes nothing.
const PATIENT: &str =
    r#"cache = { ttl = "1h", redis_timeout = "10s", redis_connect_timeout = "10s" }"#;

/// A service over the small data set whose strategy under test keeps answers in the Redis at `url`.
async fn service(url: &str, more: &str) -> Service {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"redis\"").with(PATIENT);
    setup.with(&format!("cache.redis_url = {url:?}")).with(more).start().await
}

/// What the cache did; the answer must be right.
async fn asked(service: &Service, query: &str) -> String {
    let answer = service.subject(query).await;
    let limit = query.strip_prefix("limit=").map(|limit| limit.parse().expect("a number"));
    let filter = crate::harness::Filter { limit, ..Default::default() };
    assert_right(&answer, &Dataset::of(FEW).answer(&filter));
    answer.cache().to_owned()
}

fn assert_right(answer: &Answer, body: &[u8]) {
    assert_eq!(answer.status, 200);
    assert!(answer.body == body);
}

/// Asks until it is a hit; for at most 30 s.
async fn until_hit(service: &Service, query: &str) {
    until(service, query, "hit").await;
}

async fn until(service: &Service, query: &str, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = asked(service, query).await;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{query} is {found} and never a {wanted}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn faults(service: &Service) -> u64 {
    service.strategy("subject").meter.cache.faults.get()
}
