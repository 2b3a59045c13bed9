//! Circuit breakers: a dead database or Redis costs the first requests their time, and nobody else.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;
use tokio_postgres::NoTls;

use crate::harness::{
    Backend, Database, FEW, Network, Postgres, Redis, Service, Setup, Weather, eventually,
};

const ACCESSES: [&str; 3] = ["\"direct\"", "{ kind = \"pool\", size = 3 }", "\"shared\""];
/// What nobody should have to wait for.
const LONG: Duration = Duration::from_secs(3);

async fn behind_a_network(access: &str, settings: &str) -> (Network, Service) {
    let database = Database::shared(Backend::Postgres, FEW);
    let (behind, network) = database.behind_a_network().await;
    let setup = Setup::of(&behind);
    let setup = setup.with("database.connect_timeout = \"1s\"\nserver.request_timeout = \"4s\"");
    let service = setup.with(settings).subject(access, "\"none\"").start().await;
    (network, service)
}

async fn breaker(service: &Service) -> serde_json::Value {
    let stats = service.client.get("/stats").await.json();
    let strategies = stats["strategies"].as_array().expect("they are listed").clone();
    let found = strategies.into_iter().find(|strategy| strategy["name"] == "subject");
    found.expect("it is there")["pool"]["breaker"].take()
}

async fn is(service: &Service, state: &str) -> bool {
    breaker(service).await["state"] == state
}

