//! Connections: why they were closed, and that it is told when everything else hangs.

use std::time::{Duration, Instant};

use super::{Scrape, scrape_until};
use crate::harness::{Backend, Database, FEW, Postgres, Redis, Setup, eventually, subject};

fn closed(scrape: &Scrape, strategy: &str, reason: &str) -> f64 {
    scrape.one("poolwise_pool_closed_total", &[("strategy", strategy), ("reason", reason)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_counted_by_why_they_were_closed() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).subject("\"pool\"", "\"none\"").with(
        "strategies.short = { access = { kind = \"pool\", size = 1, max_lifetime = \"1s\" } }",
    );
    let service = setup.start().await;
    let client = service.client;
    assert_eq!(client.get("/products/direct?limit=1").await.status, 200);
    // The server closes one, and the next request finds it so.
    let other = crate::harness::connect(&database.url).await;
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity \
        where datname = current_database() and pid <> pg_backend_pid()";
    other.query(kill, &[]).await.expect("we may");
    let broken = |scrape: &Scrape| closed(scrape, "subject", "broken") == 2.0;
    scrape_until(client, "both of the pool are broken", broken).await;
    // A client leaves in mid-statement.
    other.batch_execute("begin; lock table products in access exclusive mode").await.unwrap();
    let asking = tokio::spawn(async move { client.get(&subject("limit=1")).await });
    eventually("it is under way", || service.gauges().in_use == 1).await;
    asking.abort();
    let abandoned = |scrape: &Scrape| closed(scrape, "subject", "abandoned") == 1.0;
    scrape_until(client, "it was abandoned", abandoned).await;
    other.batch_execute("rollback").await.unwrap();
    let expired = |scrape: &Scrape| closed(scrape, "short", "expired") >= 1.0;
    let scrape = scrape_until(client, "one is too old", expired).await;
    assert_eq!(closed(&scrape, "direct", "unneeded"), 1.0);
    assert_eq!(closed(&scrape, "subject", "unneeded"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_answer_while_the_pool_is_full_and_the_database_frozen() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let setup = Setup::of(&database).subject("{ kind = \"pool\", size = 2 }", "\"none\"");
    // An open breaker would send those away who wait.
    let setup = setup.with("database = { breaker_interval = \"0s\", wait_timeout = \"30s\" }");
    let service = setup.with_redis(Redis::shared()).start().await;
    let client = service.client;
    server.process.signal("STOP");
    let asking: Vec<_> = (0..4)
        .map(|_| tokio::spawn(async move { client.get(&subject("limit=1")).await }))
        .collect();
    let of_subject = [("strategy", "subject")];
    let full = |scrape: &Scrape| {
        scrape.one("poolwise_pool_in_use", &of_subject) == 2.0
            && scrape.one("poolwise_pool_waiting", &of_subject) >= 1.0
    };
    scrape_until(client, "the pool is full", full).await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let asked = Instant::now();
        Scrape::of(client).await;
        times.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times.sort();
    println!("/metrics took {:?} at the median, {:?} at the most", times[10], times[19]);
    // If it waited for the database, the fastest would as well.
    assert!(
        times[0] < Duration::from_millis(200) && times[19] < Duration::from_secs(20),
        "{times:?}"
    );
    let main = [("database", "database.url"), ("status", "down")];
    let down = |scrape: &Scrape| {
        scrape.one("poolwise_database_status", &main) == 1.0
            && scrape.one("poolwise_health_state", &[("state", "critical")]) == 1.0
            && scrape.one("poolwise_ready", &[]) == 0.0
    };
    let scrape = scrape_until(client, "the fault shows", down).await;
    assert_eq!(scrape.sum("poolwise_database_status", &main[..1]), 1.0);
    let gone = |scrape: &Scrape| scrape.all("poolwise_database_connections", &[]).next().is_none();
    scrape_until(client, "what cannot be seen is absent", gone).await;
    server.process.signal("CONT");
    for answer in asking {
        answer.await.expect("each is answered");
    }
}
