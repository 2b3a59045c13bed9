//! Fetches that began before a write and end after it.

use std::sync::Arc;

use rstest::rstest;
use tokio::task::JoinHandle;

use super::{Pair, ask, tags, write};
use crate::harness::{
    Answer, Backend, Database, Dataset, Filter, MANY, Proxy, Redis, Service, eventually, subject,
};

/// A third of the products, the first among them: 3.5 MB, which a proxy holds half-way.
fn large() -> String {
    const AROUND: usize = 10_000;
    let rows = &Dataset::of(MANY).0;
    let mut prices: Vec<i64> = rows.iter().map(|row| row.cents).collect();
    prices.sort_unstable();
    let at = prices.partition_point(|cents| *cents < rows[0].cents);
    let window = [at.saturating_sub(AROUND), (at + AROUND).min(prices.len() - 1)];
    let [min_cents, max_cents] = window.map(|place| Some(prices[place]));
    Filter { min_cents, max_cents, ..Filter::default() }.query()
}

fn asking(service: &Service) -> JoinHandle<Answer> {
    let (client, path) = (service.client, subject(&large()));
    tokio::spawn(async move { client.get(&path).await })
}

/// What the cache did, and the stock of the first product.
async fn answered(asking: JoinHandle<Answer>) -> (String, i64) {
    let answer = asking.await.expect("it does not panic");
    assert_eq!(answer.status, 200);
    // The first of thousands.
    let text = String::from_utf8_lossy(&answer.body[..1000]).into_owned();
    let stock = text.split("\"stock\":").nth(1).and_then(|rest| rest.split(',').next());
    assert!(text.starts_with("[{\"id\":1,"), "{text}");
    (answer.cache().to_owned(), stock.and_then(|stock| stock.parse().ok()).expect("a number"))
}

/// Two replicas, of which the second reaches the database through a proxy that holds what is large.
async fn held(cache: &str) -> (Pair, Proxy) {
    let database = Database::scratch(Backend::Postgres, MANY).await;
    let proxy = Proxy::to(crate::harness::Postgres::shared().port).await;
    let redis = Redis::shared().url();
    let slow = database.through(proxy.port);
    let buffering = "server = { body_buffer = \"64MiB\", body_budget = \"256MiB\" }\n\
        database.pool_size = 4\n";
    (Pair::over(&database, &slow, cache, [&redis, &redis], buffering).await, proxy)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_of_before_a_write_is_neither_served_afterwards_nor_kept_over_what_came_later(
    #[values("redis", "tiered")] store: &str,
    #[values(true, false)] coalesce: bool,
) {
    let cache = format!("{{ store = {store:?}, coalesce = {coalesce} }}");
    let (pair, proxy) = held(&cache).await;
    let before = ask(&pair.a, "limit=1").await.1;
    let first = asking(&pair.b);
    eventually("the first is held", || proxy.is_holding()).await;
    let stock = write(&pair.a).await;
    assert_ne!(stock, before);
    // The other one keeps what is new while that is still under way.
    assert_eq!(answered(asking(&pair.a)).await.1, stock);
    while answered(asking(&pair.a)).await.0 != "hit" {}
    assert!(!first.is_finished());
    proxy.go_on();
    assert_eq!(answered(first).await.1, before, "it began before the write");
    // Its answer is being kept, or was: neither of them ever serves it.
    for _ in 0..10 {
        assert_eq!(answered(asking(&pair.a)).await, ("hit".to_owned(), stock));
        let (cache, seen) = answered(asking(&pair.b)).await;
        assert_eq!(seen, stock, "a {cache}");
    }
    while answered(asking(&pair.b)).await.0 != "hit" {}
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_after_a_write_joins_no_fetch_of_before(
    #[values("memory", "redis", "tiered", "none")] store: &str,
    #[values(true, false)] of_the_other: bool,
) {
    // Those hear nothing of others.
    if of_the_other && ["memory", "none"].contains(&store) {
        return;
    }
    let cache = format!("{{ store = {store:?}, coalesce = true }}");
    let (pair, proxy) = held(&cache).await;
    let before = ask(&pair.a, "limit=1").await.1;
    let firsts: Vec<_> = (0..3).map(|_| asking(&pair.b)).collect();
    let strategy = pair.b.strategy("subject");
    eventually("the first are under way", || strategy.meter.in_flight.get() == 3).await;
    eventually("and held", || proxy.is_holding()).await;
    let epoch = pair.b.state.versions.current(&tags()[0]);
    let stock = write(if of_the_other { &pair.a } else { &pair.b }).await;
    if of_the_other && store == "tiered" {
        let versions = pair.b.state.versions.clone();
        eventually("it hears of it", || versions.current(&tags()[0]) != epoch).await;
    }
    let seconds: Vec<_> = (0..3).map(|_| asking(&pair.b)).collect();
    let strategy = pair.b.strategy("subject");
    eventually("they are under way", || strategy.meter.in_flight.get() == 6).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    proxy.go_on();
    let mut of_before = 0;
    for first in firsts {
        // One of them is held; another may have come to ask only after the write.
        let seen = answered(first).await.1;
        assert!([before, stock].contains(&seen), "{seen}");
        of_before += usize::from(seen == before);
    }
    assert!(of_before >= 1, "the test cannot fail");
    for second in seconds {
        let (cache, seen) = answered(second).await;
        assert_eq!(seen, stock, "a {cache}");
    }
    assert_eq!(answered(asking(&pair.b)).await.1, stock);
}

/// Many readers and a writer, without a pause: whoever asks after a write was answered sees it.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_served_what_is_older_than_the_last_write_before_the_request(
    #[values("memory", "redis", "tiered")] store: &str,
) {
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
    let redis = Redis::shared().url();
    let pair = Pair::start(Backend::Postgres, &format!("{store:?}"), &redis, "").await;
    let first = ask(&pair.a, &super::list()).await.1;
    let (written, done) = (Arc::new(AtomicI64::new(first)), Arc::new(AtomicBool::new(false)));
    // What the other one serves from memory may be as old as the bound.
    let readers = match store {
        "redis" => vec![pair.a.client, pair.b.client],
        _ => vec![pair.a.client],
    };
    let reading: Vec<_> = readers
        .into_iter()
        .flat_map(|client| (0..4).map(move |_| client))
        .map(|client| {
            let (written, done) = (written.clone(), done.clone());
            tokio::spawn(async move {
                let mut hits = 0;
                while !done.load(Ordering::SeqCst) {
                    let since = written.load(Ordering::SeqCst);
                    let answer = client.get(&subject(&super::list())).await;
                    let seen = answer.json()[0]["stock"].as_i64().expect("a number");
                    assert!(seen >= since, "{seen} after {since} was written: {answer:?}");
                    hits += usize::from(answer.cache() == "hit");
                }
                hits
            })
        })
        .collect();
    for _ in 0..40 {
        written.store(write(&pair.a).await, Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    done.store(true, Ordering::SeqCst);
    let mut hits = 0;
    for reading in reading {
        hits += reading.await.expect("no reader saw anything old");
    }
    assert!(hits > 0, "it is a cache all the same");
}
