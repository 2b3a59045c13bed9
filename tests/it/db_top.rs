//! `poolwise db`: tables for a newer version; what each kind of database says of its load, and what to do where it says nothing.

use rstest::rstest;

use crate::command::outcome;
use crate::config::file;
use crate::faults::run;
use crate::harness::{Backend, Database, FEW, Postgres, Setup};

/// What the command prints.
fn top(database: &Database, backend: &str) -> String {
    let text = format!("database.backend = {backend:?}\ndatabase.url = \"{}\"\n", database.url);
    let path = file(&text);
    let (code, out, error) = outcome(&["db", "top", "--config", path.to_str().expect("UTF-8")]);
    assert_eq!((code, &*error), (0, ""), "{out}");
    out
}

/// The line of a table with this word in it.
fn line<'a>(out: &'a str, word: &str) -> &'a str {
    let found = out.lines().find(|line| line.contains(word));
    found.unwrap_or_else(|| panic!("no line with {word:?} in {out}"))
}

/// Of each statement, whether it is marked, and its mean in ms.
fn marks(out: &str) -> Vec<(bool, f64)> {
    let rows = out.lines().filter(|line| line.matches('┆').count() == 6);
    let cells = rows.map(|row| row.split(['│', '┆']).map(str::trim).collect::<Vec<_>>());
    cells.filter_map(|cells| Some((cells[1] == "!", cells[2].parse().ok()?))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_shows_its_slowest_statements_and_marks_those_over_100_ms() {
    let server = Postgres::counting_statements();
    let database = Database::on(&server, FEW).await;
    let client = server.client(database.name()).await;
    for statement in ["create extension pg_stat_statements", "select pg_sleep(0.2)"] {
        client.batch_execute(statement).await.expect(statement);
    }
    let out = top(&database, "postgres");
    assert!(line(&out, "select pg_sleep").contains('!'), "{out}");
    let means = marks(&out);
    assert!(means.len() >= 2, "{out}");
    assert!(means.is_sorted_by(|(_, a), (_, b)| a >= b), "the slowest come first: {out}");
    // What is shown is rounded.
    assert!(means.iter().all(|(marked, ms)| *marked == (*ms > 100.0) || *ms == 100.0), "{out}");
    assert!(line(&out, "│ products ").contains("KiB"), "{out}");
    line(&out, "idle");
    line(&out, "active");
    drop(client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_without_the_extension_says_how_to_have_it() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let out = top(&database, "postgres");
    assert!(out.contains("create extension pg_stat_statements;"), "{out}");
    assert!(out.contains("shared_preload_libraries"), "{out}");
    line(&out, "│ products ");
    // Made, but the server was not started with it.
    let client = Postgres::shared().client(database.name()).await;
    client
        .batch_execute("create schema x; create extension pg_stat_statements schema x")
        .await
        .unwrap();
    let out = top(&database, "postgres");
    assert!(!out.contains("create extension"), "{out}");
    assert!(out.contains("alter system set shared_preload_libraries"), "{out}");
}

#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_shows_its_slowest_statements_or_says_how_to_count_them() {
    use crate::harness::MariaDb;
    let off = Database::shared(Backend::MariaDb, FEW);
    let out = top(&off, "mysql");
    assert!(out.contains("performance_schema = ON"), "{out}");
    line(&out, "│ products ");
    let server = MariaDb::start_with(&[
        "--performance-schema=ON",
        "--performance-schema-instrument=statement/%=ON",
        "--performance-schema-consumer-statements-digest=ON",
    ]);
    let database = Database::on_mariadb(&server, FEW).await;
    let out = top(&database, "mysql");
    assert!(out.contains("grant select on performance_schema.*"), "{out}");
    let grant = "grant select on performance_schema.* to poolwise@'127.0.0.1'";
    server.run("mysql", grant).await;
    let out = top(&database, "mysql");
    assert!(marks(&out).len() >= 2, "what filled the table was counted: {out}");
    line(&out, "│ products ");
    line(&out, "query");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_shows_its_tables_and_says_what_it_does_not_know() {
    let out = top(&Database::shared(Backend::Sqlite, FEW), "sqlite");
    assert!(out.contains("SQLite counts no statements"), "{out}");
    assert!(line(&out, "│ products ").contains("KiB"), "{out}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_a_newer_version_wants_are_added_beside_the_products(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
) {
    if backend.is_absent() {
        return;
    }
    const LATER: [&str; 5] = ["idempotency_keys", "order_lines", "orders", "sign_ins", "users"];
    let database = Database::scratch(backend, FEW).await;
    for table in LATER {
        run(&database, &format!("drop table {table}")).await;
    }
    run(&database, "delete from poolwise_migrations where version > 2").await;
    let kind = backend.name();
    let text = format!("database.backend = {kind:?}\ndatabase.url = \"{}\"\n", database.url);
    let path = file(&text);
    let arguments = ["db", "migrate", "--config", path.to_str().expect("UTF-8")];
    for expected in ["2 migrations applied", "nothing to do"] {
        let (code, out, error) = outcome(&arguments);
        assert_eq!(code, 0, "{error}");
        assert!(out.contains(expected), "{out}");
    }
    let service = Setup::of(&database).start().await;
    let token = service.sign_in().await;
    let headers = [("authorization", &*format!("Bearer {token}"))];
    assert_eq!(service.client.get_with("/orders", &headers).await.status, 200);
    let products = service.client.get("/products/pooled").await.json();
    assert_eq!(products.as_array().map(Vec::len), Some(FEW as usize));
}
