//! What must not be written is refused with its reason, and never with 500.

use hyper::Method;
use serde_json::json;

use super::{Shop, lamp, order, refused};
use crate::harness::{Backend, unique};

const BIG: usize = 10 << 20;

fn with(field: &str, value: &str) -> String {
    let mut body = lamp();
    body[field] = "MARK".into();
    body.to_string().replace("\"MARK\"", value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_body_is_refused_where_it_is_bad() {
    let shop = Shop::open(Backend::Sqlite).await;
    let deep = "[".repeat(500_000) + &"]".repeat(500_000);
    let long = format!("\"{}\"", "x".repeat(65));
    for (body, pointer) in [
        (with("price", "1e400"), "/price"),
        (with("price", "-0.01"), "/price"),
        (with("price", "0.001"), "/price"),
        (with("price", "123456789012345678901234567890"), "/price"),
        (with("stock", "-1"), "/stock"),
        (with("stock", "2147483648"), "/stock"),
        (with("stock", &deep), "/stock"),
        (with("stock", "\"3\""), "/stock"),
        (with("sku", &long), "/sku"),
        (with("sku", "\"a\\u0000\""), "/sku"),
        (with("sku", "\"a\\u001b[31m\""), "/sku"),
        (with("name", "\"\\u0000\""), "/name"),
        (with("category", "null"), "/category"),
        (with("colour", "\"red\""), "/colour"),
        (with("price", "NaN"), ""),
        (lamp().to_string().replacen('{', "{\"stock\":1,", 1), "/stock"),
        ("[".repeat(1_000_000), ""),
        ("[]".into(), ""),
        (String::new(), ""),
    ] {
        for (method, path) in [(Method::POST, "/products"), (Method::PUT, "/products/1")] {
            let answer = shop.ask(method, path, &[("if-match", "*")], body.clone()).await;
            assert_eq!(refused(&answer), (400, "bad-body".into()), "{body:.80}");
            let problem = answer.json();
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
    }
    let not_utf8 = [b"{\"sku\":\"\xff\xfe\"}".as_slice(), b"\xc3"].concat();
    let answer = shop.ask(Method::POST, "/products", &[], not_utf8).await;
    assert_eq!(refused(&answer), (400, "bad-body".into()));
    let several = r#"{"sku":"","colour":1,"price":-1}"#;
    let problem = shop.ask(Method::POST, "/products", &[], several).await.json();
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(6), "{problem}");
    let unpatched = shop.patch(1, "*", &json!({})).await;
    assert_eq!(refused(&unpatched), (400, "bad-body".into()));
    let unordered = shop.post("/orders", &order(&[(1, 1), (1, 2)])).await;
    assert_eq!(refused(&unordered), (400, "bad-body".into()));
    assert_eq!(unordered.json()["errors"][0]["pointer"], "/lines/1/product_id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_or_no_json_is_not_looked_at() {
    let shop = Shop::open(Backend::Sqlite).await;
    let big = with("name", &format!("\"{}\"", "x".repeat(BIG)));
    for path in ["/products", "/products/batch", "/orders"] {
        let answer = shop.ask(Method::POST, path, &[], big.clone()).await;
        assert_eq!(refused(&answer), (413, "body-too-large".into()), "{path}");
    }
    let bearer = format!("Bearer {}", shop.token);
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "application/jsonp"),
        ("content-type", ""),
        ("content-encoding", "gzip"),
    ] {
        let mut headers = vec![("authorization", &*bearer), (name, value)];
        if name != "content-type" {
            headers.push(("content-type", "application/json"));
        }
        let body = lamp().to_string().into();
        let client = shop.service.client;
        let answer = client.send_body(Method::POST, "/products", &headers, body).await;
        assert_eq!(refused(&answer), (415, "media-type".into()), "{name}: {value}");
    }
    let headers = [("content-type", "application/merge-patch+json"), ("if-match", "*")];
    let headers = [&headers[..], &[("authorization", &bearer)]].concat();
    let body = json!({ "stock": 3 }).to_string().into();
    let patched = shop.service.client.send_body(Method::PATCH, "/products/1", &headers, body).await;
    assert_eq!(patched.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_writes_without_signing_in() {
    let shop = Shop::open(Backend::Sqlite).await;
    let before = shop.product(1).await;
    let client = shop.service.client;
    for (method, path) in [
        (Method::POST, "/products"),
        (Method::POST, "/products/batch"),
        (Method::PUT, "/products/1"),
        (Method::PATCH, "/products/1"),
        (Method::DELETE, "/products/1"),
        (Method::POST, "/orders"),
        (Method::GET, "/orders"),
        (Method::GET, "/orders/1"),
    ] {
        for token in ["", "Bearer x", "Basic eDp5"] {
            let headers =
                [("content-type", "application/json"), ("if-match", "*"), ("authorization", token)];
            let body = lamp().to_string().into();
            let answer = client.send_body(method.clone(), path, &headers, body).await;
            assert_eq!(refused(&answer), (401, "unauthorized".into()), "{method} {path} {token:?}");
        }
    }
    assert_eq!(before.body, shop.product(1).await.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_numbers_and_parameters_are_looked_at_too() {
    let shop = Shop::open(Backend::Sqlite).await;
    for id in ["0", "-1", "9223372036854775807"] {
        let path = format!("/products/{id}");
        let answer = shop.ask(Method::DELETE, &path, &[("if-match", "*")], "").await;
        assert_eq!(refused(&answer), (404, "not-found".into()));
        assert_eq!(refused(&shop.get(&format!("/orders/{id}")).await), (404, "not-found".into()));
    }
    for path in ["/products/x", "/products/9223372036854775808", "/products/1?limit=2"] {
        let answer = shop.ask(Method::DELETE, path, &[("if-match", "*")], "").await;
        assert_eq!(refused(&answer), (400, "bad-parameter".into()), "{path}");
    }
    for key in ["", "a b", &"x".repeat(256), "\"a\",\"b\""] {
        let answer = shop.post_as(key, "/products", &lamp()).await;
        assert_eq!(refused(&answer), (400, "bad-request".into()), "{key}");
    }
    let html = [("accept", "text/html")];
    let sku = lamp();
    let answer = shop.ask(Method::POST, "/products", &html, sku.to_string()).await;
    assert_eq!(refused(&answer), (406, "not-acceptable".into()));
    assert_eq!(shop.post("/products", &sku).await.status, 201, "it was not made before");
    for (path, allowed) in [
        ("/products", "POST"),
        ("/products/batch", "POST"),
        ("/orders", "POST, GET"),
        ("/orders/1", "GET"),
        ("/products/1", "GET, PUT, PATCH, DELETE"),
        ("/products/direct", "GET"),
        ("/categories", "GET"),
    ] {
        let answer = shop.ask(Method::from_bytes(b"BREW").unwrap(), path, &[], "").await;
        assert_eq!(refused(&answer), (405, "method-not-allowed".into()), "{path}");
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
    let unsaid = unique("x");
    assert_eq!(refused(&shop.get(&format!("/orders?{unsaid}=1")).await).0, 400);
    assert_eq!(refused(&shop.get("/orders?limit=101").await).0, 400);
}
