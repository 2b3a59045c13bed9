//! More requests than connections: who waits, who is refused, and what that costs.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;

use crate::harness::{
    Backend, Database, FEW, Postgres, Service, Setup, connect, eventually, subject,
};

const DIRECT: &str = "kind = \"direct\", limit = 2";
const POOL: &str = "kind = \"pool\", size = 2";

/// A service whose two connections are stuck in statements until the returned transaction ends.
async fn stuck(access: &str, options: &str) -> (tokio_postgres::Client, Service) {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).subject(&format!("{{ {access}, {options} }}"), "\"none\"");
    let service = setup.start().await;
    let lock = connect(&database.url).await;
    lock.batch_execute("begin; lock table products in access exclusive mode").await.expect("locks");
    for limit in 1..=2 {
        let client = service.client;
        tokio::spawn(async move { client.get(&subject(&format!("limit={limit}"))).await });
    }
    eventually("both connections are in use", || service.gauges().in_use == 2).await;
    (lock, service)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_a_full_queue_the_answer_is_no_at_once(#[values(DIRECT, POOL)] access: &str) {
    let (lock, service) = stuck(access, "max_waiting = 3, wait_timeout = \"60s\"").await;
    let client = service.client;
    let waiting: Vec<_> = (0..3)
        .map(|_| tokio::spawn(async move { client.get(&subject("limit=3")).await }))
        .collect();
    eventually("the queue is full", || service.gauges().waiting == 3).await;
    let asked = Instant::now();
    let refused = join_all((0..20).map(|_| service.subject("limit=4"))).await;
    let took = asked.elapsed();
    for answer in &refused {
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "saturated"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert!(took < Duration::from_secs(20), "they did not wait: {took:?}");
    assert_eq!(service.gauges().waiting, 3, "nobody else has left the queue");
    lock.batch_execute("commit").await.expect("it ends");
    for answer in join_all(waiting).await {
        assert_eq!(answer.expect("it does not panic").status, 200);
    }
    eventually("the queue is empty", || service.gauges().waiting == 0).await;
    assert_eq!(service.subject("limit=5").await.status, 200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_stands_gets_shorter(#[values(DIRECT, POOL)] access: &str) {
    let (lock, service) = stuck(access, "wait_timeout = \"20s\", shed_after = \"100ms\"").await;
    let client = service.client;
    let first = tokio::spawn(async move { client.get(&subject("limit=3")).await });
    eventually("somebody waits", || service.gauges().waiting == 1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let asked = Instant::now();
    assert_eq!(service.subject("limit=4").await.problem(), "saturated");
    let took = asked.elapsed();
    assert!((Duration::from_millis(90)..Duration::from_secs(15)).contains(&took), "{took:?}");
    lock.batch_execute("commit").await.expect("it ends");
    assert_eq!(first.await.expect("it does not panic").status, 200, "it came before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_ends_in_time_wherever_it_is() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with("server.request_timeout = \"500ms\"");
    let setup = setup.with("database = { wait_timeout = \"60s\", statement_timeout = \"60s\" }");
    let service = setup.subject("{ kind = \"pool\", size = 1 }", "\"none\"").start().await;
    let lock = connect(&database.url).await;
    let running = format!(
        "select count(*) from pg_stat_activity where datname = '{}' and state = 'active' and pid <> pg_backend_pid()",
        database.name()
    );
    let watch = Postgres::shared().client("postgres").await;
    // On a machine that stands still a request to cancel may come before its statement begins, or
    // be given up. The statement then has its own time.
    for _ in 0..3 {
        let take = "begin; lock table products in access exclusive mode";
        lock.batch_execute(take).await.expect("locks");
        let asked = Instant::now();
        let answers = join_all((0..3).map(|_| service.subject(""))).await;
        let took = asked.elapsed();
        assert!((Duration::from_millis(450)..Duration::from_secs(15)).contains(&took), "{took:?}");
        let kinds: Vec<String> = answers.iter().map(|answer| answer.problem()).collect();
        assert!(kinds.iter().all(|kind| kind == "timeout" || kind == "saturated"), "{kinds:?}");
        eventually("nobody has a connection", || service.gauges().in_use == 0).await;
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if watch.query_one(&running, &[]).await.expect("it counts").get::<_, i64>(0) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        lock.batch_execute("rollback").await.expect("it ends");
    }
    panic!("a statement that nobody waits for goes on, each time");
}
