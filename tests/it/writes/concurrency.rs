//! Many write at once, and nothing is lost or sold twice.

use futures_util::future::join_all;
use hyper::Method;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::json;

use super::products::every_backend;
use super::{Shop, order};
use crate::harness::Backend;

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    const CLIENTS: i64 = 20;
    const TURNS: i64 = 3;
    let shop = Shop::open(backend).await;
    let before = shop.stock(1).await;
    let client = || async {
        for _ in 0..TURNS {
            loop {
                let known = shop.product(1).await;
                let stock = known.json()["stock"].as_i64().expect("a number") + 1;
                let answer = shop.patch(1, known.header("etag"), &json!({ "stock": stock })).await;
                match answer.status.as_u16() {
                    200 => break,
                    412 => {}
                    _ => panic!("{answer:?}"),
                }
            }
        }
    };
    join_all((0..CLIENTS).map(|_| client())).await;
    assert_eq!(shop.stock(1).await, before + CLIENTS * TURNS);
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sold_twice(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    shop.restock(1, 100).await;
    let wanted = order(&[(1, 3)]);
    let answers = join_all((0..100).map(|_| shop.post("/orders", &wanted))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(
        (count(201), count(409)),
        (33, 67),
        "{:?}",
        answers.iter().find(|a| a.status.is_server_error())
    );
    assert_eq!(shop.stock(1).await, 1);
    assert_eq!(shop.get("/orders?limit=100").await.json().as_array().map(Vec::len), Some(33));
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_the_same_products_in_any_order_all_get_through(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    for id in 1..=4 {
        shop.restock(id, 100).await;
    }
    let ways = [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3]];
    let orders: Vec<_> = (0..30).map(|n| order(&ways[n % 3].map(|id| (id, 1)))).collect();
    let answers = join_all(orders.iter().map(|order| shop.post("/orders", order))).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    for id in 1..=4 {
        assert_eq!(shop.stock(id).await, 70);
    }
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_change_and_a_deletion_of_the_same_product_one_takes_place(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    for id in 1..=10 {
        let tag = shop.product(id).await.header("etag").to_owned();
        let (path, headers) = (format!("/products/{id}"), [("if-match", &*tag)]);
        let change = json!({ "stock": 123_456 });
        let (changed, deleted) = tokio::join!(
            shop.patch(id, &tag, &change),
            shop.ask(Method::DELETE, &path, &headers, ""),
        );
        let left = shop.service.client.get(&path).await;
        match (changed.status.as_u16(), deleted.status.as_u16()) {
            (200, 412) => assert_eq!(left.body, changed.body),
            (404, 204) => assert_eq!(left.status, 404),
            other => panic!("{other:?}"),
        }
    }
}
