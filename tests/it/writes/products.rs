//! Products are made, replaced, changed and deleted.

use hyper::Method;
use rstest::rstest;
use rstest_reuse::{apply, template};
use serde_json::json;

use super::{Shop, lamp, refused};
use crate::harness::{Backend, unique};

#[template]
#[rstest]
pub fn every_backend(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
) {
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_is_made_is_read_in_the_same_bytes(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    let sku = unique("Ä-\u{1F4A1}");
    let body = format!(
        r#"{{"sku":"{sku} ","name":"a\u0001\"\\ü\ud83d\ude00  ","category":"läden ","price":"99999999.9","stock":2147483647}}"#
    );
    let made = shop.ask(Method::POST, "/products", &[], body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = made.header("location").to_owned();
    let read = shop.service.client.get(&path).await;
    assert_eq!((&read.body, read.header("etag")), (&made.body, made.header("etag")));
    let text = String::from_utf8(made.body.to_vec()).expect("UTF-8");
    for part in [r#""price":99999999.90,"#, r#"\u0001\"\\ü😀  ""#, &format!(r#""{sku} ""#)] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let product = made.json();
    assert_eq!(product["created_at"], product["updated_at"]);
    assert_eq!(path, format!("/products/{}", product["id"]));
    let same = json!({
        "sku": format!("{sku} "), "name": "x", "category": "x", "price": 0, "stock": 0,
    });
    let taken = shop.post("/products", &same).await;
    assert_eq!(refused(&taken), (409, "taken".into()));
    assert_eq!(taken.json()["errors"][0]["pointer"], "/sku");
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_knows_a_product_changes_it(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    let old = shop.product(1).await;
    let tag = old.header("etag").to_owned();
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let body = lamp().to_string();
        let missing = shop.ask(method.clone(), "/products/1", &[], body.clone()).await;
        assert_eq!(refused(&missing), (428, "if-match-missing".into()), "{method}");
        for stale in ["\"x\"", &format!("W/{tag}"), "\"0123456789abcdef0123456789abcdef\""] {
            let headers = [("if-match", stale)];
            let answer = shop.ask(method.clone(), "/products/1", &headers, body.clone()).await;
            assert_eq!(refused(&answer), (412, "stale".into()), "{method} {stale}");
        }
        let nowhere =
            shop.ask(method.clone(), "/products/999999", &[("if-match", "*")], body).await;
        assert_eq!(refused(&nowhere), (404, "not-found".into()));
    }
    assert_eq!(shop.product(1).await.body, old.body, "nothing of that changed it");

    let patched = shop.patch(1, &tag, &json!({ "price": "1.10", "stock": 7 })).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let read = shop.product(1).await;
    assert_eq!((&read.body, read.header("etag")), (&patched.body, patched.header("etag")));
    let (before, after) = (old.json(), patched.json());
    assert!(patched.body.windows(12).any(|part| part == b"\"price\":1.10"));
    assert_eq!(after["stock"], 7);
    for kept in ["id", "sku", "name", "category", "created_at"] {
        assert_eq!(before[kept], after[kept]);
    }
    assert_ne!(before["updated_at"], after["updated_at"]);
    let again = shop.patch(1, &tag, &json!({ "stock": 8 })).await;
    assert_eq!(refused(&again), (412, "stale".into()));

    let zstd = format!("\"x\", {}-zstd\"", patched.header("etag").trim_end_matches('"'));
    let listed = shop.patch(1, &zstd, &json!({ "stock": 9 })).await;
    assert_eq!(listed.status, 200, "a list, and the tag of another coding");
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_a_product_by_itself_changes_nothing(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    let body = lamp();
    let put = async |tag: &str| {
        shop.ask(Method::PUT, "/products/2", &[("if-match", tag)], body.to_string()).await
    };
    let first = put(shop.product(2).await.header("etag")).await;
    assert_eq!((first.status.as_u16(), &first.json()["sku"]), (200, &body["sku"]));
    let second = put(first.header("etag")).await;
    assert_eq!((second.status.as_u16(), &second.body), (200, &first.body));
    assert_eq!(second.header("etag"), first.header("etag"));
    let taken = shop.patch(3, "*", &json!({ "sku": body["sku"] })).await;
    assert_eq!(refused(&taken), (409, "taken".into()));
    assert_eq!(taken.json()["errors"][0]["pointer"], "/sku");
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_is_gone(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    let tag = shop.product(5).await.header("etag").to_owned();
    let headers = [("if-match", &*tag)];
    let delete = || shop.ask(Method::DELETE, "/products/5", &headers, "");
    let deleted = delete().await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
    assert_eq!(refused(&delete().await), (404, "not-found".into()));
    assert_eq!(shop.service.client.get("/products/5").await.status, 404);
}

#[apply(every_backend)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_made_whole_or_not_at_all(backend: Backend) {
    if backend.is_absent() {
        return;
    }
    let shop = Shop::open(backend).await;
    let category = unique("batch");
    let product = |n: usize| {
        json!({
            "sku": format!("{category}-{n}"), "name": "😀".repeat(255), "category": category,
            "price": n as f64 / 4.0, "stock": n,
        })
    };
    let batch: serde_json::Value = (0..1000).map(product).collect();
    let made = shop.post("/products/batch", &batch).await;
    assert_eq!(made.status, 201, "{:?}", made.problem());
    let list = format!("/products/pooled?category={category}");
    let read = shop.service.client.get(&list).await;
    assert!(made.body == read.body, "in the order in which they were sent");

    let mut batch: Vec<_> = (1000..1003).map(product).collect();
    batch[1]["sku"] = format!("{category}-7").into();
    let refusal = shop.post("/products/batch", &batch.into()).await;
    assert_eq!(refused(&refusal), (409, "taken".into()));
    assert_eq!(refusal.json()["errors"][0]["pointer"], "/1/sku");
    assert!(read.body == shop.service.client.get(&list).await.body, "none of the others is there");
}
