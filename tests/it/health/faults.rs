//! Faults of the servers behind the service, and their end.

use std::time::{Duration, Instant};

use super::{MOST, becomes, health, ready, reason};
use crate::harness::{Backend, Database, FEW, Postgres, Redis, Service, Setup, Weather, connect};

/// A service over a PostgreSQL that a test may break.
async fn over(server: &Postgres) -> Service {
    let database = Database::on(server, FEW).await;
    Setup::of(&database).subject("\"pool\"", "\"none\"").start().await
}

/// The fault shows, and with it that requests had better go elsewhere.
async fn is_down(service: &Service, what: &str, from: Instant, why: &str) {
    // The first look may find another reason: a busy machine takes too long to connect anew.
    let said = loop {
        let said = becomes(service, "critical", what, from).await;
        if reason(&said).contains(why) {
            break said;
        }
        assert!(from.elapsed() < MOST, "never {why:?}: {said}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(said["checks"]["database"]["status"], "down");
    assert!(said["checks"]["database"]["latency_ms"].is_null(), "{said}");
    assert_eq!(ready(service.client).await, (503, "database-down".into()));
    assert_eq!(service.client.get("/health/live").await.status, 200);
    assert_eq!(service.client.get("/stats").await.json()["health"], "critical");
}

/// The end of the fault shows.
async fn is_up(service: &Service, what: &str, from: Instant) {
    let said = becomes(service, "healthy", what, from).await;
    assert_eq!(said["checks"]["database"]["status"], "up");
    assert_eq!(ready(service.client).await, (200, "ready".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgresql_is_critical_until_it_is_back() {
    let mut server = Postgres::start();
    let service = over(&server).await;
    for round in 0..2 {
        assert_eq!(health(service.client).await["status"], "healthy", "round {round}");
        server.kill();
        is_down(&service, "PostgreSQL killed", Instant::now(), "refuses or closes").await;
        server.start_again();
        is_up(&service, "PostgreSQL started again", Instant::now()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_postgresql_is_critical_until_it_goes_on() {
    let server = Postgres::start();
    let service = over(&server).await;
    for frozen in [Duration::ZERO, Duration::from_secs(3)] {
        server.process.signal("STOP");
        is_down(&service, "PostgreSQL frozen", Instant::now(), "does not answer within 600ms")
            .await;
        tokio::time::sleep(frozen).await;
        assert_eq!(health(service.client).await["status"], "critical");
        server.process.signal("CONT");
        is_up(&service, "PostgreSQL thawed", Instant::now()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_postgresql_is_not_flooded_with_connections() {
    let server = Postgres::start();
    let service = over(&server).await;
    server.process.signal("STOP");
    is_down(&service, "PostgreSQL frozen", Instant::now(), "does not answer").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    // Connections that were given up wait in the server's backlog, and those of the pools' upkeep.
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("there is a table");
    let port = format!(":{:04X}", server.port);
    let to_server = table.lines().skip(1).filter(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns[2].ends_with(&port) && columns[3] == "01"
    });
    // Two each of cached, pooled and subject, the sampler's and ours; the sampler tries another each
    // second, and so do we.
    let open = to_server.count();
    assert!((6..=14).contains(&open), "{open} connections to a frozen server");
    server.process.signal("CONT");
    is_up(&service, "PostgreSQL thawed", Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_refuses_or_swallows_is_critical_until_it_is_fair() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let (behind, network) = database.behind_a_network().await;
    let service = Setup::of(&behind).subject("\"pool\"", "\"none\"").start().await;
    network.turns(Weather::Refused);
    network.cut();
    is_down(&service, "network refuses", Instant::now(), "refuses or closes").await;
    network.turns(Weather::Fair);
    is_up(&service, "network is fair", Instant::now()).await;
    network.turns(Weather::BlackHole);
    is_down(&service, "network swallows", Instant::now(), "does not answer").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // What was on its way is lost for good.
    network.cut();
    network.turns(Weather::Fair);
    is_up(&service, "network is fair", Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_is_a_warning() {
    let database = Database::shared(Backend::Postgres, FEW);
    let (behind, network) = database.behind_a_network().await;
    let service = Setup::of(&behind).start().await;
    network.turns(Weather::Delayed(Duration::from_millis(100)));
    let said = becomes(&service, "warning", "100 ms each way", Instant::now()).await;
    assert_eq!(said["checks"]["database"]["status"], "slow");
    assert!(said["checks"]["database"]["latency_median_ms"].as_f64() >= Some(200.0), "{said}");
    assert!(reason(&said).contains("health.database_latency_warning (100ms)"), "{said}");
    assert_eq!(ready(service.client).await, (200, "ready".into()));
    network.turns(Weather::Fair);
    becomes(&service, "healthy", "no delay", Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_terminated_is_no_outage() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let service = Setup::of(&database).start().await;
    let since = health(service.client).await["since"].clone();
    let other = connect(&database.url).await;
    for _ in 0..5 {
        let terminate = "select pg_terminate_backend(pid) from pg_stat_activity \
            where datname = current_database() and query like '%poolwise health%' \
            and pid <> pg_backend_pid()";
        let from = Instant::now();
        while other.query(terminate, &[]).await.expect("a superuser may").is_empty() {
            assert!(from.elapsed() < MOST, "health has no connection");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for _ in 0..8 {
            assert_eq!(health(service.client).await["status"], "healthy");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(health(service.client).await["since"], since);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_strategy_degrades() {
    let server = Postgres::start();
    let far = Database::on(&server, FEW).await;
    let strategy = format!(
        "strategies.far = {{ access = {{ kind = \"pool\", size = 1 }}, database_url = {:?} }}",
        far.url
    );
    let service = Setup::few(Backend::Postgres).with(&strategy).start().await;
    assert_eq!(health(service.client).await["checks"]["other_databases"][0]["status"], "up");
    server.kill();
    let said = becomes(&service, "degraded", "a replica killed", Instant::now()).await;
    assert!(reason(&said).contains("(strategies.far.database_url)"), "{said}");
    assert_eq!(said["checks"]["database"]["status"], "up");
    assert_eq!(ready(service.client).await, (200, "ready".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_is_gone_is_critical() {
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let service = Setup::of(&database).start().await;
    let file = database.url.trim_start_matches("sqlite:");
    std::fs::rename(file, format!("{file}-elsewhere")).expect("it is there");
    is_down(&service, "SQLite file gone", Instant::now(), "refuses or closes").await;
    std::fs::rename(format!("{file}-elsewhere"), file).expect("it is there");
    is_up(&service, "SQLite file back", Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_or_frozen_is_degraded_until_it_is_back() {
    let redis = Redis::start();
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"redis\"").with_redis(&redis);
    let service = setup.start().await;
    let is_degraded = async |what| {
        let said = becomes(&service, "degraded", what, Instant::now()).await;
        assert_eq!(said["checks"]["redis"]["status"], "down");
        assert!(reason(&said).starts_with("Redis (cache.redis_url) cannot be used"), "{said}");
        assert_eq!(ready(service.client).await, (200, "ready".into()));
    };
    for frozen in [Duration::ZERO, Duration::from_secs(6)] {
        assert_eq!(health(service.client).await["status"], "healthy");
        redis.process.signal("STOP");
        is_degraded("Redis frozen").await;
        tokio::time::sleep(frozen).await;
        redis.process.signal("CONT");
        becomes(&service, "healthy", "Redis thawed", Instant::now()).await;
    }
    let port = redis.port;
    redis.process.signal("KILL");
    is_degraded("Redis killed").await;
    drop(redis);
    let _again = (0..50).find_map(|_| Redis::start_on(port)).expect("its port is free again");
    becomes(&service, "healthy", "Redis started again", Instant::now()).await;
}

#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_or_frozen_mariadb_is_critical() {
    let server = crate::harness::MariaDb::start();
    let database = Database::on_mariadb(&server, FEW).await;
    let service = Setup::of(&database).subject("\"pool\"", "\"none\"").start().await;
    assert_eq!(health(service.client).await["status"], "healthy");
    server.process.signal("STOP");
    is_down(&service, "MariaDB frozen", Instant::now(), "does not answer within 600ms").await;
    server.process.signal("CONT");
    is_up(&service, "MariaDB thawed", Instant::now()).await;
    server.process.signal("KILL");
    is_down(&service, "MariaDB killed", Instant::now(), "refuses or closes").await;
    let (port, name) = (server.port, database.name().to_owned());
    drop(server);
    let again = (0..50).find_map(|_| crate::harness::MariaDb::start_on(port, &[]));
    let again = again.expect("its port is free again");
    let said = becomes(&service, "critical", "MariaDB without the database", Instant::now()).await;
    assert!(said["checks"]["database"]["status"] == "down", "{said}");
    again.create(&name).await;
    is_up(&service, "MariaDB with the database", Instant::now()).await;
}

#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_others_have_taken_are_not_an_outage() {
    use mysql_async::prelude::Queryable;
    let server = crate::harness::MariaDb::start();
    let database = Database::on_mariadb(&server, FEW).await;
    let service = Setup::of(&database).subject("\"pool\"", "\"none\"").start().await;
    let mut others = Vec::new();
    for _ in 0..14 {
        others.push(server.root("mysql").await);
    }
    let root = &mut others[0];
    root.query_drop("set global max_connections = 10").await.expect("it may");
    root.query_drop("kill user poolwise@'127.0.0.1'").await.expect("it may");
    let from = Instant::now();
    let said = becomes(&service, "warning", "max_connections taken", from).await;
    assert_eq!(said["checks"]["database"]["status"], "full");
    assert!(reason(&said).ends_with("those that are open go on."), "{said}");
    // The pool finds out that its connections are gone when they are used.
    let from = Instant::now();
    let answers = futures_util::future::join_all((0..4).map(|_| service.subject("limit=1"))).await;
    assert!(answers.iter().all(|answer| answer.status == 503), "{answers:?}");
    let said = loop {
        let said = becomes(&service, "critical", "and none left in the pool", from).await;
        // The other pools may have found out before.
        if reason(&said).contains("nor have the pools of") && reason(&said).contains("subject") {
            break said;
        }
        assert!(from.elapsed() < MOST, "{said}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(super::pool(&said, "subject")["checked_in"], 0);
    assert_eq!(ready(service.client).await, (200, "ready".into()), "the database is there");
    root.query_drop("set global max_connections = 200").await.expect("it may");
    is_up(&service, "max_connections free", Instant::now()).await;
}
