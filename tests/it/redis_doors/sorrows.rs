//! Redis slow, frozen, dead, full: nothing but misses and bypasses, and hits again afterwards.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{asked, assert_right, faults, service, until, until_hit};
use crate::harness::{
    Backend, Dataset, FEW, Filter, MANY, Proxy, Redis, Service, Setup, eventually, steadily,
    subject, unique,
};

const BIG: &str = "category=electronics";

fn big() -> Vec<u8> {
    Dataset::of(MANY).answer(&Filter { category: Some("electronics"), ..Filter::default() })
}

/// A service over the large data set whose Redis, behind the proxy, holds the answer of 3.7 MB and
/// five small ones.
async fn behind(proxy: &Proxy, redis: &Redis, more: &str) -> Service {
    let prefix = format!("cache.key_prefix = \"{}:\"", unique("big"));
    let setup = || {
        let cache = "{ store = \"redis\", coalesce = false, compress = false }";
        Setup::many(Backend::Sqlite).subject("\"pool\"", cache).with(&prefix)
    };
    let filling = setup().with_redis(redis).start().await;
    for query in [BIG.to_owned()].into_iter().chain((1..=5).map(|n| format!("limit={n}"))) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while filling.subject(&query).await.cache() != "hit" {
            assert!(Instant::now() < deadline, "{query} is never a hit");
        }
    }
    let url = format!("cache.redis_url = \"redis://127.0.0.1:{}\"", proxy.port);
    setup().with(&url).with(more).start().await
}

