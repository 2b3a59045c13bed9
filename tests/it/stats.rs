//! `/stats` and `/strategies`: what they say, and that they say it when everything else hangs.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{
    Backend, Database, FEW, Postgres, Redis, Service, Setup, eventually, subject,
};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

async fn stats(service: &Service) -> Value {
    let answer = service.client.get("/stats").await;
    assert_eq!(answer.status, 200);
    answer.json()
}

fn of_subject(stats: &Value) -> &Value {
    let strategies = stats["strategies"].as_array().expect("a list");
    strategies.iter().find(|strategy| strategy["name"] == "subject").expect("it is configured")
}

/// Hits, misses, those that joined a fetch and those that went past the cache.
fn counted(subject: &Value) -> [u64; 4] {
    let number = |key: &str| subject["cache"][key].as_u64().expect("a number");
    ["hits", "misses", "coalesced", "bypassed"].map(number)
}

/// With the first look at the servers behind it.
async fn sampled(service: &Service) -> Value {
    for _ in 0..100 {
        let stats = stats(service).await;
        if stats["database"].is_object() && stats["redis"].is_object() {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the database and Redis are never seen")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_tell_of_the_process_the_strategies_and_what_they_depend_on() {
    let setup = Setup::few(Backend::Postgres).subject("\"pool\"", "\"redis\"");
    let service = setup.with_redis(Redis::shared()).start().await;
    // Until an answer is kept, whoever asks for the same joins its fetch.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut asked = 1;
    while service.subject("limit=1").await.cache() != "hit" {
        assert!(Instant::now() < deadline, "it never is a hit");
        asked += 1;
    }
    let before = counted(of_subject(&stats(&service).await));
    assert_eq!((before[0], before[1], before[3]), (1, 1, 0));
    for _ in 0..2 {
        service.subject("limit=1").await;
        asked += 1;
    }
    let stats = sampled(&service).await;
    let process = &stats["process"];
    assert_eq!(
        keys(process),
        ["cpu_seconds", "cpu_percent", "resident_bytes", "virtual_bytes", "threads"]
    );
    assert!(process["resident_bytes"].as_u64() > Some(1_000_000));
    assert!(process["threads"].as_u64() >= Some(2));
    let names = stats["strategies"].as_array().unwrap().iter().map(|s| s["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["cached", "direct", "pooled", "subject"]);
    let subject = of_subject(&stats);
    assert_eq!((&subject["requests"], &subject["errors"]), (&asked.into(), &0.into()));
    assert_eq!(keys(&subject["latency"]), ["count", "p50_ms", "p95_ms", "p99_ms"]);
    assert_eq!(
        keys(&subject["pool"]),
        ["size", "in_use", "idle", "waiting", "wait", "connect", "opened", "closed", "breaker"]
    );
    let pool = &subject["pool"];
    assert_eq!((&pool["size"], &pool["idle"], &pool["opened"]), (&2.into(), &2.into(), &2.into()));
    let [hits, misses, coalesced, bypassed] = counted(subject);
    assert_eq!((hits, misses, bypassed), (3, 1, 0));
    assert_eq!((coalesced, hits + misses + coalesced), (before[2], asked));
    let rate = (hits as f64 / asked as f64 * 1000.0).round() / 1000.0;
    assert_eq!(subject["cache"]["hit_rate"], rate);
    assert_eq!(stats["database"]["max_connections"], 200);
    assert!(stats["database"]["connections"].as_u64() >= Some(6));
    assert!(stats["redis"]["used_memory_bytes"].as_u64() > Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_none_of_is_null() {
    let service = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"").start().await;
    let stats = stats(&service).await;
    assert!(stats["database"].is_null() && stats["redis"].is_null());
    assert!(of_subject(&stats)["cache"].is_null());
    assert!(of_subject(&stats)["latency"]["p50_ms"].is_null());
    let listed = service.client.get("/strategies").await.json();
    let subject = listed.as_array().unwrap().iter().find(|s| s["stats"]["name"] == "subject");
    let subject = subject.expect("every strategy is listed");
    assert_eq!(subject["path"], "/strategies/subject/products");
    assert_eq!(
        (&subject["access"]["name"], &subject["cache"]["name"]),
        (&"pool".into(), &"none".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_answer_while_the_pool_is_full_and_the_database_frozen() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    // Longer than it takes the breaker to open: otherwise some are told that the pool is full.
    let setup = Setup::of(&database).with("database.wait_timeout = \"60s\"");
    let setup = setup.subject("{ kind = \"pool\", size = 2 }", "\"redis\"");
    let service = setup.with_redis(Redis::shared()).start().await;
    sampled(&service).await;
    server.process.signal("STOP");
    let client = service.client;
    let asking: Vec<_> =
        (0..4).map(|_| tokio::spawn(async move { client.get(&subject("")).await })).collect();
    let others: Vec<_> = (1..5)
        .map(|n| {
            let path = subject(&format!("limit={n}"));
            tokio::spawn(async move { client.get(&path).await })
        })
        .collect();
    eventually("the pool is full", || service.gauges().in_use == 2).await;
    eventually("and some wait", || service.gauges().waiting >= 2).await;
    // Longer than the sampler waits for the database.
    let mut times = Vec::new();
    for _ in 0..20 {
        let asked = Instant::now();
        let stats = stats(&service).await;
        let took = asked.elapsed();
        times.push(took);
        assert_eq!(of_subject(&stats)["pool"]["in_use"], 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The machine may stand still for a moment, but not half of the times.
    times.sort();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("/stats took {median:?} at the median, {longest:?} at the most");
    assert!(median < Duration::from_millis(200), "{times:?}");
    assert!(longest < Duration::from_secs(5), "{times:?}");
    assert!(stats(&service).await["database"].is_null(), "it cannot be seen");
    server.process.signal("CONT");
    let mut right = 0;
    for answer in futures_util::future::join_all(asking.into_iter().chain(others)).await {
        let answer = answer.expect("it does not panic");
        // Those without a connection are told as soon as it is sure that there will be none.
        match answer.status.as_u16() {
            200 => right += 1,
            _ => assert_eq!(answer.problem(), "unreachable"),
        }
    }
    assert!(right >= 2, "two had a connection");
}