async fn becomes(service: &Service, state: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is(service, state).await {
        assert!(Instant::now() < deadline, "never {state}: {}", breaker(service).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_costs_nothing_until_it_is_back(
    #[values(0, 1, 2)] access: usize,
    #[values(Weather::Refused, Weather::BlackHole)] weather: Weather,
) {
    let (network, service) = behind_a_network(ACCESSES[access], "").await;
    service.serves_again().await;
    becomes(&service, "closed").await;
    let before = breaker(&service).await["opened"].as_u64().expect("a number");
    network.turns(weather);
    if weather == Weather::Refused {
        network.cut();
    }
    let first = service.subject("limit=1").await;
    assert!(["unreachable", "timeout"].contains(&&*first.problem()), "{}", first.problem());
    let deadline = Instant::now() + Duration::from_secs(10);
    while is(&service, "closed").await {
        assert!(Instant::now() < deadline, "it does not open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = Instant::now();
    let refused = join_all((0..100).map(|_| service.subject("limit=1"))).await;
    let took = asked.elapsed();
    for answer in refused {
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "unreachable"));
    }
    assert!(took < 5 * LONG, "each waited for itself: {took:?}");
    let seen = breaker(&service).await;
    assert_eq!(seen["opened"], before + 1);
    assert!(seen["refused"].as_u64() >= Some(100), "{seen}");
    network.turns(Weather::Fair);
    network.cut();
    let back = Instant::now();
    becomes(&service, "closed").await;
    println!("closed {:?} after the database was back", back.elapsed());
    assert_eq!(breaker(&service).await["opened"], before + 1);
    service.serves_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_for_a_connection_are_told_when_the_breaker_opens() {
    let settings = "database.wait_timeout = \"60s\"\nserver.request_timeout = \"60s\"\n\
                    database.statement_timeout = \"60s\"";
    let (network, service) = behind_a_network("{ kind = \"pool\", size = 1 }", settings).await;
    network.turns(Weather::BlackHole);
    let client = service.client;
    let asked = Instant::now();
    let ask = |path: &'static str| tokio::spawn(async move { client.get(path).await });
    let stuck = ask("/strategies/subject/products?limit=1");
    eventually("the connection is in use", || service.gauges().in_use == 1).await;
    let waiting = ask("/strategies/subject/products?limit=2");
    eventually("somebody waits", || service.gauges().waiting == 1).await;
    // Another strategy of the same database finds out.
    assert_eq!(client.get("/products/direct?limit=3").await.problem(), "unreachable");
    assert_eq!(waiting.await.expect("it does not panic").problem(), "unreachable");
    assert!(asked.elapsed() < Duration::from_secs(20), "it waited for its turn");
    network.turns(Weather::Fair);
    becomes(&service, "closed").await;
    network.cut();
    assert_eq!(stuck.await.expect("it does not panic").status, 200, "it was tried again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_opens_nothing() {
    // All the rows take almost twice as long.
    let settings = "server.request_timeout = \"2s\"\ndatabase.connect_timeout = \"5s\"";
    let (network, service) = behind_a_network(ACCESSES[1], settings).await;
    network.turns(Weather::Throttled(64 * 1024));
    assert_eq!(service.subject("").await.problem(), "timeout");
    network.turns(Weather::Fair);
    service.serves_again().await;
    assert_eq!(breaker(&service).await["opened"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_free_connection_is_not_out_of_reach() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    // Whoever connects anew gives up a connection first.
    let setup = Setup::of(&database).with("health.interval = \"60s\"");
    let service = setup.subject(ACCESSES[1], "\"none\"").start().await;
    let mut others = Vec::new();
    let url = server.url("postgres");
    while let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
        others.push((client, tokio::spawn(connection)));
        assert!(others.len() < 1000, "the test cannot fail");
    }
    assert_eq!(service.client.get("/products/direct").await.problem(), "saturated");
    assert_eq!(service.subject("limit=1").await.status, 200);
    assert_eq!(breaker(&service).await["opened"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_breaker_each_request_finds_out_for_itself() {
    let settings = "database.breaker_interval = \"0s\"";
    let (network, service) = behind_a_network(ACCESSES[1], settings).await;
    network.turns(Weather::Refused);
    network.cut();
    for _ in 0..3 {
        assert_eq!(service.subject("limit=1").await.problem(), "unreachable");
    }
    assert!(breaker(&service).await.is_null());
    network.turns(Weather::Fair);
    service.serves_again().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_gone_costs_nothing_until_it_is_back(
    #[values(Weather::Refused, Weather::BlackHole)] weather: Weather,
) {
    let redis = Redis::shared();
    let network = Network::to(redis.port).await;
    let url = format!("cache.redis_url = \"redis://127.0.0.1:{}\"", network.port);
    let setup = Setup::few(Backend::Sqlite).with(&url);
    let setup =
        setup.with("cache = { redis_timeout = \"300ms\", redis_connect_timeout = \"300ms\" }");
    let service = setup.subject("\"pool\"", "\"redis\"").start().await;
    let state = || {
        let store = service.strategy("subject").cache.clone().expect("it has a cache");
        let state = store.breaker().expect("Redis has one").state;
        format!("{state:?}")
    };
    // Until it has been stored: no other line is on its way then.
    while service.subject("limit=1").await.cache() != "hit" {}
    assert_eq!(state(), "Closed");
    network.turns(weather);
    if weather == Weather::Refused {
        network.cut();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while state() == "Closed" {
        assert!(Instant::now() < deadline, "it does not open");
        assert_eq!(service.subject("limit=2").await.status, 200);
    }
    let asked = Instant::now();
    for limit in 3..103 {
        let answer = service.subject(&format!("limit={limit}")).await;
        assert_eq!((answer.status.as_u16(), answer.cache()), (200, "bypass"));
    }
    let took = asked.elapsed();
    // 100 that wait for themselves take 30 s.
    assert!(took < 5 * LONG, "each waited for itself: {took:?}");
    let seen = service.client.get("/stats").await.json();
    let strategies = seen["strategies"].as_array().expect("they are listed");
    let subject = strategies.iter().find(|strategy| strategy["name"] == "subject").expect("there");
    assert!(subject["cache"]["breaker"]["refused"].as_u64() >= Some(90), "{subject}");
    network.turns(Weather::Fair);
    network.cut();
    let deadline = Instant::now() + Duration::from_secs(10);
    while service.subject("limit=1").await.cache() != "hit" {
        assert!(Instant::now() < deadline, "it is not used again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state(), "Closed");
}
