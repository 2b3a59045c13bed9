//! The shape of what is said.

use std::time::Duration;

use super::{health, pool, ready};
use crate::harness::{Backend, Redis, Setup};

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

const THREE: &str = "server.replicas = 3\ncache.invalidation = \"ttl\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_what_it_was_judged_by() {
    let setup = Setup::few(Backend::Postgres).subject("\"pool\"", "\"redis\"");
    let service = setup.with_redis(Redis::shared()).with(THREE).start().await;
    for path in ["/health", "/health_check"] {
        let said = service.client.get(path).await.json();
        assert_eq!(keys(&said), ["status", "timestamp", "since", "reasons", "ready", "checks"]);
        assert_eq!((&said["status"], &said["ready"]), (&"healthy".into(), &true.into()), "{said}");
        for time in ["timestamp", "since"] {
            let text = said[time].as_str().expect("a text");
            assert!(humantime::parse_rfc3339(text).is_ok(), "{text}");
        }
        let checks = &said["checks"];
        assert_eq!(keys(checks), ["database", "other_databases", "redis", "db_pool"]);
        for dependency in ["database", "redis"] {
            assert_eq!(checks[dependency]["status"], "up");
            assert!(checks[dependency]["latency_ms"].as_f64() > Some(0.0), "{checks}");
        }
        assert_eq!(checks["database"]["key"], "database.url");
        let pools = &checks["db_pool"];
        let connections = [
            "size",
            "checked_in",
            "checked_out",
            "overflow",
            "total_capacity",
            "utilization_percent",
            "utilization",
            "waiting",
        ];
        assert_eq!(keys(pools)[..8], connections);
        // cached, pooled and subject, 2 each; direct holds none.
        let numbers = connections[..6].iter().map(|key| pools[*key].as_f64().unwrap());
        assert_eq!(numbers.collect::<Vec<_>>(), [6.0, 6.0, 0.0, 0.0, 6.0, 0.0]);
        assert_eq!(
            pools["fleet"],
            serde_json::json!({"replicas": 3, "total_capacity": 18, "this_process": 6})
        );
        assert_eq!(pool(&said, "direct")["fixed"], false);
        let subject = pool(&said, "subject");
        assert_eq!(keys(subject)[2..10], connections);
        assert_eq!(keys(subject)[10..], ["wait_p95_ms", "waiting_for_seconds"]);
        assert_eq!((&subject["size"], &subject["fixed"]), (&2.into(), &true.into()));
    }
    assert_eq!(ready(service.client).await, (200, "ready".into()));
    assert_eq!(service.client.get("/health/live").await.json()["live"], true);
    assert_eq!(service.client.get("/stats").await.json()["health"], "healthy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_strategy_uses_is_unused() {
    let service = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"").start().await;
    let said = health(service.client).await;
    assert_eq!(said["checks"]["redis"]["status"], "unused");
    assert_eq!(said["checks"]["database"]["status"], "up");
    assert!(said["checks"]["db_pool"]["fleet"].is_null());
    let since = said["since"].clone();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let later = health(service.client).await;
    assert_eq!(later["since"], since, "nothing changed");
    assert_ne!(later["timestamp"], said["timestamp"]);
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let found = Setup::of_server("sqlite")
        .with(
            "health = { interval = \"0s\", wait_warning = \"2s\", utilization_warning = 101, utilization_critical = 90 }",
        )
        .problems();
    for part in
        ["`health.interval`", "`health.wait_warning`", "is above `health.utilization_c", "101"]
    {
        assert!(found.contains(part), "{part} in {found}");
    }
    let unwise = "health = { interval = \"1s\", timeout = \"100ms\" }";
    let warnings = Setup::of_server("sqlite").with(unwise).config().warnings.join("\n");
    assert!(warnings.contains("= 1s 100ms") && warnings.contains("is not below health.timeout"));
}
