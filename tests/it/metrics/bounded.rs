//! Whatever clients send, the number of series is bounded.

use hyper::Method;

use super::{Scrape, scrape_until};
use crate::harness::{Backend, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_urls_and_methods_make_few_series() {
    const MANY: usize = 10_000;
    const AT_ONCE: usize = 8;
    let service = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"").start().await;
    let client = service.client;
    let all = "http_requests_total";
    let throw = |first: usize| async move {
        for n in (first..MANY).step_by(AT_ONCE) {
            let path = match n % 5 {
                0 => format!("/x{n}"),
                1 => format!("/products/{n}?limit={n}"),
                2 => format!("/strategies/s{n}/products"),
                3 => format!("/products/direct/{n}/%2e%2e/a{n}b"),
                _ => format!("/strategies/subject/products/x{n}"),
            };
            let method = Method::from_bytes(format!("M{n}").as_bytes()).expect("a token");
            let method = if n % 2 == 0 { method } else { Method::GET };
            client.send(method, &path, &[]).await;
        }
    };
    let throwing = (0..AT_ONCE).map(|first| tokio::spawn(throw(first)));
    for thrown in futures_util::future::join_all(throwing).await {
        thrown.expect("every request is answered");
    }
    let is_counted = |scrape: &Scrape| {
        scrape.sum(all, &[]) - scrape.sum(all, &[("route", "/metrics")]) == MANY as f64
    };
    let scrape = scrape_until(client, "all are counted", is_counted).await;
    // Five routes, two methods, a few statuses each.
    let series = scrape.all(all, &[]).count();
    assert!(series <= 5 * 2 * 3, "{series} series:\n{}", scrape.text);
    assert!(scrape.text.len() < 200_000, "{} bytes", scrape.text.len());
    assert_eq!(scrape.sum(all, &[("method", "other")]), (MANY / 2) as f64);
    let routes: std::collections::BTreeSet<&str> =
        scrape.all(all, &[]).map(|(labels, _)| &*labels["route"]).collect();
    let expected = [
        "/metrics",
        "/products/{id}",
        "/strategies/{name}/products",
        "/strategies/{name}/products/{id}",
        "other",
    ];
    assert_eq!(routes.into_iter().collect::<Vec<_>>(), expected);
}
