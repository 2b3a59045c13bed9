//! `tiered` while it does not hear what other replicas change.

use std::time::{Duration, Instant};

use super::{Pair, ask, list, stats, until_hit, until_it_hears, write};
use crate::harness::{Backend, Database, FEW, Network, Redis, Service, Weather};

/// A short bound, so that a test need not wait for it.
const BOUND: Duration = Duration::from_secs(1);
const SHORT: &str = "cache.staleness_bound = \"1s\"";
/// For a Redis that does not answer.
const SHORTER: &str = "cache = { staleness_bound = \"1s\", redis_timeout = \"500ms\" }";

/// Two replicas, of which the second reaches Redis through a network.
async fn behind(redis: &Redis, settings: &str) -> (Pair, Network) {
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let network = Network::to(redis.port).await;
    let urls = [redis.url(), format!("redis://127.0.0.1:{}", network.port)];
    let urls = [&*urls[0], &*urls[1]];
    let pair = Pair::over(&database, &database, "\"tiered\"", urls, settings).await;
    (pair, network)
}

fn in_memory(service: &Service) -> u64 {
    let cache = service.strategy("subject").cache.clone().expect("it has one");
    cache.gauges().entries.expect("it counts them")
}

/// Asks until it sees `stock`, with nothing but `before` until then; whoever asks after `last`
/// must see it.
async fn until_seen(service: &Service, before: i64, stock: i64, last: Instant) {
    loop {
        let asked = Instant::now();
        let (_, seen) = ask(service, &list()).await;
        if seen == stock {
            return;
        }
        assert_eq!(seen, before);
        assert!(asked < last, "it does not see it {:?} later", asked - last);
    }
}

/// How often it lost its subscription.
async fn lost(service: &Service) -> u64 {
    stats(service).await["lost"].as_u64().expect("a number")
}

/// Waits until it has lost its subscription once more; a machine that is busy may cost it another.
async fn until_lost(service: &Service, before: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while lost(service).await <= before {
        assert!(Instant::now() < deadline, "it is never lost");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_subscription_empties_the_memory_until_it_is_back() {
    let redis = Redis::start();
    let (pair, network) = behind(&redis, SHORT).await;
    let mut stock = ask(&pair.b, &list()).await.1;
    for _ in 0..3 {
        until_hit(&pair.b, &list(), stock).await;
        crate::harness::eventually("it is in memory", || in_memory(&pair.b) == 1).await;
        let before = lost(&pair.b).await;
        network.turns(Weather::Refused);
        network.cut();
        until_lost(&pair.b, before).await;
        crate::harness::eventually("its memory is empty", || in_memory(&pair.b) == 0).await;
        assert_eq!(stats(&pair.b).await["hears"], false);
        // It cannot ask Redis either, and serves what is new at once.
        stock = write(&pair.a).await;
        assert_eq!(ask(&pair.b, &list()).await, ("bypass".to_owned(), stock));
        assert_eq!(in_memory(&pair.b), 0);
        network.turns(Weather::Fair);
        until_it_hears(&pair.b).await;
        // A line that was down is tried again after a moment.
        while ask(&pair.b, &list()).await.0 != "hit" {}
        until_hit(&pair.b, &list(), stock).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_subscription_is_cut_and_redis_is_asked_instead() {
    let redis = Redis::start();
    let (pair, _network) = behind(&redis, SHORT).await;
    let stock = ask(&pair.b, &list()).await.1;
    until_hit(&pair.b, &list(), stock).await;
    for _ in 0..5 {
        let before = lost(&pair.b).await;
        redis.run::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        until_lost(&pair.b, before).await;
        for _ in 0..3 {
            assert_eq!(ask(&pair.b, &list()).await, ("hit".to_owned(), stock));
        }
        until_it_hears(&pair.b).await;
        until_hit(&pair.b, &list(), stock).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_network_makes_answers_older_by_no_more_than_the_bound() {
    let redis = Redis::start();
    let (pair, network) = behind(&redis, SHORTER).await;
    let mut stock = ask(&pair.b, &list()).await.1;
    for _ in 0..2 {
        until_hit(&pair.b, &list(), stock).await;
        network.turns(Weather::BlackHole);
        // What was on its way may still arrive.
        let last = Instant::now() + BOUND + Duration::from_millis(500);
        let before = std::mem::replace(&mut stock, write(&pair.a).await);
        until_seen(&pair.b, before, stock, last).await;
        for _ in 0..3 {
            assert_eq!(ask(&pair.b, &list()).await.1, stock);
        }
        network.turns(Weather::Fair);
        until_it_hears(&pair.b).await;
        while ask(&pair.b, &list()).await.0 != "hit" {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_late_is_heard_before_anything_is_served_from_memory_again() {
    let redis = Redis::start();
    let (pair, network) = behind(&redis, SHORT).await;
    let mut stock = ask(&pair.b, &list()).await.1;
    until_hit(&pair.b, &list(), stock).await;
    network.turns(Weather::Delayed(Duration::from_millis(150)));
    for _ in 0..3 {
        let before = std::mem::replace(&mut stock, write(&pair.a).await);
        until_seen(&pair.b, before, stock, Instant::now() + Duration::from_secs(10)).await;
        for _ in 0..10 {
            assert_eq!(ask(&pair.b, &list()).await.1, stock, "never back to what was");
        }
        until_hit(&pair.b, &list(), stock).await;
    }
}
