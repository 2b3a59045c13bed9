//! PgBouncer 1.18, which hands out a server for each transaction and knows no named statements.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;

use super::{assert_serves, at, small};
use crate::harness::{
    Backend, Database, Dataset, FEW, MANY, PgBouncer, Postgres, Service, Setup, connect,
    eventually, subject,
};

const DIRECT: &str = "{ kind = \"direct\", limit = 4 }";
const POOL: &str = "{ kind = \"pool\", size = 4 }";

/// More clients than PgBouncer has servers, each with statements of its own.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_handed_on_between_statements(
    #[values("{ kind = \"direct\", limit = 24 }", "{ kind = \"pool\", size = 24 }")] access: &str,
    #[values(true, false)] buffered: bool,
) {
    let setup = Setup::few(Backend::PgBouncer).subject(access, "\"none\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    let service = &service;
    let ask = |n: usize| async move {
        for turn in 0..4_i64 {
            let filter = crate::harness::Filter {
                category: Some(["electronics", "books", "food"][n % 3]),
                min_cents: Some(100 * turn),
                in_stock: n.is_multiple_of(2).then_some(true),
                after: n.is_multiple_of(5).then_some(10),
                limit: Some(10 + n),
                ..Default::default()
            };
            let answer = service.subject(&filter.query()).await;
            assert_eq!(answer.status, 200);
            assert!(answer.body == Dataset::of(FEW).answer(&filter), "{filter:?}");
        }
    };
    join_all((0..24).map(ask)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_made_filled_and_looked_at_through_it() {
    let name = crate::harness::unique("through");
    Postgres::shared().create(&name).await;
    let database = Database { backend: Backend::PgBouncer, url: PgBouncer::shared().url(&name) };
    let setup = Setup::of(&database).with("seed = { auto = true, rows = 2000, seed = 42 }");
    let service = setup.subject("\"pool\"", "\"none\"").start().await;
    assert_serves(&service).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let stats = service.client.get("/stats").await.json();
        if let Some(connections) = stats["database"]["connections"].as_u64() {
            // Of the server behind, not of the pooler.
            assert!(connections >= 1 && stats["database"]["max_connections"] == 200, "{stats}");
            break;
        }
        assert!(Instant::now() < deadline, "the server is never looked at: {stats}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_ended_and_cancelled(
    #[values(DIRECT, POOL)] access: &str,
    #[values(true, false)] buffered: bool,
) {
    let database = Database::scratch(Backend::PgBouncer, FEW).await;
    let setup = Setup::of(&database).with("database.statement_timeout = \"400ms\"");
    let setup = setup.subject(access, "\"none\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    let mut other = Postgres::shared().client(database.name()).await;
    let lock = other.transaction().await.expect("a transaction begins");
    lock.batch_execute("lock table products in access exclusive mode").await.expect("it locks");
    let asked = Instant::now();
    let answer = service.subject("limit=5").await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (504, "timeout"));
    assert!(asked.elapsed() >= Duration::from_millis(350), "{:?}", asked.elapsed());
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    // While the lock is still there: the statement does not wait for it any more.
    let waiting = format!(
        "exists (select from pg_stat_activity where datname = '{}' and state = 'active' \
         and query like 'select id%')",
        database.name()
    );
    let mut looks = 0;
    while Postgres::shared().flag(&waiting).await {
        looks += 1;
        assert!(looks < 100, "it was not cancelled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lock.rollback().await.expect("it ends");
    service.serves_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_outlasts_its_statement_breaks_off() {
    let setup = Setup::many(Backend::PgBouncer).subject(POOL, "\"none\"").streaming();
    let service = setup.with("database.statement_timeout = \"2s\"").start().await;
    let mut client = service.client.read_slowly(&subject("")).await;
    client.read(64 * 1024).await;
    tokio::time::sleep(Duration::from_millis(2300)).await;
    let came = client.read_to_end().await.expect_err("the answer breaks off").0;
    assert!(Dataset::of(MANY).body().starts_with(&came));
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    service.serves_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_dropped_half_read_frees_its_server() {
    let setup = Setup::many(Backend::PgBouncer).subject(POOL, "\"none\"").streaming();
    let service = setup.start().await;
    // More often than there are servers.
    for _ in 0..12 {
        let mut client = service.client.read_slowly(&subject("")).await;
        client.read(64 * 1024).await;
        drop(client);
        eventually("the connection came back", || service.gauges().in_use == 0).await;
    }
    assert_eq!(service.subject("limit=3").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_start_up_parameter_says_what_to_set() {
    let database = at(PgBouncer::shared().url(Database::shared(Backend::Postgres, FEW).name()));
    for access in [DIRECT, POOL] {
        let why = Setup::of(&database).subject(access, "\"none\"").refused().await;
        for part in ["startup parameter", "set database.prepared_statements = \"unnamed\""] {
            assert!(why.contains(part), "{part} in {why}");
        }
    }
}

/// PgBouncer can be told to swallow the parameter; then it is the statements that fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_statements_that_get_lost_say_what_to_set_in_the_log_only() {
    let pgbouncer =
        PgBouncer::start("pool_mode = transaction\nignore_startup_parameters = options");
    let database = at(pgbouncer.url(Database::shared(Backend::Postgres, FEW).name()));
    let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
    let mut refused = Vec::new();
    for _ in 0..20 {
        let query = poolwise::query::ProductQuery::default();
        let source = &service.strategy("subject").source;
        let context = Service::context();
        let ask = || source.fetch(&query, &context);
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        refused.extend([a, b, c, d].into_iter().filter_map(Result::err));
        if !refused.is_empty() {
            break;
        }
    }
    let error = refused.first().expect("statements get lost between servers");
    assert_eq!(error.kind(), poolwise::store::ErrorKind::NotPrepared);
    assert!(error.to_string().contains("database.prepared_statements = \"unnamed\""), "{error}");
    let answers = join_all((0..40).map(|_| service.subject("limit=1"))).await;
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "not-prepared"));
        let body = String::from_utf8_lossy(&answer.body).to_lowercase();
        assert!(!body.contains("prepared statement") && !body.contains("unnamed"), "{body}");
    }
}

/// A server for a session is like a server of one's own.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_session_mode_named_statements_work(
    #[values("named", "unnamed")] statements: &str,
    #[values(DIRECT, POOL)] access: &str,
) {
    let settings =
        "pool_mode = session\nignore_startup_parameters = options\ndefault_pool_size = 60";
    let pgbouncer = PgBouncer::start(settings);
    let database = at(pgbouncer.url(Database::shared(Backend::Postgres, FEW).name()));
    let setup = Setup::of(&database).subject(access, "\"none\"");
    let setup = setup.with(&format!("database.prepared_statements = {statements:?}"));
    let service = setup.start().await;
    for answer in join_all((0..12).map(|_| service.subject(""))).await {
        assert!(answer.status == 200 && answer.body == Dataset::of(FEW).body());
    }
}

/// Without a pooler, too, a statement without a name is the same statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unnamed_statements_look_at_the_columns_of_the_first_row() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with("database.prepared_statements = \"unnamed\"");
    let service = setup.subject(POOL, "\"none\"").start().await;
    assert_serves(&service).await;
    let client = connect(&database.url).await;
    let alter = |ty: &str| format!("alter table products alter column stock type {ty} using stock");
    client.batch_execute(&alter("float8")).await.expect("it is the owner's");
    for _ in 0..6 {
        let answer = service.subject("").await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "not-prepared"));
    }
    client.batch_execute(&alter("bigint")).await.expect("it is the owner's");
    assert_serves(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_knows_nobody_of_this_name_is_said_at_start() {
    let port = PgBouncer::shared().port;
    let database = small(&format!("nobody@127.0.0.1:{port}"), "");
    let setup = Setup::of(&database).with("database.prepared_statements = \"unnamed\"");
    let why = setup.refused().await;
    assert!(why.contains("`database.url`") && why.contains("correct the user"), "{why}");
}
