//! Pages: each leads to the next, and how many products there are is told to those who ask.

use rstest::rstest;
use serde_json::Value;

use crate::harness::{Answer, Backend, FEW, Redis, Service, Setup, subject};

async fn ask(service: &Service, path: &str, headers: &[(&str, &str)]) -> Answer {
    let answer = service.client.get_with(path, headers).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn products(answer: &Answer) -> Vec<Value> {
    answer.json().as_array().expect("it is a list").clone()
}

/// The path of the next page.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().expect("it is text");
    let path = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
    Some(path.expect(link).to_owned())
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_the_links_gives_every_product_once(
    #[values("none", "memory", "redis")] cache: &str,
    #[values("limit=300", "limit=300&offset=0", "category=electronics&limit=70")] query: &str,
    #[values("identity", "gzip")] coding: &str,
) {
    let setup = Setup::few(Backend::Postgres).with_redis(Redis::shared());
    let service = setup.subject("\"pool\"", &format!("{cache:?}")).start().await;
    let whole = query.replace("limit=300", "").replace("&limit=70", "").replace("&offset=0", "");
    let expected = products(&ask(&service, &subject(&whole), &[]).await);
    // The second time through pages come from the cache, if there is one, also compressed.
    for _ in 0..2 {
        let mut found: Vec<Value> = Vec::new();
        let mut path = Some(subject(query));
        while let Some(asked) = path {
            let plain = ask(&service, &asked, &[]).await;
            let page = ask(&service, &asked, &[("accept-encoding", coding)]).await;
            assert_eq!(next(&page), next(&plain), "{asked}");
            path = next(&page);
            found.extend(products(&plain));
        }
        assert!(found == expected, "{} of {}", found.len(), expected.len());
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_there_are_is_told_to_those_who_ask(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
    #[values("direct", "pool", "shared")] access: &str,
) {
    if backend.is_absent() || (access == "shared" && !backend.is_postgres()) {
        return;
    }
    let setup = Setup::few(backend).subject(&format!("{access:?}"), "\"memory\"");
    let service = setup.start().await;
    for (query, total) in [
        ("limit=10", FEW),
        ("limit=10&after=1999", FEW),
        ("limit=10&offset=5", FEW),
        ("category=electronics", FEW * 35 / 100),
        ("category=nothing-at-all", 0),
    ] {
        let silent = ask(&service, &subject(query), &[]).await;
        assert!(!silent.headers.contains_key("x-total-count"), "{query}");
        for wish in ["count=exact", "respond-async, Count = Exact"] {
            let told = ask(&service, &subject(query), &[("prefer", wish)]).await;
            assert_eq!(told.headers["x-total-count"], total.to_string().as_str(), "{query}");
            assert_eq!(told.headers["preference-applied"], "count=exact");
            assert_eq!(told.body, silent.body);
        }
    }
    let gauges = service.gauges();
    assert_eq!(gauges.in_use, 0, "whoever counts gives the connection back");
}
