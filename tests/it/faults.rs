//! What a client gets when the database fails, before the first byte and after it.

use std::time::{Duration, Instant};

use rstest::rstest;

use crate::harness::{
    Answer, Backend, Database, Dataset, FEW, MANY, Postgres, Proxy, Service, Setup, SlowClient,
    connect, eventually, steadily, subject,
};

const DIRECT: &str = "{ kind = \"direct\", limit = 4 }";
const POOL: &str = "{ kind = \"pool\", size = 4 }";

/// What no error body may contain.
const OF_THE_DATABASE: [&str; 9] =
    ["select", "sqlite", "postgres", "127.0.0.1", "relation", "poolwise-test", ".db", "pg_", "sql"];

fn assert_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (status, kind));
    let body = String::from_utf8_lossy(&answer.body).to_lowercase();
    for word in OF_THE_DATABASE {
        assert!(!body.contains(word), "{word} in {body}");
    }
}

/// Runs statements that need no answer.
pub async fn run(database: &Database, sql: &str) {
    match database.backend {
        Backend::Postgres | Backend::Tls | Backend::PgBouncer => {
            connect(&database.url).await.batch_execute(sql).await.expect(sql)
        }
        Backend::Sqlite => {
            let path = database.url.trim_start_matches("sqlite:");
            let connection = rusqlite::Connection::open(path).expect("the file is there");
            connection.busy_timeout(Duration::from_secs(5)).expect("it can be set");
            connection.execute_batch(sql).expect(sql);
        }
        #[cfg(feature = "mysql")]
        Backend::MariaDb => {
            use mysql_async::prelude::Queryable;
            let mut connection = crate::harness::mariadb::connect(&database.url).await;
            connection.query_drop(sql).await.expect(sql);
        }
        #[cfg(not(feature = "mysql"))]
        Backend::MariaDb => unreachable!("there is no driver for it in this build"),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_table_is_the_operators_business(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(DIRECT, POOL)] access: &str,
    #[values("none", "memory")] cache: &str,
    #[values(true, false)] buffered: bool,
) {
    let database = Database::scratch(backend, FEW).await;
    let setup = Setup::of(&database).subject(access, &format!("{cache:?}"));
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    run(&database, "alter table products rename to elsewhere").await;
    for query in ["limit=2", "limit=2", "category=books", ""] {
        assert_problem(&service.subject(query).await, 503, "not-prepared");
    }
    run(&database, "alter table elsewhere rename to products").await;
    for _ in 0..4 {
        assert_eq!(service.subject("limit=2").await.status, 200);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_is_unreachable(#[values(true, false)] buffered: bool) {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let setup = Setup::of(&database);
    let setup = setup.with("database.connect_timeout = \"1s\"").subject(POOL, "\"memory\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    drop(server);
    for path in
        [&*subject("limit=2"), "/products/direct?limit=2", "/products/pooled", "/products/7"]
    {
        assert_problem(&service.client.get(path).await, 503, "unreachable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_is_gone_is_unreachable() {
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let service = Setup::of(&database).subject(DIRECT, "\"none\"").start().await;
    std::fs::remove_file(database.url.trim_start_matches("sqlite:")).expect("it is there");
    assert_problem(&service.subject("").await, 503, "unreachable");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_ended(
    #[values(DIRECT, POOL)] access: &str,
    #[values("none", "memory")] cache: &str,
    #[values(true, false)] buffered: bool,
    #[values("database.statement_timeout = \"1500ms\"", "server.request_timeout = \"1500ms\"")]
    limit: &str,
) {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with(limit).subject(access, &format!("{cache:?}"));
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    let mut other = connect(&database.url).await;
    let lock = other.transaction().await.expect("a transaction begins");
    lock.batch_execute("lock table products in access exclusive mode").await.expect("it locks");
    let asked = Instant::now();
    assert_problem(&service.subject("limit=5").await, 504, "timeout");
    let took = asked.elapsed();
    // Without a limit of its own it takes 30 s.
    assert!((Duration::from_millis(1400)..Duration::from_secs(20)).contains(&took), "{took:?}");
    lock.rollback().await.expect("it ends");
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    service.serves_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_statements_end_in_time_too() {
    let setup = Setup::many(Backend::Sqlite).subject(POOL, "\"none\"");
    let service = setup.with("database.statement_timeout = \"1ms\"").start().await;
    assert_problem(&service.subject("").await, 504, "timeout");
    assert_eq!(service.subject("limit=1").await.status, 200);
}

/// Never a well-formed short answer.
async fn assert_truncated(service: &Service, client: SlowClient) {
    let came = client.read_to_end().await.expect_err("the answer breaks off").0;
    let whole = Dataset::of(MANY).body();
    assert!(came.len() < whole.len() && whole.starts_with(&came));
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    assert_eq!(service.strategy("subject").meter.errors.get(), 1);
    assert_eq!(service.subject("limit=1").await.status, 200);
}

/// How a connection dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// The server says goodbye.
    Terminated,
    /// The network does not.
    Cut,
}

/// A service whose connections the proxy holds up in the middle of 60,000 rows.
async fn behind_a_proxy(access: &str, cache: &str) -> (Database, Proxy, Setup) {
    let database = Database::shared(Backend::Postgres, MANY);
    let proxy = Proxy::to(Postgres::shared().port).await;
    let behind =
        database.through(proxy.port).with_option(&format!("application_name={}", proxy.port));
    let setup = Setup::of(&behind).subject(access, &format!("{cache:?}"));
    (behind, proxy, setup)
}

async fn kill(database: &Database, proxy: &Proxy, death: Death) {
    match death {
        Death::Terminated => {
            assert_eq!(terminate(database, "active", 9).await, 1);
            proxy.go_on();
        }
        Death::Cut => proxy.cut(),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_connection_dies_breaks_off(
    #[values(DIRECT, POOL)] access: &str,
    #[values("none", "memory")] cache: &str,
    #[values(Death::Terminated, Death::Cut)] death: Death,
) {
    let (database, proxy, setup) = behind_a_proxy(access, cache).await;
    let service = setup.streaming().start().await;
    let mut client = service.client.read_slowly(&subject("")).await;
    client.read(500_000).await;
    assert!(steadily(|| service.gauges().in_use == 1).await, "the test cannot fail");
    kill(&database, &proxy, death).await;
    proxy.go_on();
    assert_truncated(&service, client).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_dies_before_anything_was_sent_costs_no_request(
    #[values(DIRECT, POOL)] access: &str,
    #[values("none", "memory")] cache: &str,
    #[values(Death::Terminated, Death::Cut)] death: Death,
) {
    let (database, proxy, setup) = behind_a_proxy(access, cache).await;
    let service = setup.buffering().start().await;
    let client = service.client;
    let asking = tokio::spawn(async move { client.get(&subject("")).await });
    eventually("half the rows are here", || proxy.is_holding()).await;
    kill(&database, &proxy, death).await;
    proxy.go_on();
    let answer = asking.await.expect("it does not panic");
    assert!(answer.status == 200 && answer.body == Dataset::of(MANY).body());
    assert_eq!(service.leases(), 2, "it was tried again once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_outlasts_its_statement_breaks_off() {
    let setup = Setup::many(Backend::Sqlite).subject(POOL, "\"none\"").streaming();
    let service = setup.with("database.statement_timeout = \"2s\"").start().await;
    let mut client = service.client.read_slowly(&subject("")).await;
    client.read(64 * 1024).await;
    tokio::time::sleep(Duration::from_millis(2300)).await;
    assert_truncated(&service, client).await;
}

/// Ends at most this many connections of the service that are in this state; how many there were.
async fn terminate(database: &Database, state: &str, most: i64) -> i64 {
    let terminate = "select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity \
        where datname = $1 and application_name = $2 and state = $3 \
        and (query = '' or query like 'select id%') limit $4) as found";
    let named = database.url.split_once("application_name=").map(|(_, name)| name);
    let application = named.unwrap_or("poolwise");
    let client = Postgres::shared().client("postgres").await;
    let row = client.query_one(terminate, &[&database.name(), &application, &state, &most]).await;
    row.expect("a superuser may").get(0)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooled_connection_that_was_closed_costs_no_request(
    #[values("fast", "verified")] recycle: &str,
    #[values(true, false)] buffered: bool,
    #[values(true, false)] all: bool,
) {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with(&format!("database.recycle = {recycle:?}"));
    let setup = setup.subject(POOL, "\"none\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    for _ in 0..5 {
        if all {
            assert!(terminate(&database, "idle", 99).await >= 4);
            // One that is not known to be closed yet is retried, but only once.
            tokio::time::sleep(Duration::from_millis(100)).await;
        } else {
            assert_eq!(terminate(&database, "idle", 1).await, 1);
        }
        let answers = futures_util::future::join_all((0..6).map(|_| service.subject(""))).await;
        for answer in answers {
            assert!(answer.status == 200 && answer.body == Dataset::of(FEW).body());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_cannot_be_read_names_its_column_in_the_log_only() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
    for (column, value, restored) in
        [("created_at", "'infinity'", "'2024-01-01Z'"), ("price", "'NaN'", "1.25")]
    {
        let set = |value| format!("update products set {column} = {value} where id = 7");
        run(&database, &set(value)).await;
        assert_problem(&service.subject("").await, 500, "internal");
        let query = poolwise::query::ProductQuery::default();
        let source = service.strategy("subject").source.clone();
        let failed = source.fetch(&query, &Service::context()).await.err();
        let failed = failed.expect("the row cannot be read").to_string();
        assert!(failed.contains(&format!("products.{column}")), "{failed}");
        run(&database, &set(restored)).await;
        assert_eq!(service.subject("").await.status.as_u16(), 200);
    }
}
