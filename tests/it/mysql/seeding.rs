//! Loading: by the command, by several at once, and by one that is killed on the way.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::number;
use crate::config::file;
use crate::harness::{Backend, Database, Dataset, FEW, MariaDb, Setup, unique};

/// An empty database, and the command over it.
struct Seeding {
    database: Database,
    config: PathBuf,
}

impl Seeding {
    async fn on(server: &MariaDb) -> Self {
        let url = server.create(&unique("products")).await;
        let config = file(&format!("database = {{ backend = \"mysql\", url = \"{url}\" }}"));
        Self { database: Database { backend: Backend::MariaDb, url }, config }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_poolwise"));
        command.arg("seed").arg("--config").arg(&self.config).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        said(self.start(arguments).wait_with_output().expect("it ends"))
    }
}

/// The exit code and all that was said.
fn said(output: Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("it was not killed");
    (code, String::from_utf8(text).expect("it speaks UTF-8"))
}

async fn rows(conn: &mut Conn) -> u64 {
    number(conn, "select count(*) from products").await
}

/// Every table, in order.
async fn tables(conn: &mut Conn) -> Vec<String> {
    conn.query("show tables").await.expect("they are listed")
}

const TABLES: [&str; 7] = [
    "idempotency_keys",
    "order_lines",
    "orders",
    "poolwise_migrations",
    "products",
    "sign_ins",
    "users",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_never_goes_over_existing_rows() {
    let seeding = Seeding::on(MariaDb::shared()).await;
    let mut conn = super::root(&seeding.database).await;
    let sum = "select cast(sum(price) * 100 as unsigned) from products";
    let (code, out) = seeding.run(&["--rows", "40"]);
    assert!(code == 0 && out.starts_with("40 products"), "{out}");
    let first = number(&mut conn, sum).await;
    let (code, error) = seeding.run(&["--rows", "40", "--seed", "7"]);
    assert!(code == 1 && error.contains("--reset"), "{error}");
    assert_eq!(number(&mut conn, sum).await, first);
    let (code, out) = seeding.run(&["--rows", "60", "--seed", "7", "--reset"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(rows(&mut conn).await, 60);
    assert_ne!(number(&mut conn, sum).await, first);
    assert_eq!(tables(&mut conn).await, TABLES);
    conn.query_drop("insert into products values (null, 'next', '', '', 1, 1, now(), now())")
        .await
        .expect("the next number is free");
    assert_eq!(number(&mut conn, "select max(id) from products").await, 61);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_seed_at_once_one_loads() {
    let seeding = Seeding::on(MariaDb::shared()).await;
    let all: Vec<Child> = (0..3).map(|_| seeding.start(&["--rows", "5000"])).collect();
    let ended = all.into_iter().map(|child| said(child.wait_with_output().expect("it ends")));
    let ended: Vec<_> = ended.collect();
    let loaded = ended.iter().filter(|(_, text)| text.starts_with("5000 products")).count();
    assert_eq!(loaded, 1, "{ended:?}");
    assert!(ended.iter().all(|(_, text)| !text.contains("ERROR")), "{ended:?}");
    let mut conn = super::root(&seeding.database).await;
    assert_eq!(rows(&mut conn).await, 5000);
    assert_eq!(tables(&mut conn).await, TABLES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_that_is_killed_leaves_what_was_there() {
    let seeding = Seeding::on(MariaDb::shared()).await;
    let mut conn = super::root(&seeding.database).await;
    assert_eq!(seeding.run(&["--rows", "40"]).0, 0);
    let mut killed = seeding.start(&["--rows", "5000000", "--reset"]);
    let name = seeding.database.name();
    let loading = format!(
        "select count(*) from information_schema.processlist where db = '{name}' \
         and info like 'load data%' and time_ms > 300"
    );
    let deadline = Instant::now() + Duration::from_secs(30);
    while number(&mut conn, &loading).await == 0 {
        assert!(Instant::now() < deadline, "it never loads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");
    assert_eq!(rows(&mut conn).await, 40);
    // The next one waits until the server has noticed.
    let (code, out) = seeding.run(&["--rows", "60", "--reset"]);
    assert!(code == 0 && out.starts_with("60 products"), "{out}");
    assert_eq!(rows(&mut conn).await, 60);
    assert_eq!(tables(&mut conn).await, TABLES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_local_files_is_filled_by_statements() {
    let server = MariaDb::start_with(&["--local-infile=0", "--max-allowed-packet=64K"]);
    let database = Database::on_mariadb(&server, FEW).await;
    let service = Setup::of(&database).subject(super::POOL, "\"none\"").start().await;
    assert!(service.subject("").await.body == Dataset::of(FEW).body());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_ran_and_was_not_noted_runs_again() {
    let seeding = Seeding::on(MariaDb::shared()).await;
    let mut conn = super::root(&seeding.database).await;
    assert_eq!(seeding.run(&["--rows", "40"]).0, 0);
    conn.query_drop("delete from poolwise_migrations").await.expect("nobody holds it");
    let (code, text) = seeding.run(&["--rows", "40"]);
    assert!(code == 1 && text.contains("--reset"), "{text}");
    assert_eq!(number(&mut conn, "select max(version) from poolwise_migrations").await, 4);
}