fn ask(service: &Service, query: &str) -> tokio::task::JoinHandle<crate::harness::Answer> {
    let (client, path) = (service.client, subject(query));
    tokio::spawn(async move { client.get(&path).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_reply_that_is_stuck_holds_up_nobody_else() {
    // A line that a busy machine holds up for 100 ms passes for stuck, too. Then the one that is
    // stuck may be taken all the same.
    for _ in 0..3 {
        if small_ones_pass().await {
            return;
        }
    }
    panic!("small answers wait behind a large one, each time");
}

/// Whether small answers come while a large one is stuck.
async fn small_ones_pass() -> bool {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port).await;
    let service = behind(&proxy, &redis, "cache.redis_timeout = \"60s\"").await;
    let stuck = ask(&service, BIG);
    eventually("it is stuck", || proxy.is_holding()).await;
    // Before that shows, some of many on four connections would be put behind it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for round in 0..4 {
        let all = (0..12).map(|n| ask(&service, &format!("limit={}", n % 5 + 1)));
        let all = tokio::time::timeout(Duration::from_secs(10), join_all(all));
        let Ok(all) = all.await else { return false };
        for (n, answer) in all.into_iter().enumerate() {
            let answer = answer.expect("it does not panic");
            assert_eq!(answer.cache(), "hit", "round {round}: {answer:?}");
            let filter = Filter { limit: Some(n % 5 + 1), ..Filter::default() };
            assert_right(&answer, &Dataset::of(MANY).answer(&filter));
        }
    }
    assert!(!stuck.is_finished());
    proxy.go_on();
    let answer = stuck.await.expect("it does not panic");
    assert_eq!(answer.cache(), "hit");
    assert_right(&answer, &big());
    assert_eq!(faults(&service), 0);
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_connection_it_would() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port).await;
    let settings = "cache = { redis_timeout = \"60s\", redis_connections = 1 }";
    let service = behind(&proxy, &redis, settings).await;
    let stuck = ask(&service, BIG);
    eventually("it is stuck", || proxy.is_holding()).await;
    let small = ask(&service, "limit=1");
    assert!(steadily(|| !small.is_finished()).await);
    proxy.go_on();
    for answer in [stuck, small] {
        assert_eq!(answer.await.expect("it does not panic").cache(), "hit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_flows_slowly_is_not_cut() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port).await;
    proxy.go_on();
    let service = behind(&proxy, &redis, "cache.redis_timeout = \"1500ms\"").await;
    proxy.slow_down(1_000_000);
    // On a busy machine nothing may flow for that long. A limit for the whole would cut each.
    for attempt in 1.. {
        let asked = Instant::now();
        let answer = service.subject(BIG).await;
        let took = asked.elapsed();
        assert_right(&answer, &big());
        if answer.cache() == "hit" {
            assert!(took > Duration::from_secs(2), "the test cannot fail: {took:?}");
            assert_eq!(faults(&service), attempt - 1);
            return;
        }
        assert!(attempt < 3, "{} after {took:?}", answer.cache());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_stops_flowing_is_given_up() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port).await;
    let settings = "cache = { redis_timeout = \"2s\", redis_connections = 1 }";
    let service = behind(&proxy, &redis, settings).await;
    let asked = Instant::now();
    let answer = service.subject(BIG).await;
    assert!(proxy.is_holding(), "the test cannot fail");
    // One that waited for ever would take the whole request's 30 s.
    assert!(asked.elapsed() < Duration::from_secs(25));
    assert_eq!((answer.cache(), faults(&service)), ("bypass", 1));
    assert_right(&answer, &big());
    // The connection is another one at once: what is stuck on the old one holds up nobody.
    let deadline = Instant::now() + Duration::from_secs(15);
    while service.subject("limit=1").await.cache() != "hit" {
        assert!(Instant::now() < deadline, "the connection was not replaced");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_comes_back_is_used_again() {
    let redis = Redis::start();
    let service = service(&redis.url(), "").await;
    until_hit(&service, "limit=3").await;
    let port = redis.port;
    redis.process.signal("KILL");
    drop(redis);
    for _ in 0..20 {
        let found = asked(&service, "limit=3").await;
        assert!(["bypass", "miss", "coalesced"].contains(&&*found), "{found}");
    }
    let _redis = Redis::start_on(port).expect("the port is still free");
    let back = Instant::now();
    until_hit(&service, "limit=3").await;
    assert!(back.elapsed() < Duration::from_secs(15), "{:?}", back.elapsed());
    // No line stays down: many at once find it.
    let before = faults(&service);
    tokio::time::sleep(Duration::from_millis(400)).await;
    for _ in 0..2 {
        join_all((0..12).map(|_| service.subject("limit=3"))).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let between = faults(&service);
    for _ in 0..20 {
        assert_eq!(asked(&service, "limit=3").await, "hit");
    }
    assert_eq!(faults(&service), between, "before {before}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_redis_closes_while_it_idles_costs_no_hit() {
    let redis = Redis::start();
    let service = service(&redis.url(), "").await;
    until_hit(&service, "limit=3").await;
    for _ in 0..5 {
        redis.run::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        assert_eq!(asked(&service, "limit=3").await, "hit");
    }
    assert_eq!(faults(&service), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_costs_each_connection_its_timeout_once() {
    const CONNECTIONS: u64 = 2;
    let redis = Redis::start();
    let settings = "cache = { redis_timeout = \"500ms\", redis_connections = 2 }";
    let service = service(&redis.url(), settings).await;
    for _ in 0..8 {
        until_hit(&service, "limit=3").await;
    }
    let before = faults(&service);
    redis.process.signal("STOP");
    let mut slow = 0;
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(asked(&service, "limit=3").await, "bypass");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}");
        slow += u64::from(took > Duration::from_millis(400));
    }
    assert_eq!(faults(&service) - before, 20);
    // The machine may stall, too.
    assert!((1..CONNECTIONS + 6).contains(&slow), "{slow} of 20 waited");
    redis.process.signal("CONT");
    until_hit(&service, "limit=3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_never_answers_delays_no_more_than_its_timeout() {
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = silent.local_addr().expect("it is bound").port();
    let settings = "cache = { redis_timeout = \"300ms\", redis_connect_timeout = \"700ms\" }";
    let service = service(&format!("redis://127.0.0.1:{port}"), settings).await;
    let mut slow = 0;
    for _ in 0..30 {
        let begun = Instant::now();
        assert_eq!(asked(&service, "limit=3").await, "bypass");
        slow += u64::from(begun.elapsed() > Duration::from_millis(250));
    }
    // Each of four lines is waited for until its first attempt has failed, three times at the most.
    // The machine may stall, too.
    assert!((1..=18).contains(&slow), "{slow} of 30 waited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_memory_keeps_nothing_and_answers_go_on() {
    let redis = Redis::start_with(&["--maxmemory", "2mb", "--maxmemory-policy", "noeviction"]);
    let service = service(&redis.url(), "").await;
    until_hit(&service, "limit=3").await;
    let filler = "x".repeat(100_000);
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let mut number = 0;
    let full = loop {
        number += 1;
        let set = redis::cmd("SET").arg(format!("filler{number}")).arg(&filler).clone();
        if let Err(error) = set.exec(&mut connection) {
            break error;
        }
        assert!(number < 100, "it is never full");
    };
    assert_eq!(full.code(), Some("OOM"));
    let before = faults(&service);
    for n in 1..=5 {
        assert_eq!(asked(&service, "").await, "miss", "nothing of it can be kept");
        // Until it has failed to store the first, the second joins it.
        eventually("it was not kept", || faults(&service) >= before + n).await;
    }
    assert_eq!(asked(&service, "limit=3").await, "hit", "what is there is still served");
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until(&service, "", "hit").await;
    assert!(Dataset::of(FEW).body().len() > 100_000);
}
