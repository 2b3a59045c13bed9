//! What browsers are told: which pages may read answers, and how pages of ours are to be treated.

use hyper::Method;

use crate::harness::{Answer, Backend, Service, Setup};

const LIST: &str = "/products/pooled?limit=1";
const SHOP: &str = "https://shop.example";

async fn service(origins: &str) -> Service {
    let setup = Setup::few(Backend::Sqlite);
    setup.with(&format!("server.cors_origins = {origins}")).start().await
}

async fn ask(service: &Service, path: &str, origin: &str) -> Answer {
    service.client.get_with(path, &[("origin", origin)]).await
}

async fn preflight(service: &Service, origin: &str) -> Answer {
    let headers = [("origin", origin), ("access-control-request-method", "GET")];
    service.client.send(Method::OPTIONS, LIST, &headers).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_no_page_may_read_answers() {
    let service = Setup::few(Backend::Sqlite).start().await;
    let answer = ask(&service, LIST, SHOP).await;
    assert_eq!(answer.status, 200, "it is the browser that keeps it from the page");
    let asked = preflight(&service, SHOP).await;
    assert_eq!(asked.status, 405);
    for answer in [answer, asked] {
        let names = answer.headers.keys();
        assert_eq!(names.filter(|name| name.as_str().starts_with("access-control")).count(), 0);
        assert!(!answer.headers.contains_key("vary"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_configured_origin_may_and_others_may_not() {
    let service = service("[\"https://shop.example\", \"http://localhost:3000\"]").await;
    for path in [LIST, "/stats", "/products/pooled?limit=0", "/nowhere"] {
        let answer = ask(&service, path, SHOP).await;
        assert_eq!(answer.header("access-control-allow-origin"), SHOP, "{path}");
        let exposed = answer.header("access-control-expose-headers").to_lowercase();
        for name in ["x-request-id", "x-cache", "server-timing", "etag", "retry-after"] {
            assert!(exposed.contains(name), "{name} in {exposed}");
        }
        for other in ["https://shop.example.evil", "http://shop.example", "null"] {
            let answer = ask(&service, path, other).await;
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{other}");
            assert_eq!(answer.header("vary"), "origin", "a cache must not mix them up");
        }
    }
    let asked = preflight(&service, "http://localhost:3000").await;
    assert_eq!((asked.status.as_u16(), asked.body.len()), (204, 0));
    assert_eq!(asked.header("access-control-allow-origin"), "http://localhost:3000");
    assert!(asked.header("access-control-allow-methods").contains("GET"));
    assert!(asked.header("access-control-allow-methods").contains("POST"));
    for name in ["If-None-Match", "Authorization", "Content-Type"] {
        assert!(asked.header("access-control-allow-headers").contains(name), "{name}");
    }
    assert_eq!(preflight(&service, "https://other.example").await.status, 405);
    let options = service.client.send(Method::OPTIONS, LIST, &[]).await;
    assert_eq!(options.status, 405, "without an origin it is a method like any other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asterisk_stands_for_every_page_and_is_warned_of() {
    let setup = Setup::few(Backend::Sqlite).with("server.cors_origins = [\"*\"]");
    assert!(setup.config().warnings.iter().any(|warning| warning.contains("server.cors_origins")));
    let service = setup.start().await;
    let answer = ask(&service, LIST, SHOP).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_may_read_why_it_is_refused() {
    let setup = Setup::few(Backend::Sqlite).with(
        "server.cors_origins = [\"https://shop.example\"]\nrate_limit = { requests = 1, per = \"10h\" }",
    );
    let service = setup.start().await;
    for expected in [200, 429] {
        let answer = ask(&service, LIST, SHOP).await;
        assert_eq!(answer.status, expected);
        assert_eq!(answer.header("access-control-allow-origin"), SHOP);
        assert!(answer.header("access-control-expose-headers").contains("RateLimit-Remaining"));
    }
    assert_eq!(preflight(&service, SHOP).await.status, 204, "a question is not counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_run_their_own_script_only_and_nothing_is_taken_for_what_it_is_not() {
    let reports = crate::harness::folder().join(crate::harness::unique("reports"));
    std::fs::create_dir_all(reports.join("a")).expect("it can be made");
    std::fs::write(reports.join("a").join("report.html"), "<p>").expect("it is written");
    let setup = Setup::few(Backend::Sqlite).with(&format!("server.reports = {reports:?}"));
    let service = setup.start().await;
    for (page, scripts) in [("/", 1), ("/docs", 2), ("/report", 0)] {
        let answer = service.client.get(page).await;
        assert_eq!(answer.status, 200);
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{page}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{page}: {policy}");
        assert_eq!(policy.matches("'sha256-").count(), scripts, "{page}: {policy}");
        let script = policy.split("; ").find(|part| part.starts_with("script-src"));
        assert!(!script.is_some_and(|part| part.contains("unsafe")), "{page}: {policy}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    for path in ["/", "/docs", "/openapi.json", "/stats", LIST, "/noop", "/nowhere", "/products/x"]
    {
        let answer = service.client.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
}
