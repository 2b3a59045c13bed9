//! What was done is what is counted.

use hyper::Method;
use serde_json::json;

use super::{Scrape, scrape_until};
use crate::harness::{Backend, Database, FEW, Redis, Service, Setup, subject};

const COUNT: &str = "http_requests_total";

/// Of a route and a status.
fn answers(scrape: &Scrape, method: &str, route: &str, status: &str) -> f64 {
    scrape.sum(COUNT, &[("method", method), ("route", route), ("status", status)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_counted_by_route_method_status_and_strategy() {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"memory\"");
    let service = setup.start().await;
    let client = service.client;
    let mut sent = 0;
    for _ in 0..3 {
        sent += service.subject("limit=5").await.body.len();
        service.keeps(1).await;
    }
    let tag = service.subject("limit=5").await;
    sent += tag.body.len();
    let known = [("if-none-match", tag.header("etag"))];
    assert_eq!(client.get_with(&subject("limit=5"), &known).await.status, 304);
    assert_eq!(client.get(&subject("limit=x")).await.status, 400);
    assert_eq!(client.get("/products/7").await.status, 200);
    assert_eq!(client.get("/products/7000000").await.status, 404);
    assert_eq!(client.get("/nowhere/at/all").await.status, 404);
    assert_eq!(client.send(Method::HEAD, "/products/7", &[]).await.status, 405);
    let odd = Method::from_bytes(b"PROPFIND").expect("a token");
    client.send(odd, "/products/direct", &[]).await;
    assert_eq!(client.get("/docs").await.status, 200);
    let list = "/strategies/{name}/products";
    let all = [("route", list), ("method", "GET"), ("status", "200"), ("strategy", "subject")];
    let is_counted = |scrape: &Scrape| {
        answers(scrape, "GET", "/docs", "200") == 1.0 && scrape.sum(COUNT, &all) == 4.0
    };
    let scrape = scrape_until(client, "all answers are counted", is_counted).await;
    assert_eq!(scrape.one(COUNT, &all), 4.0);
    assert_eq!(answers(&scrape, "GET", list, "304"), 1.0);
    assert_eq!(answers(&scrape, "GET", list, "400"), 1.0);
    assert_eq!(answers(&scrape, "GET", "/products/{id}", "200"), 1.0);
    assert_eq!(answers(&scrape, "GET", "/products/{id}", "404"), 1.0);
    assert_eq!(answers(&scrape, "GET", "other", "404"), 1.0);
    assert_eq!(answers(&scrape, "HEAD", "/products/{id}", "405"), 1.0);
    assert_eq!(answers(&scrape, "other", "/products/direct", "405"), 1.0);
    // A refused parameter never came to a strategy.
    let bad = [("route", list), ("status", "400")];
    let refused = scrape.all(COUNT, &bad).next();
    assert!(!refused.expect("it is there").0.contains_key("strategy"));
    assert_eq!(scrape.one("http_response_size_bytes_sum", &all), sent as f64);
    assert_eq!(scrape.one("http_response_size_bytes_count", &all), 4.0);
    // GET, path and `host: test`, four times, and nothing else.
    let head = format!("GET {} HTTP/1.1\r\nhost: test\r\n\r\n", subject("limit=5")).len();
    assert_eq!(scrape.one("http_request_size_bytes_sum", &all), (4 * head) as f64);
    assert_eq!(scrape.one("http_request_duration_seconds_count", &all), 4.0);
    let [hits, misses] = ["hits", "misses"].map(|what| {
        scrape.one(&format!("poolwise_cache_{what}_total"), &[("strategy", "subject")])
    });
    assert_eq!((hits, misses), (4.0, 1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histograms_rise_and_their_last_bucket_is_their_count() {
    let service = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"").start().await;
    for _ in 0..5 {
        service.subject("limit=5").await;
    }
    let of_subject = [("strategy", "subject")];
    let counted = |scrape: &Scrape| {
        scrape.sum("poolwise_strategy_duration_seconds_count", &of_subject) == 5.0
    };
    let scrape = scrape_until(service.client, "all are counted", counted).await;
    let mut histograms = 0;
    for (name, _) in scrape.types.iter().filter(|(_, kind)| *kind == "histogram") {
        let (bucket, count) = (format!("{name}_bucket"), format!("{name}_count"));
        for (labels, count) in scrape.all(&count, &[]) {
            let same: Vec<(&str, &str)> =
                labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            // Those of more labels have the same ones, too.
            let buckets = scrape.all(&bucket, &same).filter(|(of, _)| of.len() == labels.len() + 1);
            let buckets: Vec<(f64, f64)> = buckets
                .map(|(labels, value)| (labels["le"].parse().expect("a bound"), value))
                .collect();
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {buckets:?}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{name}");
            histograms += 1;
        }
    }
    // Of four strategies three each, and of at least one route three.
    assert!(histograms >= 15, "{histograms}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_before_its_answer_is_499() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let service = Setup::of(&database).subject("\"pool\"", "\"none\"").start().await;
    let other = crate::harness::connect(&database.url).await;
    other.batch_execute("begin; lock table products in access exclusive mode").await.unwrap();
    let client = service.client;
    let asking = tokio::spawn(async move { client.get(&subject("limit=1")).await });
    crate::harness::eventually("it is under way", || service.gauges().in_use == 1).await;
    asking.abort();
    let left = |scrape: &Scrape| scrape.sum(COUNT, &[("status", "499")]) == 1.0;
    let scrape = scrape_until(client, "it is counted", left).await;
    assert_eq!(answers(&scrape, "GET", "/strategies/{name}/products", "499"), 1.0);
    other.batch_execute("rollback").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_sign_ins_and_refusals_are_counted_by_what_came_of_them() {
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let setup = Setup::of(&database).with("rate_limit = { requests = 12, per = \"1h\" }");
    let service = setup.start().await;
    let client = service.client;
    // Two of the twelve.
    let token = service.sign_in().await;
    let user = json!({ "name": "nobody", "password": "a wrong one" });
    assert_eq!(client.post("/auth/login", &user).await.status, 401);
    assert_eq!(client.post("/auth/refresh", &json!({ "refresh_token": "x" })).await.status, 401);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let product = r#"{"sku":"LAMP-1","name":"Lamp","category":"lamps","price":1.5,"stock":3}"#;
    let post =
        async || client.send_body(Method::POST, "/products", &headers, product.into()).await.status;
    assert_eq!((post().await, post().await), (201.try_into().unwrap(), 409.try_into().unwrap()));
    let mut refused = 0;
    for _ in 0..10 {
        refused += u32::from(client.get("/products/7").await.status == 429);
    }
    assert_eq!(refused, 4);
    let counted = |scrape: &Scrape| {
        scrape.sum(COUNT, &[("route", "/products/{id}")]) == 10.0
            && scrape.sum(COUNT, &[("route", "/products"), ("method", "POST")]) == 2.0
    };
    let scrape = scrape_until(client, "all are counted", counted).await;
    let sign_ins = |kind, outcome| {
        scrape.one("poolwise_sign_ins_total", &[("kind", kind), ("outcome", outcome)])
    };
    assert_eq!(sign_ins("register", "done"), 1.0);
    assert_eq!((sign_ins("login", "done"), sign_ins("login", "refused")), (1.0, 1.0));
    assert_eq!((sign_ins("refresh", "done"), sign_ins("refresh", "refused")), (0.0, 1.0));
    let writes = |outcome| {
        let labels = [("strategy", "pooled"), ("outcome", outcome)];
        scrape.one("poolwise_writes_total", &labels)
    };
    assert_eq!((writes("done"), writes("refused"), writes("failed")), (1.0, 1.0, 0.0));
    assert_eq!(scrape.one("poolwise_rate_limited_requests_total", &[]), 4.0);
    // What was read of a body belongs to its request.
    let posts = [("route", "/products"), ("method", "POST")];
    let received = scrape.sum("http_request_size_bytes_sum", &posts);
    assert!(received > 2.0 * product.len() as f64, "{received}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_and_metrics_print_the_same() {
    let setup = Setup::few(Backend::Postgres).subject("\"pool\"", "\"redis\"");
    let service = setup.with_redis(Redis::shared()).start().await;
    for n in [1, 1, 2] {
        service.subject(&format!("limit={n}")).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let seen = |scrape: &Scrape| {
        scrape.sum("poolwise_database_max_connections", &[]) > 0.0
            && scrape.sum("poolwise_redis_memory_used_bytes", &[]) > 0.0
            && scrape.sum("poolwise_health_state", &[("state", "healthy")]) == 1.0
            && scrape.sum("poolwise_redis_status", &[("status", "up")]) == 1.0
    };
    let scrape = scrape_until(service.client, "database and Redis are seen and well", seen).await;
    let stats = service.client.get("/stats").await.json();
    for strategy in stats["strategies"].as_array().expect("a list") {
        let name = strategy["name"].as_str().expect("a name");
        for (metric, pointer) in [
            ("poolwise_strategy_requests_total", "/requests"),
            ("poolwise_strategy_errors_total", "/errors"),
            ("poolwise_strategy_requests_in_flight", "/in_flight"),
            ("poolwise_strategy_sent_bytes_total", "/bytes"),
            ("poolwise_strategy_duration_seconds_count", "/latency/count"),
            ("poolwise_pool_size", "/pool/size"),
            ("poolwise_pool_in_use", "/pool/in_use"),
            ("poolwise_pool_idle", "/pool/idle"),
            ("poolwise_pool_waiting", "/pool/waiting"),
            ("poolwise_pool_wait_seconds_count", "/pool/wait/count"),
            ("poolwise_pool_connect_seconds_count", "/pool/connect/count"),
            ("poolwise_pool_opened_total", "/pool/opened"),
            ("poolwise_pool_closed_total", "/pool/closed"),
            ("poolwise_cache_hits_total", "/cache/hits"),
            ("poolwise_cache_misses_total", "/cache/misses"),
            ("poolwise_cache_coalesced_total", "/cache/coalesced"),
            ("poolwise_cache_bypassed_total", "/cache/bypassed"),
            ("poolwise_cache_faults_total", "/cache/faults"),
        ] {
            let expected = strategy.pointer(pointer).and_then(serde_json::Value::as_f64);
            let labels = [("strategy", name)];
            let found = scrape.all(metric, &labels).next().map(|_| scrape.sum(metric, &labels));
            assert_eq!(found, expected, "{metric} of {name}");
        }
    }
    assert_eq!(scrape.one("poolwise_strategy_requests_total", &[("strategy", "subject")]), 3.0);
    for (metric, pointer) in [
        ("poolwise_database_max_connections", "/database/max_connections"),
        ("poolwise_body_budget_bytes", "/bodies/budget_bytes"),
        ("poolwise_cache_queued_invalidations", "/invalidation/queued"),
    ] {
        let expected = stats.pointer(pointer).and_then(serde_json::Value::as_f64);
        assert_eq!(Some(scrape.one(metric, &[])), expected, "{metric}");
    }
    assert_eq!(scrape.sum("poolwise_health_state", &[]), 1.0);
    let main = [("database", "database.url")];
    assert_eq!(scrape.sum("poolwise_database_status", &main), 1.0);
    assert_eq!(scrape.sum("poolwise_redis_status", &[]), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_the_configuration_keeps_what_was_counted() {
    let setup = Setup::few(Backend::Sqlite);
    let with = "strategies.subject = { access = \"pool\", cache = \"memory\" }";
    let (service, file) = setup.following(with).await;
    let of_subject = [("strategy", "subject")];
    let requests = |scrape: &Scrape| scrape.sum("poolwise_strategy_requests_total", &of_subject);
    let size = |scrape: &Scrape| scrape.sum("poolwise_pool_size", &of_subject);
    for _ in 0..3 {
        service.subject("limit=1").await;
    }
    let before = scrape_until(service.client, "three", |scrape| requests(scrape) == 3.0).await;
    std::fs::write(&file, format!("{with}\ndatabase.pool_size = 5")).unwrap();
    let after = scrape_until(service.client, "a larger pool", |scrape| size(scrape) == 5.0).await;
    let counters = before.types.iter().filter(|(_, kind)| *kind == "counter");
    for (name, _) in counters {
        for (labels, value) in before.all(name, &[]) {
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            // A reset, which Prometheus takes for a restart; docs/METRICS.md says so.
            let resets = name.starts_with("poolwise_database_breaker");
            assert!(resets || after.sum(name, &labels) >= value, "{name} {labels:?}");
        }
    }
    std::fs::write(&file, "database.pool_size = 5").unwrap();
    let gone = |scrape: &Scrape| scrape.all("poolwise_pool_size", &of_subject).next().is_none();
    scrape_until(service.client, "the strategy is gone", gone).await;
    std::fs::write(&file, with).unwrap();
    let back = scrape_until(service.client, "it is back", |scrape| size(scrape) == 2.0).await;
    assert_eq!(requests(&back), 3.0);
    std::fs::write(&file, "database.pool_size = 0").unwrap();
    let refused =
        |scrape: &Scrape| scrape.one("poolwise_config_last_reload_successful", &[]) == 0.0;
    scrape_until(service.client, "an edit is refused", refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_clients_are_counted() {
    let service: Service =
        Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"").start().await;
    let slow = service.client.read_slowly("/products/pooled").await;
    let two = |scrape: &Scrape| scrape.one("poolwise_client_connections", &[]) == 2.0;
    scrape_until(service.client, "the slow one and ours", two).await;
    drop(slow);
    let one = |scrape: &Scrape| scrape.one("poolwise_client_connections", &[]) == 1.0;
    scrape_until(service.client, "ours", one).await;
}
