//! What a cache keeps, for how long, and what happens without it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use crate::harness::{
    Answer, Backend, Dataset, FEW, Redis, Service, Setup, eventually, subject, unique,
};

const POOL: &str = "\"pool\"";

/// How many answers there were of each kind.
fn kinds(answers: &[Answer]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for answer in answers {
        assert_eq!(answer.status, 200);
        assert!(answer.body == Dataset::of(FEW).body());
        *kinds.entry(answer.cache()).or_default() += 1;
    }
    kinds
}

/// A service at the shared Redis. Where memory is in front of that, nothing is kept that was
/// fetched before it heard of others.
async fn started(setup: Setup) -> Service {
    let service = setup.with_redis(Redis::shared()).start().await;
    if service.strategy("subject").config.cache.name == "tiered" {
        crate::invalidation::until_it_hears(&service).await;
    }
    service
}

/// Until an entry is in its store, others still join its fetch.
async fn until_hit(service: &Service, query: &str) -> Answer {
    for _ in 0..200 {
        let answer = service.subject(query).await;
        if answer.cache() == "hit" {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{query} never became a hit")
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_kept_for_its_time(
    #[values("memory", "redis", "tiered")] store: &str,
    #[values(true, false)] coalesce: bool,
) {
    let cache = format!("{{ store = {store:?}, ttl = \"3s\", coalesce = {coalesce} }}");
    let service = started(Setup::few(Backend::Postgres).subject(POOL, &cache)).await;
    assert_eq!(service.subject("").await.cache(), "miss");
    assert_eq!(kinds(&[until_hit(&service, "").await]), [("hit", 1)].into());
    let before = service.leases();
    assert!(before == 1 || !coalesce, "the entry is found, or the fetch that makes it");
    tokio::time::sleep(Duration::from_millis(3200)).await;
    assert_eq!(service.subject("").await.cache(), "miss", "it has expired");
    assert_eq!(service.leases(), before + 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_requests_for_one_answer_are_one_query(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("direct", "pool")] access: &str,
    #[values("memory", "redis", "tiered")] store: &str,
) {
    let setup = Setup::few(backend).subject(&format!("{access:?}"), &format!("{store:?}"));
    let service = started(setup).await;
    let answers = join_all((0..24).map(|_| service.subject(""))).await;
    let kinds = kinds(&answers);
    assert_eq!(kinds.get("miss"), Some(&1), "{kinds:?}");
    assert!(kinds.keys().all(|kind| ["miss", "coalesced", "hit"].contains(kind)), "{kinds:?}");
    assert_eq!(service.leases(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_share_a_query_without_a_cache_too() {
    let (access, cache) =
        ("{ kind = \"pool\", size = 1 }", "{ store = \"none\", coalesce = true }");
    let service = Setup::few(Backend::Postgres).subject(access, cache).start().await;
    let held = service.strategy("subject").access.lease(&Service::context()).await;
    let client = service.client;
    let asking: Vec<_> =
        (0..4).map(|_| tokio::spawn(async move { client.get(&subject("")).await })).collect();
    let strategy = service.strategy("subject");
    eventually("all four are here", || strategy.meter.in_flight.get() == 4).await;
    drop(held);
    let answers: Vec<_> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(kinds(&answers), [("", 1), ("coalesced", 3)].into());
    assert_eq!(service.leases(), 2, "the test's own and one for all four");
    assert_eq!(service.subject("").await.cache(), "", "nothing is kept");
    let stats = service.client.get("/strategies").await.json();
    let own = stats.as_array().expect("a list").iter().find(|s| s["stats"]["name"] == "subject");
    assert_eq!(own.expect("it is listed")["stats"]["cache"]["coalesced"], 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_coalescing_each_request_asks_for_itself(#[values("memory", "redis")] store: &str) {
    let cache = format!("{{ store = {store:?}, coalesce = false }}");
    let access = "{ kind = \"pool\", size = 2 }";
    let setup = Setup::few(Backend::Postgres).subject(access, &cache);
    let service = setup.with_redis(Redis::shared()).start().await;
    // While both connections are taken, none of the four can become a hit for the others.
    let strategy = service.strategy("subject");
    let context = Service::context();
    let leases = join_all((0..2).map(|_| strategy.access.lease(&context))).await;
    let client = service.client;
    let asking: Vec<_> =
        (0..4).map(|_| tokio::spawn(async move { client.get(&subject("")).await })).collect();
    eventually("all four wait", || service.gauges().waiting == 4).await;
    drop(leases);
    let answers: Vec<_> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(kinds(&answers), [("miss", 4)].into());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_over_the_cap_is_neither_kept_nor_shared(
    #[values("memory", "redis", "tiered")] store: &str,
    #[values("server.body_buffer = \"8MiB\"", "server.body_buffer = \"64KiB\"")] buffer: &str,
) {
    let cache = format!("{{ store = {store:?}, max_entry = \"100KiB\", ttl = \"1m\" }}");
    let setup = Setup::few(Backend::Postgres).subject(POOL, &cache).with(buffer);
    let service = started(setup).await;
    assert_eq!(service.subject("").await.cache(), "miss", "nobody knows its size yet");
    assert_eq!(service.subject("").await.cache(), "bypass");
    let before = service.leases();
    let answers = join_all((0..5).map(|_| service.subject(""))).await;
    assert_eq!(kinds(&answers), [("bypass", 5)].into());
    assert_eq!(service.leases(), before + 5);
    assert_eq!(service.subject("limit=5").await.cache(), "miss");
    assert_eq!(until_hit(&service, "limit=5").await.cache(), "hit", "others are kept");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_is_a_bypass(#[values("redis", "tiered")] store: &str) {
    let redis = Redis::start();
    let setup = Setup::few(Backend::Postgres).with("cache.redis_timeout = \"5s\"");
    // With versions the memory is empty at once (tests/it/invalidation/feed.rs).
    let cache = format!("{{ store = {store:?}, invalidation = \"ttl\", ttl = \"5s\" }}");
    let service = setup.subject(POOL, &cache).with_redis(&redis).start().await;
    assert_eq!(service.subject("").await.cache(), "miss");
    until_hit(&service, "").await;
    let port = redis.port;
    drop(redis);
    if store == "tiered" {
        assert_eq!(service.subject("").await.cache(), "hit", "memory still has it");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    for _ in 0..3 {
        assert_eq!(kinds(&[service.subject("").await]), [("bypass", 1)].into());
    }
    let answers = join_all((0..8).map(|_| service.subject(""))).await;
    assert!(kinds(&answers).keys().all(|kind| ["bypass", "coalesced"].contains(kind)));
    assert!(service.strategy("subject").meter.cache.faults.get() > 0);
    let _redis = Redis::start_on(port).expect("the port is still free");
    until_hit(&service, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_delays_no_longer_than_its_timeout() {
    let redis = Redis::start();
    let setup = Setup::few(Backend::Postgres).with("cache.redis_timeout = \"2s\"");
    let service = setup.subject(POOL, "\"redis\"").with_redis(&redis).start().await;
    until_hit(&service, "").await;
    redis.process.signal("STOP");
    let asked = std::time::Instant::now();
    assert_eq!(service.subject("").await.cache(), "bypass");
    let took = asked.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(15)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_never_there_is_a_bypass() {
    let setup = Setup::few(Backend::Sqlite).with("cache.redis_url = \"redis://127.0.0.1:1\"");
    let service = setup.subject(POOL, "\"redis\"").start().await;
    assert_eq!(kinds(&[service.subject("").await]), [("bypass", 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiered_entry_goes_with_the_one_in_redis() {
    let prefix = unique("shared");
    let replica = |ttl: &str| {
        let cache = format!("{{ store = \"tiered\", ttl = {ttl:?} }}");
        let setup = Setup::few(Backend::Postgres).with_redis(Redis::shared());
        setup.with(&format!("cache.key_prefix = {prefix:?}")).subject(POOL, &cache).start()
    };
    let (short, long) = (replica("5s").await, replica("1h").await);
    assert_eq!(short.subject("").await.cache(), "miss");
    until_hit(&short, "").await;
    let filled = std::time::Instant::now();
    // Until it hears of changes it keeps nothing in memory.
    assert_eq!(until_hit(&long, "").await.cache(), "hit", "replicas share Redis");
    let in_memory = || long.strategy("subject").cache.as_ref().unwrap().gauges().entries;
    while in_memory() != Some(1) {
        assert_eq!(long.subject("").await.cache(), "hit");
    }
    tokio::time::sleep(Duration::from_millis(5100).saturating_sub(filled.elapsed())).await;
    assert_eq!(long.subject("").await.cache(), "miss", "it took over the remaining time");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_lives_as_long_as_somebody_waits(
    #[values("memory", "redis", "tiered")] store: &str,
) {
    let access = "{ kind = \"pool\", size = 1 }";
    let setup = Setup::few(Backend::Postgres).subject(access, &format!("{store:?}"));
    let service = started(setup).await;
    let strategy = service.strategy("subject");
    let context = Service::context();
    let lease = strategy.access.lease(&context).await.expect("it is free");
    let client = service.client;
    let ask = || tokio::spawn(async move { client.get(&subject("")).await });
    let in_flight = |count: i64| {
        let strategy = service.strategy("subject");
        move || strategy.meter.in_flight.get() == count
    };

    let first = ask();
    eventually("the fill waits for a connection", || service.gauges().waiting == 1).await;
    let second = ask();
    eventually("the second joined", in_flight(2)).await;
    first.abort();
    eventually("the first is gone", in_flight(1)).await;
    assert_eq!(service.gauges().waiting, 1, "the fill goes on for the second");
    second.abort();
    eventually("the fill is cancelled", || service.gauges().waiting == 0).await;
    eventually("nobody is left", in_flight(0)).await;

    let first = ask();
    eventually("the fill waits for a connection", || service.gauges().waiting == 1).await;
    let second = ask();
    eventually("the second joined", in_flight(2)).await;
    first.abort();
    eventually("the first is gone", in_flight(1)).await;
    drop(lease);
    let answer = second.await.expect("it was not aborted");
    assert_eq!(kinds(&[answer]), [("coalesced", 1)].into());
    until_hit(&service, "").await;
    assert_eq!(service.leases(), 2, "ours and the fill's");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_goes_to_all_who_wait_and_is_not_kept(#[values("memory", "redis")] store: &str) {
    let access = "{ kind = \"pool\", size = 1, wait_timeout = \"400ms\" }";
    let setup = Setup::few(Backend::Postgres).subject(access, &format!("{store:?}"));
    let service = setup.with_redis(Redis::shared()).start().await;
    let strategy = service.strategy("subject");
    let context = Service::context();
    let lease = strategy.access.lease(&context).await.expect("it is free");
    for answer in join_all((0..4).map(|_| service.subject(""))).await {
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "saturated"));
    }
    drop(lease);
    assert_eq!(service.subject("").await.cache(), "miss");
}
