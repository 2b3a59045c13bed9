//! The rate limit as clients see it: who is counted, for what, and what a refusal says.

use std::time::{Duration, Instant};

use hyper::Method;

use crate::harness::{Answer, Backend, Service, Setup};

const LIST: &str = "/products/pooled?limit=1";

async fn limited(toml: &str) -> Service {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"");
    setup.with(&format!("[rate_limit]\n{toml}")).start().await
}

/// The three fields of the header.
fn fields(answer: &Answer) -> [u64; 3] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(|name| {
        answer.header(name).parse().unwrap_or_else(|_| panic!("{name} is no number: {answer:?}"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_limit_nothing_is_said_of_one() {
    let service = Setup::few(Backend::Sqlite).start().await;
    let answer = service.client.get(LIST).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("ratelimit")));
    assert!(service.client.get("/stats").await.json()["rate_limit"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_example_lets_100_through_and_refuses_the_next() {
    let service = limited("requests = 100\nper = \"10h\"").await;
    let client = service.client;
    for n in 1..=100 {
        let answer = client.get(LIST).await;
        assert_eq!((answer.status.as_u16(), fields(&answer)), (200, [100, 100 - n, 360 * n]));
    }
    let requests = service.strategy("pooled").meter.requests.get();
    let answer = client.get(LIST).await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (429, "rate-limited"));
    let [limit, remaining, reset] = fields(&answer);
    assert_eq!((limit, remaining), (100, 0));
    assert!((300..=360).contains(&reset), "{reset} s until the next of one in 360 s");
    assert_eq!(answer.header("retry-after"), reset.to_string());
    assert_eq!(service.strategy("pooled").meter.requests.get(), requests, "it went no further");
    let stats = client.get("/stats").await.json();
    let expected = serde_json::json!({
        "requests": 100, "per_seconds": 36000.0, "burst": 100, "clients": 1, "refused": 1,
    });
    assert_eq!(stats["rate_limit"], expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_as_long_as_told_is_served() {
    // One each five seconds.
    let service = limited("requests = 2\nper = \"10s\"\nburst = 1").await;
    assert_eq!(service.client.get(LIST).await.status, 200);
    let refused = service.client.get(LIST).await;
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").parse().expect("a number");
    assert!((1..=5).contains(&seconds), "{seconds}");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!(service.client.get(LIST).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_costs_something_is_counted() {
    let service = limited("requests = 1\nper = \"10h\"").await;
    let client = service.client;
    assert_eq!(client.get("/products/1").await.status, 200);
    for path in [LIST, "/products/1", "/strategies/subject/products", "/strategies/x/products"] {
        assert_eq!(client.get(path).await.status, 429, "{path}");
    }
    for path in ["/", "/docs", "/openapi.json", "/stats", "/strategies", "/noop"] {
        let answer = client.get(path).await;
        assert!(answer.status.is_success(), "{path}");
        assert!(!answer.headers.contains_key("ratelimit-limit"), "{path}");
    }
    // Other ways to write the same path are not served at all.
    for path in [
        "/%70roducts/pooled",
        "//products/pooled",
        "/strategies/subject%2Fproducts",
        "/./products/pooled",
    ] {
        let answer = client.get(path).await;
        assert!([404, 429].contains(&answer.status.as_u16()), "{path}: {answer:?}");
    }
    assert_eq!(client.send(Method::HEAD, LIST, &[]).await.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_trusted_proxy_the_client_is_whom_the_proxy_names() {
    let service = limited("requests = 1\nper = \"10h\"\ntrusted_proxies = [\"127.0.0.0/8\"]").await;
    let from = async |forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded)];
        service.client.get_with(LIST, &headers).await.status.as_u16()
    };
    assert_eq!([from("192.0.2.1").await, from("192.0.2.1").await], [200, 429]);
    assert_eq!(from("192.0.2.2").await, 200, "another client");
    assert_eq!(from("192.0.2.99, 192.0.2.2").await, 429, "it may not make a client up");
    assert_eq!([from("2001:db8::1").await, from("2001:db8::2").await], [200, 429]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_no_trusted_proxy_cannot_pretend() {
    let service = limited("requests = 1\nper = \"10h\"\ntrusted_proxies = [\"10.0.0.1\"]").await;
    let mut statuses = Vec::new();
    for forwarded in ["192.0.2.1", "192.0.2.2"] {
        let headers = [("x-forwarded-for", forwarded)];
        statuses.push(service.client.get_with(LIST, &headers).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 429]);
}

/// The clients are as many as a test can have; what they cost is forgotten by the service itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_forgotten_once_their_tokens_are_back() {
    let service =
        limited("requests = 100\nper = \"100ms\"\ntrusted_proxies = [\"127.0.0.1\"]").await;
    for n in 0..50 {
        let forwarded = format!("192.0.2.{n}");
        service.client.get_with(LIST, &[("x-forwarded-for", &forwarded)]).await;
    }
    let clients = || service.state.rate_limit.load().clients();
    assert!(clients() > 0);
    let deadline = Instant::now() + Duration::from_secs(30);
    while clients() > 0 {
        assert!(Instant::now() < deadline, "{} clients stay", clients());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn what_is_wrong_with_a_limit_is_named() {
    let setup = Setup::few(Backend::Sqlite).with(
        "server = { max_header_size = \"1KiB\", max_url_size = 0, cors_origins = [\"https://a.example/\", \"null\"] }\n\
         rate_limit = { requests = 4, per = \"0s\", burst = 0, trusted_proxies = [\"nowhere\", \"10.0.0.0/40\"] }",
    );
    let problems = setup.problems();
    for key in [
        "`server.max_header_size`",
        "`server.max_url_size`",
        "\"https://a.example/\"",
        "\"null\"",
        "`rate_limit.per`",
        "`rate_limit.burst`",
        "\"nowhere\"",
        "\"10.0.0.0/40\"",
    ] {
        assert!(problems.contains(key), "{key} in {problems}");
    }
}

#[test]
fn lists_may_come_from_the_environment() {
    use poolwise::config::{CorsOrigins, Environment, load};
    let environment = Environment::of(&[
        ("POOLWISE__RATE_LIMIT__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        ("POOLWISE__RATE_LIMIT__REQUESTS", "100"),
        ("POOLWISE__SERVER__CORS_ORIGINS", "https://a.example"),
    ]);
    let config = load(&[], &environment, &poolwise::store::plugin::Plugins::standard());
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let networks: Vec<String> =
        config.rate_limit.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
    let quota = config.rate_limit.quota.expect("there is one");
    assert_eq!((quota.requests.get(), quota.burst.get(), quota.per.as_secs()), (100, 100, 60));
    assert_eq!(config.server.cors_origins, CorsOrigins::Only(vec!["https://a.example".into()]));
    let dump = config.dump();
    assert!(dump.contains("https://a.example"), "{dump}");
}
