//! HTTP as clients see it: what is refused and how, and what every answer carries.

use std::time::{Duration, Instant};

use hyper::Method;
use rstest::rstest;

use crate::harness::{Backend, Dataset, FEW, Service, Setup};

async fn service() -> Service {
    Setup::few(Backend::Sqlite).subject("\"pool\"", "\"memory\"").start().await
}

#[rstest]
#[case("colour=red", "colour", "limit")]
#[case("limit=5&limit=6", "limit", "more than once")]
#[case("limit=0", "limit", "1 to 10000")]
#[case("limit=10001", "limit", "1 to 10000")]
#[case("limit=five", "limit", "1 to 10000")]
#[case("offset=-1", "offset", "0 to 9223372036854775807")]
#[case("after=9223372036854775808", "after", "0 to 9223372036854775807")]
#[case("after=1&offset=1", "after", "offset")]
#[case("min_price=1.234", "min_price", "0 to 99999999.99")]
#[case("max_price=-1", "max_price", "0 to 99999999.99")]
#[case("max_price=100000000", "max_price", "0 to 99999999.99")]
#[case("min_price=2&max_price=1.99", "min_price", "1.99")]
#[case("in_stock=yes", "in_stock", "true or false")]
#[case("category=a%00b", "category", "U+0000")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_parameter_is_named_with_what_is_allowed(
    #[case] query: &str,
    #[case] parameter: &str,
    #[case] allowed: &str,
) {
    let service = service().await;
    for path in ["/products/direct", "/products/pooled", "/products/cached"] {
        let answer = service.client.get(&format!("{path}?{query}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (400, "bad-parameter"));
        let refused = &answer.json()["errors"][0];
        assert_eq!(refused["parameter"], parameter);
        assert!(refused["reason"].as_str().unwrap().contains(allowed), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_not_found() {
    let service = service().await;
    let client = service.client;
    for path in ["/nowhere", "/nowhere/1", "/strategies/nobody/products", "/products/2001"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (404, "not-found"), "{path}");
    }
    let answer = client.get("/products/pooled?category=nothing").await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.body),
        (200, &b"[]"[..]),
        "an empty list is found"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_is_one_object(#[values("64MiB", "0")] budget: &str) {
    let setup = Setup::few(Backend::Sqlite).with(&format!("server.body_budget = {budget:?}"));
    let service = setup.start().await;
    let client = service.client;
    for id in [-1, 0, 2_001, i64::MAX] {
        let answer = client.get(&format!("/products/{id}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (404, "not-found"));
    }
    let answer = client.get("/products/97").await;
    assert!(answer.status == 200 && answer.body == Dataset::of(FEW).0[96].json);
    for id in ["1.5", "one", "9223372036854775808"] {
        let answer = client.get(&format!("/products/{id}")).await;
        assert_eq!(answer.status, 400, "{id}: {answer:?}");
        answer.problem();
    }
    assert_eq!(client.get("/products/1?limit=1").await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_is_not_allowed_names_those_that_are() {
    let service = service().await;
    let client = service.client;
    for path in ["/products/pooled", "/strategies/subject/products", "/stats"] {
        for method in [Method::POST, Method::DELETE, Method::PUT] {
            let answer = client.send(method, path, &[]).await;
            assert_eq!((answer.status.as_u16(), &*answer.problem()), (405, "method-not-allowed"));
            assert_eq!(answer.header("allow"), "GET");
        }
    }
    for path in ["/products/direct", "/products/cached", "/strategies/subject/products"] {
        let answer = client.send(Method::HEAD, path, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET"));
    }
    assert_eq!(client.send(Method::HEAD, "/", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_no_json_is_told() {
    let service = service().await;
    let client = service.client;
    for accept in ["text/html", "application/json;q=0"] {
        let answer = client.get_with("/products/pooled?limit=1", &[("accept", accept)]).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (406, "not-acceptable"));
    }
    for accept in ["*/*", "application/*", "text/html, */*;q=0.1"] {
        let answer = client.get_with("/products/pooled?limit=1", &[("accept", accept)]).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_a_request_id() {
    let service = service().await;
    let client = service.client;
    for path in ["/products/pooled?limit=1", "/nowhere", "/noop", "/", "/products/pooled?limit=0"] {
        let answer = client.get_with(path, &[("x-request-id", "job-7.a_B")]).await;
        assert_eq!(answer.header("x-request-id"), "job-7.a_B");
        for forged in ["a b", "a\"b", &"x".repeat(65)] {
            let answer = client.get_with(path, &[("x-request-id", forged)]).await;
            assert_eq!(answer.header("x-request-id").len(), 16, "{forged}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_where_its_time_went() {
    let service = service().await;
    let stages = |answer: &crate::harness::Answer| -> Vec<String> {
        let timing = answer.header("server-timing").split(", ");
        let stages = timing.map(|stage| stage.split_once(";dur=").expect("a duration"));
        stages.map(|(name, ms)| ms.parse::<f64>().map(|_| name.to_owned()).unwrap()).collect()
    };
    let direct = service.client.get("/products/direct?limit=1").await;
    assert_eq!(stages(&direct), ["wait", "connect", "execute", "total"]);
    assert!(!direct.headers.contains_key("x-cache"));
    let pooled = service.client.get("/products/pooled?limit=1").await;
    assert_eq!(stages(&pooled), ["wait", "execute", "total"]);
    let miss = service.client.get("/products/cached?limit=1").await;
    assert_eq!(
        (stages(&miss), miss.cache()),
        (["wait", "execute", "cache", "total"].map(String::from).to_vec(), "miss")
    );
    let deadline = Instant::now() + Duration::from_secs(15);
    // An answer is kept after it was sent.
    let hit = loop {
        let answer = service.client.get("/products/cached?limit=1").await;
        if answer.cache() == "hit" {
            break answer;
        }
        assert!(Instant::now() < deadline, "it never is a hit");
    };
    assert_eq!(stages(&hit).last().map(String::as_str), Some("total"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_endpoints_give_identical_bytes() {
    let service = service().await;
    let client = service.client;
    for query in ["", "category=electronics", "limit=100&offset=50", "in_stock=false"] {
        let [direct, pooled, cached] = futures_util::future::join_all(
            ["direct", "pooled", "cached"]
                .map(|name| async move { client.get(&format!("/products/{name}?{query}")).await }),
        )
        .await
        .try_into()
        .unwrap();
        assert!(direct.body == pooled.body && pooled.body == cached.body);
        assert_eq!(direct.header("etag"), cached.header("etag"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noop_is_empty_and_the_documents_are_there() {
    let service = service().await;
    let client = service.client;
    let noop = client.get("/noop").await;
    assert!(noop.status == 204 && noop.body.is_empty());
    let spec = client.get("/openapi.json").await.json();
    for path in ["/products/direct", "/products/pooled", "/products/cached", "/stats"] {
        assert!(spec["paths"][path]["get"].is_object(), "{path}");
    }
    for page in ["/", "/docs"] {
        let page = client.get(page).await;
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(!page.body.is_empty());
    }
}

#[tokio::test]
async fn the_newest_report_is_linked_from_the_landing_page() {
    let reports = crate::harness::folder().join(crate::harness::unique("reports"));
    let setup = Setup::few(Backend::Sqlite);
    let service = setup.with(&format!("server.reports = {reports:?}")).start().await;
    let client = service.client;
    let landing =
        async || String::from_utf8(client.get("/").await.body.to_vec()).expect("it is UTF-8");
    assert!(!landing().await.contains("report"));
    let answer = client.get("/report").await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (404, "not-found"));

    for (name, text) in [("2026-11-20_quick", "old"), ("2026-11-21_case", "new"), ("zzz", "")] {
        std::fs::create_dir_all(reports.join(name)).expect("it can be made");
        if !text.is_empty() {
            std::fs::write(reports.join(name).join("report.html"), text).expect("it is written");
        }
    }
    assert!(
        landing().await.contains("href=\"/report\">The lab's newest report</a> (2026-11-21_case)")
    );
    let answer = client.get("/report").await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"new"[..]));
    assert!(answer.header("content-type").starts_with("text/html"));
}
