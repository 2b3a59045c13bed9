//! A repeated request gets the answer of the first and does nothing.

use std::time::Duration;

use futures_util::future::join_all;
use poolwise::store::write::Catalogue;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::json;

use super::products::every_backend;
use super::{Shop, lamp, order, refused};
use crate::harness::{Backend, Service, unique};

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_gets_the_first_answer(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    shop.restock(7, 10).await;
    let batch = json!([lamp(), lamp()]);
    for (path, body) in
        [("/products", lamp()), ("/products/batch", batch), ("/orders", order(&[(7, 4)]))]
    {
        let key = unique("key");
        let first = shop.post_as(&key, path, &body).await;
        assert_eq!(first.status, 201, "{first:?}");
        // Whatever becomes of it meanwhile.
        if path == "/products" {
            let id = first.json()["id"].as_i64().expect("a number");
            shop.restock(id, 99).await;
        }
        for key in [key.clone(), format!("\"{key}\"")] {
            let again = shop.post_as(&key, path, &body).await;
            assert_eq!((again.status, &again.body), (first.status, &first.body));
            for header in ["location", "etag"] {
                assert_eq!(again.header(header), first.header(header));
            }
        }
        let other = match path {
            "/products" => lamp(),
            "/orders" => order(&[(1, 1)]),
            _ => json!([lamp()]),
        };
        let reused = shop.post_as(&key, path, &other).await;
        assert_eq!(refused(&reused), (422, "key-reused".into()));
        let elsewhere = if path == "/orders" { "/products" } else { "/orders" };
        let there = if path == "/orders" { lamp() } else { order(&[(7, 1)]) };
        assert_eq!(shop.post_as(&key, elsewhere, &there).await.status, 422);
    }
    assert_eq!(shop.stock(7).await, 6, "it was taken once");
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_requests_with_one_key_at_once_one_does_something(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    shop.restock(7, 5).await;
    let key = unique("key");
    let wanted = order(&[(7, 5)]);
    let answers = join_all((0..10).map(|_| shop.post_as(&key, "/orders", &wanted))).await;
    let first = &answers[0];
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), &answer.body), (201, &first.body), "{answer:?}");
    }
    assert_eq!(shop.stock(7).await, 0);
    let product = lamp();
    let answers = join_all((0..10).map(|_| shop.post_as("p", "/products", &product))).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_belongs_to_its_user_and_to_what_took_place() {
    let shop = Shop::open(Backend::Sqlite).await;
    shop.restock(7, 1).await;
    let wanted = order(&[(7, 2)]);
    assert_eq!(refused(&shop.post_as("k", "/orders", &wanted).await), (409, "not-enough".into()));
    shop.restock(7, 5).await;
    let placed = shop.post_as("k", "/orders", &wanted).await;
    assert_eq!(placed.status, 201, "what was refused may be tried again");
    let token = shop.service.sign_in().await;
    let other = Shop { token, ..shop };
    let theirs = other.post_as("k", "/orders", &wanted).await;
    assert_eq!(theirs.status, 201);
    assert_ne!(theirs.body, placed.body);
    assert_eq!(other.stock(7).await, 1);
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_keys_are_forgotten(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    shop.restock(7, 9).await;
    let wanted = order(&[(7, 2)]);
    let first = shop.post_as("k", "/orders", &wanted).await;
    let state = &shop.service.state;
    let catalogue = Catalogue::of(state.strategies.load().writer(), &state.versions);
    let context = Service::context();
    let forgotten = catalogue.forget_keys(Duration::from_secs(3600), &context).await;
    assert_eq!(forgotten.expect("it may"), 0);
    assert_eq!(shop.post_as("k", "/orders", &wanted).await.body, first.body, "it is not old");
    let forgotten = catalogue.forget_keys(Duration::ZERO, &context).await;
    assert_eq!(forgotten.expect("it may"), 1);
    let second = shop.post_as("k", "/orders", &wanted).await;
    assert_eq!(second.status, 201);
    assert_ne!(second.body, first.body);
}
