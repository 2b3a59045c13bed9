//! One message at start-up that names the key and says what to do; a status and no detail later.

use rstest::rstest;

use super::at;
use crate::command::outcome;
use crate::config::file;
use crate::harness::{Backend, Database, FEW, Postgres, SIGNING_KEY, Setup, connect};

/// What `poolwise serve` says of a database.
fn serving(toml: &str) -> String {
    let config = file(&format!(
        "{toml}\nlog.level = \"error\"\nserver.listen = \"127.0.0.1:0\"\n\
         auth.signing_key = \"{SIGNING_KEY}\""
    ));
    let (code, out, error) = outcome(&["serve", "--config", config.to_str().expect("UTF-8")]);
    assert_eq!((code != 0, &*out), (true, ""), "it serves");
    assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{error}");
    assert!(!error.contains("geheim") && !error.contains("falsch"), "{error}");
    error
}

fn postgres(url: &str) -> String {
    format!("database = {{ backend = \"postgres\", url = \"{url}\" }}")
}

#[test]
fn each_fault_is_said_once_with_its_key_and_what_to_do() {
    let port = Postgres::shared().port;
    let name = Database::shared(Backend::Postgres, FEW).name().to_owned();
    let cases: [(String, &[&str]); 8] = [
        (
            postgres(&format!("postgres://guarded:falsch@127.0.0.1:{port}/{name}")),
            &[
                "`database.url`",
                "password authentication failed",
                "correct the user and the password",
            ],
        ),
        (
            postgres(&format!("postgres://guarded@127.0.0.1:{port}/{name}")),
            &["`database.url`", "asks for a password", "database.password_file"],
        ),
        (
            postgres(&format!("postgres://nobody:geheim@127.0.0.1:{port}/{name}")),
            &["`database.url`", "\"nobody\" does not exist", "correct the user"],
        ),
        (
            postgres(&format!("postgres://poolwise@127.0.0.1:{port}/nowhere")),
            &["`database.url`", "\"nowhere\" does not exist", "createdb"],
        ),
        (
            postgres(&format!("postgres://poolwise@127.0.0.1:{port}/postgres")),
            &["`database.url`", "no table `products`", "poolwise seed"],
        ),
        (
            postgres("mysql://poolwise:geheim@127.0.0.1/poolwise"),
            &["`database.url`", "does not start with \"postgres://\"", "`database.backend`"],
        ),
        (
            postgres(&format!(
                "postgres://poolwise@127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert={}",
                crate::harness::Authority::new("Somebody Else").file.display()
            )),
            &["`database.url`", "does not verify", "sslmode=verify-full", "set sslrootcert"],
        ),
        (
            format!(
                "{}\nstrategies.far = {{ database_url = \"postgres://guarded:falsch@127.0.0.1:{port}/{name}\" }}",
                postgres(&format!("postgres://poolwise@127.0.0.1:{port}/{name}"))
            ),
            &["`strategies.far.database_url`", "password authentication failed"],
        ),
    ];
    for (toml, parts) in cases {
        let error = serving(&toml);
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[rstest]
#[case(
    "alter table products alter column price type float8",
    "column price is of type double precision, not numeric"
)]
#[case("alter table products drop column stock", "column stock is missing")]
#[case(
    "alter table products alter column created_at type timestamp",
    "created_at is of type timestamp without time zone"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_another_shape_is_told_column_by_column(
    #[case] alter: &str,
    #[case] says: &str,
    #[values(Backend::Postgres, Backend::PgBouncer)] backend: Backend,
) {
    let database = Database::scratch(backend, FEW).await;
    let service = Setup::of(&database).subject("\"pool\"", "\"none\"").start().await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    connect(&database.url).await.batch_execute(alter).await.expect(alter);
    let why = Setup::of(&database).refused().await;
    for part in ["`database.url`", says, "poolwise seed"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    // Whoever runs already answers with a status and no detail.
    for query in ["limit=2", "limit=2", "category=books", "min_price=3"] {
        let answer = service.subject(query).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "not-prepared"), "{query}");
        let body = String::from_utf8_lossy(&answer.body).to_lowercase();
        for word in ["column", "price", "stock", "created_at", "postgres", "select"] {
            assert!(!body.contains(word), "{word} in {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_named() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let client = connect(&database.url).await;
    let role = database.name();
    client.batch_execute(&format!("create role {role} login")).await.expect("a superuser may");
    let authority = format!("{role}@127.0.0.1:{}", Postgres::shared().port);
    let theirs = at(format!("postgres://{authority}/{role}"));
    let why = Setup::of(&theirs).refused().await;
    assert!(why.contains("`database.url`") && why.contains("grant select on products"), "{why}");
    client.batch_execute(&format!("grant select on products to {role}")).await.expect("it may");
    let service = Setup::of(&theirs).subject("\"pool\"", "\"none\"").start().await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    client.batch_execute(&format!("revoke select on products from {role}")).await.expect("it may");
    let answer = service.subject("limit=2").await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "unreachable"));
}

/// A password that is changed while the service runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_changed_is_no_detail_for_the_client() {
    // The one user who is asked for a password.
    let (role, server) = ("guarded", Postgres::start());
    let database = Database::on(&server, FEW).await;
    let make = "create role guarded login password 'geheim'; grant pg_read_all_data to guarded";
    server.run(make).await;
    let authority = format!("{role}:geheim@127.0.0.1:{}", server.port);
    let theirs = at(format!("postgres://{authority}/{}", database.name()));
    let service = Setup::of(&theirs).subject("\"direct\"", "\"none\"").start().await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    server.run(&format!("alter role {role} password 'anders'")).await;
    let answer = service.subject("limit=2").await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "unreachable"));
    let body = String::from_utf8_lossy(&answer.body).to_lowercase();
    assert!(!body.contains("password") && !body.contains(role), "{body}");
}

#[test]
fn keys_that_mean_nothing_to_the_backend_are_refused() {
    for (toml, says) in [
        (
            "database.prepared_statements = \"unnamed\"",
            "`database.prepared_statements` means nothing",
        ),
        ("database.sslmode = \"require\"", "`database.sslmode` means nothing to SQLite"),
        (
            "database = { backend = \"postgres\", host = \"h\", sslmode = \"allow\" }",
            "`database.sslmode`",
        ),
        (
            "database = { backend = \"postgres\", url = \"postgres://h/d\", sslmode = \"require\" }",
            "`database.url` and `database.sslmode` are both set",
        ),
        (
            "database = { backend = \"postgres\", host = \"h\", sslmode = \"require\", sslrootcert = \"/nowhere/ca.pem\" }",
            "`database.host`: sslrootcert: /nowhere/ca.pem cannot be read",
        ),
    ] {
        let error = serving(toml);
        assert!(error.contains(says), "{says} in {error}");
    }
    // Parts become the same URL.
    let parts =
        "host = \"a, b:5433,[::1],/run/pg\", sslmode = \"require\", user = \"u\", name = \"d\"";
    let config = Setup::of_server("postgres").with(&format!("database = {{ {parts} }}")).config();
    assert_eq!(
        config.database.url.expose(),
        "postgres://u@a:5432,b:5433,[::1]:5432,%2Frun%2Fpg:5432/d?sslmode=require"
    );
}
