//! Orders are placed and read.

use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};

use super::products::every_backend;
use super::{Shop, order, refused};
use crate::harness::Backend;

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_takes_stock_and_keeps_what_was_ordered(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    for (id, price) in [(3, "0.07"), (9, "19.99")] {
        let answer = shop.patch(id, "*", &json!({ "stock": 100, "price": price })).await;
        assert_eq!(answer.status, 200);
    }
    let before = shop.product(9).await;
    let placed = shop.post("/orders", &order(&[(9, 3), (3, 100)])).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let body = String::from_utf8(placed.body.to_vec()).expect("UTF-8");
    assert!(body.contains("\"total\":66.97,"), "{body}");
    let found = placed.json();
    assert_eq!(placed.header("location"), format!("/orders/{}", found["id"]));
    for (line, id, quantity) in [(0, 9, 3), (1, 3, 100)] {
        let product = shop.product(id).await.json();
        let line = &found["lines"][line];
        for same in ["sku", "name", "price"] {
            assert_eq!(line[same], product[same]);
        }
        assert_eq!((&line["product_id"], &line["quantity"]), (&id.into(), &quantity.into()));
    }
    assert_eq!((shop.stock(9).await, shop.stock(3).await), (97, 0));
    assert_ne!(shop.product(9).await.header("etag"), before.header("etag"));
    // It outlives its products.
    let gone = shop.ask(hyper::Method::DELETE, "/products/9", &[("if-match", "*")], "").await;
    assert_eq!(gone.status, 204);
    let read = shop.get(placed.header("location")).await;
    assert_eq!((&read.body, read.header("etag")), (&placed.body, placed.header("etag")));
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_cannot_be_is_refused_whole(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    for (id, stock) in [(1, 10), (2, 1), (3, 0)] {
        shop.restock(id, stock).await;
    }
    let short = shop.post("/orders", &order(&[(1, 5), (2, 2), (3, 1)])).await;
    assert_eq!(refused(&short), (409, "not-enough".into()));
    let expected = json!([
        { "product_id": 2, "asked": 2, "available": 1 },
        { "product_id": 3, "asked": 1, "available": 0 },
    ]);
    assert_eq!(short.json()["products"], expected);
    let unknown = shop.post("/orders", &order(&[(1, 5), (999_999, 1)])).await;
    assert_eq!(refused(&unknown), (422, "unknown-product".into()));
    assert!(unknown.json()["detail"].as_str().unwrap().contains("999999"));
    let dear = shop.patch(4, "*", &json!({ "price": "99999999.99", "stock": 1_000_000 })).await;
    assert_eq!(dear.status, 200);
    let large = shop.post("/orders", &order(&[(4, 1_000_000)])).await;
    assert_eq!(refused(&large), (422, "total-too-large".into()));
    assert_eq!((shop.stock(1).await, shop.stock(4).await), (10, 1_000_000));
    assert_eq!(shop.get("/orders").await.json(), json!([]));
    let most = shop.post("/orders", &order(&[(4, 1000)])).await;
    let body = String::from_utf8(most.body.to_vec()).expect("UTF-8");
    assert!(body.contains("\"total\":99999999990.00,"), "{body}");
    assert_eq!(shop.get(most.header("location")).await.body, most.body);
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_listed_page_by_page_for_their_user_only(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    shop.restock(1, 1000).await;
    shop.restock(2, 1000).await;
    let mut placed = Vec::new();
    for n in 1..=7 {
        let answer = shop.post("/orders", &order(&[(1, n), (2, 1)])).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        placed.push(answer.json());
    }
    let mut found = Vec::new();
    let mut path = "/orders?limit=3".to_owned();
    loop {
        let page = shop.get(&path).await.json();
        let Value::Array(page) = page else { panic!("{page}") };
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        path = format!("/orders?limit=3&after={}", last["id"]);
        found.extend(page);
    }
    placed.reverse();
    assert_eq!(found.len(), placed.len());
    for (found, placed) in found.iter().zip(&placed) {
        for same in ["id", "created_at", "total"] {
            assert_eq!(found[same], placed[same]);
        }
        assert_eq!(found["line_count"], 2);
    }
    let theirs = format!("/orders/{}", placed[0]["id"]);
    let token = shop.service.sign_in().await;
    let other = Shop { token, ..shop };
    assert_eq!(refused(&other.get(&theirs).await), (404, "not-found".into()));
    assert_eq!(other.get("/orders").await.json(), json!([]));
    let after = format!("/orders?after={}", placed[0]["id"]);
    assert_eq!(other.get(&after).await.json(), json!([]));
}
