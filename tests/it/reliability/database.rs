//! The database fails while clients are at work.

use std::time::{Duration, Instant};

use rstest::rstest;
use tokio_postgres::NoTls;

use super::{CLIENTS, HealthLog, SOON, assert_only_503, figure, first, good_again};
use crate::harness::{
    Backend, Crowd, Database, FEW, Postgres, Setup, Weather, connect, eventually, long_or, subject,
};

const POOL: &str = "{ kind = \"pool\", size = 8 }";
const QUERY: &str = "limit=200";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_restarted() {
    let mut server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
    let health = HealthLog::of(service.client);
    let crowd = Crowd::of(CLIENTS, service.client, &subject(QUERY), first(200));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let killed = Instant::now();
    server.kill();
    let down = health.says("critical", killed).await;
    tokio::time::sleep(long_or(Duration::from_secs(5), Duration::from_millis(500))).await;
    server.start_again();
    let accepting = Instant::now();
    let up = health.says("healthy", accepting).await;
    good_again(&service, "subject", &subject(QUERY)).await;
    let outcomes = crowd.leaves().await;
    let good = outcomes.first_good_after(accepting);
    let said =
        format!("good after {good:.1?}, /health critical after {down:.1?}, healthy {up:.1?}");
    figure("database restarted", &outcomes, &said);
    assert_only_503(&outcomes, &["unreachable"]);
    assert!(!outcomes.other_fates().is_empty(), "the test cannot fail");
    assert!(good < SOON && down < SOON && up < SOON, "{said}");
    eventually("nobody has a connection", || service.gauges().in_use == 0).await;
    eventually("the pool is whole", || service.gauges().idle == 8).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_backend_terminated_each_second(#[values(true, false)] buffered: bool) {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).subject(POOL, "\"none\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    let other = connect(&database.url).await;
    let crowd = Crowd::of(CLIENTS, service.client, &subject(QUERY), first(200));
    let mut terminated = 0;
    for _ in 0..long_or(10, 4) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let all = "select pg_terminate_backend(pid) from pg_stat_activity \
            where datname = current_database() and pid <> pg_backend_pid()";
        terminated += other.query(all, &[]).await.expect("a superuser may").len();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let outcomes = crowd.leaves().await;
    let mode = if buffered { "buffered" } else { "streaming" };
    let said = format!("{terminated} connections terminated");
    figure(&format!("all backends terminated each second, {mode}"), &outcomes, &said);
    assert!(terminated >= 8, "the test cannot fail");
    let allowed = if buffered { vec![] } else { vec![crate::harness::Fate::Truncated] };
    let others = outcomes.other_fates();
    assert!(others.iter().all(|fate| allowed.contains(fate)), "{:?}", outcomes.counts());
    eventually("the pool is whole", || service.gauges().idle == 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_taken_by_somebody_else() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let setup = Setup::of(&database).with("database.wait_timeout = \"30s\"");
    let setup = setup.subject(POOL, "\"none\"");
    let service = setup.with("strategies.direct.access = { kind = \"direct\", limit = 4 }");
    let service = service.start().await;
    let client = service.client;
    let mut others = Vec::new();
    let url = server.url("postgres");
    while let Ok((other, connection)) = tokio_postgres::connect(&url, NoTls).await {
        others.push((other, tokio::spawn(connection)));
    }
    let pooled = Crowd::of(CLIENTS, client, &subject(QUERY), first(200));
    let direct = Crowd::of(4, client, &format!("/products/direct?{QUERY}"), first(200));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(client.get("/health/ready").await.status, 200);
    let released = Instant::now();
    drop(others);
    good_again(&service, "direct", &format!("/products/direct?{QUERY}")).await;
    let (pooled, direct) = (pooled.leaves().await, direct.leaves().await);
    let good = direct.first_good_after(released);
    figure("max_connections taken, pooled", &pooled, "");
    figure("max_connections taken, direct", &direct, &format!("good after {good:.1?}"));
    assert!(pooled.other_fates().is_empty(), "{:?}", pooled.counts());
    assert_only_503(&direct, &["saturated"]);
    assert!(!direct.other_fates().is_empty(), "the test cannot fail");
    assert!(good < SOON, "{good:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_freezes_and_thaws() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
    let health = HealthLog::of(service.client);
    let crowd = Crowd::of(CLIENTS, service.client, &subject(QUERY), first(200));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let frozen = Instant::now();
    server.process.signal("STOP");
    let down = health.says("critical", frozen).await;
    tokio::time::sleep(long_or(Duration::from_secs(10), Duration::from_secs(4))).await;
    let thawed = Instant::now();
    server.process.signal("CONT");
    let up = health.says("healthy", thawed).await;
    good_again(&service, "subject", &subject(QUERY)).await;
    let outcomes = crowd.leaves().await;
    let good = outcomes.first_good_after(thawed);
    let said =
        format!("good after {good:.1?}, /health critical after {down:.1?}, healthy {up:.1?}");
    figure("database frozen", &outcomes, &said);
    assert_only_503(&outcomes, &["unreachable", "saturated"]);
    assert!(!outcomes.other_fates().is_empty(), "the test cannot fail");
    assert!(good < SOON && down < SOON && up < SOON, "{said}");
    eventually("nobody has a connection", || service.gauges().in_use == 0).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_gets_slow_or_swallows_everything(
    #[values(Weather::Delayed(Duration::from_millis(50)), Weather::BlackHole)] weather: Weather,
) {
    let database = Database::shared(Backend::Postgres, FEW);
    let (behind, network) = database.behind_a_network().await;
    // Where nothing is swallowed, nobody may be refused, however slow the machine is.
    let limits = match weather {
        Weather::BlackHole => "server.request_timeout = \"3s\"\ndatabase.connect_timeout = \"1s\"",
        _ => "database.wait_timeout = \"30s\"",
    };
    let setup = Setup::of(&behind).with(limits);
    let service = setup.subject(POOL, "\"none\"").start().await;
    let crowd = Crowd::of(CLIENTS, service.client, &subject(QUERY), first(200));
    tokio::time::sleep(Duration::from_millis(500)).await;
    network.turns(weather);
    tokio::time::sleep(Duration::from_secs(4)).await;
    network.turns(Weather::Fair);
    let fair = Instant::now();
    // What a black hole swallowed is never answered: the connections that wait for it end with
    // their requests.
    good_again(&service, "subject", &subject(QUERY)).await;
    let outcomes = crowd.leaves().await;
    let good = outcomes.first_good_after(fair);
    figure(&format!("network: {weather:?}"), &outcomes, &format!("good after {good:.1?}"));
    if weather == Weather::BlackHole {
        let in_time = |fate: &crate::harness::Fate| {
            use crate::harness::Fate::Refused;
            matches!(fate, Refused(503 | 504, word) if ["unreachable", "timeout", "saturated"].contains(&&**word))
        };
        let others = outcomes.other_fates();
        assert!(!others.is_empty() && others.iter().all(in_time), "{:?}", outcomes.counts());
    } else {
        assert!(outcomes.other_fates().is_empty(), "{:?}", outcomes.counts());
    }
    assert!(good < SOON, "{good:?}");
    eventually("nobody has a connection", || service.gauges().in_use == 0).await;
}
