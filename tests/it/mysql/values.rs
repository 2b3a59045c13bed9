//! Bytes: those of the encoder, whatever the way, and exactly what was put in.

use poolwise::query::ProductQuery;
use rstest::rstest;

use super::{DIRECT, POOL};
use crate::harness::{Backend, Database, Dataset, FEW, Filter, MANY, MariaDb, Service, Setup};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_are_the_encoders(
    #[values(DIRECT, POOL)] access: &str,
    #[values(true, false)] buffered: bool,
    #[values(FEW, MANY)] rows: u64,
) {
    let setup = Setup::of(&Database::shared(Backend::MariaDb, rows)).subject(access, "\"none\"");
    let setup = if buffered { setup.buffering() } else { setup.streaming() };
    let service = setup.start().await;
    let page = Filter { category: Some("books"), in_stock: Some(true), ..Filter::default() };
    let page = Filter { min_cents: Some(30_000), offset: Some(3), ..page };
    for filter in [Filter::default(), page, Filter { after: Some(1_500), ..page }] {
        let filter =
            if filter.after.is_some() { Filter { offset: None, ..filter } } else { filter };
        let answer = service.subject(&filter.query()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers.contains_key("content-length"), buffered);
        assert!(answer.body == Dataset::of(rows).answer(&filter), "{filter:?} differs");
    }
}

/// What is put in, and what comes out.
const BY_HAND: [[&str; 4]; 5] = [
    ["'a'", "-12345678.99", "'1000-01-01 00:00:00'", "1000-01-01T00:00:00.000000Z"],
    ["'b'", "0.00", "'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999Z"],
    ["'c \"q\" \\\\ é 🚀'", "-0.01", "'1970-01-01 00:00:00.000001'", "1970-01-01T00:00:00.000001Z"],
    ["'d'", "99999999.99", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999Z"],
    ["''", "1234.5", "'2024-02-29 12:34:56.7'", "2024-02-29T12:34:56.700000Z"],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amounts_and_instants_are_exact() {
    let database = Database::scratch(Backend::MariaDb, FEW).await;
    let name = database.name();
    let run = async |sql: &str| MariaDb::shared().run(name, sql).await;
    run("delete from products").await;
    // Whatever zone a client is in: what is stored is UTC.
    for (id, [text, price, at, _]) in BY_HAND.iter().enumerate() {
        let id = id as i64 - 2;
        run(&format!(
            "insert into products values ({id}, '{id}', {text}, 'hand', {price}, -7, {at}, {at})"
        ))
        .await;
    }
    // 0 would mean the next number.
    run("set sql_mode = 'NO_AUTO_VALUE_ON_ZERO'").await;
    let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
    let answer = service.subject("").await;
    let body = String::from_utf8(answer.body.to_vec()).expect("it is JSON");
    for [_, price, _, at] in BY_HAND {
        let price = if price == "1234.5" { "1234.50" } else { price };
        let row = format!(
            "\"category\":\"hand\",\"price\":{price},\"stock\":-7,\"created_at\":\"{at}\",\"updated_at\":\"{at}\""
        );
        assert!(body.contains(&row), "{row} in {body}");
    }
    let names: Vec<_> = answer.json().as_array().expect("a list").to_vec();
    assert!(names.iter().any(|row| row["name"] == "c \"q\" \\ é 🚀"), "{names:?}");
    assert_eq!(names.len(), BY_HAND.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trailing_blank_and_the_case_of_a_letter_count() {
    let service = Setup::few(Backend::MariaDb).subject(POOL, "\"none\"").start().await;
    for category in ["books%20", "Books", "b%C3%B6oks"] {
        let answer = service.subject(&format!("category={category}")).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"[]"[..]), "{category}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_cannot_be_read_names_its_column_in_the_log_only() {
    let database = Database::scratch(Backend::MariaDb, FEW).await;
    let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
    let set = async |value: &str| {
        let sql = format!("update products set created_at = '{value}' where id = 7");
        MariaDb::shared().run(database.name(), &sql).await;
    };
    set("0000-00-00").await;
    let answer = service.subject("").await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (500, "internal"));
    let source = service.strategy("subject").source.clone();
    let failed = source.fetch(&ProductQuery::default(), &Service::context()).await.err();
    let failed = failed.expect("the row cannot be read").to_string();
    assert!(failed.contains("products.created_at"), "{failed}");
    set("2024-01-01").await;
    assert_eq!(service.subject("").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_serves_the_same() {
    let shared = Database::shared(Backend::MariaDb, FEW);
    let server = MariaDb::shared();
    let url = shared.url.replace(&format!("127.0.0.1:{}", server.port), "localhost");
    let url = format!("{url}?socket={}", server.socket);
    let by_socket = Database { backend: Backend::MariaDb, url };
    let service = Setup::of(&by_socket).subject(DIRECT, "\"none\"").start().await;
    assert!(service.subject("").await.body == Dataset::of(FEW).body());
}
