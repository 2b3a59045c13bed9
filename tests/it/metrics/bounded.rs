//! Whatever clients send, the number of series is bounded.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Scrape, scrape_until};
use crate::harness::{Backend, Client, Setup};

const MANY: usize = 10_000;
const AT_ONCE: usize = 8;

/// Requests of one connection.
fn requests_count(first: usize) -> usize {
    (first..MANY).step_by(AT_ONCE).count()
}

/// One request after the other on one connection, without waiting for answers; how many came.
async fn throw(client: Client, first: usize) -> usize {
    let mut requests = String::new();
    for n in (first..MANY).step_by(AT_ONCE) {
        let method = if n % 2 == 0 { format!("M{n}") } else { "GET".to_owned() };
        let path = match n % 5 {
            0 => format!("/x{n}"),
            1 => format!("/products/{n}?limit={n}"),
            2 => format!("/strategies/s{n}/products"),
            3 => format!("/products/direct/{n}/%2e%2e/a{n}b"),
            _ => format!("/strategies/subject/products/x{n}"),
        };
        let last = if n + AT_ONCE >= MANY { "connection: close\r\n" } else { "" };
        requests += &format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{last}\r\n");
    }
    let stream = TcpStream::connect(client.0).await.expect("the service listens");
    let (mut reading, mut writing) = stream.into_split();
    // The half that writes is kept: a client that closes it has hung up.
    let sending =
        tokio::spawn(async move { writing.write_all(requests.as_bytes()).await.map(|()| writing) });
    let mut answers = Vec::new();
    reading.read_to_end(&mut answers).await.expect("it answers to the end");
    let _writing = sending.await.expect("it does not panic").expect("it takes all");
    let text = String::from_utf8(answers).expect("they are text");
    let answered = text.matches("HTTP/1.1 ").count();
    let end: String = text.chars().rev().take(400).collect::<Vec<_>>().into_iter().rev().collect();
    assert_eq!(answered, requests_count(first), "the last:\n{end}");
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_urls_and_methods_make_few_series() {
    let service = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"").start().await;
    let client = service.client;
    let all = "http_requests_total";
    let throwing = (0..AT_ONCE).map(|first| throw(client, first));
    let answered: usize = futures_util::future::join_all(throwing).await.into_iter().sum();
    assert_eq!(answered, MANY);
    let is_counted = |scrape: &Scrape| {
        scrape.sum(all, &[]) - scrape.sum(all, &[("route", "/metrics")]) == MANY as f64
    };
    let scrape = scrape_until(client, "all are counted", is_counted).await;
    // Five routes, two methods, a few statuses each.
    let series = scrape.all(all, &[]).count();
    assert!(series <= 5 * 2 * 3, "{series} series:\n{}", scrape.text);
    assert!(scrape.text.len() < 200_000, "{} bytes", scrape.text.len());
    assert_eq!(scrape.sum(all, &[("method", "other")]), (MANY / 2) as f64);
    let routes: std::collections::BTreeSet<&str> = scrape
        .all(all, &[])
        .map(|(labels, _)| &*labels["route"])
        .filter(|r| *r != "/metrics")
        .collect();
    let expected = [
        "/products/{id}",
        "/strategies/{name}/products",
        "/strategies/{name}/products/{id}",
        "other",
    ];
    assert_eq!(routes.into_iter().collect::<Vec<_>>(), expected);
}
