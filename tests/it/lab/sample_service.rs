//! Samples of a service in this process agree with what was done with it.

use poolwise::lab::record::{Sample, Source};
use tokio::net::TcpStream;

use super::sample::{of_service, sampler, until};
use crate::harness::{Backend, Database, FEW, Postgres, Redis, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_caches_and_connections_of_the_service_are_exact() {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"memory\"");
    let service = setup.start().await;
    let mut sampler = of_service(&service, "memory").await;
    let none = |s: &Sample| {
        let is_idle = s.pools.get("subject").is_some_and(|pool| pool.in_use == 0);
        is_idle && s.caches.contains_key("subject") && s.api.connections == Some(0)
    };
    let before = until(&mut sampler, "only we are connected", none).await;
    assert_eq!(before.caches["subject"].misses, 0);
    for _ in 0..3 {
        service.subject("limit=1").await;
        service.keeps(1).await;
    }
    let after = until(&mut sampler, "they have gone", none).await;
    let cache = &after.caches["subject"];
    assert_eq!((cache.hits, cache.misses, cache.coalesced, cache.bypassed), (2, 1, 0, 0));
    let pool = &after.pools["subject"];
    assert_eq!((pool.size, pool.in_use, pool.waiting), (2, 0, 0));
    assert_eq!(after.pools.len(), 1, "only what is driven");
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(TcpStream::connect(service.client.0).await.expect("it listens"));
    }
    until(&mut sampler, "all five are seen", |s| s.api.connections == Some(5)).await;
    drop(open);
    assert!(after.api.memory_bytes > Some(10 << 20));
    assert!(after.api.memory_bytes < after.api.memory_limit_bytes);
    let (sources, sample) = (sampler.sources(), sampler.sample().await);
    assert!(matches!(sources.database, Source::Absent { why } if why.contains("SQLite")));
    assert!(matches!(sources.redis, Source::Absent { why } if why.contains("no strategy")));
    assert_eq!((sample.database, sample.redis), Default::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_service_that_runs_already_its_own_view_is_taken_and_said_so() {
    let server = Postgres::shared();
    let database = Database { backend: Backend::Postgres, ..Database::on(server, FEW).await };
    let setup = Setup::of(&database).with_redis(Redis::shared()).subject("\"pool\"", "\"redis\"");
    let service = setup.start().await;
    let url = format!("http://{}", service.client.0);
    let mut sampler = sampler(&url, None, None, "redis").await;
    let seen = |s: &Sample| {
        let connections = s.api.connections.and(s.database.connections);
        connections.and(s.redis.memory_bytes).is_some()
    };
    let sample = until(&mut sampler, "the service has looked itself", seen).await;
    assert!(sample.api.cpu_seconds > Some(0.0) && sample.api.memory_bytes > Some(1 << 20));
    assert_eq!((sample.database.cpu_seconds, sample.redis.cpu_seconds), (None, None));
    assert_eq!(sampler.limits(), (Some(200), None));
    let sources = sampler.sources();
    let Source::Seen { usage, .. } = sources.api else { panic!("it is there") };
    assert_eq!(usage.as_deref(), Some("as the service reports at /stats"));
    for source in [sources.database, sources.redis] {
        let Source::Seen { usage: None, counters: Some(counters), not_visible, .. } = source else {
            panic!("only its counters are seen: {source:?}")
        };
        assert!(counters.contains("/stats") && not_visible[0].contains("CPU and memory"));
    }
}
