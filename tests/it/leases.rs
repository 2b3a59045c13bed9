//! How long a request keeps its connection, and what happens when there are none left.
//!
//! Clients that are slow or go away ask for 60,000 rows and have a small receive buffer: a smaller
//! answer would fit into the kernel's buffers, and no test here could fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use poolwise::store::access::Lease;
use rstest::rstest;

use crate::harness::{
    Backend, Dataset, Filter, MANY, Redis, Service, Setup, SlowClient, eventually, steadily,
    subject,
};

const TWO_DIRECT: &str = r#"{ kind = "direct", limit = 2, wait_timeout = "300ms" }"#;
const TWO_POOLED: &str = r#"{ kind = "pool", size = 2, wait_timeout = "300ms" }"#;

/// A client that has read a little of everything.
async fn half_reader(service: &Service) -> SlowClient {
    let mut client = service.client.read_slowly(&subject("")).await;
    assert_eq!(client.response.status(), 200);
    client.read(64 * 1024).await;
    client
}

/// Every connection still serves, at once. The machine may stand still for a moment, but not
/// each time.
async fn assert_quick(service: &Service) {
    let mut times = Vec::new();
    for _ in 0..4 {
        let asked = Instant::now();
        let answer = service.subject("limit=3").await;
        // What is expected is made by brute force the first time, which takes longer than a request.
        let took = asked.elapsed();
        let expected = Dataset::of(MANY).answer(&Filter { limit: Some(3), ..Filter::default() });
        assert!(answer.status == 200 && answer.body == expected, "{answer:?}");
        times.push(took);
    }
    times.sort();
    let (fastest, slowest) = (times[0], times[3]);
    assert!(fastest < Duration::from_secs(1), "after an abandoned request: {times:?}");
    assert!(slowest < Duration::from_secs(10), "after an abandoned request: {times:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_dropped_half_read_gives_its_connection_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(TWO_DIRECT, TWO_POOLED)] access: &str,
    #[values("none", "memory", "redis", "tiered")] cache: &str,
) {
    let cache = format!("{cache:?}");
    let setup = Setup::many(backend).subject(access, &cache).with_redis(Redis::shared());
    let service = setup.streaming().start().await;
    for _ in 0..3 {
        let client = half_reader(&service).await;
        assert!(steadily(|| service.gauges().in_use == 1).await, "the test cannot fail");
        drop(client);
        eventually("the connection came back", || service.gauges().in_use == 0).await;
    }
    assert_quick(&service).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_within_the_budget_keeps_no_connection(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(TWO_DIRECT, TWO_POOLED)] access: &str,
    #[values("none", "memory")] cache: &str,
) {
    let cache = format!("{cache:?}");
    // Four bodies of 10 MB take their time where nothing is optimised.
    let access = access.replace("300ms", "20s");
    let setup = || Setup::many(backend).subject(&access, &cache);
    let service = setup().streaming().start().await;
    let client = half_reader(&service).await;
    assert!(steadily(|| service.gauges().in_use == 1).await, "the test cannot fail");
    drop(client);

    let service = setup().buffering().start().await;
    let clients = join_all((0..4).map(|_| half_reader(&service))).await;
    eventually("the connections came back", || service.gauges().in_use == 0).await;
    assert_quick(&service).await;
    for client in clients {
        assert!(client.read_to_end().await.expect("it is whole") == Dataset::of(MANY).body());
    }
    eventually("the budget is free again", || service.state.budget.used() == 0).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_budget_streams_and_is_whole(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("body_buffer = \"1MiB\"", "body_budget = \"1MiB\"")] limit: &str,
) {
    let setup = Setup::many(backend).subject(TWO_POOLED, "\"memory\"");
    let service = setup.with(&format!("[server]\n{limit}")).start().await;
    let client = half_reader(&service).await;
    assert!(service.state.budget.used() <= 1024 * 1024);
    assert!(steadily(|| service.gauges().in_use == 1).await, "it streams");
    assert!(client.read_to_end().await.expect("it is whole") == Dataset::of(MANY).body());
    eventually("the budget is free again", || service.state.budget.used() == 0).await;
    eventually("the connection came back", || service.gauges().in_use == 0).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_serve_four_requests_in_two_rounds(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("{ kind = \"direct\", limit = 2 }", "{ kind = \"pool\", size = 2 }")] access: &str,
) {
    const HOLD: Duration = Duration::from_millis(150);
    let service = Setup::few(backend).subject(access, "\"none\"").start().await;
    let strategy = service.strategy("subject");
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    join_all((0..4).map(|_| async {
        let lease = strategy.access.lease(&Service::context()).await.expect("it waits its turn");
        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(HOLD).await;
        held.fetch_sub(1, Ordering::SeqCst);
        drop(lease);
    }))
    .await;
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(started.elapsed() >= HOLD * 2);
}

async fn hold_all(service: &Service) -> Vec<Lease> {
    let strategy = service.strategy("subject");
    let context = Service::context();
    let leases = join_all((0..2).map(|_| strategy.access.lease(&context))).await;
    leases.into_iter().map(|lease| lease.expect("two are free")).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_too_long_for_a_connection_is_told_to_come_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(TWO_DIRECT, TWO_POOLED)] access: &str,
    #[values("none", "memory", "redis", "tiered")] cache: &str,
) {
    let cache = format!("{cache:?}");
    let setup = Setup::few(backend).subject(access, &cache).with_redis(Redis::shared());
    // The time that the strategy gives is what counts.
    let service = setup.with("database.wait_timeout = \"60s\"").start().await;
    let leases = hold_all(&service).await;
    let asked = Instant::now();
    let answers = join_all((0..3).map(|_| service.subject("limit=1"))).await;
    let took = asked.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(20)).contains(&took), "{took:?}");
    for answer in answers {
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "saturated"));
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));
    }
    drop(leases);
    assert_eq!(service.subject("limit=1").await.status, 200);
    assert_eq!(service.strategy("subject").meter.errors.get(), 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_is_cut_off(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(TWO_DIRECT, TWO_POOLED)] access: &str,
) {
    let setup = || {
        let setup = Setup::many(backend).subject(access, "\"none\"");
        setup.with("server.send_timeout = \"2s\"")
    };
    let service = setup().streaming().start().await;
    let client = half_reader(&service).await;
    assert_eq!(service.gauges().in_use, 1, "the test cannot fail");
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    let broken = client.read_to_end().await.expect_err("it was cut off").0;
    assert!(Dataset::of(MANY).body().starts_with(&broken));
    assert_quick(&service).await;

    let service = setup().buffering().start().await;
    let client = half_reader(&service).await;
    assert!(service.state.budget.used() > 1024 * 1024, "the test cannot fail");
    eventually("the memory came back", || service.state.budget.used() == 0).await;
    client.read_to_end().await.expect_err("it was cut off");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_the_queue_takes_its_place_with_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("{ kind = \"direct\", limit = 2 }", "{ kind = \"pool\", size = 2 }")] access: &str,
) {
    let service = Setup::few(backend).subject(access, "\"none\"").start().await;
    let leases = hold_all(&service).await;
    let client = service.client;
    let waits = tokio::spawn(async move { client.get(&subject("limit=1")).await });
    eventually("the request waits", || service.gauges().waiting == 1).await;
    waits.abort();
    eventually("the request is gone", || service.gauges().waiting == 0).await;
    drop(leases);
    eventually("no connection is in use", || service.gauges().in_use == 0).await;
}
