//! Starting: what is answered before there is anything to serve, and waiting for servers.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{
    Backend, Database, FEW, Network, Postgres, Redis, ServeCommand, Setup, Weather, free_port,
};

/// A database of the shared PostgreSQL behind a network of its own.
async fn behind_a_network() -> (Network, Setup) {
    let database = Database::shared(Backend::Postgres, FEW);
    let (behind, network) = database.behind_a_network().await;
    let setup = Setup::of(&behind);
    (network, setup.with("log.level = \"info\""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_starts_it_lives_and_is_not_ready() {
    let (network, setup) = behind_a_network().await;
    network.turns(Weather::BlackHole);
    let mut service = ServeCommand::start(&setup, &["--wait-for", "30s"]);
    service.listens().await;
    let client = service.client;
    assert_eq!(client.get("/health/live").await.status, 200);
    assert_eq!(super::ready(client).await, (503, "starting".into()));
    for path in ["/health", "/products/pooled", "/stats", "/", "/nowhere"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "starting"), "{path}");
        assert_eq!(answer.header("retry-after"), "1");
    }
    network.turns(Weather::Fair);
    assert_eq!(service.becomes(200).await, "ready");
    assert_eq!(client.get("/products/pooled?limit=1").await.status, 200);
    assert_eq!(super::health(client).await["status"], "healthy");
    service.signal("TERM");
    assert_eq!(service.ends().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_comes_late_is_waited_for() {
    let (network, setup) = behind_a_network().await;
    network.turns(Weather::Refused);
    let service = ServeCommand::start(&setup, &["--wait-for", "30s"]);
    service.listens().await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(super::ready(service.client).await, (503, "starting".into()));
    network.turns(Weather::Fair);
    let from = Instant::now();
    assert_eq!(service.becomes(200).await, "ready");
    println!("ready {} ms after the database", from.elapsed().as_millis());
    let log = service.log();
    assert_eq!(log.matches("waiting for the database of database.url, for up to 30s").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_come_ends_the_start() {
    let (network, setup) = behind_a_network().await;
    network.turns(Weather::Refused);
    for (wait_for, said) in [("1s", "(waited 1s, server.wait_for)"), ("0s", "refused")] {
        let asked = Instant::now();
        let mut service = ServeCommand::start(&setup, &["--wait-for", wait_for]);
        assert_eq!(service.ends().await, 1);
        assert!(asked.elapsed() >= humantime::parse_duration(wait_for).unwrap());
        let log = service.log();
        assert!(log.contains(said) && log.contains("error: `database.url`: "), "{log}");
        assert_eq!(log.matches("error:").count(), 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waiting_does_not_mend_is_not_waited_for() {
    let guarded = Postgres::shared().url("postgres").replace("poolwise@", "guarded:wrong@");
    let missing = Postgres::shared().url("not_there");
    for (url, said) in [(guarded, "password"), (missing, "not_there")] {
        let setup = Setup::of(&Database { backend: Backend::Postgres, url });
        let mut service = ServeCommand::start(&setup, &["--wait-for", "10m"]);
        assert_eq!(service.ends().await, 1, "it ends at once");
        let log = service.log();
        assert!(log.contains("error: `database.url`: ") && log.contains(said), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_it_starts_degraded() {
    let port = free_port();
    let redis = format!("cache.redis_url = \"redis://127.0.0.1:{port}\"\nlog.level = \"info\"");
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"redis\"").with(&redis);
    let asked = Instant::now();
    let service = ServeCommand::start(&setup, &["--wait-for", "1s"]);
    service.listens().await;
    assert_eq!(service.becomes(200).await, "ready");
    assert!(asked.elapsed() >= Duration::from_secs(1), "it did not wait");
    let said = super::health(service.client).await;
    assert_eq!((&said["status"], &said["ready"]), (&"degraded".into(), &true.into()));
    let log = service.log();
    assert_eq!(
        log.matches("waiting for Redis (cache.redis_url), for up to 1s").count(),
        1,
        "{log}"
    );
    assert!(log.contains("health: degraded"), "{log}");
    let _redis = Redis::start_on(port).expect("nobody else took the port");
    let from = Instant::now();
    while super::health(service.client).await["status"] != "healthy" {
        assert!(from.elapsed() < super::MOST, "still degraded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_late_is_waited_for() {
    let port = free_port();
    let redis = format!("cache.redis_url = \"redis://127.0.0.1:{port}\"");
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"redis\"").with(&redis);
    let service = ServeCommand::start(&setup, &["--wait-for", "60s"]);
    service.listens().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(super::ready(service.client).await, (503, "starting".into()));
    let _redis = Redis::start_on(port).expect("nobody else took the port");
    service.becomes(200).await;
    assert_eq!(super::health(service.client).await["status"], "healthy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_while_it_starts_ends_it() {
    let (network, setup) = behind_a_network().await;
    network.turns(Weather::BlackHole);
    let mut service = ServeCommand::start(&setup, &["--wait-for", "10m"]);
    service.listens().await;
    assert_eq!(super::ready(service.client).await, (503, "starting".into()));
    service.signal("TERM");
    assert_eq!(service.ends().await, 0);
    assert!(TcpListener::bind(service.client.0).is_ok(), "nobody listens any more");
}
