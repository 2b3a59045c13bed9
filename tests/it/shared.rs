//! One connection for everybody: what is in front must not harm what is behind.

use std::time::Duration;

use futures_util::future::join_all;
use poolwise::config::{self, Environment};
use poolwise::store::plugin::Plugins;
use tokio::task::JoinHandle;

use crate::config::file;
use crate::harness::{
    Answer, Backend, Client, Database, Dataset, FEW, Filter, MANY, Postgres, Proxy, Service, Setup,
    connect, eventually, steadily, subject,
};

const SHARED: &str = "\"shared\"";

fn opened(service: &Service) -> u64 {
    service.strategy("subject").meter.access.opened.get()
}

fn page(limit: usize) -> (String, Vec<u8>) {
    let filter = Filter { limit: Some(limit), ..Filter::default() };
    (filter.query(), Dataset::of(MANY).answer(&filter))
}

fn asking(client: Client, query: &str) -> JoinHandle<Answer> {
    let path = subject(query);
    tokio::spawn(async move { client.get(&path).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_are_sent_before_the_rows_of_the_last_have_come() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with("server.body_buffer = \"1MiB\"");
    let service = setup.subject(SHARED, "\"none\"").start().await;
    let mut other = connect(&database.url).await;
    let lock = other.transaction().await.expect("it is idle");
    lock.batch_execute("lock table products in access exclusive mode").await.expect("it is free");
    let waiting: Vec<_> =
        (1..=20).map(|limit| asking(service.client, &format!("limit={limit}"))).collect();
    eventually("all have a handle", || service.leases() == 20).await;
    assert_eq!((opened(&service), service.gauges().in_use, service.gauges().size), (1, 1, 1));
    lock.commit().await.expect("it is ours");
    for (limit, answer) in (1..=20).zip(join_all(waiting).await) {
        let filter = Filter { limit: Some(limit), ..Filter::default() };
        assert!(answer.expect("it does not panic").body == Dataset::of(FEW).answer(&filter));
    }
    assert_eq!((opened(&service), service.gauges().in_use), (1, 0));
}

/// Room for ten of the largest answers.
fn roomy(setup: Setup) -> Setup {
    setup.with("server = { body_buffer = \"16MiB\", body_budget = \"160MiB\" }")
}

/// A service over a large table whose one connection the proxy holds up in the middle of an answer.
async fn held_up(setup: impl FnOnce(Setup) -> Setup) -> (Service, Proxy, JoinHandle<Answer>) {
    let database = Database::shared(Backend::Postgres, MANY);
    let proxy = Proxy::to(Postgres::shared().port).await;
    let behind = Setup::of(&database.through(proxy.port)).subject(SHARED, "\"none\"");
    let service = setup(behind).start().await;
    let first = asking(service.client, "");
    eventually("the answer is held up", || proxy.is_holding()).await;
    (service, proxy, first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_cancels_nothing_and_harms_nobody() {
    let (service, proxy, leaves) = held_up(roomy).await;
    let (query, expected) = page(7);
    let behind: Vec<_> = (0..5).map(|_| asking(service.client, &query)).collect();
    eventually("they stand behind it", || service.leases() == 6).await;
    leaves.abort();
    assert!(steadily(|| behind.iter().all(|asked| !asked.is_finished())).await, "held up too");
    proxy.go_on();
    for answer in join_all(behind).await {
        let answer = answer.expect("it does not panic");
        assert!(answer.status == 200 && answer.body == expected, "{:?}", answer.status);
    }
    eventually("nobody is left", || service.gauges().in_use == 0).await;
    assert_eq!(opened(&service), 1, "the connection was neither closed nor replaced");
    eventually("no memory is held", || service.state.budget.used() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_above_the_buffer_is_refused_and_read_to_its_end() {
    let setup = Setup::many(Backend::Postgres).with("server.body_buffer = \"256KiB\"");
    let service = setup.subject(SHARED, "\"none\"").start().await;
    let (query, expected) = page(100);
    for _ in 0..3 {
        let (refused, answered) = tokio::join!(service.subject(""), service.subject(&query));
        assert_eq!((refused.status.as_u16(), &*refused.problem()), (503, "too-large"));
        let detail = refused.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains("server.body_buffer"), "{detail}");
        assert!(answered.status == 200 && answered.body == expected);
    }
    assert_eq!(opened(&service), 1);
    eventually("no memory is held", || service.state.budget.used() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_is_sent_before_there_is_room_for_its_body() {
    let one_body = "server = { body_buffer = \"16MiB\", body_budget = \"16MiB\" }";
    let (service, proxy, first) =
        held_up(|setup| setup.with(one_body).with("database.wait_timeout = \"300ms\"")).await;
    let refused = service.subject("limit=1").await;
    assert_eq!((refused.status.as_u16(), &*refused.problem()), (503, "saturated"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(service.leases(), 1, "the second did not even ask for the connection");
    proxy.go_on();
    let first = first.await.expect("it does not panic");
    assert!(first.body == Dataset::of(MANY).body());
    eventually("the room is free again", || service.state.budget.used() == 0).await;
    assert_eq!(service.subject("limit=1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_died_is_replaced_once_for_all() {
    let (service, proxy, first) = held_up(roomy).await;
    let (query, expected) = page(5);
    let behind: Vec<_> = (0..5).map(|_| asking(service.client, &query)).collect();
    eventually("they stand behind it", || service.leases() == 6).await;
    proxy.go_on();
    proxy.cut();
    for answer in join_all(behind).await {
        let answer = answer.expect("it does not panic");
        assert!(answer.status == 200 && answer.body == expected, "{:?}", answer.status);
    }
    let first = first.await.expect("it does not panic");
    assert!(first.status == 200 && first.body == Dataset::of(MANY).body(), "nothing was sent yet");
    assert_eq!(opened(&service), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_fails_fails_alone() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with("database.statement_timeout = \"3s\"");
    let service = setup.subject(SHARED, "\"none\"").start().await;
    let mut other = connect(&database.url).await;
    let lock = other.transaction().await.expect("it is idle");
    lock.batch_execute("lock table products in access exclusive mode").await.expect("it is free");
    assert_eq!(service.subject("limit=2").await.problem(), "timeout");
    let last = asking(service.client, "limit=3");
    eventually("it waits for the lock", || service.leases() == 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    lock.commit().await.expect("it is ours");
    let last = last.await.expect("it does not panic");
    let expected = Dataset::of(FEW).answer(&Filter { limit: Some(3), ..Filter::default() });
    assert!(last.status == 200 && last.body == expected, "{:?}", last.status);
    assert_eq!(opened(&service), 1);
}

#[test]
fn other_databases_are_told_that_they_cannot() {
    let file = file("strategies.one = { access = \"shared\" }");
    let problems = config::load(&[file], &Environment::default(), &Plugins::standard());
    let problems = problems.expect_err("SQLite cannot").0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("`strategies.one.access`: \"shared\" needs PostgreSQL"));
    assert!(problems[0].ends_with("`database.backend` is \"sqlite\""), "{problems:?}");
}
