//! Categories with their counts, from memory until a write changes one.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};

use super::Shop;
use super::products::every_backend;
use crate::harness::{Backend, Database, Dataset, FEW, Redis, Service, Setup, unique};

fn counts(categories: &Value) -> BTreeMap<String, u64> {
    let of = |one: &Value| {
        (
            one["category"].as_str().expect("text").to_owned(),
            one["products"].as_u64().expect("count"),
        )
    };
    categories.as_array().expect("an array").iter().map(of).collect()
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_category_has_its_count_at_once(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    let client = shop.service.client;
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for row in &Dataset::of(FEW).0 {
        *expected.entry(row.category.clone()).or_default() += 1;
    }
    let first = client.get("/categories").await;
    assert_eq!(counts(&first.json()), expected);
    let same = client.get_with("/categories", &[("if-none-match", first.header("etag"))]).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));

    let old = shop.product(1).await.json()["category"].as_str().expect("text").to_owned();
    let moved = shop.patch(1, "*", &json!({ "category": "Ämter 😀" })).await;
    assert_eq!(moved.status, 200);
    *expected.get_mut(&old).expect("it has some") -= 1;
    expected.insert("Ämter 😀".into(), 1);
    assert_eq!(counts(&client.get("/categories").await.json()), expected);
    let gone = shop.ask(Method::DELETE, "/products/1", &[("if-match", "*")], "").await;
    assert_eq!(gone.status, 204);
    expected.remove("Ämter 😀");
    assert_eq!(counts(&client.get("/categories").await.json()), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_counted_once_until_they_are_too_old() {
    for (ttl, counted) in [("1h", 1), ("1us", 5)] {
        let toml = format!("cache.categories_ttl = \"{ttl}\"");
        let shop = Shop::over(Database::scratch(Backend::Sqlite, FEW).await, &toml).await;
        let asked = || shop.service.strategy("pooled").meter.access.wait.total();
        let mut before = None;
        // What follows a sign-in, that old ones are forgotten, is soon over.
        while before != Some(asked()) {
            before = Some(asked());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let before = asked();
        for _ in 0..5 {
            assert_eq!(shop.service.client.get("/categories").await.status, 200);
        }
        assert_eq!(asked() - before, counted, "{ttl}");
        // Not what a stock is.
        shop.restock(1, 77).await;
        let before = asked();
        shop.service.client.get("/categories").await;
        assert_eq!(asked() - before, counted / 5, "{ttl}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_sees_a_change_at_once() {
    let redis = Redis::start();
    let (url, prefix) = (redis.url(), unique("shops"));
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let replicas = async |timeout: &str| {
        let toml = format!(
            "cache = {{ redis_url = \"{url}\", redis_timeout = \"{timeout}\", \
             redis_connect_timeout = \"{timeout}\", key_prefix = \"{prefix}:\" }}\n\
             strategies.subject = {{ access = \"pool\", cache = \"redis\" }}"
        );
        let other = Setup::of(&database).with(&toml).start().await;
        (other, Shop::over(database.clone(), &toml).await)
    };
    let of = async |service: &Service| counts(&service.client.get("/categories").await.json());
    let (other, shop) = replicas("20s").await;
    let asked = || other.strategy("pooled").meter.access.wait.total();
    let mut expected = of(&other).await;
    for round in 1..=5 {
        let before = asked();
        assert_eq!(of(&other).await, expected);
        assert_eq!(asked(), before, "it is kept");
        let product = json!({
            "sku": unique("NEW-"), "name": "New", "category": "new", "price": 1, "stock": 1,
        });
        assert_eq!(shop.post("/products", &product).await.status, 201);
        *expected.entry("new".into()).or_default() += 1;
        assert_eq!(of(&other).await, expected, "round {round}");
    }
    // Others, that are soon done with waiting for a Redis that is frozen.
    let (other, shop) = replicas("2s").await;
    for _ in 0..2 {
        assert_eq!(of(&other).await, expected);
    }
    redis.process.signal("STOP");
    let product = json!({ "sku": "X", "name": "X", "category": "new", "price": 1, "stock": 1 });
    assert_eq!(shop.post("/products", &product).await.status, 201);
    *expected.entry("new".into()).or_default() += 1;
    assert_eq!(of(&other).await, expected, "whoever cannot ask counts");
    redis.process.signal("CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_do_not_hear_of_each_other_keep_nothing() {
    let replicas =
        "server.replicas = 2\nstrategies.cached = { access = \"pool\", cache = \"none\" }";
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let service = Setup::of(&database).with(replicas).start().await;
    let asked = || service.strategy("pooled").meter.access.wait.total();
    let before = asked();
    for _ in 0..3 {
        service.client.get("/categories").await;
    }
    assert_eq!(asked() - before, 3);
}
